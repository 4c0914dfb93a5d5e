"""`python -m tests.simulation`: play seeds, and say which of them broke a promise."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter

from tests.simulation.many import hunted, played
from tests.simulation.mutants import MUTANTS
from tests.simulation.runner import Verdict, play
from tests.simulation.store import Store


def main() -> int:
    told = _arguments()
    if told.mutants:
        return _hunt(told.first, told.jobs)
    if told.seed is not None:
        say = print if told.trace else None
        with MUTANTS[told.mutant]() if told.mutant else _none():
            verdict = play(told.seed, Store(sql=told.sql), say)
        print(_line(verdict, told.sql, told.mutant) if verdict.wrong else f"seed {told.seed}: well")
        return 1 if verdict.wrong else 0
    return _many(told.seeds, told.jobs, sql=told.sql, minutes=told.minutes)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="play this one")
    parser.add_argument("--trace", action="store_true", help="print what happens in it")
    parser.add_argument("--seeds", default="0:200", help="FIRST:END, END not included")
    parser.add_argument("--minutes", type=float, help="go on from FIRST for so long instead")
    parser.add_argument("--jobs", type=int, default=1, help="processes beside one another")
    parser.add_argument("--sql", action="store_true", help="all tables in SQLite; slower")
    parser.add_argument("--mutants", action="store_true", help="prove that faults are caught")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), help="play the seed with this fault")
    parser.add_argument("--first", type=int, default=300, help="seeds that a mutant is given")
    return parser.parse_args()


class _none:
    def __enter__(self) -> None: ...
    def __exit__(self, *_: object) -> None: ...


def _many(seeds: str, jobs: int, *, sql: bool, minutes: float | None) -> int:
    first, _, end = seeds.partition(":")
    started = time.monotonic()
    until = None if minutes is None else started + 60 * minutes
    count, wrong, totals = 0, 0, Counter[str]()
    for verdict in played(int(first), None if until else int(end), jobs, sql, until):
        count += 1
        totals += verdict.counts
        if verdict.wrong:
            wrong += 1
            print(_line(verdict, sql), flush=True)
    seconds = time.monotonic() - started
    told = ", ".join(f"{name} {number}" for name, number in sorted(totals.items()))
    print(f"happened: {told}")
    print(f"{count} seeds in {seconds:.1f} s ({count / seconds * 60:.0f} a minute), {wrong} wrong")
    return 1 if wrong else 0


def _line(verdict: Verdict, sql: bool, mutant: str | None = None) -> str:
    more = (" --sql" if sql else "") + (f" --mutant {mutant}" if mutant else "")
    again = f"python -m tests.simulation --seed {verdict.seed} --trace{more}"
    return f"seed {verdict.seed}: {verdict.wrong}\n  again: {again}"


def _hunt(seeds: int, jobs: int) -> int:
    """Play seeds with each fault built in until one is caught."""
    missed = []
    for name, verdict in hunted(seeds, jobs):
        if verdict is None:
            missed.append(name)
            print(f"{name}: NOT caught within {seeds} seeds", flush=True)
        else:
            print(f"{name}: by seed {verdict.seed}: {verdict.wrong}", flush=True)
    print(f"{len(MUTANTS) - len(missed)} of {len(MUTANTS)} mutants caught")
    return 1 if missed else 0


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # The order of sets of words is the one thing that a seed cannot decide from inside.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation", *sys.argv[1:]])
    sys.exit(main())
