"""How a run goes about its scope: which part of it, and by which settings of its model."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass, fields
from typing import Any


class Only(enum.StrEnum):
    """Which objects of its scope a run drafts; the spelling is the flag's, without `--only`."""

    MISSING = "missing"
    """Those without a description."""
    STALE = "stale"
    """Those whose description is older than what it describes."""


@dataclass(frozen=True, kw_only=True)
class Manner:
    """What was asked of a run beyond its scope, and the settings that it drafted by.

    The settings are None until the run begins: it notes those of its llm profile then, so that
    a recovered run, and a rerun, draft by the very same ones. `rerun_of` is the run whose
    objects are drafted once more; what is described or known already is drafted then, too.
    """

    only: Only | None = None
    rerun_of: str | None = None
    n_alternatives: int | None = None
    alternatives_mode: str | None = None
    prompt_detail: str | None = None
    verbosity: str | None = None
    temperature: float | None = None

    @property
    def settings(self) -> dict[str, Any]:
        """The noted settings, by their names in an llm profile; empty until they are noted."""
        noted = {name: getattr(self, name) for name in SETTINGS}
        return {name: value for name, value in noted.items() if value is not None}

    def document(self) -> dict[str, Any]:
        """Return what is set, as JSON-able values."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    @classmethod
    def restore(cls, document: dict[str, Any]) -> Manner:
        """Return what `document` gave. What a later version wrote besides is left out."""
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in document.items() if name in known}
        if values.get("only") is not None:
            values["only"] = Only(values["only"])
        return cls(**values)


UNASKED = Manner()
"""Nothing was asked beyond the scope, and nothing is noted yet."""

SETTINGS = ("n_alternatives", "alternatives_mode", "prompt_detail", "verbosity", "temperature")
"""The settings of an llm profile that decide how its drafts read."""
