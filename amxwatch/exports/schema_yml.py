"""dbt's properties files: descriptions merged into one, with its comments and order kept."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amxwatch.core.catalog import Catalog, ObjectRef, Table
from amxwatch.core.errors import MissingExtraError, UsageError
from amxwatch.ports.export import Dossier

SECTIONS = ("models", "seeds", "snapshots")
"""Whose entries are tables by their own name; those of `sources` stand under their source."""

ENDINGS = ("*.yml", "*.yaml")
_DASH = re.compile(
    r"^(?P<above>\s*)(?:models|sources|seeds|snapshots):[^\n]*\n(?:\s*#[^\n]*\n|\s*\n)*"
    r"(?P<dash>\s*)- ",
    re.MULTILINE,
)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One table in a properties file. `schema` is empty where the file does not say it."""

    schema: str
    table: str
    node: Any = field(repr=False)


def render(dossier: Dossier, before: str) -> str:
    """Return the file with every accepted description in it.

    A table that the file does not know is added under `models`. A description that dbt fills in
    (`{{ doc(…) }}`) is left alone. Raises: UsageError, MissingExtraError.
    """
    yaml = _yaml(before)
    document = _loaded(yaml, before, "the file")
    entries = list(_entries(document))
    for ref, texts in _by_table(dossier).items():
        node = _node(document, entries, ref)
        if "" in texts:
            _describe(node, texts[""])
        for name, text in texts.items():
            if name:
                _describe(_named(_listed(node, "columns"), name), text)
    out = io.StringIO()
    yaml.dump(document, out)
    return out.getvalue()


def described(place: Path, catalog: Catalog) -> dict[ObjectRef, str]:
    """Return what the properties files under a path describe, each with the file that does.

    A name is matched without regard to its case where only that way it is found. Blocks.
    Raises: UsageError where a file cannot be read.
    """
    files = [place] if place.is_file() else sorted(f for end in ENDINGS for f in place.rglob(end))
    if not files and not place.is_dir():
        raise UsageError(f"description_file: there is no file or folder {place}")
    found: dict[ObjectRef, str] = {}
    tables: dict[str, list[Table]] = {}
    for table in catalog.tables:
        tables.setdefault(table.name.casefold(), []).append(table)
    for file in files:
        for entry in _entries(_read(file)):
            for table in tables.get(entry.table.casefold(), ()):
                if _is_named(entry, table.ref):
                    found |= dict.fromkeys(_described_in(entry.node, table), file.name)
    return found


def _read(file: Path) -> Any:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
    return _loaded(_yaml(text), text, str(file))


def _described_in(node: Any, table: Table) -> Iterator[ObjectRef]:
    """Yield the table where an entry describes it, and its columns that the entry describes."""
    if _is_said(node):
        yield table.ref
    names = {column.name.casefold(): column.name for column in table.columns}
    for column in _nodes(node.get("columns")):
        name = names.get(str(column.get("name")).casefold())
        if name is not None and _is_said(column):
            yield table.column_ref(name)


def _is_said(node: Any) -> bool:
    text = node.get("description")
    return isinstance(text, str) and bool(text.strip())


# -- reading and writing YAML ----------------------------------------------------------------


def _yaml(text: str) -> Any:
    try:
        from ruamel.yaml import YAML
    except ImportError:
        raise MissingExtraError("dbt's schema.yml", "dbt") from None
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 100_000  # a line that people did not break is not broken
    found = _DASH.search(text)
    offset = 2 if found is None else max(0, len(found["dash"]) - len(found["above"]))
    yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    return yaml


def _loaded(yaml: Any, text: str, where: str) -> Any:
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import YAMLError

    if not text.strip():
        return CommentedMap({"version": 2})
    try:
        document = yaml.load(text)
    except YAMLError as error:
        raise UsageError(f"{where} is no YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise UsageError(f"{where} is no properties file of dbt: it holds no mapping")
    return document


def _entries(document: Any) -> Iterator[Entry]:
    if not isinstance(document, dict):
        return
    for section in SECTIONS:
        for node in _nodes(document.get(section)):
            yield Entry(schema=str(_of(node, "schema") or ""), table=_table(node), node=node)
    for source in _nodes(document.get("sources")):
        schema = str(source.get("schema") or source.get("name") or "")
        for node in _nodes(source.get("tables")):
            yield Entry(schema=schema, table=str(node.get("identifier") or _table(node)), node=node)


def _nodes(found: Any) -> list[Any]:
    every = found if isinstance(found, list) else []
    return [node for node in every if isinstance(node, dict)]


def _of(node: Any, key: str) -> Any:
    config = node.get("config")
    return node.get(key) or (config.get(key) if isinstance(config, dict) else None)


def _table(node: Any) -> str:
    return str(_of(node, "alias") or node.get("name") or "")


def _is_named(entry: Entry, ref: ObjectRef) -> bool:
    """Claim that an entry means a table; dbt may put a prefix before the schema that it says."""
    if entry.table.casefold() != ref.table.casefold():
        return False
    schema, there = entry.schema.casefold(), ref.schema.casefold()
    return not schema or there == schema or there.endswith(f"_{schema}")


# -- merging ---------------------------------------------------------------------------------


def _by_table(dossier: Dossier) -> Mapping[ObjectRef, dict[str, str]]:
    found: dict[ObjectRef, dict[str, str]] = {}
    for row in dossier.rows:
        if row.target.ref.table:
            found.setdefault(row.target.ref.owner, {})[row.target.ref.column] = row.text
    return found


def _node(document: Any, entries: list[Entry], ref: ObjectRef) -> Any:
    found = next((entry.node for entry in entries if _is_named(entry, ref)), None)
    return _named(_listed(document, "models"), ref.table) if found is None else found


def _listed(node: Any, key: str) -> Any:
    """Return a list under a key, made where there is none."""
    from ruamel.yaml.comments import CommentedSeq

    if not isinstance(node.get(key), list):
        node[key] = CommentedSeq()
    return node[key]


def _named(listed: Any, name: str) -> Any:
    """Return the entry of a name, added at the end where there is none."""
    from ruamel.yaml.comments import CommentedMap

    for node in _nodes(listed):
        if str(node.get("name")).casefold() == name.casefold():
            return node
    added = CommentedMap({"name": name})
    listed.append(added)
    return added


def _describe(node: Any, text: str) -> None:
    standing = node.get("description")
    if isinstance(standing, str) and "{{" in standing:
        return
    if standing is None and "name" in node:
        node.insert(list(node).index("name") + 1, "description", _safe(text))
    elif str(standing or "").strip() != text:
        node["description"] = _safe(text)


def _safe(text: str) -> str:
    """Return the text with the marks apart that dbt would run as Jinja."""
    return text.replace("{{", "{ {").replace("{%", "{ %").replace("{#", "{ #")
