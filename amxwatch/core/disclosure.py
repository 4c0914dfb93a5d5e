"""Which kinds of data a request to a model holds, read from the request itself."""

from __future__ import annotations

import enum
from collections.abc import Collection, Mapping

from amxwatch.core.completion import CompletionRequest


class Kind(enum.StrEnum):
    """A kind of data that may leave the machine. Public: audit events name them."""

    NAMES = "names"
    TYPES = "types"
    DEFAULTS = "defaults"
    COMMENTS = "comments"
    """Of the database, and descriptions that people accepted."""
    SQL = "sql"
    """Of views, and expressions that columns are computed by."""
    SHAPES = "shapes"
    """Counts, lengths and patterns of values."""
    VALUES = "values"
    """Values of rows: enums, examples, least and greatest, quartiles."""
    DOCS = "docs"
    CODE = "code"
    REVIEWS = "reviews"
    """How reviewers answered earlier drafts."""
    INSTRUCTION = "instruction"
    """The text of an `input_template`."""


_FACTS: Mapping[str, Kind] = {
    "type": Kind.TYPES,
    "default": Kind.DEFAULTS,
    "comment": Kind.COMMENTS,
    "accepted_description": Kind.COMMENTS,
    "accepted_columns": Kind.COMMENTS,
    "neighbours": Kind.COMMENTS,
    "glossary": Kind.COMMENTS,
    "definition": Kind.SQL,
    "computed_by": Kind.SQL,
    "docs": Kind.DOCS,
    "code": Kind.CODE,
    "since_last_look": Kind.VALUES,
}

_VALUES = frozenset({"all_values", "some_values", "minimum", "maximum", "quartiles"})


def kinds_of(request: CompletionRequest) -> tuple[Kind, ...]:
    """Return the kinds of data that a request holds, in their order."""
    found = {Kind.NAMES}
    for subject in request.subjects:
        found |= _kinds(subject.facts)
        table = subject.facts.get("table")
        if isinstance(table, Mapping):
            found |= _kinds(table)
    head, _, tail = request.prompt.partition("\n</material>")
    if '"earlier":' in head:
        found.add(Kind.REVIEWS)
    if tail.strip():
        found.add(Kind.INSTRUCTION)
    return tuple(kind for kind in Kind if kind in found)


def _kinds(facts: Mapping[str, object]) -> set[Kind]:
    found = {kind for name, kind in _FACTS.items() if name in facts}
    origins = facts.get("computed_from")
    if isinstance(origins, Collection) and any("description" in each for each in origins):
        found.add(Kind.COMMENTS)
    statistics = facts.get("statistics")
    if isinstance(statistics, Mapping):
        found.add(Kind.SHAPES)
        found |= {Kind.VALUES} if _VALUES & statistics.keys() else set()
    return found
