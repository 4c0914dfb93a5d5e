"""What a prompt says of each object: short facts out of its evidence, capped in length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from amxwatch.core.allowance import (
    Detail,
    Piece,
    cited_facts,
    glossary_facts,
    neighbour_facts,
    room,
)
from amxwatch.core.evidence import (
    ColumnEvidence,
    ColumnStatistics,
    Neighbour,
    Portion,
    TableEvidence,
)
from amxwatch.core.glossary import read_by
from amxwatch.core.memory import Lesson
from amxwatch.core.naming import read_name

CAPS = {
    "name": 128,
    "words": 256,
    "type": 120,
    "default": 120,
    "expression": 300,
    "comment": 400,
    "value": 60,
}
"""Characters of a text from a database that go into a prompt."""

NO_GLOSSARY: Mapping[str, str] = {}

_SIBLINGS = {Detail.LOW: 20, Detail.MEDIUM: 60, Detail.HIGH: 120}


_MOST_ORIGINS = 8
"""Columns that one is computed from, and that are computed from one, which go into a prompt."""


def table_facts(table: TableEvidence, detail: Detail) -> dict[str, object]:
    """Return what is said of a table or view; what says nothing is left out."""
    reading = read_by(table.glossary, read_name(table.ref.table), table.ref.table)
    siblings = [_cap(column.ref.column, "name") for column in table.columns]
    described = {
        _cap(column.ref.column, "name"): _cap(column.description, "comment")
        for column in table.columns
        if column.description
    }
    facts: dict[str, object] = {
        "object": table.type.value,
        "schema": _cap(table.ref.schema, "name"),
        "name": _cap(table.ref.table, "name"),
        "words": _cap(reading.text, "words"),
        "unread": [_cap(token, "name") for token in reading.unknown[:8]],
        "comment": _cap(table.comment, "comment"),
        "accepted_description": _cap(table.description, "comment"),
        "columns": siblings[: _SIBLINGS[detail]],
        "references": [str(ref) for ref in table.references],
        "referenced_by": [str(ref) for ref in table.referenced_by[:12]],
        "reads_from": [str(ref) for ref in table.sources],
        "definition": (table.definition or "")[: room(Piece.DEFINITION, detail)],
    }
    if detail is not Detail.LOW:
        facts["accepted_columns"] = described
        near = ((str(each.ref), _cap(each.description, "comment")) for each in table.neighbours)
        facts["neighbours"] = neighbour_facts(near, detail)
    facts["glossary"] = glossary_facts(table.glossary, detail)
    facts["docs"] = cited_facts(table.docs, Piece.TABLE_DOCS, detail)
    facts["code"] = cited_facts(table.code, Piece.TABLE_CODE, detail)
    return _without_blanks(facts)


def column_facts(
    column: ColumnEvidence,
    near: tuple[str, ...],
    detail: Detail,
    glossary: Mapping[str, str] = NO_GLOSSARY,
) -> dict[str, object]:
    """Return what is said of a column.

    `near` are words that its name may be read by, `glossary` what the house abbreviates.
    """
    reading = read_by(glossary, read_name(column.ref.column, near), column.ref.column)
    facts: dict[str, object] = {
        "object": "column",
        "name": _cap(column.ref.column, "name"),
        "words": _cap(reading.text, "words"),
        "unit": reading.unit,
        "unread": [_cap(token, "name") for token in reading.unknown[:8]],
        "type": _cap(column.type, "type"),
        "required": not column.nullable,
        "default": _cap(column.default, "default"),
        "primary_key": list(column.primary_key),
        "unique": column.is_unique,
        "references": str(column.references) if column.references else None,
        "referenced_by": [str(ref) for ref in column.referenced_by[:12]],
        "also_in": [str(ref) for ref in column.also_in[:12]],
        "comment": _cap(column.comment, "comment"),
        "accepted_description": _cap(column.description, "comment"),
    }
    if detail is not Detail.LOW:
        facts |= _origin_facts(column)
    facts["docs"] = cited_facts(column.docs, Piece.COLUMN_DOCS, detail)
    facts["code"] = cited_facts(column.code, Piece.COLUMN_CODE, detail)
    facts["since_last_look"] = [_cap(each, "words") for each in column.deviations]
    if column.statistics is not None and detail is not Detail.LOW:
        facts["statistics"] = _statistics_facts(column.statistics, detail)
    return _without_blanks(facts)


def _origin_facts(column: ColumnEvidence) -> dict[str, object]:
    """Return what a column is computed from, and what reads it."""
    return {
        "computed_by": _cap(column.derived.expression, "expression"),
        "computed_from": [_origin(each) for each in column.sources[:_MOST_ORIGINS]],
        "read_by": [str(ref) for ref in column.derived.read_by[:_MOST_ORIGINS]],
    }


def _origin(one: Neighbour) -> dict[str, object]:
    return _without_blanks(
        {"column": str(one.ref), "description": _cap(one.description, "comment")}
    )


def _statistics_facts(seen: ColumnStatistics, detail: Detail) -> dict[str, object]:
    facts: dict[str, object] = {
        "rows_seen": seen.rows,
        "empty_share": seen.null_share,
        "all_values" if seen.is_enum else "some_values": [
            _cap(value, "value") for value in seen.values
        ],
        "looks_like": list(seen.hints),
    }
    if detail is Detail.HIGH:
        facts |= {
            "distinct": seen.distinct,
            "minimum": _cap(seen.minimum, "value"),
            "quartiles": [_cap(each, "value") for each in seen.quartiles],
            "maximum": _cap(seen.maximum, "value"),
            "patterns": _portions(seen.patterns),
            "lengths": _portions(seen.lengths),
        }
    return _without_blanks(facts)


def _portions(portions: Sequence[Portion]) -> list[list[object]]:
    return [[_cap(each.text, "value"), each.share] for each in portions]


def _cap(text: str | None, kind: str) -> str:
    text = text or ""
    most = CAPS[kind]
    return text if len(text) <= most else text[: most - 1] + "…"


def _without_blanks(facts: dict[str, object]) -> dict[str, object]:
    """Leave out what says nothing: None, False, and empty texts and lists."""
    return {
        name: value
        for name, value in facts.items()
        if value is not None and value is not False and value not in ("", [], {})
    }


def lesson_facts(lesson: Lesson) -> dict[str, object]:
    """Return what is said of an earlier answer of a reviewer."""
    facts: dict[str, object] = {
        "name": _cap(lesson.name, "name"),
        "reviewer": lesson.answer.value,
        "proposed": _cap(lesson.proposed, "comment"),
        "kept": _cap(lesson.kept, "comment") if lesson.kept != lesson.proposed else None,
    }
    return _without_blanks(facts)
