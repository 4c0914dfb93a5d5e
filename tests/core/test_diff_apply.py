"""The diff is exact: applied to the older catalog it gives the newer one, there and back.

Ten thousand examples instead of a few hundred:
    AMXWATCH_EXAMPLES=10000 pytest tests/core/test_diff_apply.py
"""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, example, given, settings

from amxwatch.core.catalog import Catalog, Column, Key, KeyKind, ObjectType, Schema, Table
from amxwatch.core.change import (
    Change,
    ChangeKind,
    Moved,
    change_document,
    explain,
    former_ref,
)
from amxwatch.core.patching import apply_changes
from tests.core.catalogs import DEFINITIONS, TYPES, exact, plain_key
from tests.core.edits import pairs

EXAMPLES = int(os.environ.get("AMXWATCH_EXAMPLES", "200"))
TIMELESS = pytest.mark.timeout(max(120, EXAMPLES))

many = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def moved_between(old: Catalog, new: Catalog) -> Moved:
    """Return what the store's SQL finds: whole versions of what differs under one name."""
    before = {(table.schema, table.name): table for table in old.tables}
    after = {(table.schema, table.name): table for table in new.tables}
    tables = ((before.get(name), after.get(name)) for name in sorted(before.keys() | after.keys()))
    was = {schema.name: schema for schema in old.schemas}
    now = {schema.name: schema for schema in new.schemas}
    schemas = ((was.get(name), now.get(name)) for name in sorted(was.keys() | now.keys()))
    return Moved(
        tables=tuple((a, b) for a, b in tables if a is None or b is None or bare(a) != bare(b)),
        schemas=tuple((a, b) for a, b in schemas if a != b),
    )


def bare(table: Table) -> Table:
    return replace(exact(table), variant=None, reads=())


def diff(old: Catalog, new: Catalog, *, native_ids: bool) -> tuple[Change, ...]:
    return explain(moved_between(old, new), native_ids=native_ids, dialect="postgres")


def normalised(catalog: Catalog) -> dict[str, object]:
    """Return all of a catalog but what the documents say is no change."""
    return {
        "schemas": {schema.name: schema.comment for schema in catalog.schemas},
        "tables": {(t.schema, t.name): normalised_table(t) for t in catalog.tables},
    }


def normalised_table(table: Table) -> dict[str, object]:
    return {
        "type": table.type,
        "comment": table.comment,
        "definition": DEFINITIONS.get(table.definition or "", table.definition),
        "keys": frozenset(plain_key(key) for key in table.keys),
        "columns": {
            column.name: (
                TYPES.get(column.type, column.type),
                column.nullable,
                column.default,
                column.comment,
            )
            for column in table.columns
        },
    }


def documents(changes: tuple[Change, ...]) -> str:
    return json.dumps([change_document(change) for change in changes])


def kept_order(old: Table, new: Table, changes: tuple[Change, ...]) -> bool:
    """Claim that the columns that stayed still stand in their old order."""
    names = {former_ref(c).column: c.ref.column for c in changes if c.kind is ChangeKind.RENAMED}
    gone = {c.ref.column for c in changes if c.kind is ChangeKind.REMOVED and c.ref.is_column}
    came = {c.ref.column for c in changes if c.kind is ChangeKind.ADDED and c.ref.is_column}
    before = [names.get(c.name, c.name) for c in old.columns if c.name not in gone]
    return before == [c.name for c in new.columns if c.name not in came]


TWO = (Column(name="id", type="integer", ordinal=1, native_num=1),)
POINTS = Table(
    schema="sales",
    name="z",
    columns=TWO,
    keys=(
        Key(
            kind=KeyKind.FOREIGN,
            columns=("id",),
            references=("sales", "a"),
            referenced_columns=("id",),
        ),
    ),
    native_id=3,
)
A = Table(schema="sales", name="a", columns=TWO, native_id=1)
B = Table(schema="sales", name="b", columns=TWO, native_id=2)


def catalog_of(*tables: Table) -> Catalog:
    return Catalog(reader="test/1", source="here", schemas=(Schema(name="sales"),), tables=tables)


SWAPPED = (
    catalog_of(A, B, POINTS),
    catalog_of(replace(B, name="a"), replace(A, name="b"), POINTS),
)
"""Names swapped while the table that points at one of them stays as it is, word for word."""


@example(pair=SWAPPED)
@given(pair=pairs())
@many
@TIMELESS
@pytest.mark.parametrize("native_ids", [True, False])
def test_old_and_diff_give_new(native_ids: bool, pair: tuple[Catalog, Catalog]) -> None:
    old, new = pair
    for before, after in ((old, new), (new, old)):
        changes = diff(before, after, native_ids=native_ids)
        made = apply_changes(before, changes)
        assert normalised(made) == normalised(after)
        assert made.schemas == tuple(sorted(made.schemas, key=lambda schema: schema.name))
        assert [t.ref for t in made.tables] == sorted(t.ref for t in made.tables)
        for table in made.tables:
            assert [c.ordinal for c in table.columns] == [*range(1, len(table.columns) + 1)]


