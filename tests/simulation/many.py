"""Many seeds on several cores."""

from __future__ import annotations

import gc
import multiprocessing
import time
from collections.abc import Iterator

from tests.simulation.mutants import MUTANTS
from tests.simulation.runner import Verdict, play
from tests.simulation.store import Store

PORTION = 10
"""Seeds that a worker is given at a time."""


def played(
    first: int, end: int | None, jobs: int, sql: bool, until: float | None
) -> Iterator[Verdict]:
    """Yield what seeds came to: those from `first` to `end`, or on until a monotonic time."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs, initializer=_open, initargs=(sql,)) as pool:
        for portion in pool.imap_unordered(_portion, _portions(first, end, until)):
            yield from portion
            if until is not None and time.monotonic() > until:
                return


def _portions(first: int, end: int | None, until: float | None) -> Iterator[range]:
    start = first
    while start < end if end is not None else start < first + 10_000_000:
        stop = start + PORTION if end is None else min(start + PORTION, end)
        yield range(start, stop)
        start = stop


_store: Store | None = None


def _open(sql: bool) -> None:
    global _store  # noqa: PLW0603 one for the life of a worker
    _store = Store(sql=sql)
    play(0, _store)  # and so import and compile whatever is needed
    gc.collect()
    gc.freeze()
    gc.disable()  # what a portion leaves is collected at its end


def _portion(seeds: range) -> list[Verdict]:
    assert _store is not None
    verdicts = [play(seed, _store) for seed in seeds]
    gc.collect()
    return verdicts


def hunted(seeds: int, jobs: int) -> Iterator[tuple[str, Verdict | None]]:
    """Yield each mutant with the first seed that catches it, out of so many."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(jobs) as pool:
        yield from pool.imap_unordered(_caught, [(name, seeds) for name in MUTANTS])


def _caught(task: tuple[str, int]) -> tuple[str, Verdict | None]:
    name, seeds = task
    _open(sql=False)
    store = _store
    assert store is not None
    with MUTANTS[name]():
        for seed in range(seeds):
            verdict = play(seed, store)
            if verdict.wrong is not None and not verdict.is_breakdown:
                return name, verdict
    return name, None
