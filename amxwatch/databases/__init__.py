"""Source databases: one module or package a product, chosen by the URL's scheme.

A back end implements `ports.database.Database`, translates its driver's exceptions in one
context manager, and knows no store and no flow. To add one, write `NAME.py` with a function
`open_NAME(url, *, relative_to, options) -> Database`, add its scheme to `BACK_ENDS` and its
workshop to `tests/contracts/test_database.py`. A module here is imported only when it is used.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path

from amxwatch.core.errors import MissingExtraError, UsageError
from amxwatch.ports.clock import Clock
from amxwatch.ports.database import Database

BACK_ENDS = {
    "postgresql": "postgres:open_postgres",
    "postgres": "postgres:open_postgres",
    "sqlite": "sqlite:open_sqlite",
    "duckdb": "duckdb:open_duckdb",
    "ddl": "sql_folder:open_sql_folder",
}
"""Scheme (without `+driver`) -> module and the function in it that opens a database."""

FILE_SCHEMES: dict[str, tuple[str, ...]] = {
    "sqlite": ("-wal", "-journal"),
    "duckdb": (".wal",),
    "ddl": (),
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
    if scheme not in BACK_ENDS:
        known = ", ".join(f"{name}://" for name in sorted(BACK_ENDS))
        raise UsageError(f"no back end reads {scheme}:// URLs; known are: {known}")
    module_name, function = BACK_ENDS[scheme].split(":")
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


def watch_paths(url: str, *, relative_to: Path) -> tuple[Path, ...]:
    """Return the files or folder whose moves are hints for this URL; nothing for a server."""
    scheme = _scheme(url)
    if scheme not in FILE_SCHEMES:
        return ()
    path = file_of(url, relative_to=relative_to)
    return (path, *(path.with_name(path.name + ending) for ending in FILE_SCHEMES[scheme]))


def _scheme(url: str) -> str:
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise UsageError("the database URL has no scheme; write it like postgresql://HOST/NAME")
    return scheme.partition("+")[0].lower()
