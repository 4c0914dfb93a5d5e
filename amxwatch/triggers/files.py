"""When watched files moved."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict

from amxwatch.triggers.cadence import in_words
from amxwatch.triggers.fields import Hours, Seconds


def _globs(value: object) -> tuple[str, ...]:
    globs = value if isinstance(value, list | tuple) else ()
    if not globs or not all(isinstance(g, str) and g.strip() and "\0" not in g for g in globs):
        raise ValueError(
            f"paths: found {value!r};"
            ' allowed: a list of one or more globs, such as ["models/*.sql"]'
        )
    return tuple(dict.fromkeys(globs))


class Files(BaseModel):
    """Due while the digest of the files that match `paths` is not the one last served.

    Globs are as a person wrote them; what finds the files knows the folder they start from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["files"] = "files"
    paths: Annotated[tuple[str, ...], BeforeValidator(_globs)]
    cadence_cap_hours: Hours = 1
    settle_seconds: Seconds = 5

    def describe(self) -> str:
        """Say in plain words when it is due."""
        pace = in_words(self.cadence_cap_hours, self.settle_seconds)
        return f"when {', '.join(self.paths)} change{pace}"

    def hash(self) -> str:
        """Return text that moves when other files are watched."""
        return f"files {list(self.paths)!r}"
