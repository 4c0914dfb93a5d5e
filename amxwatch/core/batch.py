"""Requests that are answered later, many at a time, at half the price."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta

from amxwatch.core.completion import Completion
from amxwatch.core.run import RunId

FIRST_LOOK = timedelta(seconds=30)
LONGEST_PAUSE = timedelta(minutes=15)
"""Between two looks at a batch that is under way; they grow from `FIRST_LOOK` up to it."""

LIFE = timedelta(hours=26)
"""How long a batch is waited for. Endpoints end theirs within 24 hours."""

MOST = 10_000
"""Requests in one batch; fewer than any endpoint takes."""


class BatchEnd(enum.StrEnum):
    """How a batch ended for us."""

    ANSWERED = "answered"
    LOST = "lost"
    """Never taken by the endpoint, no longer known to it, or beyond its time."""


@dataclass(frozen=True, kw_only=True)
class BatchJob:
    """One batch, as the ledger has it. Put down before it is sent.

    `tag` is ours, `job` what the endpoint calls it (None until that is known). `keys` name its
    requests as recorded replies are named. `ended` is None while it is waited for.
    """

    tag: str
    run_id: RunId
    llm_profile: str
    keys: tuple[str, ...]
    at: datetime
    job: str | None = None
    looks: int = 0
    ended: BatchEnd | None = None

    def is_beyond(self, now: datetime) -> bool:
        """Whether no endpoint would still be working on it."""
        return now > self.at + LIFE


@dataclass(frozen=True, kw_only=True)
class BatchState:
    """How a batch stands at its endpoint. `text` says why it failed as a whole."""

    is_over: bool
    done: int = 0
    failed: int = 0
    total: int = 0
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class BatchAnswer:
    """What became of one request of a batch: a completion, or why there is none."""

    completion: Completion | None = None
    error: str = ""
