"""What may stand under `[schedules.NAME.continuous]`."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from amxwatch.settings.table import Table, refuse
from amxwatch.settings.value import Count, Dollars, Text, Whole


class IdleExpansion(Table):
    """Where continuous work looks for more when it runs dry."""

    sources: tuple[Text, ...] = ("VISION.md", "ROADMAP.md")
    max_expansions: Whole = 5
    max_retries: Whole = 1


class Continuous(Table):
    """Runs that follow one another towards a vision."""

    enabled: bool = Field(default=False, strict=True)
    vision_path: Text | None = None
    max_runs: Count = 50
    max_idle_cycles: Count = 5
    on_idle: Literal["exit", "perpetual", "human_review"] = "exit"
    triage_approval: Literal["auto", "human"] = "auto"
    per_session_max_usd: Dollars | None = None
    idle_expansion: IdleExpansion = IdleExpansion()

    @model_validator(mode="after")
    def _has_a_vision(self) -> Self:
        if self.enabled and self.vision_path is None:
            refuse([(("vision_path",), "the path of a vision file, as enabled = true needs one")])
        return self
