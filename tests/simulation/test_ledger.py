"""The quick ledger of the simulation, held to the contract suite and the model of the real one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import settings

from tests.contracts.ledgers import NOW
from tests.contracts.test_ledger import (  # noqa: F401 collected here with this module's ledger
    test_a_change_schedule_has_one_open_run,
    test_a_claim_gives_token_lease_and_start,
    test_a_person_asks_a_running_run_to_stop,
    test_a_refused_move_changes_nothing,
    test_a_reply_is_kept_for_ever_and_for_all,
    test_a_reserved_run_waits_for_its_owner,
    test_a_run_comes_back_as_it_was_put,
    test_a_run_that_stops_running_has_no_owner,
    test_a_unique_key_fires_once,
    test_all_or_nothing,
    test_claims_go_by_priority_then_age,
    test_claims_keep_to_the_slots,
    test_only_the_holder_of_the_token_writes,
    test_runs_are_listed_newest_first,
    test_what_was_in_flight_is_known,
)
from tests.contracts.test_ledger_model import Model, Queue
from tests.simulation.store import Store

pytestmark = pytest.mark.anyio

T = TypeVar("T")


class QuickLedger:
    """A ledger for one process alone."""

    def __init__(self) -> None:
        self._store = Store()
        self._store.reset()

    async def write(self, work: Callable[[Any], T]) -> T:
        return self._store.write(work)

    async def read(self, work: Callable[[Any], T]) -> T:
        return self._store.read(work)

    async def aclose(self) -> None:
        """Nothing is open."""


@pytest.fixture
def ledger() -> QuickLedger:
    return QuickLedger()


class QuickQueue(Queue):
    """Does the same to the quick ledger and to the model."""

    def __init__(self) -> None:
        super(Queue, self).__init__()
        self.portal_context = start_blocking_portal()
        self.portal = self.portal_context.__enter__()
        self.ledger = QuickLedger()  # type: ignore[assignment]
        self.model = Model()
        self.now = NOW

    def teardown(self) -> None:
        self.portal_context.__exit__(None, None, None)


TestQuickQueue = QuickQueue.TestCase
TestQuickQueue.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)
