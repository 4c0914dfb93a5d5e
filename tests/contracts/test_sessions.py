"""What every store of continuous sessions must do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from amxwatch.clocks.system import SystemClock
from amxwatch.core.continuous import Expansion, Session, SessionId, SessionStatus, Try
from amxwatch.core.errors import NotFoundError
from amxwatch.core.goal import GoalKey
from amxwatch.ports.ledger import Ledger
from tests.contracts.ledgers import NOW, a_run, later, new_ledger

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Ledger]:
    made = new_ledger(tmp_path / "state.db", SystemClock())
    yield made
    await made.aclose()


def a_session(name: str = "cont-1", **values: object) -> Session:
    given: dict[str, object] = {
        "id": SessionId(name),
        "owner_type": "schedule",
        "owner_id": "autopilot",
        "db_profile": "prod",
        "vision_path": "VISION.md",
        "started_at": NOW,
        "moved_at": NOW,
        "max_runs": 50,
    }
    return Session(**{**given, **values})  # type: ignore[arg-type]


def ended(session: Session) -> Session:
    return replace(session, status=SessionStatus.STOPPED, ended_at=later(60))


FULL = a_session(
    due_key="autopilot:x",
    met=(GoalKey("all: fresh"),),
    tries=(Try(goal=GoalKey("schema:a: coverage 90%"), mark="m", runs=2, at=NOW),),
    expansions=(Expansion(file="ROADMAP.md", looks=1, goals=0),),
    reason="half of it \ud800\0 is no text",
    runs_started=3,
)


async def test_a_session_comes_back_as_it_was_put(ledger: Ledger) -> None:
    assert await ledger.write(lambda tx: tx.sessions.start(FULL))
    found = await ledger.read(lambda tx: tx.sessions.get(FULL.id))
    assert replace(found, reason=None) == replace(FULL, reason=None)
    moved = replace(found, met=None, tries=(), run_id="run_1", status=SessionStatus.BLOCKED)
    await ledger.write(lambda tx: tx.sessions.put(moved))
    assert await ledger.read(lambda tx: tx.sessions.get(FULL.id)) == moved


async def test_an_owner_has_at_most_one_open_session(ledger: Ledger) -> None:
    first = a_session()
    assert await ledger.write(lambda tx: tx.sessions.start(first))
    assert not await ledger.write(lambda tx: tx.sessions.start(a_session("cont-2")))
    other = a_session("cont-3", owner_id="another")
    assert await ledger.write(lambda tx: tx.sessions.start(other))
    await ledger.write(lambda tx: tx.sessions.put(ended(first)))
    second = a_session("cont-2", started_at=later(90))
    assert await ledger.write(lambda tx: tx.sessions.start(second))
    found = await ledger.read(lambda tx: tx.sessions.open())
    assert [session.id for session in found] == ["cont-2", "cont-3"]
    assert await ledger.read(lambda tx: tx.sessions.open_of("schedule", "autopilot")) == second
    assert await ledger.read(lambda tx: tx.sessions.open_of("cli", "autopilot")) is None


async def test_a_due_time_starts_one_session_ever(ledger: Ledger) -> None:
    first = a_session(due_key="autopilot:noon")
    assert await ledger.write(lambda tx: tx.sessions.start(first))
    await ledger.write(lambda tx: tx.sessions.put(ended(first)))
    again = a_session("cont-2", due_key="autopilot:noon")
    assert not await ledger.write(lambda tx: tx.sessions.start(again))
    assert await ledger.read(lambda tx: tx.sessions.open()) == []


async def test_what_was_spent_is_the_cost_of_its_own_runs(ledger: Ledger) -> None:
    session = a_session(runs_started=1200)
    await ledger.write(lambda tx: tx.sessions.start(session))

    def runs(tx: object) -> None:
        for number, (key, cost) in enumerate(
            [("cont-1:1", "0.10"), ("cont-1:2", None), ("cont-1:1200", "0.20"), ("cont-2:1", "5")]
        ):
            tx.runs.put(  # type: ignore[attr-defined]
                a_run(f"run_{number}", unique_key=key, cost_usd=cost and Decimal(cost))
            )

    await ledger.write(runs)
    assert await ledger.read(lambda tx: tx.sessions.spent(session)) == Decimal("0.30")


async def test_what_is_not_there_is_said(ledger: Ledger) -> None:
    with pytest.raises(NotFoundError, match="there is no session cont-9"):
        await ledger.read(lambda tx: tx.sessions.get(SessionId("cont-9")))
    with pytest.raises(NotFoundError):
        await ledger.write(lambda tx: tx.sessions.put(a_session("cont-9")))
