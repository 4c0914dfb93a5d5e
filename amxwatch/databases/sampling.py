"""SQL that several back ends share: quoting, COMMENT ON, and the totals of a sample."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from amxwatch.core.catalog import ObjectType
from amxwatch.core.errors import StatementRefusedError
from amxwatch.core.sample import ColumnTotals
from amxwatch.ports.database import CommentTarget

LONGEST_VALUE = 4096
"""Characters of a value that are fetched; a profile needs no more, and rows may hold files."""

LONGEST_COMMENT = 1_000_000
"""Bytes of a comment; PostgreSQL takes more, but no reader does."""


def quote_identifier(name: str) -> str:
    """Write a name as a delimited identifier of standard SQL. Raises: StatementRefusedError."""
    refuse_unwritable(name, "a name")
    return '"' + name.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """Write a string of standard SQL, where a backslash means itself.

    Raises: StatementRefusedError.
    """
    refuse_unwritable(text, "the text")
    return "'" + text.replace("'", "''") + "'"


def qualified(*parts: str) -> str:
    """Write the whole name of a table or view: schema and name, perhaps a database before."""
    return ".".join(map(quote_identifier, parts))


WORDS = {
    ObjectType.SCHEMA: "SCHEMA",
    ObjectType.TABLE: "TABLE",
    ObjectType.VIEW: "VIEW",
    ObjectType.MATERIALIZED_VIEW: "MATERIALIZED VIEW",
    ObjectType.COLUMN: "COLUMN",
}


def comment_on(target: CommentTarget, text: str | None, *, database: str = "") -> str:
    """Return a COMMENT ON statement with standard quoting. Raises: StatementRefusedError.

    `database` is put before the schema where the name would be ambiguous without it.
    """
    ref = target.ref
    parts = (database, ref.schema, ref.table, ref.column)
    name = ".".join(map(quote_identifier, filter(None, parts)))
    value = "NULL" if text is None else quote_literal(text)
    return f"COMMENT ON {WORDS[target.type]} {name} IS {value};"


def refuse_unwritable(text: str, what: str) -> None:
    """Raise StatementRefusedError for what no SQL text can carry: NUL and lone surrogates."""
    if "\0" in text:
        raise StatementRefusedError(f"{what} holds a NUL character; remove it")
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError:
        raise StatementRefusedError(
            f"{what} holds half of a surrogate pair, which is not text; remove it"
        ) from None
    if size > LONGEST_COMMENT:
        raise StatementRefusedError(
            f"{what} is {size:,} bytes long; at most {LONGEST_COMMENT:,} are written"
        )


def base_type(declared: str) -> str:
    """Return a type's name without length, precision or time zone, in lower case."""
    return declared.partition("(")[0].partition(" with")[0].strip().lower()


COLUMNS_AT_A_TIME = 300
"""A query has room for 1,664 results in PostgreSQL and 2,000 in SQLite; a column takes four."""


def read_totals(
    fetch: Callable[[str], Sequence[object]],
    source: str,
    columns: Sequence[tuple[str, str]],
    *,
    is_ordered: Callable[[str], bool],
    is_countable: Callable[[str], bool],
    quote: Callable[[str], str] = quote_identifier,
    text_type: str = "text",
    hidden: Collection[str] = (),
) -> tuple[int, dict[str, ColumnTotals]]:
    """Return the exact row count and the totals of (name, type) columns, in one query as a rule.

    `fetch` runs a query and returns its one row. A type that has no equality is counted by its
    text; one that has no order has no extremes. `quote` writes a name, and `text_type` is the
    type that any value can be cast to. Of `hidden` columns no extremes are fetched.
    """
    count = 0
    totals: dict[str, ColumnTotals] = {}
    for start in range(0, max(len(columns), 1), COLUMNS_AT_A_TIME):
        part = columns[start : start + COLUMNS_AT_A_TIME]
        wanted = ["count(*)"]
        for name, declared in part:
            wanted += _totals_of(
                quote(name),
                text_type,
                is_ordered(declared) and name not in hidden,
                is_countable(declared),
            )
        row = fetch(f"SELECT {', '.join(wanted)} FROM {source}")
        count = _whole(row[0])
        for place, (name, _) in enumerate(part):
            totals[name] = _totals_in(row[1 + 4 * place : 5 + 4 * place], count)
    return count, totals


def _totals_of(quoted: str, text_type: str, is_ordered: bool, is_countable: bool) -> list[str]:
    counted = quoted if is_countable else f"CAST({quoted} AS {text_type})"
    extremes = [
        f"substr(CAST({extreme}({quoted}) AS {text_type}), 1, {LONGEST_VALUE})"
        if is_ordered
        else "NULL"
        for extreme in ("min", "max")
    ]
    return [f"count({quoted})", f"count(DISTINCT {counted})", *extremes]


def _totals_in(values: Sequence[object], count: int) -> ColumnTotals:
    present, distinct, minimum, maximum = values
    return ColumnTotals(
        nulls=count - _whole(present),
        distinct=_whole(distinct),
        minimum=None if minimum is None else str(minimum),
        maximum=None if maximum is None else str(maximum),
    )


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value
