"""Catalogs and changes, as documents and as lines for people."""

from __future__ import annotations

from datetime import UTC, datetime

from amxwatch.cli.documents import Document
from amxwatch.core.catalog import Catalog, Column, Key, ObjectRef, SnapshotNumber, Table
from amxwatch.core.errors import NotFoundError, ScopeError, UsageError
from amxwatch.core.scope import Scope
from amxwatch.flows.source import Source
from amxwatch.ports.ledger import SnapshotRecord

ALL = "all"


def scope_of(text: str | None, catalog: Catalog) -> Scope:
    """Read a scope as people type it. Raises: ScopeError, also for names that do not exist."""
    scope = Scope.parse_bare(text or ALL)
    missing = scope.missing(catalog)
    if missing:
        raise ScopeError(f"scope: {'; '.join(missing)}")
    return scope


def object_of(text: str) -> ObjectRef:
    """Read the name of one object: s, s.t or s.t.c. Raises: ScopeError."""
    scope = Scope.parse_bare(text)
    names = scope.selectors[0]
    if len(scope.selectors) > 1 or not names or any(name.is_glob for name in names):
        raise ScopeError(
            f"found {text!r}; allowed: one schema, table or column by its name: s, s.t or s.t.c,"
            " a part that holds a dot or a glob in double quotes"
        )
    parts = [name.text for name in names]
    return ObjectRef(**dict(zip(("schema", "table", "column"), parts, strict=False)))


def table_documents(catalog: Catalog, scope: Scope) -> list[Document]:
    """Return the tables that a scope touches, each with the columns that it covers."""
    return [
        _table_document(table, scope)
        for table in catalog.tables
        if scope.covers(table.ref) or any(_columns(table, scope))
    ]


def _columns(table: Table, scope: Scope) -> list[Column]:
    return [column for column in table.columns if scope.covers(table.column_ref(column.name))]


def _table_document(table: Table, scope: Scope) -> Document:
    columns = _columns(table, scope)
    return {
        "schema": table.schema,
        "table": table.name,
        "object_type": table.type,
        "comment": table.comment,
        "row_estimate": table.row_estimate,
        "column_count": len(columns),
        "described_columns": sum(bool(column.comment) for column in columns),
        "definition": table.definition,
        "columns": [_column_document(column) for column in columns],
        "keys": [_key_document(key) for key in table.keys],
    }


def _column_document(column: Column) -> Document:
    return {
        "column": column.name,
        "ordinal": column.ordinal,
        "type": column.type,
        "nullable": column.nullable,
        "default": column.default,
        "comment": column.comment,
    }


def _key_document(key: Key) -> Document:
    return {
        "kind": key.kind,
        "name": key.name,
        "columns": list(key.columns),
        "references": list(key.references) if key.references else None,
        "referenced_columns": list(key.referenced_columns),
    }


def key_words(table: Document, column: str) -> str:
    """Return the kinds of key that a column is in, for people: `PK`, `FK`, `UQ`."""
    short = {"primary": "PK", "foreign": "FK", "unique": "UQ"}
    keys = table["keys"]
    assert isinstance(keys, list)
    return " ".join(dict.fromkeys(short[key["kind"]] for key in keys if column in key["columns"]))


async def snapshot_of(source: Source, text: str | None, *, flag: str) -> SnapshotRecord:
    """Return the snapshot that a person means: a number, a time, or None for the newest.

    A time without a zone is local. Raises: NotFoundError, UsageError.
    """
    if text is None:
        newest = await source.newest()
        if newest is None:
            raise NotFoundError(
                f"no snapshot of {source.profile} yet; take one with: "
                f"amxwatch catalog refresh {source.profile}"
            )
        return newest
    if text.isdecimal():
        return await _numbered(source, SnapshotNumber(int(text[:18])), flag)
    at = moment_of(text, flag)
    record = await source.ledger.read(lambda tx: tx.snapshots.at(source.profile, at))
    if record is None:
        raise NotFoundError(f"{flag}: no snapshot of {source.profile} is as old as {text}")
    return record


async def _numbered(source: Source, number: SnapshotNumber, flag: str) -> SnapshotRecord:
    records = await source.ledger.read(lambda tx: tx.snapshots.list(source.profile))
    for record in records:
        if record.number == number:
            return record
    if records and 0 < number < records[0].number:
        raise NotFoundError(
            f"{flag}: snapshot {number} of {source.profile} was pruned: the oldest is"
            f" {records[0].number}"
        )
    there = f"{records[0].number} to {records[-1].number}" if records else "none yet"
    raise NotFoundError(
        f"{flag}: there is no snapshot {number} of {source.profile} (there are: {there})"
    )


def moment_of(text: str, flag: str) -> datetime:
    """Read a time; without a zone it is local. Raises: UsageError."""
    try:
        found = datetime.fromisoformat(text.strip())
        return found.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"{flag}: found {text!r}; allowed: a snapshot's number, or a time such as"
            " 2026-12-31 09:00 (local) or 2026-12-31T06:00Z"
        ) from None
