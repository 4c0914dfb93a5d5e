"""Running seeds: one alone, many in a row, many on several cores."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from types import SimpleNamespace
from unittest.mock import patch

from amxwatch.flows import firing
from tests.simulation.install import one_machine
from tests.simulation.loop import StuckError, VirtualLoop, as_back_end
from tests.simulation.store import Store
from tests.simulation.violation import Violation
from tests.simulation.world import World


@dataclass
class Verdict:
    """What a seed came to; `wrong` is None where every promise held."""

    seed: int
    wrong: str | None = None
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def is_breakdown(self) -> bool:
        """Claim that the program raised something: no proof that the oracle sees a fault."""
        return self.wrong is not None and "broke down" in self.wrong


def play(seed: int, store: Store, say: Callable[[str], None] | None = None) -> Verdict:
    """Live through one seed."""
    store.reset()
    verdict = Verdict(seed)
    loop = VirtualLoop(seed)
    try:
        with _machine():
            loop.run(_live(verdict, store, loop, say))
    except Violation as violation:
        verdict.wrong = str(violation)
    except StuckError as stuck:
        verdict.wrong = f"stuck: {stuck}"
    verdict.counts["commits"] = store.commits
    verdict.counts["switches of tasks"] = loop.switches
    return verdict


async def _live(
    verdict: Verdict, store: Store, loop: VirtualLoop, say: Callable[[str], None] | None
) -> None:
    world = loop.world = World(verdict.seed, store, loop, say)
    verdict.counts = world.counts
    await world.run()


@contextmanager
def _machine() -> Iterator[None]:
    """Replace what a seed cannot decide: threads (run at once) and random names (counted)."""
    numbers = count()

    named = SimpleNamespace(token_hex=lambda size: f"{next(numbers):0{2 * size}x}")
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with as_back_end(), one_machine(), patch.object(firing, "secrets", named):
            yield
    finally:
        logging.disable(disabled)
