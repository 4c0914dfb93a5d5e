"""What merging a set of models would do to a live database.

Both sides are catalogs, each from its own source. First the models are respelled: what means the
same as on the live side is written as it is there, so that what is left are real differences.
What the models do not say (a comment, a key of a source that knows none) is no difference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from amxwatch.core.catalog import Catalog, Column, Key, ObjectRef, ObjectType, Schema, Table
from amxwatch.core.change import Change, ChangeKind, Moved, explain, former_ref
from amxwatch.core.equivalence import Sql, equal_defaults, equal_types, equal_views, is_numbered
from amxwatch.core.scope import Scope
from amxwatch.core.selection import from_changes, is_view

DEFAULT_SCHEMAS = {
    "postgres": "public",
    "redshift": "public",
    "materialize": "public",
    "risingwave": "public",
    "duckdb": "main",
    "sqlite": "main",
    "snowflake": "PUBLIC",
    "tsql": "dbo",
}
"""Dialect -> the schema of a bare name; elsewhere it is `default`, or the only one there is."""

UNTOLD = "default"
"""The schema that a folder of SQL gives a bare name where its dialect has none."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two catalogs.

    `says_structure` is False where the source tells no keys, defaults and NOT NULL, and perhaps
    not every column, so that their absence means nothing (dbt).
    """

    catalog: Catalog
    dialect: str
    says_structure: bool = True


@dataclass(frozen=True, kw_only=True)
class Named:
    """An object by its name on the live side, and what it is."""

    ref: ObjectRef
    object_type: ObjectType


@dataclass(frozen=True, kw_only=True)
class Merge:
    """What the merge would come to. `schemas` are the names that were matched, models' first.

    `touched` counts the objects that it adds or changes, `undescribed` are those of them that
    would have no description. `not_in_models` stands on the live side alone.
    """

    changes: tuple[Change, ...] = ()
    touched: int = 0
    undescribed: tuple[Named, ...] = ()
    not_in_models: tuple[Named, ...] = ()
    schemas: Mapping[str, str] = field(default_factory=dict)

    @property
    def added(self) -> tuple[Change, ...]:
        return tuple(c for c in self.changes if c.kind is ChangeKind.ADDED)

    @property
    def removed(self) -> tuple[Change, ...]:
        return tuple(c for c in self.changes if c.kind is ChangeKind.REMOVED)

    @property
    def moved(self) -> tuple[Change, ...]:
        ends = (ChangeKind.ADDED, ChangeKind.REMOVED)
        return tuple(c for c in self.changes if c.kind not in ends)

    @property
    def described(self) -> int:
        return self.touched - len(self.undescribed)


def matched_schemas(models: Side, live: Side, given: Mapping[str, str]) -> dict[str, str]:
    """Return the live name of each of the models' schemas that has another one there.

    Where nothing is given and each side has tables in its default schema alone, those two are
    one, whatever each dialect calls it.
    """
    if given:
        return {name: there for name, there in given.items() if name != there}
    mine = {table.schema for table in models.catalog.tables}
    theirs = {table.schema for table in live.catalog.tables}
    here = DEFAULT_SCHEMAS.get(models.dialect, UNTOLD)
    only = next(iter(theirs)) if len(theirs) == 1 else UNTOLD
    there = DEFAULT_SCHEMAS.get(live.dialect, only)
    return {here: there} if here != there and mine == {here} and theirs <= {there} else {}


def compare(
    models: Side, live: Side, *, schemas: Mapping[str, str], scope: Scope, strict: bool
) -> Merge:
    """Say what the merge would do. `strict`: what the models do not know is removed.

    `scope` is in the names of the live side.
    """
    mine = respelled(models, live, schemas)
    theirs = live.catalog
    told = explain(_pairs(mine, theirs), native_ids=False, dialect=live.dialect)
    found = [change for change in told if scope.covers(change.ref) or _was_in(scope, change)]
    absent = [] if strict else [change for change in found if _is_whole_removal(change)]
    changes = tuple(change for change in found if change not in absent)
    work = from_changes(changes, mine, scope)
    touched = [ref for one in work for ref in one.refs]
    comments = _comments(mine)
    return Merge(
        changes=changes,
        touched=len(touched),
        undescribed=tuple(
            Named(ref=ref, object_type=comments[ref][0]) for ref in touched if not comments[ref][1]
        ),
        not_in_models=tuple(
            Named(ref=c.ref, object_type=c.object_type) for c in absent if c.ref.table
        ),
        schemas=schemas,
    )


def _was_in(scope: Scope, change: Change) -> bool:
    return change.kind is ChangeKind.RENAMED and scope.covers(former_ref(change))


def _is_whole_removal(change: Change) -> bool:
    return change.kind is ChangeKind.REMOVED and not change.ref.is_column


def _comments(catalog: Catalog) -> dict[ObjectRef, tuple[ObjectType, str | None]]:
    found: dict[ObjectRef, tuple[ObjectType, str | None]] = {}
    for table in catalog.tables:
        found[table.ref] = (table.type, table.comment)
        for column in table.columns:
            found[table.column_ref(column.name)] = (ObjectType.COLUMN, column.comment)
    return found


def _pairs(models: Catalog, live: Catalog) -> Moved:
    """Pair the live version (old) of each name with the models' (new); equal ones left out."""
    new = {(table.schema, table.name): table for table in models.tables}
    old = {(table.schema, table.name): table for table in live.tables}
    tables = ((old.get(name), new.get(name)) for name in sorted(old.keys() | new.keys()))
    after = {schema.name: schema for schema in models.schemas}
    before = {schema.name: schema for schema in live.schemas}
    schemas = ((before.get(name), after.get(name)) for name in sorted(before.keys() | after.keys()))
    return Moved(
        tables=tuple(pair for pair in tables if pair[0] != pair[1]),
        schemas=tuple(pair for pair in schemas if pair[0] != pair[1]),
    )


