"""What goes wrong, and how often: drawn for each seed, switched off for its end."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.process import Process


@dataclass
class Faults:
    """Each seed has some kinds of fault and not others, so that none hides behind another."""

    chance: random.Random
    on: bool = True
    crashes: bool = False
    stops: bool = False
    busy: float = 0.0
    lost: float = 0.0
    twice: float = 0.0
    slow_commits: float = 0.0
    slow_database: bool = False
    outages: bool = False
    clock_jumps: bool = False
    far_jumps: bool = False
    suspends: bool = False
    lost_caches: bool = False
    second_daemon: bool = False
    run_due: bool = False
    people: bool = False
    edits: bool = False
    bad_runs: bool = False
    no_locks: bool = False
    """A file system whose locks hold nobody off: two daemons serve at once."""

    @property
    def is_slow(self) -> bool:
        """Claim that an evaluation may go by what was true long ago."""
        return bool(self.slow_database or self.slow_commits or self.stops or self.suspends)

    @property
    def moves_the_clock(self) -> bool:
        return self.clock_jumps or self.far_jumps or self.suspends

    @classmethod
    def drawn(cls, chance: random.Random) -> Faults:
        def maybe(share: float = 0.4) -> bool:
            return chance.random() < share

        def rate() -> float:
            return chance.choice([0.01, 0.05, 0.2]) if maybe(0.3) else 0.0

        return cls(
            chance=chance,
            crashes=maybe(0.6),
            stops=maybe(0.25),
            busy=rate(),
            lost=rate(),
            twice=rate(),
            slow_commits=rate(),
            slow_database=maybe(0.3),
            outages=maybe(0.3),
            clock_jumps=maybe(0.25),
            far_jumps=maybe(0.08),
            suspends=maybe(0.25),
            lost_caches=maybe(0.1),
            second_daemon=maybe(0.4),
            run_due=maybe(0.4),
            people=maybe(0.5),
            edits=maybe(0.4),
            bad_runs=maybe(0.6),
            no_locks=maybe(0.3),
        )

    def fuse(self, chance: random.Random) -> int | None:
        """Return after how many steps into the world a process dies; None for a long life."""
        if not (self.on and self.crashes) or chance.random() < 0.3:
            return None
        return 1 + int(chance.expovariate(1 / chance.choice([8, 40, 150])))

    def commit_fault(self, process: Process) -> str | None:
        if not self.on:
            return None
        drawn = process.chance.random()
        for name, share in (("busy", self.busy), ("lost", self.lost), ("twice", self.twice)):
            if drawn < share:
                return name
            drawn -= share
        return None

    def commit_seconds(self, process: Process) -> float:
        if self.on and process.chance.random() < self.slow_commits:
            return process.chance.choice([0.05, 2.0, 25.0])
        return 0.001 if process.chance.random() < 0.3 else 0.0

    def answer_seconds(self, process: Process) -> float:
        drawn = process.chance.random()
        if self.on and self.slow_database and drawn < 0.15:
            return process.chance.choice([1.0, 20.0, 200.0])
        return 0.01 if drawn > 0.7 else 0.0