@given(pair=pairs())
@many
@TIMELESS
@pytest.mark.parametrize("native_ids", [True, False])
def test_added_columns_take_the_place_that_the_diff_tells(
    native_ids: bool, pair: tuple[Catalog, Catalog]
) -> None:
    old, new = pair
    changes = diff(old, new, native_ids=native_ids)
    made = apply_changes(old, changes)
    former = {c.ref: former_ref(c) for c in changes if c.kind is ChangeKind.RENAMED}
    fresh = {c.ref for c in changes if c.kind is ChangeKind.ADDED}
    before = {table.ref: table for table in old.tables}
    after = {table.ref: table for table in new.tables}
    for table in made.tables:
        names = [column.name for column in table.columns]
        target = after[table.ref]
        own = tuple(
            c
            for c in changes
            if c.ref.is_column
            and (c.ref.owner == table.ref if c.kind is not ChangeKind.REMOVED else False)
        )
        source = before.get(former.get(table.ref, table.ref))
        gone = tuple(
            c
            for c in changes
            if c.kind is ChangeKind.REMOVED
            and c.ref.is_column
            and source is not None
            and c.ref.owner == source.ref
        )
        if table.ref in fresh or (source and kept_order(source, target, own + gone)):
            assert names == [column.name for column in target.columns]


@given(pair=pairs())
@many
@TIMELESS
@pytest.mark.parametrize("native_ids", [True, False])
def test_the_diff_is_the_same_each_time_and_empty_where_nothing_moved(
    native_ids: bool, pair: tuple[Catalog, Catalog]
) -> None:
    old, new = pair
    changes = diff(old, new, native_ids=native_ids)
    assert documents(changes) == documents(diff(old, new, native_ids=native_ids))
    mixed = list(changes)
    random.Random(1).shuffle(mixed)
    assert apply_changes(old, mixed) == apply_changes(old, changes)
    if not changes:
        assert normalised(old) == normalised(new)
        assert apply_changes(old, changes).tables == old.tables
    if normalised(old) == normalised(new) and not native_ids:
        assert changes == ()
    assert diff(old, old, native_ids=native_ids) == ()


@given(pair=pairs())
@many
@TIMELESS
@pytest.mark.parametrize("native_ids", [True, False])
def test_no_object_is_guessed_twice(native_ids: bool, pair: tuple[Catalog, Catalog]) -> None:
    old, new = pair
    changes = diff(old, new, native_ids=native_ids)
    renames = [change for change in changes if change.kind is ChangeKind.RENAMED]
    assert max(Counter(former_ref(c) for c in renames).values(), default=1) == 1
    assert max(Counter(c.ref for c in renames).values(), default=1) == 1
    assert max(Counter((c.kind, c.ref) for c in changes).values(), default=1) == 1
    came = {c.ref for c in changes if c.kind is ChangeKind.ADDED}
    gone = {c.ref for c in changes if c.kind is ChangeKind.REMOVED}
    assert not came & {c.ref for c in renames}
    assert not gone & {former_ref(c) for c in renames}
    for change in changes:
        assert (change.confidence is not None) == (change.kind is ChangeKind.RENAMED)
        if change.confidence is None:
            continue
        if native_ids:
            assert change.confidence == 1
        elif change.object_type is not ObjectType.SCHEMA:
            assert 0.6 <= change.confidence < 1


def test_a_key_that_is_left_pointing_at_a_renamed_table_stays_as_it_is() -> None:
    old, new = SWAPPED
    changes = diff(old, new, native_ids=True)
    assert {c.kind for c in changes} == {ChangeKind.RENAMED}
    assert {c.after is None for c in changes} == {True}
    assert apply_changes(old, changes).table("sales", "z") == POINTS


def test_a_rename_names_the_tables_whose_keys_went_along() -> None:
    there = replace(POINTS, keys=(replace(POINTS.keys[0], references=("sales", "c")),))
    changes = diff(catalog_of(A, POINTS), catalog_of(replace(A, name="c"), there), native_ids=True)
    (change,) = changes
    assert change.after == {"followed_by": [{"schema": "sales", "table": "z"}]}
    keyed = replace(there, keys=(*there.keys, Key(kind=KeyKind.PRIMARY, columns=("id",))))
    changes = diff(catalog_of(A, POINTS), catalog_of(replace(A, name="c"), keyed), native_ids=True)
    assert [(c.kind, c.after is None) for c in changes] == [
        (ChangeKind.RENAMED, True),
        (ChangeKind.KEY_CHANGED, False),
    ]


def test_an_added_column_says_where_it_stands() -> None:
    wide = replace(
        A, columns=(Column(name="first", type="text", ordinal=1), replace(TWO[0], ordinal=2))
    )
    (change,) = diff(catalog_of(A), catalog_of(wide), native_ids=True)
    assert isinstance(change.after, dict)
    assert change.after["ordinal"] == 1


def test_a_table_of_five_thousand_columns_takes_no_time() -> None:
    def wide(names: str, *, drop: int) -> Table:
        columns = [
            Column(name=f"{names}{'abcdefgh'[at % 8]}_{at}", type="integer", ordinal=at)
            for at in range(1, 5_001)
        ]
        del columns[drop : drop + 45]
        fresh = [
            Column(name=f"fresh {chr(97 + at % 26)}{chr(97 + at // 26)}", type="text", ordinal=9)
            for at in range(45)
        ]
        placed = [*columns[:100], *fresh, *columns[100:]]
        return Table(
            schema="sales",
            name="wide",
            columns=tuple(replace(c, ordinal=at) for at, c in enumerate(placed, start=1)),
        )

    old, new = catalog_of(wide("c", drop=1_000)), catalog_of(wide("c", drop=3_000))
    start = time.process_time()
    changes = diff(old, new, native_ids=False)
    made = apply_changes(old, changes)
    assert time.process_time() - start < 5
    assert normalised(made) == normalised(new)
    assert len(changes) == 90


def test_catalogs_without_tables() -> None:
    empty = replace(catalog_of(), schemas=())
    assert diff(empty, empty, native_ids=True) == ()
    full = catalog_of(A, B, POINTS)
    for before, after in ((empty, full), (full, empty)):
        changes = diff(before, after, native_ids=True)
        assert len(changes) == 4
        assert normalised(apply_changes(before, changes)) == normalised(after)
