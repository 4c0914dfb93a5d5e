"""Hypothesis strategies for small catalogs whose names, ids and parts often collide.

`plain` is the test's own idea of what a catalog says: nothing that the product ignores.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import strategies as st

from amxwatch.core.catalog import Catalog, Column, Key, KeyKind, ObjectType, Schema, Table

TYPES = {"integer": "integer", "int4": "integer", "text": "text", "varchar(10)": "varchar(10)"}
DEFINITIONS = {
    "select x from t": 1,
    "SELECT\n  x\nFROM t -- as before": 1,
    "select (x) from t": 1,
    "select y from t": 2,
}
COMMENTS = st.sampled_from([None, None, "one", "two"])
NAMES = ["x", "y", "z", "place_name", "place_nam"]


@st.composite
def columns(draw: st.DrawFn) -> tuple[Column, ...]:
    names = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=4, unique=True))
    nums = draw(st.permutations(range(1, 7)))
    return tuple(
        Column(
            name=name,
            type=draw(st.sampled_from(sorted(TYPES))),
            nullable=draw(st.booleans()),
            default=draw(st.sampled_from([None, None, "1"])),
            ordinal=place,
            comment=draw(COMMENTS),
            native_num=num,
        )
        for place, (name, num) in enumerate(zip(names, nums, strict=False), start=1)
    )


@st.composite
def keys(draw: st.DrawFn, own: list[str]) -> tuple[Key, ...]:
    some = st.lists(st.sampled_from(own), min_size=1, max_size=2, unique=True).map(tuple)
    name = st.sampled_from([None, "k1", "k2"])
    found = []
    if draw(st.booleans()):
        found.append(Key(kind=KeyKind.PRIMARY, columns=draw(some), name=draw(name)))
    if draw(st.integers(0, 3)) == 0:
        found.append(Key(kind=KeyKind.UNIQUE, columns=draw(some), name=draw(name)))
    if draw(st.integers(0, 2)) == 0:
        found.append(
            Key(
                kind=KeyKind.FOREIGN,
                columns=(draw(st.sampled_from(own)),),
                name=draw(name),
                references=(draw(st.sampled_from("ab")), draw(st.sampled_from("tuv"))),
                referenced_columns=(draw(st.sampled_from(NAMES)),),
            )
        )
    return tuple(found)


@st.composite
def tables(draw: st.DrawFn, schema: str, name: str, native_id: int) -> Table:
    kind = draw(st.sampled_from([ObjectType.TABLE, ObjectType.TABLE, ObjectType.VIEW]))
    own = draw(columns())
    is_view = kind is ObjectType.VIEW
    return Table(
        schema=schema,
        name=name,
        type=kind,
        columns=own,
        keys=() if is_view else draw(keys([column.name for column in own])),
        comment=draw(COMMENTS),
        definition=draw(st.sampled_from(sorted(DEFINITIONS))) if is_view else None,
        row_estimate=draw(st.sampled_from([None, 0, 7])),
        native_id=native_id,
    )


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    schemas = draw(st.lists(st.sampled_from("abc"), max_size=2, unique=True))
    places = [(schema, name) for schema in sorted(schemas) for name in "tuv"]
    ids = draw(st.permutations(range(1, 8)))
    found = [
        draw(tables(schema, name, native_id))
        for (schema, name), native_id in zip(places, ids, strict=False)
        if draw(st.integers(0, 3))
    ]
    return Catalog(
        reader="test/1",
        source="here",
        schemas=tuple(Schema(name=name, comment=draw(COMMENTS)) for name in sorted(schemas)),
        tables=tuple(found),
    )


@st.composite
def chains(draw: st.DrawFn, *, size: int) -> list[Catalog]:
    """Catalogs that follow each other: each keeps most tables of the one before."""
    found = [draw(catalogs())]
    while len(found) < size:
        fresh = draw(catalogs())
        kept = {(t.schema, t.name): t for t in found[-1].tables}
        tables_now = tuple(
            kept.get((table.schema, table.name), table) if draw(st.booleans()) else table
            for table in fresh.tables
        )
        found.append(replace(fresh, tables=tables_now))
    return found


def plain_key(key: Key) -> tuple[object, ...]:
    return (key.kind.value, key.columns, key.references, key.referenced_columns)


def exact(table: Table) -> Table:
    """Return the table without what no version records as a difference."""
    bare = (replace(key, name=None) for key in table.keys)
    return replace(
        table,
        row_estimate=None,
        keys=tuple(sorted(bare, key=lambda key: repr(plain_key(key)))),
    )


def plain_table(table: Table) -> dict[str, object]:
    return {
        "type": table.type.value,
        "comment": table.comment,
        "definition": None if table.definition is None else DEFINITIONS[table.definition],
        "keys": frozenset(plain_key(key) for key in table.keys),
        "columns": {
            column.name: {
                "type": TYPES[column.type],
                "nullable": column.nullable,
                "default": column.default,
                "comment": column.comment,
            }
            for column in table.columns
        },
    }


def plain(catalog: Catalog) -> dict[str, object]:
    return {
        "schemas": {schema.name: schema.comment for schema in catalog.schemas},
        "tables": {(table.schema, table.name): plain_table(table) for table in catalog.tables},
    }
