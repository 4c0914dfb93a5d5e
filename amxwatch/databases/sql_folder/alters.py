"""ALTER and DROP of a schema, table or view → edits."""

from __future__ import annotations

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect

from amxwatch.core.catalog import ObjectType
from amxwatch.databases.sql_folder import columns
from amxwatch.databases.sql_folder.creates import Parse
from amxwatch.databases.sql_folder.edits import (
    AddColumn,
    AddKey,
    DropColumn,
    DropKey,
    DropSchema,
    DropTable,
    Edit,
    Name,
    PutColumn,
    PutTable,
    RenameColumn,
    RenameKey,
    RenameSchema,
    RenameTable,
    ReplaceColumns,
    SetColumn,
    SetComment,
    SwapTables,
)
from amxwatch.databases.sql_folder.generated import read_filling, readable
from amxwatch.databases.sql_folder.grammar import fold_column
from amxwatch.databases.sql_folder.headlines import MODIFIERS
from amxwatch.databases.sql_folder.queries import read_query
from amxwatch.databases.sql_folder.tokens import (
    Tokens,
    UnreadableError,
    actions_of,
    read_parts,
    read_text,
    schema_name,
    skip_words,
    table_name,
    word,
)

_PASSING = frozenset(
    {"OWNER", "ENABLE", "DISABLE", "FORCE", "NO", "NOT", "OF", "SET", "RESET", "UNSET"}
    | {"CLUSTER", "ATTACH", "DETACH", "REPLICA", "INHERIT", "VALIDATE", "ENGINE"}
    | {"ROW_FORMAT", "KEY_BLOCK_SIZE", "CONVERT", "ORDER", "PARTITION", "REMOVE"}
    | {"REORGANIZE", "COALESCE", "ANALYZE", "OPTIMIZE", "AUTO_INCREMENT", "CHARSET"}
    | {"CHARACTER", "COLLATE", "DEFAULT", "TABLESPACE", "DISCARD", "IMPORT", "LOGGED"}
    | {"RECLUSTER", "SUSPEND", "RESUME", "REFRESH", "CHECK", "NOCHECK", "SWITCH"}
    | {"REBUILD", "EXCHANGE", "TRUNCATE", "MOVE", "DEPENDS", "FREEZE", "UNFREEZE"}
    | {"UPDATE", "DELETE", "MATERIALIZE", "CLEAR", "FETCH", "SHRINK", "LOCK", "ALGORITHM"}
    | {"READ", "WRITE", "STORAGE", "TBLPROPERTIES", "RECOVER", "DISTSTYLE", "APPEND"}
    | {"STATS_PERSISTENT", "COMPRESSION", "WITH", "EXPIRE", "ROW", "CONNECTION"}
)
"""First words of ALTER TABLE actions that leave columns, keys and comments as they are."""

_COLUMN_OPTIONS = frozenset({"SET", "RESET", "ADD", "DROP", "RESTART", "REMOVE", "OPTIONS"})
_VERBS = frozenset({"ADD", "DROP", "ALTER", "MODIFY", "CHANGE", "RENAME"})

_NOT_COLUMNS = frozenset(
    {"CONSTRAINT", "INDEX", "KEY", "FULLTEXT", "SPATIAL", "PARTITION", "PARTITIONS"}
    | {"CHECK", "EXCLUDE", "SEARCH", "ROW", "PROJECTION", "STATISTICS", "TAG", "PERIOD"}
    | {"TRIGGER", "TTL", "SETTING", "SUBPARTITION", "DATA"}
)
"""Second words of ADD, DROP, ALTER, MODIFY, RENAME that leave columns alone."""


class NotKnownError(Exception):
    """An action changes columns in a form that is not read here."""


def actions_after(tokens: Tokens, at: int) -> list[Tokens]:
    """Return the comma-separated actions from `at` on."""
    return actions_of(tokens, at)


def read_change(tokens: Tokens, text: str, dialect: Dialect, parse: Parse) -> tuple[Edit, ...]:
    """Read one ALTER or DROP. Raises: UnreadableError, ParseError."""
    tokens = readable(tokens, text, columns.dialect_name(dialect))
    tree = parse(tokens, text, dialect)
    if isinstance(tree, exp.Drop):
        return tuple(_drops(tree))
    if isinstance(tree, exp.Alter):
        try:
            return _alter(tree, dialect)
        except NotKnownError as error:
            raise UnreadableError("this form of ALTER is not known", tokens[0]) from error
    if word(tokens, 0) == "DROP":
        raise UnreadableError("this form of DROP is not known", tokens[0])
    return _by_tokens(tokens, text, dialect, parse)


def _drops(tree: exp.Drop) -> list[Edit]:
    found: list[Edit] = []
    for item in tree.args.get("tables") or ():
        schema, name = columns.name_of(item)
        if tree.args.get("kind") in ("SCHEMA", "DATABASE"):
            found.append(DropSchema(name=name or schema))
        else:
            found.append(DropTable(name=(schema, name)))
    return found


