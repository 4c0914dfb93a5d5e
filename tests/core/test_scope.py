"""Scopes: what they read, what they cover, what they say of names that do not exist."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from amxwatch.core.catalog import Catalog, Column, ObjectRef, Schema, Table, quote_name
from amxwatch.core.errors import ScopeError
from amxwatch.core.scope import Ignore, Name, Scope, filter_catalog, parse_parts


def ref(*parts: str) -> ObjectRef:
    return ObjectRef(**dict(zip(("schema", "table", "column"), parts, strict=False)))


def catalog(*tables: str) -> Catalog:
    """Make a catalog of `schema.table(column column)` texts."""
    made = []
    for text in tables:
        name, _, columns = text.rstrip(")").partition("(")
        schema, table = name.split(".")
        made.append(
            Table(
                schema=schema,
                name=table,
                columns=tuple(
                    Column(name=column, type="int", ordinal=n)
                    for n, column in enumerate(columns.split(), 1)
                ),
            )
        )
    schemas = sorted({table.schema for table in made} | {"empty"})
    return Catalog(
        reader="test/1",
        source="test",
        schemas=tuple(Schema(name=name) for name in schemas),
        tables=tuple(made),
    )


SHOP = catalog("sales.orders(id total)", "sales.items(id)", "staging.tmp_orders(id)")


# -- reading ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("all", "all"),
        (" all ", "all"),
        ("schema:a,b", "schema:a,b"),
        ("schema: b , a", "schema:b,a"),
        ("schema:a,a", "schema:a"),
        ("table:s.t1,s.t2", "table:s.t1,s.t2"),
        ("column:s.t.c1,s.t.c2", "column:s.t.c1,s.t.c2"),
        (["table:s.t", "schema:a"], "schema:a;table:s.t"),
        (["schema:a", "all"], "all"),
        ("schema:a;table:s.t", "schema:a;table:s.t"),
        ("schema:a; table:s.t;", "schema:a;table:s.t"),
        ("schema:a,table:s.t,s.u", "schema:a;table:s.t,s.u"),
        ('schema:"a"', "schema:a"),
        ('schema:"a.b","c,d","e*"', 'schema:"a.b","c,d","e*"'),
        ('schema:"say ""hi"""', 'schema:"say ""hi"""'),
        ("schema:[a,b]*", "schema:[a,b]*"),
        ("schema:[],]x,y", "schema:[],]x,y"),
        ("schema:a]", 'schema:"a]"'),
        ("table:*.tmp_*", "table:*.tmp_*"),
        ("schema:all", "schema:all"),
        ("table:my schema.my table", "table:my schema.my table"),
        ("schema:çığ,Ü", "schema:çığ,Ü"),
    ],
)
def test_what_is_read_is_written_back(text: str | list[str], canonical: str) -> None:
    scope = Scope.parse(text)
    assert str(scope) == canonical
    assert Scope.parse(canonical) == scope


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "found an empty scope"),
        ([], "found an empty scope"),
        (" ; ", "found an empty scope"),
        ("sales", "did you mean schema:sales?"),
        ("sales.orders", "did you mean table:sales.orders?"),
        ("tabel:s.t", "did you mean table:?"),
        ("schema:a.b", "found 'a.b' under schema:; allowed: schema"),
        ("table:t", "allowed: schema.table"),
        ("table:a.b.c", "put a name that holds a dot in double quotes"),
        ("column:s.t", "allowed: schema.table.column"),
        ("schema:", "a name is missing"),
        ("schema:a,", "a name is missing"),
        ("table:a..b", "found '.' out of place"),
        ("schema:a:b", "found ':' out of place"),
        ('schema:"a', 'a " is opened and never closed'),
        ("schema:a[b,c", "a [ is opened and never closed"),
        ("schema:[]", "a [ is opened and never closed"),
        ('schema:"a"b', "right after a name"),
        ('schema:""', "a name is empty"),
        ("Schema:a", "did you mean schema:?"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(text: str | list[str], said: str) -> None:
    with pytest.raises(ScopeError) as caught:
        Scope.parse(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_list_of_other_things_is_refused() -> None:
    with pytest.raises(ScopeError, match="found 3; allowed: all"):
        Scope.parse([3])  # type: ignore[list-item]  # as TOML may hold it


def test_a_long_scope_makes_no_long_message() -> None:
    with pytest.raises(ScopeError) as caught:
        Scope.parse("x" * 100_000)
    assert len(str(caught.value)) < 400
    with pytest.raises(ScopeError) as caught:
        Scope.parse("schema:" + "x:" * 50_000)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("sales", "schema:sales"),
        ("sales.orders", "table:sales.orders"),
        ("sales.orders.id", "column:sales.orders.id"),
        ("sales.orders,staging", "schema:staging;table:sales.orders"),
        ("sales.tmp_*", "table:sales.tmp_*"),
        ("all", "all"),
        ('"all"', "schema:all"),
        ("schema:a;all", "all"),
        ("table:s.t", "table:s.t"),
        ('"a.b"."c"', 'table:"a.b".c'),
    ],
)
def test_the_command_line_takes_bare_names(text: str, canonical: str) -> None:
    assert str(Scope.parse_bare(text)) == canonical


