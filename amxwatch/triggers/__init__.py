"""When to look, and what fires: pure rules over instants that are passed in.

One frozen pydantic model a file, no clock, no I/O. To add one: write `NAME.py` with a model whose
`type` is its word in TOML, add it to `Trigger` below, and to `tests/contracts/test_trigger.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, get_args

from pydantic import Field, TypeAdapter, ValidationError

from amxwatch.core.errors import TriggerError
from amxwatch.triggers.at import At
from amxwatch.triggers.catalog_change import CatalogChange
from amxwatch.triggers.clock import ClockTrigger
from amxwatch.triggers.cron import Cron
from amxwatch.triggers.every import Every
from amxwatch.triggers.files import Files

AnyTrigger = At | Every | Cron | CatalogChange | Files
Trigger = Annotated[AnyTrigger, Field(discriminator="type")]
"""What a schedule's `trigger` may be; one more is one more line."""

__all__ = [
    "AnyTrigger",
    "At",
    "CatalogChange",
    "ClockTrigger",
    "Cron",
    "Every",
    "Files",
    "Trigger",
    "parse_trigger",
]

_ADAPTER: TypeAdapter[AnyTrigger] = TypeAdapter(Trigger)
_MODELS = {each.model_fields["type"].default: each for each in get_args(AnyTrigger)}


def parse_trigger(fields: Mapping[str, object]) -> AnyTrigger:
    """Make a trigger from what a command line gave, as a TOML table would hold it.

    Raises: TriggerError, with the first thing that is wrong.
    """
    try:
        return _ADAPTER.validate_python(dict(fields))
    except ValidationError as error:
        raise TriggerError(_in_words(error)) from None


def _in_words(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    kind, said = first["type"], first["msg"]
    # The first place in a location is the trigger's type, the second the key.
    key = str(first["loc"][1]) if len(first["loc"]) > 1 else "trigger"
    if kind == "value_error":
        return said.removeprefix("Value error, ")
    if kind.startswith("union_tag"):
        found = first.get("ctx", {}).get("tag", "none")
        return f"trigger: found type {found!r}; allowed: {', '.join(_MODELS)}"
    if kind == "missing":
        return f"trigger: {key} is missing"
    if kind == "extra_forbidden":
        allowed = sorted(_MODELS[first["loc"][0]].model_fields)
        return f"trigger: found {key}; allowed: {', '.join(allowed)}"
    return f"{key}: found {first['input']!r}; {said[:1].lower()}{said[1:]}"
