"""Applies edits one after another, as a database would run the statements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from amxwatch.core.catalog import Key, KeyKind, Schema, Table
from amxwatch.databases.sql_folder import tables
from amxwatch.databases.sql_folder.edits import (
    AddColumn,
    AddKey,
    Copy,
    DropColumn,
    DropKey,
    DropSchema,
    DropTable,
    Edit,
    Name,
    PutColumn,
    PutSchema,
    PutTable,
    RenameColumn,
    RenameKey,
    RenameSchema,
    RenameTable,
    ReplaceColumns,
    SetColumn,
    SetComment,
    SetPath,
    SwapTables,
    TableEdit,
)
from amxwatch.databases.sql_folder.query import Project


class Assembly:
    """A catalog in the making.

    A statement about a table that no file creates changes nothing. `held` are the tables that
    a broken statement names, under the names that they have at the end.
    """

    def __init__(self, *, default_schema: str, nullable_keys: bool, project: Project) -> None:
        self._default = default_schema
        self._nullable_keys = nullable_keys
        self._project = project
        self._path: tuple[str, ...] = (default_schema,)
        self._schemas: dict[str, Schema] = {}
        self._tables: dict[Name, Table] = {}
        self.held: set[Name] = set()

    def begin_file(self) -> None:
        """Forget the search path: every file is run in a session of its own."""
        self._path = (self._default,)

    def hold(self, name: Name) -> None:
        """Note that a broken statement is about this table."""
        self.held.add(self._resolve(name))

    def lookup(self, schema: str, name: str) -> Table | None:
        """Return a table, found on the search path where `schema` is empty."""
        return self._tables.get(self._resolve((schema, name)))

    def fork(self) -> Assembly:
        """Return a copy that can go on by itself; tables are values and are shared."""
        copy = Assembly(
            default_schema=self._default,
            nullable_keys=self._nullable_keys,
            project=self._project,
        )
        copy._schemas = dict(self._schemas)
        copy._tables = dict(self._tables)
        copy.held = set(self.held)
        return copy

    def schema(self, name: str) -> Schema:
        """Return a schema with its comment, made up where nothing declares it."""
        return self._schemas.get(name, Schema(name=name))

    def schemas(self) -> dict[str, Schema]:
        """Return the schemas that were made, and those that tables stand in."""
        return {table.schema: Schema(name=table.schema) for table in self._tables.values()} | (
            self._schemas
        )

    def adopt(self, other: Assembly, names: frozenset[Name]) -> None:
        """Take these tables as another assembly left them."""
        for name in names:
            self._tables.pop(name, None)
            if name in other._tables:
                self._tables[name] = other._tables[name]

    def completed(self, names: frozenset[Name]) -> dict[Name, Table | None]:
        """Return these tables, and those that leave it to one of them what they reference."""
        asked = set(names)
        for name, table in self._tables.items():
            for key in table.keys:
                if key.references in names and not key.referenced_columns:
                    asked.add(name)
        found = {name: self._tables.get(name) for name in asked}
        return {name: table and self._completed(table) for name, table in found.items()}

    def tables(self) -> dict[Name, Table]:
        """Return every table with its references completed."""
        return {name: self._completed(table) for name, table in self._tables.items()}

    def apply(self, edit: Edit) -> None:
        """Do what one edit says."""
        match edit:
            case PutTable():
                self._put_table(edit)
            case PutSchema():
                known = self._schemas.get(edit.name, Schema(name=edit.name))
                self._schemas[edit.name] = replace(known, comment=edit.comment or known.comment)
            case DropTable():
                self._drop_table(self._resolve(edit.name))
            case DropSchema():
                self._drop_schema(edit.name)
            case RenameTable() | SwapTables() | RenameSchema():
                self._move(edit)
            case SetPath():
                self._path = edit.schemas
            case SetComment():
                self._set_comment(edit)
            case RenameColumn() | DropColumn():
                self._touch_column(edit)
            case _:
                self._change(edit.table, lambda table: self._edited(table, edit))

    def _resolve(self, name: Name) -> Name:
        if name[0]:
            return name
        for schema in self._path:
            if (schema, name[1]) in self._tables or (schema, name[1]) in self.held:
                return schema, name[1]
        return (self._path[0] if self._path else self._default), name[1]

    def _change(self, name: Name, change: Callable[[Table], Table]) -> None:
        name = self._resolve(name)
        if (table := self._tables.get(name)) is not None:
            self._tables[name] = change(table)

    def _edited(self, table: Table, edit: TableEdit) -> Table:
        match edit:
            case AddColumn():
                added = tables.add_column(table, edit)
                return self._keyed(added, edit.keys) if added is not table else table
            case PutColumn():
                return tables.put_column(table, edit)
            case SetColumn():
                return tables.set_column(table, edit)
            case ReplaceColumns():
                return tables.add_columns(replace(table, columns=()), edit.columns)
            case AddKey():
                return self._keyed(table, (edit.key,))
            case DropKey():
                return tables.drop_key(table, edit.name)
            case RenameKey():
                return tables.rename_key(table, edit.name, edit.to)

    def _keyed(self, table: Table, keys: tuple[Key, ...]) -> Table:
        resolved = (
            replace(key, references=self._resolve(key.references)) if key.references else key
            for key in keys
        )
        return tables.add_keys(table, tuple(resolved), nullable=self._nullable_keys)

    def _put_table(self, edit: PutTable) -> None:
        name = edit.name if edit.name[0] else self._new(edit.name[1])
        if edit.only_new and name in self._tables:
            return
        table = Table(schema=name[0], name=name[1], type=edit.type, comment=edit.comment)
        for copy in edit.copies:
            table = self._copied(table, copy)
        table = tables.add_columns(table, edit.columns)
        if edit.query is not None:
            table = self._queried(table, edit)
        if edit.keeps_comments and name in self._tables:
            table = tables.with_comments_of(table, self._tables[name])
        self.held.discard(name)
        self._tables[name] = table
        self._tables[name] = self._keyed(table, edit.keys)

    def _new(self, name: str) -> Name:
        return (self._path[0] if self._path else self._default), name

    def _copied(self, table: Table, copy: Copy) -> Table:
        source = self._tables.get(self._resolve(copy.source))
        return table if source is None else tables.copied(table, source, copy)

    def _queried(self, table: Table, edit: PutTable) -> Table:
        assert edit.query is not None  # the caller asked
        is_table = edit.type is edit.type.TABLE
        found = edit.query.columns(self.lookup, self._project)
        table = table if is_table else replace(table, definition=edit.query.text)
        if is_table and table.columns:
            return table
        known = {column.name: column for column in table.columns}
        merged = (
            replace(column, comment=known[column.name].comment, type=known[column.name].type)
            if column.name in known and known[column.name].type
            else replace(column, comment=known[column.name].comment)
            if column.name in known
            else column
            for column in found
        )
        return tables.add_columns(replace(table, columns=()), tuple(merged))

    def _drop_table(self, name: Name) -> None:
        self.held.discard(name)
        if self._tables.pop(name, None) is None:
            return
        for other, table in self._tables.items():
            if any(key.references == name for key in table.keys):
                kept = tuple(key for key in table.keys if key.references != name)
                self._tables[other] = replace(table, keys=kept)

    def _drop_schema(self, schema: str) -> None:
        self._schemas.pop(schema, None)
        for name in [name for name in {*self._tables, *self.held} if name[0] == schema]:
            self._drop_table(name)

    def _move(self, edit: RenameTable | SwapTables | RenameSchema) -> None:
        if isinstance(edit, RenameSchema):
            old = self._schemas.pop(edit.name, Schema(name=edit.name))
            self._schemas[edit.to] = replace(old, name=edit.to)
            names = {*self._tables, *self.held}
            moves = {name: (edit.to, name[1]) for name in names if name[0] == edit.name}
        else:
            name = self._resolve(edit.name)
            if isinstance(edit, SwapTables):
                other = self._resolve(edit.other)
                moves = {name: other, other: name}
            else:
                moves = {name: (edit.to[0] or name[0], edit.to[1])}
        self._rename(moves)

    def _rename(self, moves: dict[Name, Name]) -> None:
        moved = {to: self._tables.pop(old) for old, to in moves.items() if old in self._tables}
        for to, table in moved.items():
            self._tables[to] = replace(table, schema=to[0], name=to[1])
        self.held = {moves.get(name, name) for name in self.held}
        for name, table in self._tables.items():
            if any(key.references in moves for key in table.keys):
                keys = tuple(
                    replace(key, references=moves[key.references])
                    if key.references in moves
                    else key
                    for key in table.keys
                )
                self._tables[name] = replace(table, keys=keys)

    def _touch_column(self, edit: RenameColumn | DropColumn) -> None:
        name = self._resolve(edit.table)
        if (table := self._tables.get(name)) is None or table.column(edit.column) is None:
            return
        to = edit.to if isinstance(edit, RenameColumn) else None
        self._tables[name] = tables.move_column(table, edit.column, to)
        for other, owner in self._tables.items():
            if any(key.references == name for key in owner.keys):
                self._tables[other] = tables.move_reference(owner, name, edit.column, to)

    def _set_comment(self, edit: SetComment) -> None:
        if not edit.table:
            known = self._schemas.get(edit.schema)
            if known is not None or edit.schema in {name[0] for name in self._tables}:
                known = known or Schema(name=edit.schema)
                self._schemas[edit.schema] = replace(known, comment=edit.text)
            return
        self._change(
            (edit.schema, edit.table),
            lambda table: tables.set_comment(table, edit.column, edit.text),
        )

    def _completed(self, table: Table) -> Table:
        """Name the columns of a foreign key that says only which table it references."""
        keys = tuple(sorted((self._referring(key) for key in table.keys), key=tables.key_order))
        return table if keys == table.keys else replace(table, keys=keys)

    def _referring(self, key: Key) -> Key:
        target = self._tables.get(key.references) if key.references else None
        if target is None or key.referenced_columns:
            return key
        for other in target.keys:
            if other.kind is KeyKind.PRIMARY and len(other.columns) == len(key.columns):
                return replace(key, referenced_columns=other.columns)
        return key
