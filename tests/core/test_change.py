"""What moved between two catalogs, in words: every kind, every value, and the properties."""

from __future__ import annotations

import json
from collections import Counter
from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given, settings

from amxwatch.core.catalog import (
    Catalog,
    Column,
    Key,
    KeyKind,
    ObjectRef,
    ObjectType,
    Schema,
    Table,
)
from amxwatch.core.change import Change, ChangeKind, Moved, change_document, explain, former_ref
from amxwatch.core.datatype import same_type
from amxwatch.core.view import same_definition
from tests.core.catalogs import DEFINITIONS, TYPES, catalogs, chains, exact, plain

ID = Column(name="id", type="integer", nullable=False, ordinal=1, native_num=1)
EMAIL = Column(name="email", type="text", ordinal=2, native_num=2)
CITY = Column(name="city", type="text", ordinal=3, native_num=3)
PRIMARY = Key(kind=KeyKind.PRIMARY, columns=("id",), name="users_pkey")
USERS = Table(schema="app", name="users", columns=(ID, EMAIL, CITY), keys=(PRIMARY,), native_id=10)
ORDERS = Table(
    schema="app",
    name="orders",
    columns=(ID, replace(EMAIL, name="user_id", type="integer")),
    keys=(
        Key(
            kind=KeyKind.FOREIGN,
            columns=("user_id",),
            references=("app", "users"),
            referenced_columns=("id",),
        ),
    ),
    native_id=20,
)
VIEW = Table(
    schema="app",
    name="active",
    type=ObjectType.VIEW,
    columns=(ID,),
    definition="select id from users",
    native_id=30,
)


def moved_between(old: list[Table], new: list[Table]) -> Moved:
    before = {(table.schema, table.name): table for table in old}
    after = {(table.schema, table.name): table for table in new}
    names = sorted(before.keys() | after.keys())
    pairs = ((before.get(name), after.get(name)) for name in names)
    return Moved(
        tables=tuple((a, b) for a, b in pairs if a is None or b is None or exact(a) != exact(b))
    )


def moved_catalogs(old: Catalog, new: Catalog) -> Moved:
    before = {schema.name: schema for schema in old.schemas}
    after = {schema.name: schema for schema in new.schemas}
    pairs = [(before.get(name), after.get(name)) for name in sorted(before | after)]
    return Moved(
        tables=moved_between(list(old.tables), list(new.tables)).tables,
        schemas=tuple((a, b) for a, b in pairs if a != b),
    )


def explained(
    old: list[Table], new: list[Table], *, native_ids: bool = False, dialect: str = "postgres"
) -> list[Change]:
    return list(explain(moved_between(old, new), native_ids=native_ids, dialect=dialect))


def with_column(table: Table, old: Column, *, native_id: int | None = 10, **moved: object) -> Table:
    columns = tuple(replace(c, **moved) if c == old else c for c in table.columns)
    return replace(table, columns=columns, native_id=native_id)


def brief(changes: list[Change]) -> list[tuple[str, str, str]]:
    return [(c.kind.value, c.object_type.value, str(c.ref)) for c in changes]


def test_an_added_table_is_one_change_with_its_columns_inside() -> None:
    (change,) = explained([], [USERS])
    assert (change.kind, change.object_type) == (ChangeKind.ADDED, ObjectType.TABLE)
    assert change.before is None
    assert change.after == {
        "comment": None,
        "columns": [
            {"name": "id", "type": "integer", "nullable": False, "default": None, "comment": None},
            {"name": "email", "type": "text", "nullable": True, "default": None, "comment": None},
            {"name": "city", "type": "text", "nullable": True, "default": None, "comment": None},
        ],
        "keys": {"primary": ["id"], "unique": [], "foreign": []},
    }


def test_a_removed_view_is_one_change_with_its_definition_inside() -> None:
    (change,) = explained([VIEW], [])
    assert (change.kind, change.object_type) == (ChangeKind.REMOVED, ObjectType.VIEW)
    assert change.after is None
    assert isinstance(change.before, dict)
    assert change.before["definition"] == "select id from users"


