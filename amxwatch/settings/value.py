"""The kinds of value that a setting can hold, each with its limits."""

from __future__ import annotations

import unicodedata
from decimal import Decimal
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from amxwatch.core.errors import ScopeError, TriggerError
from amxwatch.core.scope import Ignore, Scope
from amxwatch.settings.secrets import is_reference
from amxwatch.triggers import Trigger
from amxwatch.triggers.zones import zone

FAR = 10**9
"""Above any number that a person means; below what a date can bear."""

UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Unicode categories of control characters, lone surrogates and line separators."""


def refusal(allowed: str) -> PydanticCustomError:
    """Return the error that says in plain words what may stand here."""
    return PydanticCustomError("allowed", "{allowed}", {"allowed": allowed})


def is_name(text: str) -> bool:
    """A name is any printable text of 1 to 200 characters that is not all blank."""
    return 0 < len(text) <= 200 and bool(text.strip()) and not _has_unprintable(text)


def _has_unprintable(text: str) -> bool:
    return not text.isprintable() and any(
        unicodedata.category(character) in UNPRINTABLE for character in text
    )


def _allowed(error: ScopeError | TriggerError) -> str:
    """Return the part that says what may stand here; what was found is said beside it."""
    message = str(error)
    return message.partition("allowed: ")[2] or message


def _name(text: str) -> str:
    if not is_name(text):
        raise refusal("a name of 1 to 200 printable characters")
    return text


def _text(text: str) -> str:
    if "\0" in text:
        raise refusal("text without NUL characters")
    return text


def _address(text: str) -> str:
    if _has_unprintable(text) or not (is_reference(text) or "://" in text):
        raise refusal(
            "a URL such as postgresql://HOST/DATABASE, or a reference:"
            " env:NAME, file:PATH or keyring:SERVICE/USER"
        )
    return text


def _dollars(value: Any) -> Any:
    """Keep the digits as they were written: 0.1 is ten cents."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise refusal("a number of dollars, at least 0")
    return value if isinstance(value, Decimal) else Decimal(repr(value))


def _scope(value: Any) -> Any:
    if not (
        isinstance(value, str)
        or (isinstance(value, list) and all(isinstance(form, str) for form in value))
    ):
        raise refusal("a scope such as all, schema:a,b or table:s.t; or a list of such forms")
    try:
        return str(Scope.parse(value))
    except ScopeError as error:
        raise refusal(_allowed(error)) from None


def _ignored(text: str) -> str:
    try:
        Ignore.parse([text])
    except ScopeError as error:
        raise refusal(_allowed(error)) from None
    return text


def _zone(name: str) -> str:
    try:
        zone(name)
    except TriggerError as error:
        raise refusal(_allowed(error)) from None
    return name


def _trigger(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    try:
        return handler(value)
    except TriggerError as error:
        raise refusal(_allowed(error)) from None


Name = Annotated[str, AfterValidator(_name)]
Text = Annotated[str, Field(min_length=1), AfterValidator(_text)]
Address = Annotated[str, AfterValidator(_address)]
Count = Annotated[int, Field(strict=True, ge=1, le=FAR)]
Whole = Annotated[int, Field(strict=True, ge=0, le=FAR)]
Port = Annotated[int, Field(strict=True, ge=0, le=65535)]
Positive = Annotated[float, Field(strict=True, gt=0, le=FAR, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(strict=True, ge=0, le=FAR, allow_inf_nan=False)]
Share = Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]
Temperature = Annotated[float, Field(strict=True, ge=0, le=2, allow_inf_nan=False)]
Dollars = Annotated[
    Decimal,
    Field(ge=0, le=FAR, allow_inf_nan=False),
    BeforeValidator(_dollars),
    PlainSerializer(float),
]
CanonicalScope = Annotated[str, BeforeValidator(_scope)]
IgnorePattern = Annotated[str, AfterValidator(_ignored)]
Zone = Annotated[str, AfterValidator(_zone)]
PlanTrigger = Annotated[Trigger, WrapValidator(_trigger)]
