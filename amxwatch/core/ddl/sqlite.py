"""SQLite: what ALTER TABLE cannot do is done by the table rebuild that its manual describes.

See: https://www.sqlite.org/lang_altertable.html, "Making Other Kinds Of Table Schema Changes".
"""

from __future__ import annotations

from collections.abc import Iterator

from amxwatch.core.catalog import Column, Table
from amxwatch.core.change import ChangeKind
from amxwatch.core.ddl.naming import rename_steps
from amxwatch.core.ddl.plan import Move
from amxwatch.core.ddl.script import Line, note, statement
from amxwatch.core.ddl.spelling import is_generated
from amxwatch.core.ddl.writer import Writer

ASIDE = "amxwatch_new"
QUIET = frozenset({ChangeKind.RENAMED, ChangeKind.COMMENT_CHANGED})
"""Changes of a column that need no rebuild."""


class SqliteWriter(Writer):
    """One transaction with foreign keys off, as a rebuild drops tables that others point at."""

    is_transactional = True
    folds_names = True
    inline_foreign_keys = True

    def before(self, body: list[Line]) -> list[Line]:
        return [statement("PRAGMA foreign_keys = OFF")] if body else []

    def disturbs_views(self, move: Move) -> bool:
        """Every view over it: a statement fails while any view of the file is broken."""
        del move
        return True

    def drop_foreign_keys(self) -> Iterator[Line]:
        yield from ()

    def drop_keys(self) -> Iterator[Line]:
        yield from ()

    def add_keys(self) -> Iterator[Line]:
        yield from ()

    def altered_moves(self) -> list[Move]:
        return [move for move in self.plan.table_moves() if not is_rebuilt(move)]

    def drop_columns(self) -> Iterator[Line]:
        for move in self.altered_moves():
            for column in move.removed:
                ref = move.old.column_ref(column.name)
                yield note(f"an index over {ref} must be dropped before the column")
        yield from super().drop_columns()

    def rename_columns(self) -> Iterator[Line]:
        """Also of what is rebuilt, as foreign keys of others follow a rename."""
        yield from super().rename_columns()
        for move in self.plan.table_moves():
            if is_rebuilt(move) and any(old != new for old, new in move.names.items()):
                yield from self._rename_for_rebuild(move)

    def _rename_for_rebuild(self, move: Move) -> Iterator[Line]:
        doomed = {
            column.name: f"amxwatch_gone_{number}" for number, column in enumerate(move.removed)
        }
        steps = rename_steps(
            {**doomed, **move.names},
            [column.name for column in move.old.columns],
            fold=self.folded,
            spare=lambda _, number: f"amxwatch_{number}",
        )
        for source, target in steps:
            yield statement(
                f"ALTER TABLE {self.sql.of(move.new)} RENAME COLUMN {self.sql.name(source)}"
                f" TO {self.sql.name(target)}"
            )

    def make_tables(self) -> Iterator[Line]:
        yield from super().make_tables()
        for move in self.plan.table_moves():
            if is_rebuilt(move):
                yield from self._rebuild(move)

    def _rebuild(self, move: Move) -> Iterator[Line]:
        table = self.sql.of(move.new)
        aside = self.sql.name(ASIDE)
        kept = [c.new.name for c in move.kept if not is_generated(c.new.default)]
        columns = self.sql.names(kept)
        yield note(
            f"{move.new.ref} is rebuilt: its indexes, triggers, checks, collations and"
            " AUTOINCREMENT are not in a catalog and must be made again"
        )
        created = self.create_table(move.new)
        yield statement(created.replace(f"CREATE TABLE {table}", f"CREATE TABLE {aside}", 1))
        if kept:
            yield statement(f"INSERT INTO {aside} ({columns}) SELECT {columns} FROM {table}")
        yield statement(f"DROP TABLE {table}")
        # Else the rename would be carried into triggers of others, and fail there.
        yield statement("PRAGMA legacy_alter_table = ON")
        yield statement(f"ALTER TABLE {aside} RENAME TO {table}")
        yield statement("PRAGMA legacy_alter_table = OFF")

    def table_options(self, table: Table) -> str:
        words = {"without rowid": "WITHOUT ROWID", "strict": "STRICT"}
        found = [words[each] for each in (table.variant or "").split(", ") if each in words]
        return f" {', '.join(found)}" if found else ""


def is_rebuilt(move: Move) -> bool:
    """Claim that ALTER TABLE alone cannot do what moved in a table."""
    in_keys = {column for key in move.old.keys for column in key.columns}
    computed = any(is_generated(column.default) for column in move.old.columns)
    return (
        ChangeKind.KEY_CHANGED in move.kinds
        or not move.kept
        or any(column.kinds - QUIET for column in move.changed)
        or any(column.name in in_keys or computed for column in move.removed)
        or any(not _can_be_added(column) for column in move.added)
    )


def _can_be_added(column: Column) -> bool:
    default = column.default
    if default is None:
        return column.nullable
    text = default.strip().upper()
    if is_generated(default):
        return text.endswith("VIRTUAL") and column.nullable
    if text.startswith(("(", "CURRENT_")):
        return False
    return column.nullable or text != "NULL"
