"""Files dropped in a folder while processes that read them are killed: none lost, none doubled."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from amxwatch.clocks.system import SystemClock
from amxwatch.core.intake import IntakeItem, IntakeState
from amxwatch.core.run import Run
from amxwatch.ports.intake import IntakeFilter
from amxwatch.ports.ledger import RunFilter
from amxwatch.stores.ledger import open_ledger
from tests.contracts.ledgers import new_ledger
from tests.surfaces.intake_worker import PROFILES

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent.parent


class Yard:
    """A folder with a ledger and a drop folder, and the processes that were started on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        new_ledger(folder / "state.db", SystemClock())
        (folder / "in").mkdir()
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, point: str = "", number: int = 0) -> subprocess.Popen[bytes]:
        words = ["-m", "tests.surfaces.intake_worker", str(self.folder), point, str(number)]
        self.processes.append(subprocess.Popen([sys.executable, *words], cwd=ROOT))
        return self.processes[-1]

    def drop(self, name: str) -> None:
        """Drop a file as a careful program does, under a name that is not looked at first."""
        half = self.folder / "in" / f".{name}.json"
        half.write_text(json.dumps({"title": name, "db_profile": name}))
        half.replace(self.folder / "in" / f"{name}.json")

    def finish(self) -> None:
        """Let one process in good health do what is left."""
        (self.folder / "stop").touch()
        for process in [*self.processes, self.start()]:
            process.wait(timeout=90)
        assert self.processes[-1].returncode == 0

    async def found(self) -> tuple[list[IntakeItem], list[Run]]:
        ledger = open_ledger(self.folder / "state.db", SystemClock())
        items = await ledger.read(lambda tx: tx.intake.list(IntakeFilter(limit=1000)))
        runs = await ledger.read(lambda tx: tx.runs.list(RunFilter(limit=1000)))
        await ledger.aclose()
        return items, runs

    async def holds(self, names: list[str]) -> None:
        """Assert that each file became one item with one run, and lies among the taken ones."""
        items, runs = await self.found()
        assert Counter(item.title for item in items) == Counter(names)
        assert {item.state for item in items} == {IntakeState.PLANNED}
        assert Counter(run.db_profile for run in runs) == Counter(names)
        left = {path.name for path in (self.folder / "in").iterdir() if path.is_file()}
        assert left == set()
        taken = [path.read_text() for path in (self.folder / "in" / "taken").iterdir()]
        told = Counter(json.loads(text)["title"] for text in taken if text)
        assert told == Counter(names)


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    made = Yard(tmp_path)
    yield made
    for process in made.processes:
        process.kill()
        process.wait()


@pytest.mark.parametrize("point", ["read", "commit", "move"])
async def test_a_kill_between_reading_committing_and_moving_loses_and_doubles_nothing(
    yard: Yard, point: str
) -> None:
    names = PROFILES[:3]
    for name in names:
        yard.drop(name)
    dying = yard.start(point, 2)
    assert dying.wait(timeout=90) == -signal.SIGKILL
    items, _ = await yard.found()
    assert len(items) == (1 if point == "read" else 2), "it died where it was to"
    yard.finish()
    await yard.holds(names)


async def test_kills_at_any_moment_while_files_come_lose_and_double_nothing(yard: Yard) -> None:
    """Two processes read the one folder, and one of them is killed again and again."""
    chance = random.Random(20261121)
    yard.start()
    for round_ in range(5):
        victim = yard.start()
        for name in PROFILES[round_ * 8 : round_ * 8 + 8]:
            yard.drop(name)
            time.sleep(chance.uniform(0, 0.15))
        victim.kill()
    yard.finish()
    await yard.holds(PROFILES)
