"""From what an inspector says of columns and keys to ours, spelled as the dialect spells it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import exc
from sqlalchemy.engine import Dialect
from sqlalchemy.types import NullType, TypeEngine

from amxwatch.core.catalog import UNKNOWN_TYPE, Column, Key, KeyKind

Place = Callable[[str | None, str], tuple[str, str]]
"""From a foreign key's schema (None: not told) and table to where that table is."""


def columns_of(rows: Sequence[Mapping[str, Any]], dialect: Dialect) -> tuple[Column, ...]:
    """Return the columns in their order."""
    return tuple(
        Column(
            name=str(row["name"]),
            type=spell(row["type"], dialect),
            nullable=bool(row.get("nullable", True)),
            default=_default(row),
            ordinal=ordinal,
            comment=row.get("comment") or None,
        )
        for ordinal, row in enumerate(rows, start=1)
    )


def spell(kind: TypeEngine[Any], dialect: Dialect) -> str:
    """Write a type as its dialect would in CREATE TABLE."""
    if isinstance(kind, NullType):
        return UNKNOWN_TYPE
    try:
        text = kind.compile(dialect=dialect)
    except (exc.CompileError, exc.UnsupportedCompilationError, AttributeError):
        text = repr(kind)
    return " ".join(text.split()) or UNKNOWN_TYPE


def _default(row: Mapping[str, Any]) -> str | None:
    computed, identity = row.get("computed"), row.get("identity")
    if computed:
        stored = computed.get("persisted")
        kind = {True: " STORED", False: " VIRTUAL"}.get(stored, "") if stored is not None else ""
        return f"GENERATED ALWAYS AS ({computed.get('sqltext', '')}){kind}"
    if identity:
        when = "ALWAYS" if identity.get("always") else "BY DEFAULT"
        return f"GENERATED {when} AS IDENTITY"
    default = row.get("default")
    if default is None:  # clickhouse-connect has its own word for it
        default = getattr(row.get("server_default"), "text", None)
    return str(default).strip() or None if default is not None else None


def keys_of(
    primary: Mapping[str, Any] | None,
    unique: Iterable[Mapping[str, Any]],
    foreign: Iterable[Mapping[str, Any]],
    place: Place,
) -> tuple[Key, ...]:
    """Return the keys in canonical order."""
    keys = [
        _key(KeyKind.UNIQUE, each["column_names"], each.get("name"))
        for each in unique
        if each.get("column_names")
    ]
    if primary and primary.get("constrained_columns"):
        keys.append(_key(KeyKind.PRIMARY, primary["constrained_columns"], primary.get("name")))
    for each in foreign:
        target = place(each.get("referred_schema"), str(each["referred_table"]))
        keys.append(
            Key(
                kind=KeyKind.FOREIGN,
                columns=tuple(map(str, each["constrained_columns"])),
                name=_name(each.get("name")),
                references=target,
                referenced_columns=tuple(map(str, each.get("referred_columns") or ())),
            )
        )
    return tuple(sorted(keys, key=lambda key: (key.kind, key.columns, key.name or "")))


def _key(kind: KeyKind, columns: Iterable[str], name: object) -> Key:
    return Key(kind=kind, columns=tuple(map(str, columns)), name=_name(name))


def _name(name: object) -> str | None:
    return str(name) if name else None
