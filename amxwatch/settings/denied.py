"""How a setting names columns of which no value may be seen."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from amxwatch.core.denied import parse_denied
from amxwatch.core.errors import ScopeError
from amxwatch.settings.value import refusal


def _pattern(text: str) -> str:
    try:
        parse_denied(text)
    except ScopeError:
        raise refusal(
            "column, table.column or schema.table.column, globs such as *_ssn allowed"
        ) from None
    return text


ColumnPattern = Annotated[str, AfterValidator(_pattern)]
