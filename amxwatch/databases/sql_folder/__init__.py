"""A folder of SQL files, read as the database that running them in order would build.

Lives here: the walk of the folder, the cutting and parsing of statements, their effect on a
catalog, and the file of comments that we write. What must not: watching (see `watchers`), and
anything that connects. To understand one more statement, add an edit to `edits`, read it in
`creates` or `alters`, and apply it in `assembly`.
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import parse_qsl

from amxwatch.core.errors import UsageError
from amxwatch.databases.sql_folder.dialects import KNOWN
from amxwatch.databases.sql_folder.files import COMMENTS_FILE
from amxwatch.databases.sql_folder.folder import SqlFolder

__all__ = ["COMMENTS_FILE", "SqlFolder", "open_sql_folder"]


def open_sql_folder(url: str, *, relative_to: Path, options: object = None) -> SqlFolder:
    """Open `ddl:///FOLDER?dialect=NAME`; four slashes make the path absolute.

    The folder need not exist yet, and its links are not resolved: it may be swapped.
    Raises: UsageError.
    """
    place, _, query = url.partition("://")[2].partition("?")
    if not place.startswith("/") or place == "/":
        raise UsageError("ddl URL: no folder; write ddl:///FOLDER?dialect=NAME")
    wanted = dict(parse_qsl(query, keep_blank_values=True))
    if unknown := sorted(set(wanted) - {"dialect"}):
        raise UsageError(f"ddl URL: unknown option {unknown[0]!r}; only dialect is known")
    name = wanted.get("dialect", "").strip().lower()
    if not name:
        known = ", ".join(sorted(KNOWN))
        raise UsageError(f"ddl URL: the dialect is missing; add ?dialect= and one of {known}")
    if name not in KNOWN:
        _ask_sqlglot(name)
    folder = Path(os.path.normpath(relative_to.absolute() / place.removeprefix("/")))
    return SqlFolder(folder, name)


def _ask_sqlglot(name: str) -> None:
    from amxwatch.databases.sql_folder.grammar import dialect_named

    dialect_named(name)
