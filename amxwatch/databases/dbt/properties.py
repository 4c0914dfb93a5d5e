"""Comments of a dbt project are the descriptions in its properties files, which people keep.

So nothing is written here: a comment is offered as YAML to be put into a schema.yml.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence

from amxwatch.core.catalog import Catalog, ObjectRef, ObjectType
from amxwatch.core.errors import DatabaseError, StatementRefusedError
from amxwatch.databases.dbt.artifacts import Node
from amxwatch.databases.dbt.reader import DbtReader
from amxwatch.databases.one_by_one import one_by_one
from amxwatch.databases.sampling import refuse_unwritable
from amxwatch.ports.database import CommentTarget
from amxwatch.ports.export import Export

SECTIONS = {"model": "models", "seed": "seeds", "snapshot": "snapshots", "source": "sources"}
HEAD = """\
# Descriptions for the properties files (schema.yml) of the dbt project, written by amxwatch apply.
# Put each under its model; dbt's persist_docs then carries them into the warehouse.
version: 2
"""


class DbtCommenter:
    """Implements `ports.database.Commenter` and `ports.export.Exporter`."""

    def __init__(self, reader: DbtReader) -> None:
        self._reader = reader

    async def current(self, targets: Sequence[CommentTarget]) -> dict[ObjectRef, str | None]:
        catalog, _ = await self._reader.read_assembled()
        live = _comments(catalog)
        return {target.ref: live[target.ref] for target in targets if target.ref in live}

    def statement(self, target: CommentTarget, text: str | None) -> str:
        """Return one line of YAML: the entry of a properties file that holds the description."""
        _require_describable(target, text)
        name = target.ref.column or target.ref.table
        entry = f'{{"name": {_scalar(name)}, "description": {_scalar(text or "")}}}'
        if not target.ref.column:
            return entry
        return f'{{"name": {_scalar(target.ref.table)}, "columns": [{entry}]}}'

    async def execute(self, target: CommentTarget, text: str | None) -> str:
        raise StatementRefusedError(
            f"the description of {target.ref} belongs in the dbt project's schema.yml, which "
            "people keep; export it and put it there"
        )

    async def execute_many(
        self, rows: Sequence[tuple[CommentTarget, str | None]]
    ) -> list[str | DatabaseError]:
        return await one_by_one(self.execute, rows)

    async def export(self, rows: Sequence[tuple[CommentTarget, str | None]]) -> Export:
        """Return one properties file with all rows, under the names that the project uses."""
        _, assembly = await self._reader.read_assembled()
        texts: dict[ObjectRef, dict[str, str]] = defaultdict(dict)
        for target, text in rows:
            _require_describable(target, text)
            texts[target.ref.owner][target.ref.column] = text or ""
        by_place = {
            ObjectRef(schema=place[0], table=place[1]): assembly.relations.nodes[node_id]
            for node_id, place in sorted(assembly.relations.places.items(), reverse=True)
        }
        found = [(by_place[ref], texts[ref]) for ref in sorted(texts) if ref in by_place]
        return Export(ending=".yml", text=HEAD + "".join(_sections(found)))


def _require_describable(target: CommentTarget, text: str | None) -> None:
    refuse_unwritable(text or "", "the text")
    if target.type is ObjectType.SCHEMA:
        raise StatementRefusedError(
            f"dbt describes no schemas, so there is no place for the text of {target.ref}"
        )


def _comments(catalog: Catalog) -> dict[ObjectRef, str | None]:
    found: dict[ObjectRef, str | None] = {
        ObjectRef(schema=schema.name): schema.comment for schema in catalog.schemas
    }
    for table in catalog.tables:
        found[table.ref] = table.comment
        found |= {table.column_ref(column.name): column.comment for column in table.columns}
    return found


def _sections(found: Iterable[tuple[Node, dict[str, str]]]) -> Iterable[str]:
    """Write each section once; a source's tables stand under the source, versions together."""
    sections: dict[str, dict[str, list[tuple[Node, dict[str, str]]]]] = defaultdict(dict)
    for node, texts in found:
        owner = node.source_name or (node.name if node.version is not None else "")
        sections[SECTIONS[node.resource_type]].setdefault(owner, []).append((node, texts))
    for title in SECTIONS.values():
        if title in sections:
            yield f"\n{title}:\n"
            for owner, nodes in sections[title].items():
                yield from _entries(owner, nodes)


def _entries(owner: str, nodes: list[tuple[Node, dict[str, str]]]) -> Iterable[str]:
    if not owner:
        for node, texts in nodes:
            yield from _entry("name", node.name, texts, "  ")
        return
    yield f"  - name: {_scalar(owner)}\n"
    of_source = bool(nodes[0][0].source_name)
    yield f"    {'tables' if of_source else 'versions'}:\n"
    for node, texts in nodes:
        name = node.name if of_source else node.version
        yield from _entry("name" if of_source else "v", name, texts, "      ")


def _entry(key: str, name: object, texts: dict[str, str], indent: str) -> Iterable[str]:
    yield f"{indent}- {key}: {_scalar(name)}\n"
    if "" in texts:
        yield f"{indent}  description: {_scalar(texts[''])}\n"
    columns = sorted(column for column in texts if column)
    if columns:
        yield f"{indent}  columns:\n"
    for column in columns:
        yield f"{indent}    - name: {_scalar(column)}\n"
        yield f"{indent}      description: {_scalar(texts[column])}\n"


def _scalar(value: object) -> str:
    """Write a scalar as JSON, which YAML reads alike; Jinja marks would be run by dbt."""
    if not isinstance(value, str):
        return json.dumps(value)
    marked = value.replace("{{", "{ {").replace("{%", "{ %").replace("{#", "{ #")
    return json.dumps(marked, ensure_ascii=False).replace("\x7f", "\\x7f")
