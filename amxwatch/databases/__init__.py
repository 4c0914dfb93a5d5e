"""Source databases: one module or package a product, chosen by the URL's scheme.

A back end implements `ports.database.Database`, translates its driver's exceptions in one
context manager, and knows no store and no flow. To add one, write `NAME.py` with a function
`open_NAME(url, *, relative_to, options) -> Database`, add its scheme to `BACK_ENDS` and its
workshop to `tests/contracts/test_database.py`. A module here is imported only when it is used.
"""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from amxwatch.core.errors import MissingExtraError, UsageError
from amxwatch.ports.clock import Clock
from amxwatch.ports.database import Database

BACK_ENDS = {
    "postgresql": "postgres:open_postgres",
    "postgres": "postgres:open_postgres",
    "mysql": "mysql:open_mysql",
    "mariadb": "mysql:open_mysql",
    "sqlite": "sqlite:open_sqlite",
    "duckdb": "duckdb:open_duckdb",
    "ddl": "sql_folder:open_sql_folder",
    "dbt": "dbt:open_dbt",
}
"""Scheme (without `+driver`) -> module and the function in it that opens a database."""

GENERIC = "generic:open_generic"
"""What opens every other scheme, if SQLAlchemy has a dialect for it."""

FILE_SCHEMES: dict[str, tuple[str, ...]] = {
    "sqlite": ("-wal", "-journal"),
    "duckdb": (".wal",),
    "ddl": (),
    "dbt": (),
}
"""Scheme -> endings of the files beside the one that its URL names."""

OWN_FILE = "zz_amxwatch_comments.sql"
"""What we write into a folder of SQL files; a watch of that folder leaves it out."""


@dataclass(frozen=True, kw_only=True)
class ConnectOptions:
    """How patient a back end is. The clock makes the waits between tries of a locked file.

    `statement_seconds` bounds a statement; `lock_seconds` a wait for somebody else's lock,
    and is short so that we are never the reason for a queue.
    """

    clock: Clock
    connect_seconds: float = 10.0
    statement_seconds: float = 60.0
    lock_seconds: float = 0.5
    application_name: str = "amxwatch"


def connect(url: str, *, relative_to: Path, options: ConnectOptions) -> Database:
    """Return the database that a URL names, not yet connected.

    A relative path in the URL starts at `relative_to`. Raises: UsageError for a URL that
    cannot be meant, MissingExtraError where the driver is not installed.
    """
    scheme = _scheme(url)
    module_name, function = BACK_ENDS.get(scheme, GENERIC).split(":")
    try:
        module = importlib.import_module(f"{__name__}.{module_name}")
    except ImportError as error:
        if (error.name or "").startswith("amxwatch"):
            raise
        raise MissingExtraError(f"a {scheme}:// database", module_name) from error
    opened: Database = getattr(module, function)(url, relative_to=relative_to, options=options)
    return opened


def describe(url: str) -> str:
    """Write a URL for people, without its password or any option that may hold one."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        return "(a URL without a scheme)"
    # A password may hold an unescaped '@' or '/': all up to the last '@' is the login.
    login, at, place = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    place = place.partition("?")[0]
    return f"{scheme}://{user}{':***' if colon else ''}{at}{place}"


def file_of(url: str, *, relative_to: Path) -> Path:
    """Return the path of a `scheme:///path` URL, absolute; what follows `?` is left out.

    As in SQLAlchemy: three slashes and then the path, so an absolute one makes four.
    Raises: UsageError where the URL names no file.
    """
    scheme, _, rest = url.partition("://")
    path = rest.removeprefix("/").partition("?")[0]
    if not rest.startswith("/") or path in {"", ":memory:"}:
        raise UsageError(
            f"{describe(url)} names no file; write {scheme}:///FILE, or {scheme}:////DIR/FILE "
            "for an absolute path"
        )
    # Links are not followed: what they lead to may be swapped later.
    return relative_to.absolute() / path


def dbt_target(url: str, *, relative_to: Path) -> Path:
    """Return the folder of a `dbt:///PROJECT?target=DIR` URL that dbt writes to.

    A relative DIR starts at the project; it is `target` where none is named. Raises: UsageError.
    """
    project = file_of(url, relative_to=relative_to)
    options = dict(parse_qsl(url.partition("?")[2], keep_blank_values=True))
    if unknown := sorted(set(options) - {"target"}):
        raise UsageError(f"dbt URL: unknown option {unknown[0]!r}; only target is known")
    # Links are not followed, as in `file_of`.
    return Path(os.path.normpath(project / (options.get("target") or "target")))


def watch_paths(url: str, *, relative_to: Path) -> tuple[Path, ...]:
    """Return the files or folder whose moves are hints for this URL; nothing for a server."""
    scheme = _scheme(url)
    if scheme not in FILE_SCHEMES:
        return ()
    if scheme == "dbt":
        target = dbt_target(url, relative_to=relative_to)
        return target / "manifest.json", target / "catalog.json"
    path = file_of(url, relative_to=relative_to)
    return (path, *(path.with_name(path.name + ending) for ending in FILE_SCHEMES[scheme]))


def _scheme(url: str) -> str:
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise UsageError("the database URL has no scheme; write it like postgresql://HOST/NAME")
    return scheme.partition("+")[0].lower()
