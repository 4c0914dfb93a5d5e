"""Which objects a run drafts, from changes and from what has no description."""

from __future__ import annotations

from dataclasses import replace

import pytest

from amxwatch.core.catalog import Catalog, Column, Key, KeyKind, ObjectRef, ObjectType, Table
from amxwatch.core.change import Change, ChangeKind, Moved, explain
from amxwatch.core.scope import Scope
from amxwatch.core.selection import from_changes, structure_hash, without_description

EVERYTHING = Scope.parse("all")


def table(name: str, *columns: str) -> Table:
    return Table(
        schema="s",
        name=name,
        columns=tuple(
            Column(name=column, type="integer", ordinal=at) for at, column in enumerate(columns, 1)
        ),
    )


def work_of(old: Table | None, new: Table | None, scope: Scope = EVERYTHING) -> list[str]:
    """Return the names of what is drafted when one table moves."""
    changes = explain(Moved(tables=((old, new),)), native_ids=False, dialect="postgres")
    catalog = Catalog(reader="t", source="t", tables=(new,) if new else ())
    return [str(ref) for one in from_changes(changes, catalog, scope) for ref in one.refs]


def test_a_new_table_is_drafted_with_its_columns() -> None:
    assert work_of(None, table("t", "a", "b")) == ["s.t", "s.t.a", "s.t.b"]


def test_a_removed_table_asks_for_nothing() -> None:
    assert work_of(table("t", "a"), None) == []


@pytest.mark.parametrize(
    "moved",
    [{"type": "text"}, {"nullable": False}, {"default": "1"}],
    ids=lambda moved: next(iter(moved)),
)
def test_a_changed_column_is_drafted_by_itself(moved: dict[str, object]) -> None:
    old = table("t", "a", "b")
    new = replace(old, columns=(replace(old.columns[0], **moved), old.columns[1]))
    assert work_of(old, new) == ["s.t.a"]


def test_a_new_key_touches_its_table_and_its_columns() -> None:
    old = table("t", "a", "b")
    key = Key(
        kind=KeyKind.FOREIGN, columns=("b",), references=("s", "u"), referenced_columns=("x",)
    )
    assert work_of(old, replace(old, keys=(key,))) == ["s.t", "s.t.b"]


def test_a_column_of_an_old_key_that_joins_a_new_one_is_drafted() -> None:
    primary = Key(kind=KeyKind.PRIMARY, columns=("a",))
    foreign = Key(
        kind=KeyKind.FOREIGN, columns=("a",), references=("s", "u"), referenced_columns=("x",)
    )
    old = replace(table("t", "a", "b"), keys=(primary,))
    assert work_of(old, replace(old, keys=(foreign, primary))) == ["s.t", "s.t.a"]
    assert work_of(table("t", "a", "b"), old) == ["s.t", "s.t.a"]


def test_a_narrow_scope_keeps_what_it_covers() -> None:
    old, new = table("t", "a"), table("t", "a", "b", "c")
    assert work_of(old, new, Scope.parse("column:s.t.b")) == ["s.t.b"]


def test_what_was_renamed_and_changed_besides_is_drafted_anew() -> None:
    old, new = table("t", "a", "b"), table("t", "a", "c")
    renamed = Change(
        kind=ChangeKind.RENAMED,
        object_type=ObjectType.COLUMN,
        ref=new.column_ref("c"),
        before={"schema": "s", "table": "t", "column": "b"},
        confidence=1.0,
    )
    retyped = replace(renamed, kind=ChangeKind.TYPE_CHANGED, before="integer", after="text")
    catalog = Catalog(reader="t", source="t", tables=(new,))
    [only_renamed] = from_changes([renamed], catalog, EVERYTHING)
    assert only_renamed.refs == ()
    assert [str(carry.former) for carry in only_renamed.carried] == ["s.t.b"]
    [both] = from_changes([renamed, retyped], catalog, EVERYTHING)
    assert ([str(ref) for ref in both.refs], both.carried) == (["s.t.c"], ())
    assert old.columns[1].name == "b"


def test_only_the_undescribed_and_the_stale_are_drafted_by_the_clock() -> None:
    catalog = Catalog(reader="t", source="t", tables=(table("t", "a", "b", "c"),))
    described = {ObjectRef(schema="s", table="t"), *(ref("a"), ref("b"))}
    [work] = without_description(catalog, EVERYTHING, described, stale={ref("b")})
    assert (work.itself, work.columns) == (False, ("b", "c"))


def ref(column: str) -> ObjectRef:
    return ObjectRef(schema="s", table="t", column=column)


def test_the_structure_hash_moves_with_the_structure_and_not_with_names_or_comments() -> None:
    old = table("t", "a", "b")
    renamed = replace(old, name="u", columns=(replace(old.columns[0], name="z"), old.columns[1]))
    commented = replace(old, columns=(replace(old.columns[0], comment="x"), old.columns[1]))
    retyped = replace(old, columns=(replace(old.columns[0], type="text"), old.columns[1]))
    same = structure_hash(old, "a")
    assert structure_hash(renamed, "z") == same
    assert structure_hash(commented, "a") == same
    assert structure_hash(retyped, "a") != same
    assert structure_hash(retyped, None) != structure_hash(old, None)
