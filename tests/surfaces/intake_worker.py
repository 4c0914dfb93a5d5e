"""A process for `test_intake_crash.py`: `python -m tests.surfaces.intake_worker FOLDER POINT N`.

Collects what lies in FOLDER/in and plans it, again and again, until the file `stop` is there. At
the Nth time that it comes to POINT (`read`, `commit`, `move`) it kills itself, as `kill -9` would.
"""

from __future__ import annotations

import os
import signal
import sys
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import anyio

from amxwatch.clocks.system import SystemClock
from amxwatch.flows.intake import IntakeDesk
from amxwatch.flows.intake_planning import plan
from amxwatch.flows.intake_sources import Found, collect_folder
from amxwatch.flows.source import Source
from amxwatch.ports.signals import Drop
from amxwatch.settings.schema import Settings
from amxwatch.stores.ledger import open_ledger
from amxwatch.watchers.drops import FolderDrops

PROFILES = [f"p{number}" for number in range(40)]


class Doomed(FolderDrops):
    """Dies at a point: once a file is read, once its item is committed, once it is moved."""

    point = ""
    left = 0

    async def read(self, name: str) -> Drop | None:
        drop = await super().read(name)
        self._come_to("read")
        return drop

    async def take(self, drop: Drop) -> None:
        self._come_to("commit")
        await super().take(drop)
        self._come_to("move")

    def _come_to(self, point: str) -> None:
        self.left -= point == self.point
        if point == self.point and self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)


def nowhere(name: str) -> NoReturn:
    raise AssertionError(f"{name}: a scope of everything needs no catalog")


async def main(folder: Path, point: str, number: int) -> None:
    clock = SystemClock()
    profiles = {name: {"url": "sqlite:///nowhere.db"} for name in PROFILES}
    settings = Settings.model_validate({"db_profiles": profiles})
    source: Source | None = None
    desk = IntakeDesk(
        settings=lambda: settings,
        source=lambda name: source or nowhere(name),
        ledger=open_ledger(folder / "state.db", clock),
        clock=clock,
    )
    drops = Doomed(folder / "in", settle=timedelta(0), clock=clock)
    drops.point, drops.left = point, number
    while True:
        is_last = (folder / "stop").exists()
        found = Found()
        await collect_folder(desk, drops, found)
        await plan(desk)
        assert not found.errors, found.errors
        if is_last:
            break
    await desk.ledger.aclose()


if __name__ == "__main__":
    anyio.run(main, Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