@pytest.mark.parametrize("text", ["", "a.b.c.d", "a,", ".", '"', 'a."".b'])
def test_bare_names_that_are_none(text: str) -> None:
    with pytest.raises(ScopeError):
        Scope.parse_bare(text)


names = st.text(max_size=12) | st.text(alphabet='ab.,:;"*?[]! \n', max_size=6)
some_names = names.filter(bool)


@given(st.lists(names, min_size=1, max_size=4))
@example(["", 'a"b', "x;all", "table:y", "[.]"])
def test_any_name_survives_quoting(parts: list[str]) -> None:
    text = ".".join(quote_name(part) for part in parts)
    assert parse_parts(text) == [Name(text=part) for part in parts]


refs = st.lists(some_names, min_size=1, max_size=3).map(lambda parts: ref(*parts))


@given(st.lists(refs, min_size=1, max_size=5))
def test_a_scope_of_objects_reads_back_and_covers_exactly_them(found: list[ObjectRef]) -> None:
    scope = Scope.of(found)
    assert Scope.parse(str(scope)) == scope
    assert all(scope.covers(one) for one in found)
    assert not scope.covers(ref("another", "of", "them"))


@given(st.text(alphabet='abls:;,."*[]? ', max_size=30) | st.text(max_size=30))
def test_whatever_is_read_reads_back(text: str) -> None:
    for read in (Scope.parse, Scope.parse_bare):
        try:
            scope = read(text)
        except ScopeError:
            continue
        assert Scope.parse(str(scope)) == scope


# -- covering --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        ("all", "s s.t s.t.c"),
        ("schema:s", "s s.t s.t.c"),
        ("table:s.t", "s.t s.t.c"),
        ("column:s.t.c", "s.t.c"),
        ("schema:S", ""),
        ("schema:other", ""),
        ("schema:?", "s s.t s.t.c"),
        ('schema:"?"', ""),
        ("table:*.[!a-s]", "s.t s.t.c"),
        ("schema:x;column:s.t.*", "s.t.c"),
    ],
)
def test_cover(scope: str, covered: str) -> None:
    objects = [ref("s"), ref("s", "t"), ref("s", "t", "c")]
    assert " ".join(str(one) for one in objects if Scope.parse(scope).covers(one)) == covered


@pytest.mark.parametrize(
    ("scope", "touched"),
    [
        ("all", True),
        ("schema:s", True),
        ("table:s.t", True),
        ("column:s.t.not_there_yet", True),
        ("column:s.u.c", False),
        ("table:s.u", False),
        ("schema:x", False),
    ],
)
def test_touch(scope: str, touched: bool) -> None:
    assert Scope.parse(scope).touches_table(ref("s", "t")) is touched
    assert Scope.parse(scope).touches_table(ref("s", "t", "c")) is touched


def test_a_schema_is_touched_by_what_is_under_it() -> None:
    assert Scope.parse("column:s.t.c").touches_table(ref("s"))
    assert not Scope.parse("column:s.t.c").touches_table(ref("x"))


