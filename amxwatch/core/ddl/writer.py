"""The generic form of a script, by the standard's ALTER TABLE; each dialect overrides parts.

The order is what makes a script run: what depends goes first (views, foreign keys, keys), then
what is gone, then names, then tables, columns and keys, then views by what they read, comments
last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from amxwatch.core.catalog import UNKNOWN_TYPE, Column, Key, KeyKind, ObjectType, Table
from amxwatch.core.change import ChangeKind
from amxwatch.core.ddl.comments import Comments
from amxwatch.core.ddl.keys import KeyMoves, in_order_of_keys
from amxwatch.core.ddl.naming import rename_steps
from amxwatch.core.ddl.plan import ColumnMove, Move, Name, Plan, is_view, name_of
from amxwatch.core.ddl.script import Line, Script, cannot, note, statement, without_doubles
from amxwatch.core.ddl.spelling import Spelling, is_generated
from amxwatch.core.ddl.views import ViewMoves

type_of_lines = Iterator[Line]

UNMADE = {
    "foreign": "a foreign table needs its server",
    "partitioned": "a catalog does not hold how it is partitioned",
    "system versioned": "a catalog does not hold how its versions are kept",
    "virtual": "a catalog does not hold the arguments of its module",
}
"""Variants of tables that a catalog says too little of to make them."""


class Writer:
    """Writes one plan. Each step yields lines; `script` puts the steps in order."""

    spelling = Spelling
    is_transactional = False
    folds_names = False
    """Whether names that differ in case only are one to the database."""
    inline_foreign_keys = False
    """Whether foreign keys stand in CREATE TABLE, and so tables are made in their order."""

    def __init__(self, plan: Plan, *, dialect: str, comments: frozenset[ObjectType]) -> None:
        self.plan = plan
        self.sql = self.spelling(dialect)
        self.keys = KeyMoves(plan)
        self.views = ViewMoves(plan, forced=self.views_in_the_way())
        self.comments = Comments(self.sql, comments)

    def script(self) -> Script:
        body = without_doubles(self.body())
        if self.is_transactional and any(not line.is_note for line in body):
            body = [statement("BEGIN"), *body, statement("COMMIT")]
        return Script(lines=(*self.before(body), *body))

    def before(self, body: list[Line]) -> list[Line]:
        """Return what stands before the transaction."""
        del body
        return []

    def body(self) -> type_of_lines:
        yield from self.drop_views()
        yield from self.make_schemas()
        yield from self.drop_foreign_keys()
        yield from self.drop_tables()
        yield from self.drop_keys()
        yield from self.drop_columns()
        yield from self.rename_tables()
        yield from self.rename_columns()
        yield from self.make_tables()
        for move in self.altered_moves():
            yield from self.alter_table(move)
        yield from self.add_keys()
        yield from self.make_views()
        yield from self.drop_schemas()
        yield from self.comment()

    # --- views ----------------------------------------------------------------------------------

    def views_in_the_way(self) -> set[Name]:
        """Return old views that must go before the tables that they read can move."""
        touched = [name_of(table) for table in self.plan.removed]
        touched += [name_of(m.old) for m in self.plan.table_moves() if self.disturbs_views(m)]
        return {name_of(view) for view in self.plan.readers.above(touched)}

    def disturbs_views(self, move: Move) -> bool:
        """Claim that views over the table cannot stay as they are while it moves."""
        types = any(ChangeKind.TYPE_CHANGED in column.kinds for column in move.changed)
        return bool(move.removed) or types

    def drop_views(self) -> type_of_lines:
        views = self.plan.readers.in_order(self.views.dropped)
        for view in reversed(views):
            yield statement(f"DROP {self.word(view)} {self.sql.of(view)}")

    def make_views(self) -> type_of_lines:
        for view in self.plan.readers.in_order(self.views.made):
            if view.definition is None:
                yield cannot(f"the view {view.ref}, as its SELECT is not known")
                continue
            columns = self.sql.names(column.name for column in view.columns)
            named = f" ({columns})" if columns else ""
            yield statement(
                f"CREATE {self.word(view)} {self.sql.of(view)}{named} AS {view.definition}"
            )
            yield from self.after_view(view)

    def after_view(self, view: Table) -> type_of_lines:
        if name_of(view) in self.views.made_again:
            yield note(f"{view.ref} is made anew: grant the rights on it again")

    def word(self, table: Table) -> str:
        return {
            ObjectType.VIEW: "VIEW",
            ObjectType.MATERIALIZED_VIEW: "MATERIALIZED VIEW",
        }.get(table.type, "TABLE")

    # --- schemas --------------------------------------------------------------------------------

    def make_schemas(self) -> type_of_lines:
        for old, new in self.plan.schemas_renamed.items():
            yield statement(f"ALTER SCHEMA {self.sql.name(old)} RENAME TO {self.sql.name(new)}")
        for schema in self.plan.schemas_added:
            yield statement(f"CREATE SCHEMA {self.sql.name(schema.name)}")

    def drop_schemas(self) -> type_of_lines:
        for schema in self.plan.schemas_removed:
            yield statement(f"DROP SCHEMA {self.sql.name(schema.name)}")

    def place(self, table: Table) -> Name:
        """Return where an old table stands once schemas have their new names."""
        return (self.plan.schemas_renamed.get(table.schema, table.schema), table.name)

    # --- what goes ------------------------------------------------------------------------------

    def drop_foreign_keys(self) -> type_of_lines:
        for table, key in self.keys.foreign_dropped():
            yield from self.drop_key(table, key)

    def drop_tables(self) -> type_of_lines:
        gone = [table for table in self.plan.removed if not is_view(table)]
        for table in reversed(in_order_of_keys(gone)):
            yield statement(f"DROP TABLE {self.sql.table(*self.place(table))}")

    def drop_keys(self) -> type_of_lines:
        for table, key in self.keys.own_dropped():
            yield from self.drop_key(table, key)

    def drop_key(self, table: Table, key: Key) -> type_of_lines:
        name = self.constraint_name(table, key)
        if name is None:
            yield cannot(
                f"dropping the {key.kind} key ({', '.join(key.columns)}) of {table.ref}: its name"
                " is not known"
            )
            return
        place = self.sql.table(*self.place(table))
        yield statement(f"ALTER TABLE {place} DROP CONSTRAINT {self.sql.name(name)}")

    def constraint_name(self, table: Table, key: Key) -> str | None:
        del table
        return key.name

    def drop_columns(self) -> type_of_lines:
        for move in self.altered_moves():
            table = self.sql.table(*self.place(move.old))
            for column in move.removed:
                yield statement(f"ALTER TABLE {table} DROP COLUMN {self.sql.name(column.name)}")

    # --- names ----------------------------------------------------------------------------------

    def rename_tables(self) -> type_of_lines:
        gone = {name_of(table) for table in [*self.plan.removed, *self.views.dropped]}
        gone |= self.set_aside()
        standing = [self.place(t) for t in self.plan.old.tables if name_of(t) not in gone]
        wanted = {
            self.place(move.old): name_of(move.new)
            for move in self.plan.moves
            if self.renames(move)
        }
        steps = rename_steps(
            wanted,
            standing,
            fold=lambda name: (name[0], self.folded(name[1])),
            spare=lambda name, number: (name[0], f"amxwatch_{number}"),
        )
        kinds = {self.place(move.old): move.old for move in self.plan.moves}
        for source, target in steps:
            kinds[target] = kinds.pop(source)
            yield from self.rename_table(kinds[target], source, target)

    def set_aside(self) -> set[Name]:
        """Return old tables whose names are free already, as they stand elsewhere for a while."""
        return set()

    def renames(self, move: Move) -> bool:
        """Claim that it gets its new name by a statement of its own."""
        return not is_view(move.old) or name_of(move.old) in self.views.renamed

    def rename_table(self, table: Table, source: Name, target: Name) -> type_of_lines:
        if source[0] != target[0]:
            yield cannot(f"moving {table.ref} to the schema {target[0]}")
            return
        yield statement(
            f"ALTER {self.word(table)} {self.sql.table(*source)} RENAME TO"
            f" {self.sql.name(target[1])}"
        )

    def rename_columns(self) -> type_of_lines:
        for move in self.altered_moves():
            table = self.sql.of(move.new)
            steps = rename_steps(
                move.names,
                [column.old.name for column in move.kept],
                fold=self.folded,
                spare=lambda _, number: f"amxwatch_{number}",
            )
            for source, target in steps:
                yield statement(
                    f"ALTER TABLE {table} RENAME COLUMN {self.sql.name(source)}"
                    f" TO {self.sql.name(target)}"
                )

    def folded(self, name: str) -> str:
        return name.casefold() if self.folds_names else name

    # --- what comes -----------------------------------------------------------------------------

    def make_tables(self) -> type_of_lines:
        for table in in_order_of_keys([t for t in self.plan.added if not is_view(t)]):
            yield from self.make_table(table)

    def make_table(self, table: Table) -> type_of_lines:
        if table.variant in UNMADE:
            yield cannot(f"the {table.variant} table {table.ref}: {UNMADE[table.variant]}")
            return
        unknown = [column.name for column in table.columns if column.type == UNKNOWN_TYPE]
        if unknown:
            yield cannot(f"the table {table.ref}: the type of {unknown[0]} is not known")
            return
        yield from self.needed_by(table, table.columns)
        yield statement(self.create_table(table))

    def create_table(self, table: Table) -> str:
        parts = [self.sql.column(column) for column in table.columns]
        parts += [
            self.sql.key(key)
            for key in table.keys
            if key.kind is not KeyKind.FOREIGN or self.inline_foreign_keys
        ]
        inside = ",\n  ".join(parts)
        body = f"\n  {inside}\n" if parts else ""
        return f"CREATE TABLE {self.sql.of(table)} ({body}){self.table_options(table)}"

    def table_options(self, table: Table) -> str:
        """Return what stands after the parentheses of CREATE TABLE."""
        del table
        return ""

    def needed_by(self, table: Table, columns: Iterable[Column]) -> type_of_lines:
        """Yield what must stand before these columns can be made."""
        del table, columns
        yield from ()

    # --- what changes ---------------------------------------------------------------------------

    def altered_moves(self) -> list[Move]:
        """Return the tables that are altered in place."""
        return self.plan.table_moves()

    def alter_table(self, move: Move) -> type_of_lines:
        yield from self.needed_by(move.new, [*move.added, *(c.new for c in move.changed)])
        for column in move.added:
            yield from self.add_column(move.new, column)
        for moved in move.changed:
            yield from self.alter_column(move.new, moved)

    def add_column(self, table: Table, column: Column) -> type_of_lines:
        if column.type == UNKNOWN_TYPE:
            yield cannot(f"the column {table.column_ref(column.name)}: its type is not known")
            return
        if not column.nullable and column.default is None:
            yield note(
                f"{table.column_ref(column.name)} is NOT NULL without a default: its table must"
                " be empty"
            )
        yield statement(f"ALTER TABLE {self.sql.of(table)} ADD COLUMN {self.sql.column(column)}")

    def alter_column(self, table: Table, moved: ColumnMove) -> type_of_lines:
        if ChangeKind.TYPE_CHANGED in moved.kinds:
            yield self.altering(table, moved.new, f"SET DATA TYPE {moved.new.type}")
        if ChangeKind.NULLABILITY_CHANGED in moved.kinds:
            yield self.altering(
                table, moved.new, "DROP NOT NULL" if moved.new.nullable else "SET NOT NULL"
            )
        if ChangeKind.DEFAULT_CHANGED in moved.kinds:
            yield from self.alter_default(table, moved)

    def alter_default(self, table: Table, moved: ColumnMove) -> type_of_lines:
        new = moved.new
        if is_generated(moved.old.default) or is_generated(new.default):
            yield cannot(f"how {table.column_ref(new.name)} is generated: drop and add the column")
        elif new.default is None:
            yield self.altering(table, new, "DROP DEFAULT")
        else:
            yield self.altering(table, new, f"SET DEFAULT {new.default}")

    def altering(self, table: Table, column: Column, what: str) -> Line:
        name = self.sql.name(column.name)
        return statement(f"ALTER TABLE {self.sql.of(table)} ALTER COLUMN {name} {what}")

    def add_keys(self) -> type_of_lines:
        for table, key in [*self.keys.own_added(), *self.keys.foreign_added()]:
            yield from self.add_key(table, key)
        if not self.inline_foreign_keys:
            for table in self.plan.added:
                for key in table.keys:
                    if key.kind is KeyKind.FOREIGN and table.variant not in UNMADE:
                        yield from self.add_key(table, key)

    def add_key(self, table: Table, key: Key) -> type_of_lines:
        yield statement(f"ALTER TABLE {self.sql.of(table)} ADD {self.sql.key(key)}")

    # --- comments -------------------------------------------------------------------------------

    def comment(self) -> type_of_lines:
        for schema in [*self.plan.schemas_added, *self.plan.schemas_commented]:
            if schema.comment or schema in self.plan.schemas_commented:
                yield from self.comments.schema(schema)
        for table in [t for t in self.plan.added if not is_view(t) and t.variant not in UNMADE]:
            yield from self.comments.whole(table)
        for view in self.views.made:
            yield from self.comments.whole(view)
        made = {name_of(view) for view in self.views.made}
        for move in self.plan.moves:
            if name_of(move.new) not in made:
                yield from self.comment_move(move)

    def comment_move(self, move: Move) -> type_of_lines:
        if ChangeKind.COMMENT_CHANGED in move.kinds:
            yield from self.comments.table(move.new)
        for column in move.added:
            if column.comment is not None:
                yield from self.comments.column(move.new, column)
        for moved in move.changed:
            if ChangeKind.COMMENT_CHANGED in moved.kinds:
                yield from self.comments.column(move.new, moved.new)
