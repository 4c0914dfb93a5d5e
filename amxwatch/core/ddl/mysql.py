"""MySQL and MariaDB."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from amxwatch.core.catalog import Column, Key, KeyKind, ObjectType, Schema, Table
from amxwatch.core.change import ChangeKind
from amxwatch.core.ddl.plan import Move, Name, Plan, name_of
from amxwatch.core.ddl.script import Line, cannot, note, statement
from amxwatch.core.ddl.spelling import is_generated
from amxwatch.core.ddl.writer import Writer

LOST = (
    "MODIFY states a column whole: a check on it, or a character set that is not its"
    " collation's, must be added"
)


class MysqlWriter(Writer):
    """One ALTER TABLE for all that moves in a table, as a counter needs its key at once.

    DDL commits by itself, so there is no transaction. Comments are part of the definitions.
    """

    folds_names = True

    def __init__(self, plan: Plan, *, dialect: str, comments: frozenset[ObjectType]) -> None:
        super().__init__(plan, dialect=dialect, comments=comments)
        self._dropped = _by_table(self.keys.own_dropped())
        self._added = _by_table(self.keys.own_added())

    def make_schemas(self) -> Iterator[Line]:
        for schema in self.plan.schemas_added:
            yield statement(f"CREATE DATABASE {self.sql.name(schema.name)}")

    def drop_schemas(self) -> Iterator[Line]:
        for schema in self.plan.schemas_removed:
            yield statement(f"DROP DATABASE {self.sql.name(schema.name)}")

    def rename_table(self, table: Table, source: Name, target: Name) -> Iterator[Line]:
        del table
        yield statement(f"RENAME TABLE {self.sql.table(*source)} TO {self.sql.table(*target)}")

    def drop_key(self, table: Table, key: Key) -> Iterator[Line]:
        if key.name is None:
            yield from super().drop_key(table, key)
            return
        place = self.sql.table(*self.place(table))
        yield statement(f"ALTER TABLE {place} DROP FOREIGN KEY {self.sql.name(key.name)}")

    def drop_keys(self) -> Iterator[Line]:
        yield from ()

    def drop_columns(self) -> Iterator[Line]:
        """Only make way for columns that take the name of one that goes."""
        for move in self.plan.table_moves():
            for number, column in enumerate(move.removed):
                if column.name != self._doomed(move, number, column):
                    yield statement(
                        f"ALTER TABLE {self.sql.table(*self.place(move.old))} RENAME COLUMN"
                        f" {self.sql.name(column.name)} TO"
                        f" {self.sql.name(self._doomed(move, number, column))}"
                    )

    def _doomed(self, move: Move, number: int, column: Column) -> str:
        """Return what a removed column is called when it goes."""
        wanted = {name.casefold() for name in move.names.values()}
        return f"amxwatch_gone_{number}" if column.name.casefold() in wanted else column.name

    def alter_table(self, move: Move) -> Iterator[Line]:
        table = move.new
        parts = [
            f"DROP COLUMN {self.sql.name(self._doomed(move, number, column))}"
            for number, column in enumerate(move.removed)
        ]
        for dropped in self._dropped.get(name_of(move.old), []):
            if dropped.kind is KeyKind.PRIMARY:
                parts.append("DROP PRIMARY KEY")
            elif dropped.name is not None:
                parts.append(f"DROP INDEX {self.sql.name(dropped.name)}")
            else:
                yield cannot(
                    f"dropping the unique key ({', '.join(dropped.columns)}) of {table.ref}: its"
                    " name is not known"
                )
        for moved in move.changed:
            if moved.kinds - {ChangeKind.RENAMED}:
                parts.append(f"MODIFY COLUMN {self._defined(moved.new)}")
                yield note(LOST)
        parts += [f"ADD COLUMN {self._defined(c)}{self._after(table, c)}" for c in move.added]
        added = self._added.get(name_of(table), [])
        parts += [f"ADD {self.sql.key(key)}" for key in added]
        if ChangeKind.COMMENT_CHANGED in move.kinds:
            parts.append(f"COMMENT = {self.sql.text(table.comment or '')}")
        if parts:
            inside = ",\n  ".join(parts)
            yield statement(f"ALTER TABLE {self.sql.of(table)}\n  {inside}")

    def _after(self, table: Table, column: Column) -> str:
        before = None
        for each in table.columns:
            if each is column:
                break
            before = each
        return f" AFTER {self.sql.name(before.name)}" if before else " FIRST"

    def _defined(self, column: Column) -> str:
        """Return a column's whole definition: type, how it is filled, null, comment."""
        default = column.default
        parts = [self.sql.name(column.name), column.type]
        if is_generated(default):
            parts.append(str(default))
        if not is_generated(default) or not column.nullable:
            parts.append("NULL" if column.nullable else "NOT NULL")
        if default is not None and not is_generated(default):
            parts.append(_filling(default))
        if column.comment:
            parts.append(f"COMMENT {self.sql.text(column.comment)}")
        return " ".join(parts)

    def add_keys(self) -> Iterator[Line]:
        for table, key in self.keys.foreign_added():
            yield from self.add_key(table, key)
        for table in self.plan.added:
            for key in table.keys:
                if key.kind is KeyKind.FOREIGN:
                    yield from self.add_key(table, key)

    def create_table(self, table: Table) -> str:
        parts = [self._defined(column) for column in table.columns]
        parts += [self.sql.key(key) for key in table.keys if key.kind is not KeyKind.FOREIGN]
        inside = ",\n  ".join(parts)
        comment = f" COMMENT = {self.sql.text(table.comment)}" if table.comment else ""
        engine = f" ENGINE = {table.variant}" if table.variant else ""
        return f"CREATE TABLE {self.sql.of(table)} (\n  {inside}\n){engine}{comment}"

    def comment(self) -> Iterator[Line]:
        """Views have none; those of tables and columns went with their definitions."""
        for schema in self.plan.schemas_commented:
            yield self._comment_on(schema)

    def _comment_on(self, schema: Schema) -> Line:
        name = self.sql.name(schema.name)
        return statement(f"ALTER DATABASE {name} COMMENT = {self.sql.text(schema.comment or '')}")


def _filling(default: str) -> str:
    """Return the clause for a default, ON UPDATE included."""
    words = default.upper()
    if words.startswith(("AUTO_INCREMENT", "ON UPDATE")):
        return default
    return f"DEFAULT {default}"


def _by_table(pairs: Iterable[tuple[Table, Key]]) -> dict[Name, list[Key]]:
    found: dict[Name, list[Key]] = defaultdict(list)
    for table, key in pairs:
        found[name_of(table)].append(key)
    return dict(found)