@pytest.mark.parametrize(
    ("moved", "kind", "before", "after"),
    [
        ({"type": "character varying(80)"}, "type_changed", "text", "character varying(80)"),
        ({"nullable": False}, "nullability_changed", True, False),
        ({"default": "'x'"}, "default_changed", None, "'x'"),
        ({"comment": "where to write"}, "comment_changed", None, "where to write"),
    ],
)
def test_a_column_that_moved_says_what_it_was_and_is(
    moved: dict[str, object], kind: str, before: object, after: object
) -> None:
    (change,) = explained([USERS], [with_column(USERS, EMAIL, **moved)])
    assert brief([change]) == [(kind, "column", "app.users.email")]
    assert (change.before, change.after, change.confidence) == (before, after, None)


def test_two_spellings_of_a_type_are_no_change() -> None:
    assert explained([USERS], [with_column(USERS, ID, type="int4")]) == []


def test_a_table_comment_is_the_tables() -> None:
    (change,) = explained([USERS], [replace(USERS, comment="people")])
    assert brief([change]) == [("comment_changed", "table", "app.users")]
    assert (change.before, change.after) == (None, "people")


def test_keys_are_reported_on_the_table_as_objects() -> None:
    unique = Key(kind=KeyKind.UNIQUE, columns=("email", "city"))
    (change,) = explained([USERS, ORDERS], [replace(USERS, keys=(unique,)), ORDERS])
    assert brief([change]) == [("key_changed", "table", "app.users")]
    assert change.before == {"primary": ["id"], "unique": [], "foreign": []}
    assert change.after == {"primary": [], "unique": [["email", "city"]], "foreign": []}
    (change,) = explained([ORDERS], [replace(ORDERS, keys=())])
    assert change.before == {
        "primary": [],
        "unique": [],
        "foreign": [
            {
                "columns": ["user_id"],
                "references": {"schema": "app", "table": "users", "columns": ["id"]},
            }
        ],
    }


def test_the_name_and_the_order_of_keys_are_no_change() -> None:
    unique = Key(kind=KeyKind.UNIQUE, columns=("email",), name="a")
    before = replace(USERS, keys=(PRIMARY, unique))
    after = replace(USERS, keys=(replace(unique, name="b"), replace(PRIMARY, name=None)))
    assert explain(Moved(tables=((before, after),)), native_ids=True, dialect="postgres") == ()


def test_what_is_information_is_no_change() -> None:
    swapped = replace(
        USERS,
        row_estimate=5,
        native_id=11,
        columns=(ID, replace(CITY, ordinal=2), replace(EMAIL, ordinal=3)),
    )
    assert explain(Moved(tables=((USERS, swapped),)), native_ids=False, dialect="sqlite") == ()


def test_a_view_that_was_laid_out_anew_is_no_change() -> None:
    again = replace(VIEW, definition="SELECT id -- people\n  FROM users;")
    assert explained([VIEW], [again]) == []
    other = replace(VIEW, definition="select id from users where true")
    (change,) = explained([VIEW], [other])
    assert brief([change]) == [("definition_changed", "view", "app.active")]
    assert (change.before, change.after) == (VIEW.definition, other.definition)


def test_a_table_that_turns_into_a_view_is_removed_and_added() -> None:
    view = replace(VIEW, name="users", native_id=10)
    for native_ids in (True, False):
        assert brief(explained([USERS], [view], native_ids=native_ids)) == [
            ("added", "view", "app.users"),
            ("removed", "table", "app.users"),
        ]


def test_identity_sees_a_renamed_table_and_what_else_moved_in_it() -> None:
    people = with_column(replace(USERS, name="people"), EMAIL, nullable=False)
    changes = explained([USERS], [people], native_ids=True)
    assert brief(changes) == [
        ("renamed", "table", "app.people"),
        ("nullability_changed", "column", "app.people.email"),
    ]
    assert changes[0].before == {"schema": "app", "table": "users"}
    assert changes[0].confidence == 1.0
    assert former_ref(changes[0]) == USERS.ref


def test_a_renamed_column_carries_its_former_table_too() -> None:
    people = with_column(replace(USERS, name="people"), EMAIL, name="mail")
    changes = explained([USERS], [people], native_ids=True)
    assert brief(changes) == [
        ("renamed", "table", "app.people"),
        ("renamed", "column", "app.people.mail"),
    ]
    assert former_ref(changes[1]) == ObjectRef(schema="app", table="users", column="email")


