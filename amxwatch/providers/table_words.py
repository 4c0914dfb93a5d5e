"""Sentences about a table or view, from its name, columns, keys and what it reads from."""

from __future__ import annotations

from collections.abc import Mapping

from amxwatch.core.evidence import Basis
from amxwatch.core.naming import read_name
from amxwatch.core.pattern import parse_parts
from amxwatch.providers.composed import (
    Composed,
    entity,
    list_of,
    listed,
    plural,
    sentence,
    text_of,
)

DULL = frozenset({"ID", "key", "GUID", "UUID", "by", "at", "timestamp", "hash", "rowguid"})
"""Last words of columns that say nothing of what a table is about."""

LAYERS_SAID = frozenset({"staging", "dimension", "fact", "archive"})
"""Words by which a warehouse says what a table is for."""

DETAILS = frozenset({"line", "item", "detail", "entry", "position"})


def describe_table(facts: Mapping[str, object]) -> Composed:
    """Compose descriptions of the table of a request."""
    known = text_of(facts, "accepted_description")
    cores, basis = _cores(facts)
    made = tuple(dict.fromkeys(sentence(core) for core in cores))
    return Composed(
        alternatives=(known, *made) if known else made,
        basis=Basis.NEIGHBOURS if known else basis,
        unsure=not known and not read_name(text_of(facts, "name")).is_known,
    )


def _cores(facts: Mapping[str, object]) -> tuple[tuple[str, ...], Basis]:
    row = entity(text_of(facts, "name"))
    about = _about(facts, row)
    parents = [entity(_table_name(ref)) for ref in list_of(facts, "references")]
    parents = [parent for parent in parents if parent != row]
    sources = [plural(entity(_table_name(ref))) for ref in list_of(facts, "reads_from")]
    if "view" in text_of(facts, "object"):
        return _view(row, sources, about), Basis.NEIGHBOURS if sources else Basis.NAME
    if _only_links(facts, parents):
        return _link(row, parents), Basis.KEY
    return _plain(row, parents, about, _layer(facts)), Basis.KEY if parents else Basis.NAME


def _about(facts: Mapping[str, object], row: str) -> str:
    """Return the first few columns that say what the rows are about."""
    named: list[str] = []
    for column in list_of(facts, "columns"):
        words = read_name(column).words
        own = " ".join(words).removeprefix(row).strip()
        if own and words[-1] not in DULL and read_name(column).is_known and own not in named:
            named.append(own)
    return listed(named[:3])


def _table_name(reference: str) -> str:
    return parse_parts(reference)[-1].text


def _only_links(facts: Mapping[str, object], parents: list[str]) -> bool:
    """Whether a table holds little but the keys of two others."""
    columns = list_of(facts, "columns")
    keys = [name for name in columns if read_name(name).words[-1:] == ("ID",)]
    return len(parents) == 2 and len(keys) >= 2 and len(columns) - len(keys) <= 1


def _view(row: str, sources: list[str], about: str) -> tuple[str, ...]:
    drawn = f", drawn from {listed(sources[:4])}" if sources else ""
    shown = f", with {about}" if about else ""
    return (
        f"{plural(row)}{drawn}{shown}",
        f"view of {plural(row)}{drawn}",
        f"shows {plural(row)}{shown}{drawn}",
    )


def _link(row: str, parents: list[str]) -> tuple[str, ...]:
    one, other = plural(parents[0]), plural(parents[1])
    return (
        f"links {one} to {other}",
        f"which {one} belong with which {other}",
        f"cross-reference of {one} and {other} ({row})",
    )


def _layer(facts: Mapping[str, object]) -> str:
    """Return the layer of a warehouse that the table's own name, or its schema's, says it is in."""
    for name in ("name", "schema"):
        words = read_name(text_of(facts, name)).words
        found = next((word for word in words if word in LAYERS_SAID), "")
        if found:
            return found
    return ""


def _plain(row: str, parents: list[str], about: str, layer: str) -> tuple[str, ...]:
    words = row.split()
    many = plural(row)
    shown = f", with {about}" if about else ""
    owner = next((parent for parent in parents if parent.split()[-1] in words[:-1]), "")
    if layer:
        first = f"{row} {layer}{'' if layer == 'dimension' else ' table'}"
    elif words[-1] in DETAILS and owner:
        kind = plural(words[-1])
        first = f"{kind} of {plural(owner)}, one row each{shown}"
    elif words[-1] in {"history", "log", "archive"} and len(words) > 1:
        first = f"{words[-1]} of {plural(' '.join(words[:-1]))}{shown}"
    else:
        first = f"{many}, one row each{shown}"
    return first, f"records {many}{shown}", f"one row for every {row}{shown}"
