"""PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from amxwatch.core.catalog import Column, Key, KeyKind, Table
from amxwatch.core.change import ChangeKind
from amxwatch.core.ddl.plan import ColumnMove, Name
from amxwatch.core.ddl.script import Line, cannot, note, statement
from amxwatch.core.ddl.spelling import is_computed, is_generated
from amxwatch.core.ddl.writer import Writer

SEQUENCE = re.compile(r"^nextval\('((?:[^']|'')+)'::regclass\)$")


class PostgresWriter(Writer):
    """One transaction; nearly everything is done in place."""

    is_transactional = True

    def rename_table(self, table: Table, source: Name, target: Name) -> Iterator[Line]:
        word = self.word(table)
        if source[0] != target[0]:
            if source[1] != target[1]:
                # Under a name that nobody has, as either half of the new one may be taken there.
                aside = (source[0], f"amxwatch_{source[1]}"[:60])
                yield self._renaming(word, source, aside[1])
                source = aside
            place = self.sql.table(*source)
            yield statement(f"ALTER {word} {place} SET SCHEMA {self.sql.name(target[0])}")
            source = (target[0], source[1])
        if source[1] != target[1]:
            yield self._renaming(word, source, target[1])

    def _renaming(self, word: str, source: Name, name: str) -> Line:
        place = self.sql.table(*source)
        return statement(f"ALTER {word} {place} RENAME TO {self.sql.name(name)}")

    def constraint_name(self, table: Table, key: Key) -> str | None:
        """Return the key's name, or the one that PostgreSQL makes up where none is given."""
        if key.name is not None:
            return key.name
        ending = {KeyKind.PRIMARY: "pkey", KeyKind.UNIQUE: "key", KeyKind.FOREIGN: "fkey"}[key.kind]
        columns = () if key.kind is KeyKind.PRIMARY else key.columns
        return "_".join([table.name, *columns, ending])

    def needed_by(self, table: Table, columns: Iterable[Column]) -> Iterator[Line]:
        for column in columns:
            found = SEQUENCE.match(column.default or "")
            if found is not None:
                yield note("sequences are made where they are missing, but none is dropped")
                name = found[1].replace("''", "'")
                yield statement(f"CREATE SEQUENCE IF NOT EXISTS {name}")
            if _is_made_by_users(column.type):
                yield note(f"the type {column.type} of {table.column_ref(column.name)} must exist")

    def alter_column(self, table: Table, moved: ColumnMove) -> Iterator[Line]:
        old, new = moved.old, moved.new
        retyped = ChangeKind.TYPE_CHANGED in moved.kinds
        refilled = ChangeKind.DEFAULT_CHANGED in moved.kinds
        is_plain = old.default is not None and not is_generated(old.default)
        if is_plain and (retyped or (refilled and is_generated(new.default))):
            yield self.altering(table, new, "DROP DEFAULT")
        if retyped:
            using = "" if is_computed(old.default) else self._cast(new)
            yield self.altering(table, new, f"TYPE {new.type}{using}")
        if ChangeKind.NULLABILITY_CHANGED in moved.kinds and not new.nullable:
            yield self.altering(table, new, "SET NOT NULL")
        if refilled:
            yield from self.alter_default(table, moved)
        elif retyped and is_plain:
            yield self.altering(table, new, f"SET DEFAULT {new.default}")
        if ChangeKind.NULLABILITY_CHANGED in moved.kinds and new.nullable:
            yield self.altering(table, new, "DROP NOT NULL")

    def _cast(self, column: Column) -> str:
        return f" USING {self.sql.name(column.name)}::{column.type}"

    def alter_default(self, table: Table, moved: ColumnMove) -> Iterator[Line]:
        old, new = moved.old, moved.new
        was, now = old.default, new.default
        if is_computed(now):
            inside, how = _computed(now)
            if is_computed(was) and _computed(was)[1] == how:
                yield self.altering(table, new, f"SET EXPRESSION AS ({inside})")
            else:
                yield cannot(f"computing {table.column_ref(new.name)}: drop and add the column")
            return
        if is_computed(was):
            yield self.altering(table, new, "DROP EXPRESSION")
        elif is_generated(was) and is_generated(now):
            kind = (now or "").removeprefix("GENERATED ").removesuffix(" AS IDENTITY")
            yield self.altering(table, new, f"SET GENERATED {kind}")
            return
        elif is_generated(was):
            yield self.altering(table, new, "DROP IDENTITY")
        if is_generated(now):
            yield self.altering(table, new, f"ADD {now}")
        elif now is not None:
            yield self.altering(table, new, f"SET DEFAULT {now}")
        elif not is_generated(was) and ChangeKind.TYPE_CHANGED not in moved.kinds:
            yield self.altering(table, new, "DROP DEFAULT")


def _computed(default: str | None) -> tuple[str, str]:
    """Return the expression of a computed column, and how it is kept."""
    inside, _, how = (default or "").partition("(")[2].rpartition(")")
    return inside, how


def _is_made_by_users(kind: str) -> bool:
    """Claim that a type is none of PostgreSQL's own: those of users are named with a schema."""
    return "." in kind.partition("(")[0] or kind.startswith('"')
