"""A data dictionary in Markdown: every table with its columns, keys and descriptions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from amxwatch.core.catalog import Column, KeyKind, ObjectRef, Table
from amxwatch.ports.export import Dossier

_MARKS = re.compile(r"([\\`*_{}\[\]<>#|~])")


def render(dossier: Dossier, before: str) -> str:
    """Return the page; an accepted description stands before the comment in the database."""
    texts = {row.target.ref: row.text for row in dossier.rows}
    lines = [f"# {_plain(dossier.profile)}", ""]
    lines += [f"{dossier.product}, as of {dossier.at:%Y-%m-%d %H:%M} UTC.", ""]
    for schema in dossier.catalog.schemas:
        tables = [table for table in dossier.catalog.tables if table.schema == schema.name]
        if tables:
            lines += [f"## {_plain(schema.name)}", ""]
            said = texts.get(ObjectRef(schema=schema.name)) or schema.comment
            lines += [_plain(said), ""] if said else []
        for table in tables:
            lines += _table(table, texts)
    return "\n".join(lines).rstrip() + "\n"


def _table(table: Table, texts: Mapping[ObjectRef, str]) -> Iterator[str]:
    kind = "" if table.type == "table" else f" ({table.type.replace('_', ' ')})"
    yield f"### {_plain(table.name)}{kind}"
    yield ""
    said = texts.get(table.ref) or table.comment
    if said:
        yield _plain(said)
        yield ""
    yield "| column | type | null | key | description |"
    yield "| --- | --- | --- | --- | --- |"
    for column in table.columns:
        text = texts.get(table.column_ref(column.name)) or column.comment or ""
        cells = (column.name, column.type, "yes" if column.nullable else "no")
        yield f"| {' | '.join(map(_plain, cells))} | {_keys(table, column)} | {_plain(text)} |"
    yield ""


def _keys(table: Table, column: Column) -> str:
    found = []
    for key in table.keys:
        if column.name not in key.columns:
            continue
        if key.kind is KeyKind.FOREIGN and key.references:
            found.append(f"→ {_plain('.'.join(part for part in key.references if part))}")
        elif key.kind is not KeyKind.FOREIGN:
            found.append(str(key.kind))
    return ", ".join(dict.fromkeys(found))


def _plain(text: str) -> str:
    """Return the text in one line, with everything escaped that Markdown would obey."""
    return _MARKS.sub(r"\\\1", " ".join(text.split()))
