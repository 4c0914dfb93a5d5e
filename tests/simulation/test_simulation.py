"""A fixed set of seeds, on memory and on SQL; and faults built in, which must be seen.

The set is played by the command that also replays a seed that fails.
"""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from amxwatch.core.errors import AmxwatchError
from tests.simulation.due import DueTimes
from tests.simulation.mutants import MUTANTS
from tests.simulation.runner import play
from tests.simulation.store import Store

ROOT = Path(__file__).resolve().parent.parent.parent

SEEDS = "0:240"
WITHIN = 150
"""Seeds within which each fault must be caught."""


def simulation(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_no_seed_of_the_fixed_set_breaks_a_promise() -> None:
    assert simulation("--seeds", SEEDS, "--jobs", "2").rstrip().endswith("0 wrong")


def test_every_fault_is_caught() -> None:
    said = simulation("--mutants", "--first", str(WITHIN), "--jobs", "2")
    assert f"{len(MUTANTS)} of {len(MUTANTS)} mutants caught" in said


@pytest.fixture(scope="module")
def sql() -> Store:
    return Store(sql=True)


@pytest.mark.parametrize("seed", range(1000, 1006))
def test_the_promises_hold_on_sql_too(seed: int, sql: Store) -> None:
    """And whatever was remembered there is what would have been read again."""
    sql.verify = True
    assert play(seed, sql).wrong is None


def test_a_seed_is_played_the_same_way_twice() -> None:
    courses: list[list[str]] = [[], []]
    for course in courses:
        play(7, Store(), course.append)
    assert courses[0] == courses[1]
    assert len(courses[0]) > 20


def test_a_violation_ends_the_seed_and_says_how_to_play_it_again() -> None:
    name = "the_cap_is_ignored"
    with MUTANTS[name]():
        seed = next(seed for seed in range(WITHIN) if play(seed, Store()).wrong)
    words = ["--seed", str(seed), "--mutant", name]
    done = subprocess.run(
        [sys.executable, "-m", "tests.simulation", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert f"again: python -m tests.simulation --seed {seed} --trace --mutant {name}" in done.stdout


def test_a_transaction_that_fails_leaves_nothing_behind() -> None:
    store = Store()
    store.reset()

    def work(tx: object) -> None:
        tx.events.add("daemon_started", at=datetime.now(UTC))  # type: ignore[attr-defined]
        raise AmxwatchError("in the middle")

    with pytest.raises(AmxwatchError):
        store.write(work)
    assert store.read(lambda tx: tx.events.recent(10)) == []


@pytest.mark.parametrize(
    ("cron", "day", "expected"),
    [
        ("30 2 * * *", "2026-03-29", ["2026-03-29T01:00:00+00:00"]),
        ("30 2 * * *", "2026-10-25", ["2026-10-25T00:30:00+00:00"]),
        ("30 * * * *", "2026-10-25", [f"2026-10-25T{hour:02}:30:00+00:00" for hour in range(4)]),
    ],
)
def test_the_oracle_s_own_due_times_at_a_change_of_the_clock(
    cron: str, day: str, expected: list[str]
) -> None:
    start = datetime.fromisoformat(f"{day}T00:00:00+00:00")
    spec = {"type": "cron", "cron": cron, "timezone": "Europe/Berlin"}
    found = DueTimes(spec, start).after(start, start + timedelta(hours=4))
    assert [due.isoformat() for due in found] == expected
