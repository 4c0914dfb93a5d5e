"""The kinds of column, as SQLite and PostgreSQL both take them.

Moments are fixed-width UTC text (they sort), money is decimal text (it is exact), documents are
JSON in ASCII (no character is refused anywhere).
"""

from __future__ import annotations

import enum
import json
import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import BigInteger, Dialect, Integer, Text, TypeDecorator

from amxwatch.core.manner import Manner

E = TypeVar("E", bound=enum.StrEnum)

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class Words(TypeDecorator[str]):
    """Text for people; what no database can store (NUL, half a surrogate pair) becomes U+FFFD."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)


class Moment(TypeDecorator[datetime]):
    """An aware moment, as `2026-11-21T12:00:00.000000Z`."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        if value is None:
            return None
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


class Money(TypeDecorator[Decimal]):
    """An exact amount in USD."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:
        return None if value is None else format(value, "f")

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class Document(TypeDecorator[Any]):
    """A JSON value, exact for any string."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: object, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value, separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


class MannerText(TypeDecorator[Manner]):
    """How a run drafts, as JSON of what is set."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Manner | None, dialect: Dialect) -> str | None:
        return None if value is None else json.dumps(value.document(), separators=(",", ":"))

    def process_result_value(self, value: str | None, dialect: Dialect) -> Manner | None:
        return None if value is None else Manner.restore(json.loads(value))


class Choice(TypeDecorator[E]):
    """One word of an enumeration."""

    impl = Text
    cache_ok = True

    def __init__(self, choices: type[E]) -> None:
        self.choices = choices
        super().__init__()

    def process_bind_param(self, value: E | None, dialect: Dialect) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> E | None:
        return None if value is None else self.choices(value)


Serial = BigInteger().with_variant(Integer, "sqlite")
"""Row numbers: SQLite counts only in columns that are called INTEGER."""