def _alter(tree: exp.Alter, dialect: Dialect) -> tuple[Edit, ...]:
    name = columns.name_of(tree.this)
    if tree.args.get("kind") not in ("TABLE", "VIEW", "MATERIALIZED VIEW"):
        return ()
    found: list[Edit] = []
    options = tree.args.get("options") or []
    for action in tree.args.get("actions") or ():
        found += _action(action, name, options, dialect)
    for option in options:
        if isinstance(option, exp.SchemaCommentProperty):
            found.append(_on_table(name, columns.text_of(option.this)))
    return tuple(found)


def _action(action: exp.Expr, name: Name, options: list[exp.Expr], dialect: Dialect) -> list[Edit]:
    if isinstance(action, exp.Schema):
        return [e for item in action.expressions for e in _action(item, name, [], dialect)]
    if isinstance(action, exp.AlterRename):
        return [_rename(action, name, options)]
    if isinstance(action, exp.ColumnDef | exp.AlterColumn | exp.ModifyColumn | exp.RenameColumn):
        return _on_column(action, name, dialect)
    return _on_whole(action, name, dialect)


def _on_column(
    action: exp.ColumnDef | exp.AlterColumn | exp.ModifyColumn | exp.RenameColumn,
    name: Name,
    dialect: Dialect,
) -> list[Edit]:
    match action:
        case exp.ColumnDef():
            return [_add_column(action, name, dialect)]
        case exp.RenameColumn():
            return [RenameColumn(table=name, column=action.this.name, to=action.args["to"].name)]
        case exp.AlterColumn():
            return _alter_column(action, name, dialect)
        case _:
            return [_modify(action, name, dialect)]


def _on_whole(action: exp.Expr, name: Name, dialect: Dialect) -> list[Edit]:
    match action:
        case exp.AddConstraint():
            keys = [key for item in action.expressions for key in columns.read_keys(item)]
            return [AddKey(table=name, key=key) for key in keys]
        case exp.Drop():
            return _drop(action, name)
        case exp.DropPrimaryKey():
            return [DropKey(table=name)]
        case exp.SwapTable():
            return [SwapTables(name=name, other=columns.name_of(action.this))]
        case exp.AlterSet():
            return _set_comment(action, name)
        case exp.Query():
            query = read_query(action, dialect, names=())
            kind = ObjectType.VIEW
            return [PutTable(name=name, type=kind, query=query, keeps_comments=True)]
        case exp.ReplaceColumns():
            found = tuple(columns.read_column(item, dialect) for item in action.expressions)
            return [ReplaceColumns(table=name, columns=found)]
        case exp.Command():
            raise NotKnownError
    return []


def _add_column(action: exp.ColumnDef, name: Name, dialect: Dialect) -> AddColumn:
    first, after = _position(action)
    return AddColumn(
        table=name,
        column=columns.read_column(action, dialect),
        keys=tuple(columns.column_keys(action)),
        first=first,
        after=after,
    )


def _position(action: exp.ColumnDef) -> tuple[bool, str | None]:
    place = action.args.get("position")
    if not isinstance(place, exp.ColumnPosition):
        return False, None
    after = place.this.name if place.this is not None else None
    return str(place.args.get("position")).upper() == "FIRST", after


def _drop(action: exp.Drop, name: Name) -> list[Edit]:
    kind = str(action.args.get("kind") or "COLUMN").upper()
    names = [item.name for item in action.args.get("tables") or ()]
    if kind == "COLUMN":
        return [DropColumn(table=name, column=column) for column in names]
    if kind in ("CONSTRAINT", "FOREIGN KEY", "INDEX", "KEY", "UNIQUE"):
        return [DropKey(table=name, name=key) for key in names]
    return []


def _rename(action: exp.AlterRename, name: Name, options: list[exp.Expr]) -> Edit:
    """Read RENAME TO new, and PostgreSQL's RENAME old TO new of a column."""
    for option in options:
        if isinstance(option, exp.ToTableProperty):
            to = columns.name_of(option.this)[1]
            return RenameColumn(table=name, column=columns.name_of(action.this)[1], to=to)
    return RenameTable(name=name, to=columns.name_of(action.this))


def _alter_column(action: exp.AlterColumn, name: Name, dialect: Dialect) -> list[Edit]:
    column = action.this.name
    if action.args.get("comment") is not None:
        text = columns.text_of(action.args["comment"])
        return [SetComment(schema=name[0], table=name[1], column=column, text=text)]
    drops, nullable = bool(action.args.get("drop")), action.args.get("allow_null")
    type_ = action.args.get("dtype")
    return [
        SetColumn(
            table=name,
            column=column,
            type=type_.sql(dialect=dialect, comments=False) if type_ is not None else None,
            nullable=None if nullable is None else bool(nullable),
            default=columns.default_text(action.args.get("default"), dialect),
            drop_default=(drops and nullable is None)
            or isinstance(action.args.get("default"), exp.Null),
        )
    ]


