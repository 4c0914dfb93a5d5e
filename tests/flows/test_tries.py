"""A run that failed for good leaves drafts; the next try of its work takes them over."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from amxwatch.core.draft import DraftStatus
from amxwatch.core.run import RunStatus
from amxwatch.engines.recover import MAX_RECOVERIES, recover
from amxwatch.flows.settling import settled
from tests.flows.conftest import World, catalog, column, primary_key, table

pytestmark = pytest.mark.anyio

ORDERS = table("orders", "order_id", column("total", "numeric"), keys=(primary_key("order_id"),))


class Killed(BaseException):
    """Ends a process, as far as its flows can tell."""


async def test_the_next_try_applies_what_a_failed_one_drafted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.database.catalog = catalog()
    plan = world.on_change(review_strategy="auto")
    await world.turn(plan)
    world.database.catalog = catalog(ORDERS)
    assert (await world.turn(plan)).action == "fire"

    async def dies(*_: Any, **__: Any) -> Any:
        raise Killed

    with monkeypatch.context() as broken:
        broken.setattr(world.database, "current", dies)
        for _ in range(MAX_RECOVERIES + 1):
            with pytest.raises((Killed, BaseExceptionGroup)):
                await world.execute()
            world.pass_time(3600)
            await recover(world.ledger, world.clock, is_dead=lambda _: True, settled=settled)
    (failed,) = await world.runs()
    assert (failed.status, failed.failure_category) == (RunStatus.FAILED, "interrupted")
    drafted = await world.drafts()
    asked = len(world.provider.requests)

    world.clock.advance(timedelta(hours=1))
    assert (await world.turn(plan)).action == "fire"
    assert (await world.execute()).status is RunStatus.COMPLETED
    assert len(world.provider.requests) == asked, "nothing is asked again"
    drafts = await world.drafts()
    assert len(drafts) == len(drafted) == 3
    assert Counter(draft.status for draft in drafts)[DraftStatus.WRITTEN] == sum(
        draft.band != "low" for draft in drafted
    )