def respelled(models: Side, live: Side, schemas: Mapping[str, str]) -> Catalog:
    """Return the models in the live side's names and spellings."""
    twins = {(table.schema, table.name): table for table in live.catalog.tables}
    here, there = _sql(models, schemas), _sql(live, {})
    spellings = _Spellings(models.dialect, live)
    tables = []
    for table in models.catalog.tables:
        named = _in_live_names(table, schemas)
        twin = twins.get((named.schema, named.name))
        tables.append(_respelled_table(named, twin, models, here, there, spellings))
    comments = {schema.name: schema.comment for schema in live.catalog.schemas}
    kept = {schemas.get(s.name, s.name): s.comment for s in models.catalog.schemas}
    return replace(
        models.catalog,
        tables=tuple(sorted(tables, key=lambda table: (table.schema, table.name))),
        schemas=tuple(
            Schema(name=name, comment=comment or comments.get(name))
            for name, comment in sorted(kept.items())
        ),
    )


def _sql(side: Side, renamed: Mapping[str, str]) -> Sql:
    columns: dict[str, dict[str, dict[str, str]]] = {}
    for table in side.catalog.tables:
        own = {column.name: column.type or "text" for column in table.columns}
        columns.setdefault(table.schema, {})[table.name] = own
    default = DEFAULT_SCHEMAS.get(side.dialect)
    if default is None:
        default = next(iter(columns)) if len(columns) == 1 else UNTOLD
    return Sql(dialect=side.dialect, default_schema=default, columns=columns, renamed=renamed)


def _in_live_names(table: Table, schemas: Mapping[str, str]) -> Table:
    def there(name: tuple[str, str]) -> tuple[str, str]:
        return schemas.get(name[0], name[0]), name[1]

    schema, _ = there((table.schema, table.name))
    return replace(
        table,
        schema=schema,
        keys=tuple(
            replace(key, references=there(key.references)) if key.references else key
            for key in table.keys
        ),
        reads=tuple(sorted(map(there, table.reads))),
    )


