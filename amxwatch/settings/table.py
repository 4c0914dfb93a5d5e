"""What every table of the config has in common."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Loc = tuple[str | int, ...]


class Table(BaseModel):
    """A TOML table: nothing unknown, nothing changed once read, no value in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


def refuse(wrong: Sequence[tuple[Loc, str]]) -> None:
    """Raise one ValidationError for all of `wrong`: (where, what is allowed there)."""
    if wrong:
        details = [
            InitErrorDetails(
                type=PydanticCustomError("allowed", "{allowed}", {"allowed": allowed}),
                loc=loc,
                input=None,
            )
            for loc, allowed in wrong
        ]
        raise ValidationError.from_exception_data("settings", details, hide_input=True)