letters = st.sampled_from(["a", "b", "ab", "A", "tmp_a"])
globs = st.sampled_from(["a", "b", "A", "*", "a*", "?", "[ab]", "[!a]*", "tmp_*", "*a"])
selectors = st.lists(globs, min_size=1, max_size=3)
objects = st.lists(letters, min_size=1, max_size=3)
FORMS = {1: "schema", 2: "table", 3: "column"}


def agrees(selector: Sequence[str], name: Sequence[str]) -> bool:
    return all(fnmatch.fnmatchcase(n, s) for s, n in zip(selector, name, strict=False))


@given(st.lists(selectors, min_size=1, max_size=4), objects)
def test_covering_agrees_with_a_naive_model(scope: list[list[str]], name: list[str]) -> None:
    read = Scope.parse([f"{FORMS[len(one)]}:{'.'.join(one)}" for one in scope])
    covered = any(len(one) <= len(name) and agrees(one, name) for one in scope)
    assert read.covers(ref(*name)) is covered
    assert read.touches_table(ref(*name)) is any(agrees(one[:2], name[:2]) for one in scope)


@given(st.lists(selectors, min_size=1, max_size=3), st.lists(letters, min_size=3, max_size=3))
def test_a_covered_column_always_touches_its_table(scope: list[list[str]], name: list[str]) -> None:
    read = Scope.parse([f"{FORMS[len(one)]}:{'.'.join(one)}" for one in scope])
    assume(read.covers(ref(*name)))
    assert read.touches_table(ref(*name[:2]))


# -- names that do not exist -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        ("all", []),
        ("schema:sales,empty", []),
        ("table:sales.orders;column:sales.orders.total", []),
        ("schema:salse", ["no schema salse; did you mean sales?"]),
        ("table:sales.ordrs", ["no table sales.ordrs; did you mean sales.orders?"]),
        ("column:sales.items.ids", ["no column sales.items.ids; did you mean sales.items.id?"]),
        ("schema:SALES", ["no schema SALES; case counts: did you mean sales?"]),
        ("table:zzz.orders", ["no schema zzz"]),
        ("table:zzz.a,zzz.b", ["no schema zzz"]),
        ("schema:sale*;table:*.nothing", []),
        ('schema:"sale*"', ['no schema "sale*"; did you mean sales?']),
    ],
)
def test_missing_names_come_with_the_closest(scope: str, said: list[str]) -> None:
    assert Scope.parse(scope).missing(SHOP) == said


# -- ignoring --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        ([], "empty sales staging | sales.orders sales.items staging.tmp_orders"),
        (["*.tmp_*"], "empty sales staging | sales.orders sales.items"),
        (["staging"], "empty sales | sales.orders sales.items"),
        (["staging.*"], "empty sales | sales.orders sales.items"),
        (["*.tmp_*", "sales.items"], "empty sales staging | sales.orders"),
        (["STAGING", '"s*"'], "empty sales staging | sales.orders sales.items staging.tmp_orders"),
        (["*"], " | "),
    ],
)
def test_what_is_ignored_is_gone(patterns: list[str], left: str) -> None:
    found = filter_catalog(SHOP, patterns)
    schemas = " ".join(schema.name for schema in found.schemas)
    assert f"{schemas} | {' '.join(str(table.ref) for table in found.tables)}" == left
    assert found.reader == SHOP.reader


def test_columns_and_schemas_follow() -> None:
    ignore = Ignore.parse(["*.tmp_*", "staging"])
    assert ignore.ignores(ref("sales", "tmp_x", "id"))
    assert ignore.ignores(ref("staging"))
    assert not ignore.ignores(ref("sales"))
    assert filter_catalog(SHOP, ignore) == filter_catalog(SHOP, ["*.tmp_*", "staging"])


@pytest.mark.parametrize("pattern", ["", "a.b.c", 'a."', "schema:a", "a,b"])
def test_ignore_patterns_that_are_none(pattern: str) -> None:
    with pytest.raises(ScopeError):
        Ignore.parse([pattern])
