"""Every database that SQLAlchemy has a dialect for and that has no back end of its own here.

Lives here: reading through the inspector's bulk calls (`reader`, `spelling`), comments, rows, and
what SQLAlchemy does not tell of its dialects (`dialects`, `marks.sql`). What must not: anything
that only one product needs and its dialect can do. A product gets better here by a line in
`dialects` or a query in `marks.sql`; one that deserves more gets a back end of its own.
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import exc
from sqlalchemy.engine import URL, make_url

from amxwatch.core.errors import UsageError
from amxwatch.databases import ConnectOptions, describe
from amxwatch.databases.generic import dialects
from amxwatch.databases.generic.comments import GenericCommenter, commentable
from amxwatch.databases.generic.connection import GenericEngine, make_engine
from amxwatch.databases.generic.reader import GenericReader
from amxwatch.databases.generic.sampler import GenericSampler
from amxwatch.ports.database import Capabilities

PATHS = frozenset({"access", "chdb", "duckdb", "sqlite"})
"""Dialects whose URL names a file or folder, which a relative path finds from the TOML file."""


class GenericDatabase:
    """Implements `ports.database.Database`. Use `open_generic`."""

    hints = None

    def __init__(self, engine: GenericEngine) -> None:
        self._engine = engine
        name = engine.dialect.name
        self.capabilities = Capabilities(
            product=dialects.PRODUCTS.get(name, name),
            dialect=dialects.sqlglot_name(name),
            comments=commentable(engine.dialect),
        )
        self.reader = GenericReader(engine)
        self.sampler = GenericSampler(engine)
        self.commenter = GenericCommenter(engine)

    async def aclose(self) -> None:
        await self._engine.aclose()


def open_generic(url: str, *, relative_to: Path, options: ConnectOptions) -> GenericDatabase:
    """Return the database that an SQLAlchemy URL names, not yet connected.

    Raises: UsageError for a URL that cannot be meant or a dialect that nobody knows,
    MissingExtraError where the dialect or its driver is not installed.
    """
    try:
        parsed = make_url(url)
    except (exc.ArgumentError, ValueError):
        raise UsageError(
            f"{describe(url)} is no SQLAlchemy URL; write it like "
            "DIALECT://USER:PASSWORD@HOST:PORT/NAME, special characters as %40 and the like"
        ) from None
    return GenericDatabase(make_engine(_placed(parsed, relative_to), options))


def _placed(url: URL, relative_to: Path) -> URL:
    scheme = url.drivername.partition("+")[0]
    if scheme not in PATHS or not url.database or url.database.startswith(":"):
        return url
    return url.set(database=str(relative_to.absolute() / url.database))