def test_two_columns_that_swapped_names_are_two_renames() -> None:
    swapped = replace(USERS, columns=(ID, replace(EMAIL, name="city"), replace(CITY, name="email")))
    changes = explained([USERS], [swapped], native_ids=True)
    assert [(c.kind.value, str(former_ref(c)), str(c.ref)) for c in changes] == [
        ("renamed", "app.users.email", "app.users.city"),
        ("renamed", "app.users.city", "app.users.email"),
    ]


def test_two_tables_that_swapped_names_are_two_renames() -> None:
    fresh = replace(USERS, name="users_new", native_id=11)
    old = replace(USERS, name="users_old")
    changes = explained([USERS, fresh], [old, replace(fresh, name="users")], native_ids=True)
    assert [(c.kind.value, str(former_ref(c)), str(c.ref)) for c in changes] == [
        ("renamed", "app.users_new", "app.users"),
        ("renamed", "app.users", "app.users_old"),
    ]


def test_a_table_made_anew_under_its_name_is_the_same_object() -> None:
    again = replace(with_column(USERS, CITY, type="integer", native_num=1), native_id=77)
    assert brief(explained([USERS], [again], native_ids=True)) == [
        ("type_changed", "column", "app.users.city")
    ]


def test_a_table_that_moved_to_another_schema_is_renamed() -> None:
    moved = Moved(
        tables=((None, replace(USERS, schema="crm")), (USERS, None)),
    )
    (change,) = explain(moved, native_ids=True, dialect="postgres")
    assert brief([change]) == [("renamed", "table", "crm.users")]
    assert change.before == {"schema": "app", "table": "users"}


def test_a_renamed_schema_is_renamed_with_each_of_its_tables() -> None:
    moved = Moved(
        tables=(
            (ORDERS, None),
            (USERS, None),
            (
                None,
                replace(
                    ORDERS,
                    schema="crm",
                    keys=(replace(ORDERS.keys[0], references=("crm", "users")),),
                ),
            ),
            (None, replace(USERS, schema="crm")),
        ),
        schemas=((Schema(name="app"), None), (None, Schema(name="crm", comment="new"))),
    )
    changes = explain(moved, native_ids=True, dialect="postgres")
    assert brief(list(changes)) == [
        ("comment_changed", "schema", "crm"),
        ("renamed", "schema", "crm"),
        ("renamed", "table", "crm.orders"),
        ("renamed", "table", "crm.users"),
    ]
    assert former_ref(changes[1]) == ObjectRef(schema="app")
    # Without identities nothing says so: the tables are guessed, the schema is not.
    guessed = explain(moved, native_ids=False, dialect="sqlite")
    assert ("removed", "schema", "app") in brief(list(guessed))


def test_schemas_come_go_and_are_described() -> None:
    a, b = Schema(name="a"), Schema(name="b", comment="x")
    moved = Moved(schemas=((a, None), (None, b), (Schema(name="c"), Schema(name="c", comment="y"))))
    changes = explain(moved, native_ids=True, dialect="postgres")
    assert [(c.kind.value, c.ref.schema, c.before, c.after) for c in changes] == [
        ("removed", "a", {"comment": None}, None),
        ("added", "b", None, {"comment": "x"}),
        ("comment_changed", "c", None, "y"),
    ]


def test_a_key_that_only_follows_a_rename_is_no_change() -> None:
    people = replace(
        USERS,
        name="people",
        columns=(replace(ID, name="person_id"), EMAIL, CITY),
        keys=(replace(PRIMARY, columns=("person_id",)),),
    )
    follows = replace(ORDERS.keys[0], references=("app", "people"))
    orders = replace(ORDERS, keys=(replace(follows, referenced_columns=("person_id",)),))
    assert brief(explained([USERS, ORDERS], [people, orders], native_ids=True)) == [
        ("renamed", "table", "app.people"),
        ("renamed", "column", "app.people.person_id"),
    ]


