"""When the catalog moved."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from amxwatch.core.change import ChangeKind
from amxwatch.triggers.cadence import in_words
from amxwatch.triggers.fields import Flag, Hours, Seconds


def _list_of_kinds(value: object) -> object:
    if isinstance(value, list | tuple | set | frozenset) and value:
        return tuple(value)
    raise ValueError(
        f"kinds: found {value!r}; allowed: a list of one or more of {', '.join(ChangeKind)}"
    )


def _in_order(kinds: tuple[ChangeKind, ...]) -> tuple[ChangeKind, ...]:
    return tuple(kind for kind in ChangeKind if kind in kinds)


Kinds = Annotated[
    tuple[ChangeKind, ...],
    BeforeValidator(_list_of_kinds),
    AfterValidator(_in_order),
]


class CatalogChange(BaseModel):
    """Due while changes in scope are pending, as `cadence.decide` allows.

    `kinds` None means `core.change.TRIGGERING`. With `initial_run` the first run covers the
    whole scope; without, what is there at first sight is not news.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    type: Literal["change"] = "change"
    cadence_cap_hours: Hours = 4
    settle_seconds: Seconds = 10
    kinds: Kinds | None = None
    include_downstream: Flag = False
    initial_run: Flag = False

    def describe(self) -> str:
        """Say in plain words when it is due."""
        counted = f" ({', '.join(self.kinds)})" if self.kinds else ""
        pace = in_words(self.cadence_cap_hours, self.settle_seconds)
        return f"when the catalog changes{counted}{pace}"

    def hash(self) -> str:
        """Return text that never moves: a change schedule goes on from its watermark."""
        return "change"
