"""A worker process for `test_engine_crash.py`: `python -m tests.surfaces.engine_worker FOLDER HOW`.

`count` writes down each run that it executes. `hang` pays for three replies a run and waits in
the third until the file `go` is there; `pay` waits for nothing.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from pathlib import Path

import anyio

from amxwatch.clocks.system import SystemClock
from amxwatch.core.errors import FencedError
from amxwatch.core.run import Outcome, Paid, Slots
from amxwatch.engines.local import LocalEngine
from amxwatch.engines.owner import Owner
from amxwatch.ports.engine import Handler, RunContext
from amxwatch.stores.ledger import open_ledger

SLOTS = Slots(total=64, profiles={}, schedules={}, each_profile=64, each_schedule=64)


def note(path: Path, line: str) -> None:
    with path.open("a") as file:
        file.write(line + "\n")


def counting(folder: Path) -> Handler:
    async def handler(context: RunContext) -> Outcome:
        note(folder / "executed", context.run.id)
        return Outcome(summary="counted")

    return handler


def paying(folder: Path, *, hang: bool) -> Handler:
    async def pay(key: str) -> Paid:
        note(folder / "paid", key)
        if hang and key == "k2":
            note(folder / "hanging", key)
            while not (folder / "go").exists():
                await SystemClock().sleep(0.01)
        return Paid(reply=f"reply to {key}", cost_usd=Decimal("0.1"))

    async def handler(context: RunContext) -> Outcome:
        try:
            replies = [
                await context.once(key, lambda key=key: pay(key)) for key in ("k1", "k2", "k3")
            ]
        except FencedError:
            try:
                await context.write(lambda tx: tx.events.add("draft_made", at=SystemClock().now()))
            except FencedError:
                note(folder / "fenced", context.run.id)
            raise
        return Outcome(summary=",".join(replies))

    return handler


async def main(folder: Path, how: str) -> None:
    handler = counting(folder) if how == "count" else paying(folder, hang=how == "hang")
    clock = SystemClock()
    ledger = open_ledger(folder / "state.db", clock)
    owner = Owner.acquire(folder / "owners")
    engine = LocalEngine(ledger=ledger, clock=clock, owner=owner, poll_seconds=0.05)
    note(folder / "owner", owner.name)
    async with anyio.create_task_group() as group:
        group.start_soon(engine.work, handler, lambda: SLOTS)
        while not (folder / "stop").exists():
            await clock.sleep(0.02)
        await engine.stop(5)
    owner.release()
    await ledger.aclose()


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), sys.argv[2])
