"""Hypothesis strategies for pairs of catalogs of which the second was made out of the first.

Each edit is one that people make, or nearly one: names swapped, shifted along a chain or moved
between schemas, objects dropped and made again under the same name, columns put in the middle.
Native numbers go along as PostgreSQL keeps them. Nobody keeps the foreign keys in order: some
follow what they point at, some are left pointing at nothing.

Hypothesis draws the number of tables, the list of edits and a seed for each, which is far
quicker than to draw every name, and still shrinks to few tables and few edits.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import strategies as st

from amxwatch.core.catalog import Catalog, Column, Key, KeyKind, ObjectType, Schema, Table
from tests.core.catalogs import DEFINITIONS, TYPES

SCHEMAS = ["sales", "Sales", "öffentlich", "s.t"]
TABLES = ["orders", "Orders", "оrders", "orders_2024", "orders_2025", 'a "b"', "order_lines", "it"]
COLUMNS = [
    "id",
    "ID",
    "name",
    "nаme",
    "name_1",
    "name_2",
    "created at",
    "amount",
    "amounts",
    "Ünit",
]
COMMENTS = [None, None, None, "", "one", "two", "-- ' \" ;\n\t", "x" * 65_536, "y" * 65_536]
KEY_NAMES = [None, "k1", "k2"]
DEFAULTS = [None, None, "0", "now()", "'--'", "GENERATED ALWAYS AS IDENTITY"]


@dataclass
class Names:
    """Numbers that nobody used before."""

    last: int = 0

    def number(self) -> int:
        self.last += 1
        return self.last


def columns(rng: random.Random, name: str, numbers: Names) -> Column:
    return Column(
        name=name,
        type=rng.choice([*TYPES, "Mood", "mood"]),
        nullable=rng.random() < 0.5,
        default=rng.choice(DEFAULTS),
        ordinal=1,
        comment=rng.choice(COMMENTS),
        native_num=numbers.number(),
    )


def tables(
    rng: random.Random, schema: str, name: str, numbers: Names, others: list[tuple[str, str]]
) -> Table:
    kind = rng.choice([ObjectType.TABLE] * 5 + [*ObjectType][2:4] + [ObjectType.VIEW])
    if kind in {ObjectType.COLUMN, ObjectType.SCHEMA}:
        kind = ObjectType.TABLE
    names = some(rng, COLUMNS, 6)
    own = [columns(rng, each, numbers) for each in names]
    is_table = kind is ObjectType.TABLE
    return numbered(
        Table(
            schema=schema,
            name=name,
            type=kind,
            columns=tuple(own),
            keys=keys(rng, names, others) if is_table and names else (),
            comment=rng.choice(COMMENTS),
            definition=None if is_table else rng.choice(sorted(DEFINITIONS)),
            native_id=numbers.number(),
            variant=rng.choice([None, "foreign"]),
            row_estimate=rng.choice([None, 3]),
        )
    )


def numbered(table: Table) -> Table:
    placed = (replace(column, ordinal=at) for at, column in enumerate(table.columns, start=1))
    return replace(table, columns=tuple(placed))


def keys(rng: random.Random, own: list[str], others: list[tuple[str, str]]) -> tuple[Key, ...]:
    found = []
    if rng.random() < 0.5:
        found.append(
            Key(kind=KeyKind.PRIMARY, columns=some_key(rng, own), name=rng.choice(KEY_NAMES))
        )
    found += [
        Key(kind=KeyKind.UNIQUE, columns=some_key(rng, own), name=rng.choice(KEY_NAMES))
        for _ in range(rng.randint(0, 2))
    ]
    for _ in range(rng.randint(0, 2) if others else 0):
        columns = some_key(rng, own)
        theirs = some(rng, COLUMNS, len(columns))
        found.append(
            Key(
                kind=KeyKind.FOREIGN,
                columns=columns,
                name=rng.choice(KEY_NAMES),
                references=rng.choice(others),
                referenced_columns=tuple(theirs),
            )
        )
    return tuple(sorted(found, key=lambda key: (key.kind, key.columns)))


def catalog_of(seeds: list[int], numbers: Names) -> Catalog:
    """Return a catalog with about a table for each seed."""
    rng = random.Random(repr(seeds))
    schemas = some(rng, SCHEMAS, 3) or [SCHEMAS[0]] * bool(seeds)
    everywhere = [(schema, name) for schema in schemas for name in TABLES]
    places = rng.sample(everywhere, min(len(seeds), len(everywhere)))
    found = [
        tables(random.Random(seed), schema, name, numbers, places)
        for seed, (schema, name) in zip(seeds, places, strict=False)
    ]
    told = [Schema(name=name, comment=rng.choice(COMMENTS)) for name in schemas]
    return ordered(
        Catalog(reader="test/1", source="here", schemas=tuple(told), tables=tuple(found))
    )


def some(rng: random.Random, values: list[str], most: int) -> list[str]:
    return rng.sample(values, rng.randint(0, min(most, len(values))))


def some_key(rng: random.Random, own: list[str]) -> tuple[str, ...]:
    return tuple(rng.sample(own, rng.randint(1, min(3, len(own)))))


def ordered(catalog: Catalog) -> Catalog:
    return replace(
        catalog,
        schemas=tuple(sorted(catalog.schemas, key=lambda schema: schema.name)),
        tables=tuple(sorted(catalog.tables, key=lambda table: (table.schema, table.name))),
    )


def renamed(
    catalog: Catalog, places: dict[tuple[str, str], tuple[str, str]], *, follow: bool
) -> Catalog:
    """Give tables new names, all at once; with `follow` the keys that point at them go along."""

    def moved(key: Key) -> Key:
        if key.references is None or not follow:
            return key
        return replace(key, references=places.get(key.references, key.references))

    found = []
    for table in catalog.tables:
        schema, name = places.get((table.schema, table.name), (table.schema, table.name))
        own = tuple(moved(key) for key in table.keys)
        found.append(replace(table, schema=schema, name=name, keys=own))
    return replace(catalog, tables=tuple(found))


def with_table(catalog: Catalog, table: Table, now: Table | None) -> Catalog:
    found = [now if each is table else each for each in catalog.tables]
    return replace(catalog, tables=tuple(each for each in found if each is not None))


def shuffled_names(rng: random.Random, catalog: Catalog, numbers: Names) -> Catalog:
    """Permute, shift or move the names of some tables."""
    places = [(table.schema, table.name) for table in catalog.tables]
    schemas = [schema.name for schema in catalog.schemas]
    if not places:
        return catalog
    chosen = rng.sample(places, rng.randint(1, min(4, len(places))))
    free = [(s, t) for s in schemas for t in TABLES if (s, t) not in set(places) - set(chosen)]
    targets = rng.sample(free, min(len(chosen), len(free)))
    names = dict(zip(chosen, targets, strict=False))
    return renamed(catalog, names, follow=rng.random() < 0.5)


def dropped(rng: random.Random, catalog: Catalog, numbers: Names) -> Catalog:
    """Drop a table; perhaps make another under its name, or its double under another."""
    if not catalog.tables:
        return catalog
    table = rng.choice(catalog.tables)
    places = [(each.schema, each.name) for each in catalog.tables]
    match rng.randint(0, 2):
        case 0:
            return with_table(catalog, table, None)
        case 1:
            again = tables(rng, table.schema, table.name, numbers, places)
            return with_table(catalog, table, again)
    free = [name for name in TABLES if (table.schema, name) not in places]
    if not free:
        return catalog
    double = replace(table, name=rng.choice(free), native_id=numbers.number())
    return replace(catalog, tables=(*catalog.tables, double))


def shuffled_columns(rng: random.Random, catalog: Catalog, numbers: Names) -> Catalog:
    """Rename, swap, drop, add, reorder and alter columns of one table."""
    with_columns = [table for table in catalog.tables if table.columns]
    if not with_columns:
        return catalog
    table = rng.choice(with_columns)
    names = rng.sample(COLUMNS, len(COLUMNS))
    now: list[Column] = []
    moved: dict[str, str] = {}
    for column in table.columns:
        fate = rng.randint(0, 6)
        taken = {each.name for each in now} | {each.name for each in table.columns}
        if fate == 0:
            continue
        if fate == 1:
            fresh = [name for name in names if name not in taken]
            other = fresh[0] if fresh else column.name
            moved[column.name] = other
            now.append(replace(column, name=other))
        elif fate == 2:
            again = columns(rng, column.name, numbers)
            now.append(replace(again, native_num=column.native_num))
        else:
            now.append(column)
    free = [name for name in names if name not in {column.name for column in now}]
    for name in free[: rng.randint(0, 2)]:
        now.insert(rng.randint(0, len(now)), columns(rng, name, numbers))
    if len(now) > 1 and rng.random() < 0.5:
        a, b = now[0], now[-1]
        moved |= {a.name: b.name, b.name: a.name}
        now[0], now[-1] = replace(a, name=b.name), replace(b, name=a.name)
    if rng.randint(0, 4) == 0:
        now.reverse()
    own = tuple(
        replace(key, columns=tuple(moved.get(name, name) for name in key.columns))
        for key in table.keys
    )
    return with_table(catalog, table, numbered(replace(table, columns=tuple(now), keys=own)))


def altered(rng: random.Random, catalog: Catalog, numbers: Names) -> Catalog:
    """Alter what a table or schema says of itself."""
    if catalog.schemas and rng.random() < 0.5:
        one = rng.choice(catalog.schemas)
        said = replace(one, comment=rng.choice(COMMENTS))
        now = tuple(said if each is one else each for each in catalog.schemas)
        return replace(catalog, schemas=now)
    if not catalog.tables:
        return catalog
    table = rng.choice(catalog.tables)
    places = [(each.schema, each.name) for each in catalog.tables]
    own = [column.name for column in table.columns]
    is_table = table.type is ObjectType.TABLE
    again = replace(
        table,
        comment=rng.choice(COMMENTS),
        row_estimate=9,
        keys=keys(rng, own, places) if is_table and own else (),
        definition=None if is_table else rng.choice(sorted(DEFINITIONS)),
    )
    return with_table(catalog, table, again)


def moved_schema(rng: random.Random, catalog: Catalog, numbers: Names) -> Catalog:
    """Rename a schema, or swap the names of two, with all that is in them."""
    if not catalog.schemas:
        return catalog
    one = rng.choice(catalog.schemas).name
    other = rng.choice(SCHEMAS)
    swap = {one: other, other: one}
    schemas = tuple(replace(s, name=swap.get(s.name, s.name)) for s in catalog.schemas)
    places = {
        (table.schema, table.name): (swap[table.schema], table.name)
        for table in catalog.tables
        if table.schema in swap
    }
    return renamed(replace(catalog, schemas=schemas), places, follow=rng.random() < 0.5)


def respelled(rng: random.Random, catalog: Catalog, numbers: Names) -> Catalog:
    """Write types another way, which is no change."""
    same = {"integer": "int4", "int4": "integer"}
    found = []
    for table in catalog.tables:
        own = tuple(replace(c, type=same.get(c.type, c.type)) for c in table.columns)
        found.append(replace(table, columns=own))
    return replace(catalog, tables=tuple(found))


EDITS: list[Callable[[random.Random, Catalog, Names], Catalog]] = [
    shuffled_names,
    shuffled_columns,
    dropped,
    altered,
    moved_schema,
    respelled,
]

SEEDS = st.integers(0, 2**32 - 1)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Catalog, Catalog]:
    """Return an older catalog and a newer one: edited up to six times, or quite another."""
    numbers = Names()
    old = catalog_of(draw(st.lists(SEEDS, max_size=10)), numbers)
    if draw(st.integers(0, 7)) == 7:
        return old, catalog_of(draw(st.lists(SEEDS, max_size=8)), numbers)
    new = old
    for edit, seed in draw(st.lists(st.tuples(st.sampled_from(EDITS), SEEDS), max_size=6)):
        new = edit(random.Random(seed), new, numbers)
    return old, ordered(new)