def test_without_identity_a_likely_rename_is_a_guess() -> None:
    (change,) = explained([USERS], [with_column(USERS, EMAIL, name="e_mail", native_id=None)])
    assert brief([change]) == [("renamed", "column", "app.users.e_mail")]
    assert change.confidence is not None
    assert 0.6 <= change.confidence < 1
    wide = replace(USERS, columns=(*USERS.columns, replace(CITY, name="zip", ordinal=4)))
    (change,) = explained([wide], [replace(wide, name="user_accounts")])
    assert brief([change]) == [("renamed", "table", "app.user_accounts")]
    assert change.confidence is not None
    assert change.confidence < 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        # Another type is another column.
        (("email", "text"), ("e_mail", "integer")),
        # The last column went, another came there: nothing says that it is the same.
        (("fax", "text"), ("newsletter", "text")),
        # The next quarter, not a rename.
        (("sales_q1", "text"), ("sales_q2", "text")),
    ],
)
def test_what_may_be_another_column_is_not_guessed(
    old: tuple[str, str], new: tuple[str, str]
) -> None:
    def table(name: str, kind: str) -> Table:
        return replace(USERS, columns=(ID, replace(EMAIL, name=name, type=kind)))

    kinds = {kind for kind, _, _ in brief(explained([table(*old)], [table(*new)]))}
    assert kinds == {"added", "removed"}


def test_two_equal_candidates_are_no_rename() -> None:
    def table(*names: str) -> Table:
        mails = (replace(EMAIL, name=name, comment="where to write") for name in names)
        return replace(USERS, columns=(*mails, ID))

    one, gone = table("customer_mail_x"), table("customer_mail_a")
    assert {kind for kind, _, _ in brief(explained([gone], [one]))} == {"renamed"}
    changes = explained([table("customer_mail_a", "customer_mail_b")], [one])
    assert {kind for kind, _, _ in brief(changes)} == {"added", "removed"}
    month = replace(USERS, name="log_2024_01")
    assert {k for k, _, _ in brief(explained([month], [replace(month, name="log_2024_02")]))} == {
        "added",
        "removed",
    }


def test_the_document_is_json_with_null_for_missing_names() -> None:
    schema, table = explain(
        Moved(schemas=((None, Schema(name="app")),), tables=((None, USERS),)),
        native_ids=True,
        dialect="postgres",
    )
    assert change_document(schema) == {
        "change": "added",
        "object_type": "schema",
        "schema": "app",
        "table": None,
        "column": None,
        "before": None,
        "after": {"comment": None},
    }
    assert json.loads(json.dumps(change_document(table)))["after"] == table.after
    (renamed,) = explained([USERS], [replace(USERS, name="people")], native_ids=True)
    assert change_document(renamed)["confidence"] == 1.0
    assert change_document(renamed)["before"] == {"schema": "app", "table": "users"}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("select a from t", "SELECT a\n FROM t -- x"),
        ("select A from T", "select a from t"),
        ('select "a" from t', "select a from t"),
        (
            "select * from a left outer join b on (a.x=b.x)",
            "select * from a left join b on a.x=b.x",
        ),
        ("select * from a inner join b using (x)", "select * from a join b using(x);"),
        ("select (((a+b)))*c from t", "select (a+b)*c from t"),
        ("select a from t where ((x=1) and (y=2))", "select a from t where x=1 and y=2"),
        ("select * from ((select 1 as x)) q", "select * from (select 1 as x) q"),
        ("select a::int from t", "select cast(a as integer) from t"),
    ],
)
def test_definitions_that_mean_the_same(before: str, after: str) -> None:
    assert same_definition(before, after, "postgres")
    assert same_definition(after, before, "postgres")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('select "A" from t', "select a from t"),
        ("select (a+b)*c from t", "select a+b*c from t"),
        ("select a-(b-c) from t", "select (a-b)-c from t"),
        ("select 'A' from t", "select 'a' from t"),
        ("select a from t where not (x or y)", "select a from t where not x or y"),
        ("select a from t full join b using (x)", "select a from t left join b using (x)"),
        ("select a from t cross join b", "select a from t join b using (x)"),
        ("select * from (select x from t limit 1) q", "select * from (select x from t) q"),
        ("select 1", "no SQL at all ((("),
        ("select 1", None),
        ("select " + "(" * 3000 + "1" + ")" * 3000, "select 1 + 1"),
    ],
)
def test_definitions_that_differ(before: str, after: str | None) -> None:
    assert not same_definition(before, after, "postgres")
    assert not same_definition(after, before, "postgres")


