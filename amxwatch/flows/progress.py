"""What a run says of itself while it goes on; a command prints it, a daemon does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Progress:
    """One step of a run.

    `stage` is `scope`, `profile`, `docs`, `code`, `draft`, `batch` (requests that wait) or
    `apply`. `object` names a table; `done` of `total` count the stage's steps (tables, batches or
    rows); `recorded` says that the reply was there already and cost nothing. `error` is set
    where the step failed. `detail` is for people.
    """

    run_id: str
    stage: str
    object: str = ""
    done: int = 0
    total: int = 0
    objects: int = 0
    seconds: float | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: Decimal | None = None
    recorded: bool = False
    error: str | None = None
    detail: str = ""

    def document(self) -> dict[str, Any]:
        """Return what `run --json` prints, one line a step."""
        return {
            "run_id": self.run_id,
            "stage": self.stage,
            "object": self.object,
            "done": self.done,
            "total": self.total,
            "objects": self.objects,
            "seconds": self.seconds,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": None if self.cost_usd is None else float(self.cost_usd),
            "recorded": self.recorded,
            "error": self.error,
            "detail": self.detail,
        }


ReportProgress = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """Say nothing."""