class _Spellings:
    """The live side's word for each type, so that renames are known by equal types."""

    def __init__(self, dialect: str, live: Side) -> None:
        self._dialect = dialect
        self._live = live.dialect
        self._words = tuple(
            dict.fromkeys(c.type for table in live.catalog.tables for c in table.columns)
        )
        self._known: dict[str, str] = {}

    def of(self, text: str) -> str:
        """Return the live spelling of a type; the models' own where there is none."""
        if text not in self._known:
            same = (w for w in self._words if equal_types(text, self._dialect, w, self._live))
            self._known[text] = next(same, text) if text else text
        return self._known[text]


def _respelled_table(
    table: Table, twin: Table | None, models: Side, here: Sql, there: Sql, spellings: _Spellings
) -> Table:
    if twin is None:
        own = tuple(replace(c, type=spellings.of(c.type)) for c in table.columns)
        return replace(table, columns=own)
    columns = table.columns
    if not columns or not models.says_structure:
        told = {column.name for column in columns}
        columns += tuple(column for column in twin.columns if column.name not in told)
    same_view = equal_views(table.definition, here, twin.definition, there)
    untold = table.definition is None and not models.says_structure
    side = replace(models, says_structure=models.says_structure and not is_view(table))
    return replace(
        table,
        columns=tuple(
            _respelled_column(column, twin.column(column.name), side, there, spellings)
            if not (is_view(table) and same_view)
            else _as_stored(column, twin.column(column.name))
            for column in columns
        ),
        keys=_respelled_keys(table, twin) if models.says_structure else twin.keys,
        comment=table.comment or twin.comment,
        definition=twin.definition if same_view or untold else table.definition,
        native_id=None,
    )


def _as_stored(column: Column, twin: Column | None) -> Column:
    """Return a column of a view that is the same: its type follows from what it reads."""
    return replace(twin, comment=column.comment or twin.comment) if twin is not None else column


def _respelled_column(
    column: Column, twin: Column | None, models: Side, there: Sql, spellings: _Spellings
) -> Column:
    if twin is None:
        return replace(column, type=spellings.of(column.type), native_num=None)
    same = equal_types(column.type, models.dialect, twin.type, there.dialect)
    keeps = equal_defaults(column.default, models.dialect, twin.default, there.dialect)
    # A file tells of a sequence by the type at most, and other dialects number in other ways.
    sequence = (twin.default or "").lower().startswith("nextval(")
    other = models.dialect != there.dialect and is_numbered(twin.default)
    numbered = sequence or other or not models.says_structure
    return replace(
        column,
        type=twin.type if same else spellings.of(column.type),
        nullable=column.nullable if models.says_structure else twin.nullable,
        default=twin.default if keeps or (numbered and column.default is None) else column.default,
        ordinal=twin.ordinal,
        comment=column.comment or twin.comment,
        native_num=twin.native_num,
    )


def _respelled_keys(table: Table, twin: Table) -> tuple[Key, ...]:
    """Return the models' keys in the live side's order and with its names, where they are one."""
    theirs = {replace(key, name=None): key for key in twin.keys}
    own = [theirs.get(replace(key, name=None), key) for key in table.keys]
    same = set(own) == set(twin.keys)
    return twin.keys if same else tuple(sorted(own, key=_key_order))


def _key_order(key: Key) -> tuple[object, ...]:
    return (key.kind, key.columns, key.references or (), key.referenced_columns)


def unknown_schemas(names: Iterable[str], catalog: Catalog) -> Iterator[str]:
    """Yield the names of schemas that a catalog does not have."""
    known = {schema.name for schema in catalog.schemas} | {t.schema for t in catalog.tables}
    return (name for name in names if name not in known)