@pytest.mark.parametrize(
    ("before", "after", "dialect", "same"),
    [
        ("int4", "integer", "postgres", True),
        ("varchar(255)", "character varying(255)", "postgres", True),
        ("timestamptz", "timestamp with time zone", "postgres", True),
        ("varchar(255)", "varchar(80)", "postgres", False),
        ("varchar collate x", "varchar", "postgres", False),
        ("mood", "public.mood", "postgres", False),
        ("int unsigned", "int", "mysql", False),
        ("json", "jsonb", "postgres", False),
        ("BIGINT", "int8", "duckdb", True),
        ("", "text", "sqlite", False),
    ],
)
def test_types_by_dialect(before: str, after: str, dialect: str, same: bool) -> None:
    assert same_type(before, after, dialect) is same
    assert same_type(after, before, dialect) is same


def apply(facts: dict, changes: list[Change]) -> dict:
    """Do to a plain catalog what the changes say, from their own values alone."""
    facts = deepcopy(facts)
    schemas, tables = facts["schemas"], facts["tables"]

    def of(*kinds: ChangeKind) -> list[Change]:
        return [change for change in changes if change.kind in kinds]

    for change in of(ChangeKind.REMOVED):
        place = (change.ref.schema, change.ref.table)
        if change.object_type is ObjectType.SCHEMA:
            assert schemas.pop(change.ref.schema) == change.before["comment"]
        elif change.object_type is ObjectType.COLUMN:
            del tables[place]["columns"][change.ref.column]
        else:
            assert tables.pop(place)["type"] == change.object_type.value
    names = {former_ref(change): change.ref for change in of(ChangeKind.RENAMED)}

    def column_now(place: tuple[str, str], column: str) -> str:
        old = ObjectRef(schema=place[0], table=place[1], column=column)
        return names.get(old, old).column

    def table_now(place: tuple[str, str]) -> tuple[str, str]:
        old = ObjectRef(schema=place[0], table=place[1])
        return (names.get(old, old).schema, names.get(old, old).table)

    def key_now(place: tuple[str, str], key: tuple) -> tuple:
        kind, own, there, theirs = key
        return (
            kind,
            tuple(column_now(place, column) for column in own),
            table_now(there) if there else None,
            tuple(column_now(there, column) for column in theirs),
        )

    facts["schemas"] = schemas = {
        names.get(ObjectRef(schema=name), ObjectRef(schema=name)).schema: comment
        for name, comment in schemas.items()
    }
    facts["tables"] = tables = {
        table_now(place): {
            **table,
            "columns": {column_now(place, name): c for name, c in table["columns"].items()},
            "keys": frozenset(key_now(place, key) for key in table["keys"]),
        }
        for place, table in tables.items()
    }
    for change in of(ChangeKind.ADDED):
        place = (change.ref.schema, change.ref.table)
        if change.object_type is ObjectType.SCHEMA:
            schemas[change.ref.schema] = change.after["comment"]
        elif change.object_type is ObjectType.COLUMN:
            assert change.ref.column not in tables[place]["columns"]
            tables[place]["columns"][change.ref.column] = column_of(change.after)
        else:
            assert place not in tables
            tables[place] = table_of(change)
    for change in of(*set(ChangeKind) - {"added", "removed", "renamed"}):
        alter(schemas, tables, change)
    return facts


def alter(schemas: dict, tables: dict, change: Change) -> None:
    if change.object_type is ObjectType.SCHEMA:
        assert schemas[change.ref.schema] == change.before
        schemas[change.ref.schema] = change.after
        return
    table = tables[change.ref.schema, change.ref.table]
    target = table["columns"][change.ref.column] if change.ref.column else table
    after: object = change.after
    match change.kind:
        case ChangeKind.TYPE_CHANGED:
            part, after = "type", TYPES[change.after]
        case ChangeKind.NULLABILITY_CHANGED:
            part = "nullable"
        case ChangeKind.DEFAULT_CHANGED:
            part = "default"
        case ChangeKind.KEY_CHANGED:
            part, after = "keys", keys_of(change.after)
        case ChangeKind.DEFINITION_CHANGED:
            part, after = "definition", DEFINITIONS[change.after]
        case _:
            part = "comment"
    assert target[part] != after
    target[part] = after


