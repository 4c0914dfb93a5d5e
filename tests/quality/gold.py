"""The gold sets: what people said of real schemas, kept away from the drafter."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from amxwatch.core.catalog import Catalog, Column, ObjectRef, Table


@dataclass(frozen=True, kw_only=True)
class GoldSet:
    """A catalog without any comment, and what people said of its objects."""

    name: str
    catalog: Catalog
    wanted: Mapping[ObjectRef, str]


def gold_sets(folder: Path) -> list[GoldSet]:
    """Read every set of a folder, by name."""
    return [read_set(path) for path in sorted(folder.glob("*.csv"))]


def read_set(path: Path) -> GoldSet:
    """Read one set: rows of table, column (empty for the table itself), type, description."""
    columns: dict[tuple[str, str], dict[str, Column]] = defaultdict(dict)
    wanted: dict[ObjectRef, str] = {}
    with path.open(newline="", encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            schema, _, name = row["table"].rpartition(".")
            owner = (schema or "main", name)
            owned = columns[owner]
            if row["column"] and row["column"] not in owned:
                owned[row["column"]] = Column(
                    name=row["column"], type=row["type"] or "text", ordinal=len(owned) + 1
                )
            wanted[ObjectRef(schema=owner[0], table=name, column=row["column"])] = row[
                "description"
            ]
    tables = tuple(
        Table(schema=schema, name=name, columns=tuple(owned.values()))
        for (schema, name), owned in columns.items()
    )
    return GoldSet(
        name=path.stem,
        catalog=Catalog(reader="gold/1", source="gold", tables=tables),
        wanted=wanted,
    )
