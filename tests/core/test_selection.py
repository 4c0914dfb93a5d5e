"""Which objects a run drafts, from changes and from what has no description."""

from __future__ import annotations

from dataclasses import replace

import pytest

from amxwatch.context.lineage import Lineage
from amxwatch.core.catalog import Catalog, Column, Key, KeyKind, ObjectRef, ObjectType, Table
from amxwatch.core.change import Change, ChangeKind, Moved, explain
from amxwatch.core.lineage import VALUES_ONLY
from amxwatch.core.scope import Scope
from amxwatch.core.selection import (
    downstream_of,
    from_changes,
    structure_hash,
    without_description,
)

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


# -- downstream ------------------------------------------------------------------------------

VIEWS = (
    ("daily", "day revenue", "SELECT placed, sum(total) FROM s.orders WHERE kind = 1 GROUP BY 1"),
    ("best", "top", "SELECT max(revenue) FROM s.daily"),
    ("unread", "x", "SELECT ( FROM s.orders"),
)


def downstream(*changes: Change, scope: Scope = EVERYTHING) -> dict[str, tuple[str, str]]:
    """Return what else is drafted over `VIEWS`, each with its cause and how that is known."""
    views = [
        replace(
            table(name, *columns.split()),
            type=ObjectType.VIEW,
            definition=sql,
        )
        for name, columns, sql in VIEWS
    ]
    tables = sorted([table("orders", "placed", "total", "kind"), *views], key=lambda t: t.name)
    catalog = Catalog(reader="t", source="t", tables=tuple(tables))
    lineage = Lineage(catalog, "postgres")
    found = downstream_of(changes, catalog, scope, lambda of: lineage.impact(of, uses=VALUES_ONLY))
    assert [one.ref for one in found] == sorted(one.ref for one in found)
    return {str(one.ref): (str(one.cause), one.way.level.value) for one in found}


def changed(name: str, kind: ChangeKind = ChangeKind.TYPE_CHANGED, **values: object) -> Change:
    owner, _, column = name.partition(".")
    given = {"before": "a", "after": "b", **values}
    return Change(
        kind=kind,
        object_type=ObjectType.COLUMN if column else ObjectType.TABLE,
        ref=ObjectRef(schema="s", table=owner, column=column),
        **given,  # type: ignore[arg-type]  # values of a change
    )


def test_a_changed_column_takes_along_what_is_computed_from_it() -> None:
    assert downstream(changed("orders.total")) == {
        "s.best.top": ("s.orders.total", "column"),
        "s.daily.revenue": ("s.orders.total", "column"),
        "s.unread": ("s.orders.total", "table"),
    }


def test_a_column_that_only_filters_takes_along_no_column() -> None:
    assert downstream(changed("orders.kind")) == {"s.unread": ("s.orders.kind", "table")}


def test_a_redefined_view_takes_along_the_views_that_read_it() -> None:
    redefined = changed("daily", ChangeKind.DEFINITION_CHANGED)
    assert downstream(redefined) == {"s.best": ("s.daily", "column")}


def test_a_renamed_table_takes_along_the_views_that_read_it() -> None:
    renamed = changed("orders", ChangeKind.RENAMED, before={"schema": "s", "table": "o"})
    assert set(downstream(renamed)) == {"s.daily", "s.best", "s.unread"}


def test_a_key_takes_along_what_is_computed_from_its_columns() -> None:
    keys: dict[str, object] = {"primary": [], "unique": [], "foreign": []}
    keyed = changed(
        "orders", ChangeKind.KEY_CHANGED, before=keys, after={**keys, "primary": ["placed"]}
    )
    assert set(downstream(keyed)) == {"s.daily.day", "s.unread"}


@pytest.mark.parametrize("kind", [ChangeKind.COMMENT_CHANGED, ChangeKind.REMOVED])
def test_comments_and_removals_take_nothing_along(kind: ChangeKind) -> None:
    assert downstream(changed("orders.total", kind)) == {}


def test_only_what_is_in_scope_comes_along_and_nothing_twice() -> None:
    scope = Scope.parse("table:s.orders,s.best")
    assert set(downstream(changed("orders.total"), scope=scope)) == {"s.best.top"}
    both = (changed("orders.total"), changed("daily.revenue"))
    assert downstream(*both)["s.best.top"] == ("s.daily.revenue", "column")
    assert "s.daily.revenue" not in downstream(*both)