def column_of(document: dict) -> dict:
    return {
        "type": TYPES[document["type"]],
        **{part: document[part] for part in ("nullable", "default", "comment")},
    }


def table_of(change: Change) -> dict:
    document = change.after
    definition = document.get("definition")
    return {
        "type": change.object_type.value,
        "comment": document["comment"],
        "definition": None if definition is None else DEFINITIONS[definition],
        "keys": keys_of(document["keys"]),
        "columns": {column["name"]: column_of(column) for column in document["columns"]},
    }


def keys_of(document: dict) -> frozenset:
    primary = [("primary", tuple(document["primary"]), None, ())] if document["primary"] else []
    unique = [("unique", tuple(columns), None, ()) for columns in document["unique"]]
    foreign = [
        (
            "foreign",
            tuple(key["columns"]),
            (key["references"]["schema"], key["references"]["table"]),
            tuple(key["references"]["columns"]),
        )
        for key in document["foreign"]
    ]
    return frozenset([*primary, *unique, *foreign])


@given(old=catalogs(), new=catalogs())
@settings(max_examples=150, deadline=None)
@pytest.mark.parametrize("native_ids", [True, False])
def test_the_changes_turn_the_old_catalog_into_the_new(
    native_ids: bool, old: Catalog, new: Catalog
) -> None:
    changes = explain(moved_catalogs(old, new), native_ids=native_ids, dialect="postgres")
    assert apply(plain(old), list(changes)) == plain(new)
    assert [*changes] == sorted(changes, key=lambda c: (c.ref, c.kind))
    marks = Counter((c.kind, c.object_type, c.ref) for c in changes)
    assert set(marks.values()) <= {1}


@given(chain=chains(size=2))
@settings(max_examples=100, deadline=None)
@pytest.mark.parametrize("native_ids", [True, False])
def test_nothing_is_explained_where_nothing_that_counts_differs(
    native_ids: bool, chain: list[Catalog]
) -> None:
    old, new = chain
    changes = explain(moved_catalogs(old, new), native_ids=native_ids, dialect="postgres")
    same_objects = [t.native_id for t in old.tables] == [t.native_id for t in new.tables]
    if not changes:
        assert plain(old) == plain(new)
    if plain(old) == plain(new) and (same_objects or not native_ids):
        assert [c for c in changes if c.kind is not ChangeKind.RENAMED] == []
    assert explain(moved_catalogs(old, old), native_ids=native_ids, dialect="postgres") == ()


@given(chain=chains(size=2))
@settings(max_examples=100, deadline=None)
@pytest.mark.parametrize("native_ids", [True, False])
def test_the_way_back_mirrors_the_way_there(native_ids: bool, chain: list[Catalog]) -> None:
    old, new = chain
    there = explain(moved_catalogs(old, new), native_ids=native_ids, dialect="postgres")
    back = explain(moved_catalogs(new, old), native_ids=native_ids, dialect="postgres")

    def refs(changes: tuple[Change, ...], kind: ChangeKind) -> set:
        return {(c.object_type, c.ref) for c in changes if c.kind is kind}

    assert refs(there, ChangeKind.ADDED) == refs(back, ChangeKind.REMOVED)
    assert refs(there, ChangeKind.REMOVED) == refs(back, ChangeKind.ADDED)
    assert {(former_ref(c), c.ref, c.confidence) for c in there if c.confidence} == {
        (c.ref, former_ref(c), c.confidence) for c in back if c.confidence
    }
    # A foreign key to a table that is not there follows renames one way only.
    one_way = {"added", "removed", "key_changed"}
    assert Counter(c.kind for c in there if c.kind not in one_way) == Counter(
        c.kind for c in back if c.kind not in one_way
    )