def _modify(action: exp.ModifyColumn, name: Name, dialect: Dialect) -> PutColumn:
    old = action.args.get("rename_from")
    first, after = _position(action.this)
    return PutColumn(
        table=name,
        column=old.name if old is not None else action.this.name,
        to=columns.read_column(action.this, dialect),
        first=first,
        after=after,
    )


def _set_comment(action: exp.AlterSet, name: Name) -> list[Edit]:
    """Read Snowflake's SET COMMENT = and BigQuery's SET OPTIONS(description = …)."""
    for found in action.find_all(exp.SchemaCommentProperty):
        return [_on_table(name, columns.text_of(found.this))]
    for listed in action.find_all(exp.Properties):
        if (text := columns.comment_in(listed)) is not None:
            return [_on_table(name, text)]
    return []


def _on_table(name: Name, text: str | None) -> SetComment:
    return SetComment(schema=name[0], table=name[1], text=text)


def _by_tokens(tokens: Tokens, text: str, dialect: Dialect, parse: Parse) -> tuple[Edit, ...]:
    """Read what sqlglot keeps as text: some forms are known, some change nothing.

    Raises: UnreadableError for an action that might have changed a column.
    """
    tokens = _whole(tokens, text, dialect)
    at = skip_words(tokens, 1, MODIFIERS)
    kind = word(tokens, at)
    at = skip_words(tokens, at + 1, frozenset({"IF", "EXISTS", "ONLY"}))
    parts, at = read_parts(tokens, at)
    if not parts:
        raise UnreadableError("expected a name", tokens[-1])
    name = table_name(parts, dialect)
    actions = actions_of(tokens, at)
    if kind in ("SCHEMA", "DATABASE"):
        return _schema_action(schema_name(parts, dialect), actions, dialect)
    if len(actions) < 2:
        return tuple(_lone(actions[0], name, dialect)) if actions else ()
    found: list[Edit] = []
    for action in actions:
        if word(action, 0) not in _VERBS and word(actions[0], 0) in _PASSING:
            continue  # a further item of SET (a = 1, b = 2), not a further action
        tree = parse([*tokens[:at], *action], text, dialect)
        if isinstance(tree, exp.Alter):
            found += _alter(tree, dialect)
        else:
            found += _lone(action, name, dialect)
    return tuple(found)


def _whole(tokens: Tokens, text: str, dialect: Dialect) -> Tokens:
    return tokens if len(tokens) > 2 else dialect.tokenize(text)


def _schema_action(name: str, actions: list[Tokens], dialect: Dialect) -> tuple[Edit, ...]:
    for action in actions:
        if word(action, 0) == "RENAME":
            parts, _ = read_parts(action, 2)
            if parts:
                return (RenameSchema(name=name, to=schema_name(parts, dialect)),)
    return ()


def _column_options(action: Tokens, name: Name, dialect: Dialect) -> SetComment | None:
    """Read BigQuery's ALTER COLUMN x SET OPTIONS (description = 'text')."""
    words = [word(action, at) for at in range(len(action))]
    if words[:2] != ["ALTER", "COLUMN"] or "DESCRIPTION" not in words:
        return None
    parts, _ = read_parts(action, 2)
    text = read_text(action, words.index("DESCRIPTION") + 2)
    column = fold_column(dialect, parts[0].text, quoted=parts[0].quoted) if parts else ""
    return SetComment(schema=name[0], table=name[1], column=column, text=text)


def _lone(action: Tokens, name: Name, dialect: Dialect) -> list[Edit]:
    first, second, third = word(action, 0), word(action, 1), word(action, 2)
    if first == "SET" and second == "SCHEMA":
        parts, _ = read_parts(action, 2)
        schema = schema_name(parts, dialect) if parts else ""
        return [RenameTable(name=name, to=(schema, name[1]))]
    if first == "RENAME" and second == "CONSTRAINT":
        old, at = read_parts(action, 2)
        new, _ = read_parts(action, at + 1)
        if old and new:
            old_name, to = (table_name(part, dialect)[1] for part in (old, new))
            return [RenameKey(table=name, name=old_name, to=to)]
    if first in _PASSING or (first in _VERBS and second in _NOT_COLUMNS):
        return []
    if (comment := _column_options(action, name, dialect)) is not None:
        return [comment]
    if (filled := read_filling(action, name, dialect)) is not None:
        return [filled]
    after = word(action, 3) if second == "COLUMN" else third
    if first in ("ALTER", "MODIFY") and after in _COLUMN_OPTIONS:
        return []  # SET STATISTICS, SET STORAGE, ADD GENERATED …: forms that sqlglot does not know
    raise UnreadableError("this form of ALTER is not known", action[0])
