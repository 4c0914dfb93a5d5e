"""The intake queue against a model in plain Python, and what its looks cost."""

from __future__ import annotations

import dataclasses
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from amxwatch.clocks.system import SystemClock
from amxwatch.core.errors import NotFoundError, TransitionError
from amxwatch.core.intake import (
    OPEN,
    TRANSITIONS,
    IntakeEvent,
    IntakeId,
    IntakeItem,
    IntakeSource,
    IntakeState,
    Priority,
)
from amxwatch.ports.intake import IntakeFilter
from amxwatch.ports.ledger import Tx
from tests.contracts.ledgers import NOW, new_ledger
from tests.contracts.test_ledger_model import told

pytestmark = pytest.mark.anyio


def an_item(name: str, **values: Any) -> IntakeItem:
    given: dict[str, Any] = {
        "source": IntakeSource.MANUAL,
        "title": "describe",
        "db_profile": "p",
        "dedupe_key": name,
        "added_at": NOW,
        "not_before": NOW,
    }
    return IntakeItem(id=IntakeId(name), **{**given, **values})


def in_order(items: list[IntakeItem]) -> list[IntakeItem]:
    return sorted(items, key=lambda item: (item.priority, item.added_at, item.id))


class Model:
    """What the port's docstrings say, as simply as it can be said."""

    def __init__(self) -> None:
        self.items: dict[IntakeId, IntakeItem] = {}

    def add(self, item: IntakeItem) -> IntakeItem:
        every = self.items.values()
        for other in every:
            if item.signal is not None and other.signal == item.signal:
                return other
        for other in every:
            if other.state in OPEN and other.dedupe_key == item.dedupe_key:
                return other
        self.items[item.id] = item
        return item

    def get(self, name: IntakeId) -> IntakeItem:
        if name not in self.items:
            raise NotFoundError
        return self.items[name]

    def move(self, name: IntakeId, event: IntakeEvent, **values: Any) -> IntakeItem:
        item = self.get(name)
        state = TRANSITIONS.get((item.state, event))
        if state is None:
            raise TransitionError
        if item.state not in OPEN and state in OPEN:
            twins = [o for o in self.items.values() if o.dedupe_key == item.dedupe_key]
            if any(other.state in OPEN for other in twins):
                raise TransitionError
        self.items[name] = dataclasses.replace(item, state=state, **values)
        return self.items[name]

    def next_approved(
        self, now: datetime, session: str | None, leave: frozenset[str], limit: int
    ) -> list[IntakeItem]:
        ready = [
            item
            for item in self.items.values()
            if item.state is IntakeState.APPROVED
            and item.not_before <= now
            and item.session in {None, session}
            and item.db_profile not in leave
        ]
        return in_order(ready)[:limit]


names = st.sampled_from([IntakeId(f"int_{n}") for n in range(6)])
sessions = st.sampled_from([None, None, "s1", "s2"])


