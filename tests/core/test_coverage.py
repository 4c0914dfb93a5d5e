"""Coverage and staleness over histories: pure, against plain ideas of the same."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from amxwatch.core.catalog import (
    Catalog,
    Column,
    Key,
    KeyKind,
    ObjectRef,
    ObjectType,
    SnapshotNumber,
    Table,
)
from amxwatch.core.change import ChangeKind
from amxwatch.core.coverage import Author, Description, Stale, find_stale, measure
from amxwatch.core.life import Lives, TableVersion, Trails
from amxwatch.core.scope import Scope
from tests.core.catalogs import chains, plain_table

N = SnapshotNumber


def lives_of(history: list[Catalog], baselines: set[int] | None = None) -> Lives:
    """The lives of every name, in plain Python: the first snapshot is number 1."""
    names = {(t.schema, t.name) for catalog in history for t in catalog.tables}
    versions = {}
    for name in sorted(names):
        told: list[TableVersion] = []
        for number, catalog in enumerate(history, 1):
            table = catalog.table(*name)
            if table != (told[-1].table if told else None):
                told.append(TableVersion(since=N(number), table=table))
        versions[name] = tuple(told)
    return Lives(versions=versions, baselines=frozenset(map(N, baselines or ())))


def column(name: str, type_: str = "integer", **more: object) -> Column:
    return Column(name=name, type=type_, ordinal=1, **more)  # type: ignore[arg-type]  # test


def orders(*columns: Column, **more: object) -> Table:
    made = tuple(replace(each, ordinal=at) for at, each in enumerate(columns, 1))
    given = {"schema": "s", "name": "orders", "columns": made, **more}
    return Table(**given)  # type: ignore[arg-type]  # as given


def catalog(*tables: Table) -> Catalog:
    return Catalog(reader="test/1", source="here", tables=tables)


ORDERS = ObjectRef(schema="s", table="orders")
TOTAL = ObjectRef(schema="s", table="orders", column="total")


def judged(
    history: list[Catalog],
    *descriptions: Description,
    baselines: set[int] | None = None,
    native_ids: bool = False,
) -> tuple[Stale, ...]:
    lives = lives_of(history, baselines)
    return find_stale(descriptions, lives, native_ids=native_ids, dialect="postgres")


def words(ref: ObjectRef, text: str = "Words.") -> Description:
    return Description(ref=ref, author=Author.PEOPLE, text=text)


def ours(ref: ObjectRef, made_from: int) -> Description:
    return Description(ref=ref, author=Author.AMXWATCH, text="Words.", made_from=N(made_from))


def test_a_comment_is_stale_once_its_column_moves_after_it() -> None:
    total = column("total", comment="Words.")
    history = [
        catalog(orders(column("total"))),
        catalog(orders(total)),
        catalog(orders(replace(total, type="numeric"))),
    ]
    (found,) = judged(history, words(TOTAL))
    assert (found.described_in, found.since, found.object_type) == (2, 3, ObjectType.COLUMN)
    (change,) = found.moved
    assert (change.kind, change.before, change.after) == (
        ChangeKind.TYPE_CHANGED,
        "integer",
        "numeric",
    )
    assert judged(history[:2], words(TOTAL)) == ()


def test_what_moved_together_with_its_new_comment_is_fresh() -> None:
    history = [
        catalog(orders(column("total", comment="Old words."))),
        catalog(orders(column("total", "numeric", comment="Words."))),
    ]
    assert judged(history, words(TOTAL)) == ()


def test_a_change_undone_makes_nothing_stale() -> None:
    total = column("total", comment="Words.")
    other = catalog(orders(replace(total, nullable=False)))
    history = [catalog(orders(total)), other, catalog(orders(total))]
    assert judged(history, words(TOTAL)) == ()
    (again,) = judged([*history, other], words(TOTAL))
    assert again.since == 4


def test_ours_are_judged_by_what_the_draft_was_made_from() -> None:
    """The change came between the draft and its writing: the comment never fitted."""
    history = [
        catalog(orders(column("total"))),
        catalog(orders(column("total", "numeric"))),
        catalog(orders(column("total", "numeric", comment="Words."))),
    ]
    assert judged(history, words(TOTAL)) == ()
    (found,) = judged(history, ours(TOTAL, 1))
    assert (found.described_in, found.since) == (1, 2)
    assert judged(history, ours(TOTAL, 2)) == ()


def test_another_spelling_and_a_baseline_make_nothing_stale() -> None:
    total = column("total", comment="Words.")
    spelled = [catalog(orders(total)), catalog(orders(replace(total, type="int4")))]
    assert judged(spelled, words(TOTAL)) == ()
    moved = [catalog(orders(total)), catalog(orders(replace(total, type="numeric")))]
    assert judged(moved, words(TOTAL), baselines={2}) == ()
    before = [catalog(orders(column("total", "text", comment="Words."))), *moved]
    (found,) = judged(before, words(TOTAL), baselines={3})
    assert found.since == 2, "what moved before the baseline stays moved after it"


def test_a_rename_alone_makes_a_column_not_stale_and_hides_no_older_move() -> None:
    one = orders(column("total", comment="Words.", native_num=1), native_id=7)
    renamed = orders(column("sum", comment="Words.", native_num=1), native_id=7)
    assert judged([catalog(one), catalog(renamed)], words(ref("sum")), native_ids=True) == ()
    typed = orders(column("total", "text", comment="Words.", native_num=1), native_id=7)
    again = orders(column("sum", "text", comment="Words.", native_num=1), native_id=7)
    history = [catalog(one), catalog(typed), catalog(again)]
    (found,) = judged(history, words(ref("sum")), native_ids=True)
    assert (found.since, found.ref) == (2, ref("sum"))


def ref(name: str) -> ObjectRef:
    return replace(TOTAL, column=name)


def test_a_renamed_table_takes_its_history_along() -> None:
    one = orders(column("total", comment="Words."), native_id=7)
    typed = orders(column("total", "text", comment="Words."), native_id=7)
    sales = replace(typed, name="sales")
    column_ref = sales.column_ref("total")
    history = [catalog(one), catalog(typed), catalog(sales)]
    (found,) = judged(history, words(column_ref), native_ids=True)
    assert found.since == 2
    swapped = [catalog(one), catalog(replace(typed, native_id=8))]
    assert len(judged(swapped, words(TOTAL), native_ids=True)) == 1, "made anew, the same name"


def test_a_table_is_stale_when_columns_come_go_or_change_and_not_by_their_comments() -> None:
    plain = orders(column("total"), comment="Words.")
    history = [catalog(plain), catalog(orders(column("total"), column("tax"), comment="Words."))]
    (found,) = judged(history, words(ORDERS))
    assert [(c.kind, c.ref.column) for c in found.moved] == [(ChangeKind.ADDED, "tax")]
    key = Key(kind=KeyKind.PRIMARY, columns=("total",))
    (found,) = judged([catalog(plain), catalog(replace(plain, keys=(key,)))], words(ORDERS))
    assert [c.kind for c in found.moved] == [ChangeKind.KEY_CHANGED]
    only = orders(column("total", comment="New."), comment="Words.")
    assert judged([catalog(plain), catalog(only)], words(ORDERS)) == ()


def test_a_view_laid_out_anew_is_fresh() -> None:
    view = orders(column("total"), comment="Words.", type=ObjectType.VIEW, definition="select 1")
    laid_out = replace(view, definition="SELECT\n  1")
    other = replace(view, definition="select 2")
    assert judged([catalog(view), catalog(laid_out)], words(ORDERS)) == ()
    (found,) = judged([catalog(view), catalog(laid_out), catalog(other)], words(ORDERS))
    assert [c.kind for c in found.moved] == [ChangeKind.DEFINITION_CHANGED]


def structure(table: Table, name: str | None) -> object:
    """A plain idea of what a description depends on."""
    told = plain_table(table)
    columns = told["columns"]
    assert isinstance(columns, dict)
    if name is None:
        types = {key: value["type"] for key, value in columns.items()}
        return (told["definition"], told["keys"], types)
    own = columns[name]
    roles = sorted(
        (key.kind.value, len(key.columns), key.references or ())
        for key in table.keys
        if name in key.columns
    )
    return (own["type"], own["nullable"], own["default"], roles)


@st.composite
def histories(draw: st.DrawFn) -> list[Catalog]:
    """Histories in which a name always means the same object: no renames to follow."""
    found = draw(chains(size=4))
    numbers = {name: at for at, name in enumerate(["x", "y", "z", "place_name", "place_nam"], 1)}
    ids = {(s, t): at for at, (s, t) in enumerate(((s, t) for s in "abc" for t in "tuv"), 1)}
    return [
        replace(
            each,
            tables=tuple(
                replace(
                    table,
                    type=ObjectType.TABLE if table.definition is None else ObjectType.VIEW,
                    native_id=ids[table.schema, table.name],
                    columns=tuple(replace(c, native_num=numbers[c.name]) for c in table.columns),
                )
                for table in each.tables
            ),
        )
        for each in found
    ]


@settings(deadline=None)
@given(histories())
def test_stale_is_what_differs_from_the_version_that_was_described(
    history: list[Catalog],
) -> None:
    trails = Trails(lives_of(history), native_ids=True, dialect="postgres")
    for table in history[-1].tables:
        for name in (None, *(column.name for column in table.columns)):
            ref = table.ref if name is None else table.column_ref(name)
            steps = trails.of(ref)
            for made_from in range(1, len(history) + 1):
                found = judged(history, ours(ref, made_from), native_ids=True)
                at = [s for s in steps if s.since <= made_from] or steps[:1]
                fits = structure(at[-1].table, name) == structure(table, name)
                assert (found == ()) == fits
                for each in found:
                    assert each.moved
                    assert each.described_in < each.since <= len(history)


@settings(deadline=None)
@given(chains(size=4), st.booleans())
def test_what_was_described_last_is_never_stale(history: list[Catalog], native_ids: bool) -> None:
    for table in history[-1].tables:
        refs = [table.ref, *(table.column_ref(column.name) for column in table.columns)]
        last = [ours(ref, len(history)) for ref in refs]
        assert judged(history, *last, native_ids=native_ids) == ()
        steps = Trails(lives_of(history), native_ids=native_ids, dialect="postgres")
        for each in refs:
            assert steps.of(each)[-1].table == table


@settings(deadline=None)
@given(chains(size=1), st.sampled_from(["all", "schema:a", "table:*.t", "column:*.*.x"]))
def test_every_object_in_scope_counts_once(history: list[Catalog], text: str) -> None:
    scope, now = Scope.parse(text), history[0]
    objects = {
        ref: comment
        for table in now.tables
        for ref, comment in (
            (table.ref, table.comment),
            *((table.column_ref(c.name), c.comment) for c in table.columns),
        )
        if scope.covers(ref)
    }
    described = {ref for ref, comment in objects.items() if comment}
    mine = set(sorted(described)[::2])
    found = measure(now, scope, ours=mine, stale=mine)
    assert (found.objects, found.described, found.stale) == (
        len(objects),
        len(described),
        len(mine),
    )
    assert found.by == {Author.AMXWATCH: len(mine), Author.PEOPLE: len(described - mine)}
    assert sum(t.objects for t in found.tables) == found.objects
    assert {share.schema for share in found.schemas} == {ref.schema for ref in objects}


def test_nothing_is_wholly_described() -> None:
    assert measure(catalog(), Scope.all()).percent == 100.0
