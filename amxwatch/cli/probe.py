"""Trying a connection: what a database answers, and what a model answers."""

from __future__ import annotations

from dataclasses import dataclass

from amxwatch.cli.documents import Document
from amxwatch.core.errors import AmxwatchError
from amxwatch.daemon.wiring import Install
from amxwatch.ports.ddl_watch import DdlWatch
from amxwatch.ports.privileges import Privileges


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What came of connecting to one db profile. `error` is None where all is well.

    `announces` says whether DDL is announced, or None where that cannot be.
    """

    profile: str
    product: str = "unknown"
    seconds: float | None = None
    tables: int = 0
    columns: int = 0
    comments: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    announces: bool | None = None
    error: str | None = None

    @property
    def ok(self) -> bool:
        return self.error is None

    def document(self) -> Document:
        """Return what `db test --json` prints."""
        return {
            "profile": self.profile,
            "ok": self.ok,
            "product": self.product,
            "seconds": self.seconds,
            "tables": self.tables,
            "columns": self.columns,
            "comments": list(self.comments),
            "missing_privileges": list(self.missing),
            "announces_ddl": self.announces,
            "problems": list(self.problems),
            "error": self.error,
        }

    def lines(self) -> list[str]:
        """Say for people what was found."""
        lines = []
        if self.ok:
            lines.append(f"connected and read in {self.seconds:.2f} s")
            lines.append(f"{self.tables} tables and views, {self.columns} columns")
        if self.comments:
            lines.append(f"can hold comments on: {', '.join(self.comments)}")
        elif self.ok:
            lines.append("cannot hold comments: apply writes the statements to a file instead")
        if self.announces is not None:
            lines.append(
                "announces DDL: a change is noticed at once"
                if self.announces
                else "does not announce DDL: polls find a change (amxwatch db watch-ddl install)"
            )
        lines += [f"cannot be read: {problem}" for problem in self.problems]
        lines += [f"missing privilege, mend with: {statement}" for statement in self.missing]
        return lines


async def probe(install: Install, name: str) -> Probe:
    """Connect to a db profile, read its catalog, and say what it can do. Changes nothing."""
    clock = install.clock
    try:
        database = install.source(name).database
    except AmxwatchError as error:
        return Probe(profile=name, error=str(error))
    able = database.capabilities
    comments = tuple(sorted(str(kind) for kind in able.comments))
    start = clock.monotonic()
    privileges: Privileges | None = getattr(database, "privileges", None)
    watch: DdlWatch | None = getattr(database, "ddl_watch", None)
    try:
        catalog = await database.reader.read()
        missing = await privileges.missing() if privileges is not None else ()
        announces = (await watch.plan(install=True)).installed if watch is not None else None
    except AmxwatchError as error:
        return Probe(profile=name, product=able.product, comments=comments, error=str(error))
    able = database.capabilities  # some know only now what they talk to
    return Probe(
        profile=name,
        product=able.product,
        seconds=round(clock.monotonic() - start, 3),
        tables=len(catalog.tables),
        columns=sum(len(table.columns) for table in catalog.tables),
        comments=tuple(sorted(str(kind) for kind in able.comments)),
        problems=tuple(str(problem) for problem in catalog.problems),
        missing=missing,
        announces=announces,
    )