class Queue(RuleBasedStateMachine):
    """Does the same to a ledger and to the model."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.portal_context = start_blocking_portal()
        self.portal = self.portal_context.__enter__()
        self.ledger = new_ledger(Path(self.folder.name) / "state.db", SystemClock())
        self.model = Model()
        self.refs: dict[str, str] = {}
        self.now = NOW

    def teardown(self) -> None:
        self.portal.call(self.ledger.aclose)
        self.portal_context.__exit__(None, None, None)
        self.folder.cleanup()

    def same(self, real: Callable[[Tx], Any], model: Callable[[], Any]) -> None:
        assert told(lambda: self.portal.call(self.ledger.write, real)) == told(model)

    @rule(
        key=st.sampled_from(["k1", "k2", "k3"]),
        signal=st.sampled_from([None, None, "f1", "f2"]),
        profile=st.sampled_from(["p", "q"]),
        priority=st.sampled_from(Priority),
        delay=st.integers(0, 2),
    )
    def add(
        self, key: str, signal: str | None, profile: str, priority: Priority, delay: int
    ) -> None:
        item = an_item(
            f"int_{len(self.model.items)}",
            dedupe_key=key,
            signal=signal,
            db_profile=profile,
            priority=priority,
            added_at=self.now,
            not_before=self.now + timedelta(seconds=delay),
        )
        self.same(lambda tx: tx.intake.add(item), lambda: self.model.add(item))

    @rule(
        name=names,
        event=st.sampled_from(IntakeEvent),
        session=sessions,
        reason=st.sampled_from([None, "why"]),
        run_id=st.sampled_from([None, "run_1"]),
    )
    def move(
        self,
        name: IntakeId,
        event: IntakeEvent,
        session: str | None,
        reason: str | None,
        run_id: str | None,
    ) -> None:
        values = {"session": session, "reason": reason, "run_id": run_id}
        self.same(
            lambda tx: tx.intake.move(name, event, **values),
            lambda: self.model.move(name, event, **values),
        )

    @rule(name=names)
    def approve(self, name: IntakeId) -> None:
        self.same(
            lambda tx: tx.intake.move(name, IntakeEvent.APPROVE),
            lambda: self.model.move(name, IntakeEvent.APPROVE),
        )

    @rule(seconds=st.integers(1, 2))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule(
        session=sessions,
        leave=st.frozensets(st.sampled_from(["p", "q"])),
        limit=st.integers(1, 3),
    )
    def next_approved(self, session: str | None, leave: frozenset[str], limit: int) -> None:
        self.same(
            lambda tx: tx.intake.next_approved(
                now=self.now, session=session, leave=leave, limit=limit
            ),
            lambda: self.model.next_approved(self.now, session, leave, limit),
        )

    @rule(
        watch=st.sampled_from(["w", "v"]),
        before=st.sampled_from([None, "a", "b"]),
        after=st.sampled_from(["a", "b"]),
    )
    def advance(self, watch: str, before: str | None, after: str) -> None:
        def model() -> bool:
            if self.refs.get(watch) != before:
                return False
            self.refs[watch] = after
            return True

        self.same(lambda tx: tx.git_refs.advance(watch, before, after), model)
        self.same(lambda tx: tx.git_refs.get(watch), lambda: self.refs.get(watch))

    @invariant()
    def both_hold_the_same(self) -> None:
        def seen(tx: Tx) -> Any:
            return [
                tx.intake.list(IntakeFilter()),
                tx.intake.list(IntakeFilter(untriaged=True)),
                tx.intake.list(IntakeFilter(session="s1", db_profile="p")),
                tx.intake.list(IntakeFilter(run_id="run_1", states=frozenset(OPEN))),
                tx.intake.count(),
            ]

        items = in_order(list(self.model.items.values()))
        counts = Counter(item.state for item in items if item.state in OPEN)
        assert self.portal.call(self.ledger.read, seen) == [
            items,
            [i for i in items if i.state is IntakeState.NEW and i.reason is None],
            [i for i in items if (i.session, i.db_profile) == ("s1", "p")],
            [i for i in items if i.run_id == "run_1" and i.state in OPEN],
            dict(counts),
        ]


TestQueue = Queue.TestCase
TestQueue.settings = settings(max_examples=20, stateful_step_count=30, deadline=None)


async def test_a_look_at_an_idle_queue_reads_by_an_index(tmp_path: Path) -> None:
    """Whatever was resolved in years, a turn with nothing to do reads none of it."""
    ledger = new_ledger(tmp_path / "state.db", SystemClock())
    await ledger.write(lambda tx: tx.intake.add(an_item("int_1")))
    await ledger.aclose()
    looks = {
        "SELECT * FROM intake WHERE state = 'approved' AND not_before <= 'z' AND session IS NULL"
        " ORDER BY priority, added_at, id LIMIT 1": "intake_by_state",
        "SELECT * FROM intake WHERE state = 'new' AND reason IS NULL"
        " ORDER BY priority, added_at, id LIMIT 1": "intake_untriaged",
        "SELECT * FROM intake WHERE run_id = 'r'": "ix_intake_run_id",
        "SELECT * FROM intake WHERE dedupe_key = 'k'"
        " AND state IN ('new', 'approved', 'planned', 'running')": "intake_open",
    }
    with closing(sqlite3.connect(tmp_path / "state.db")) as raw:
        for query, index in looks.items():
            (plan,) = raw.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()
            assert f"USING INDEX {index}" in plan[3], plan
