"""Running seeds: one alone, many in a row, many on several cores."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import anyio.lowlevel
import anyio.to_thread

from amxwatch.flows import firing
from tests.simulation.loop import StuckError, VirtualLoop, virtual
from tests.simulation.oracle import Violation
from tests.simulation.store import Store
from tests.simulation.world import World


@dataclass
class Verdict:
    """What a seed came to; `wrong` is None where every promise held."""

    seed: int
    wrong: str | None = None
    counts: Counter[str] = field(default_factory=Counter)


def play(seed: int, store: Store, say: Callable[[str], None] | None = None) -> Verdict:
    """Live through one seed."""
    store.reset()
    verdict = Verdict(seed)
    try:
        with _machine(), asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(_live(verdict, store, say))
    except Violation as violation:
        verdict.wrong = str(violation)
    except StuckError as stuck:
        verdict.wrong = f"stuck: {stuck}"
    verdict.counts["commits"] = store.commits
    return verdict


async def _live(verdict: Verdict, store: Store, say: Callable[[str], None] | None) -> None:
    world = World(verdict.seed, store, virtual(), say)
    verdict.counts = world.counts
    await world.run()


@contextmanager
def _machine() -> Iterator[None]:
    """Replace what a seed cannot decide: threads (run at once) and random names (counted)."""
    numbers = count()

    async def at_once(work: Any, *args: Any, **_: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        return work(*args)

    named = SimpleNamespace(token_hex=lambda size: f"{next(numbers):0{2 * size}x}")
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with (
            patch.object(anyio.to_thread, "run_sync", at_once),
            patch.object(firing, "secrets", named),
        ):
            yield
    finally:
        logging.disable(disabled)
