"""What a file was the last time that all of it could be read; stands in for what is broken."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

from amxwatch.core.catalog import Table
from amxwatch.databases.sql_folder.edits import Name, Statement


@dataclass(frozen=True, kw_only=True)
class Mended:
    """A file's statements, the broken ones replaced where a good version is known.

    `loses` says that tables may be missing that nothing here could name.
    """

    statements: tuple[Statement, ...]
    loses: bool = False


def mend(now: list[Statement], before: Mended | None) -> Mended:
    """Put the last good version in the place of each broken statement.

    Statements about the same thing are told apart by their order. What a broken statement may
    have swallowed is kept from before where the file does not mention it any more.
    """
    earlier = before.statements if before is not None else ()
    by_key: dict[str, list[Statement]] = defaultdict(list)
    for statement in earlier:
        by_key[statement.key].append(statement)
    mentioned = {statement.key for statement in now}
    swallowed = [s for s in earlier if s.key not in mentioned and s.fault is None]
    counts: Counter[str] = Counter()
    found: list[Statement] = []
    for statement in now:
        known = by_key[statement.key] if statement.key else []
        at = counts[statement.key]
        counts[statement.key] += 1
        if statement.fault is None:
            found.append(statement)
            continue
        found.append(known[at] if at < len(known) else statement)
        if statement.loses or not known:
            # One that nothing is known of may be another one whose name is broken too.
            found += swallowed
            swallowed = []
    loses = any(s.loses for s in now) and (before is None or before.loses)
    return Mended(statements=tuple(found), loses=loses)


class Frozen:
    """Tables kept as the previous catalog had them, because a statement about them is broken.

    For where no last good statement is known: after a restart. A table thaws when the rest of
    what is said about it moves, or when the broken statement is mended.
    """

    def __init__(self) -> None:
        self._kept: dict[Name, tuple[Table | None, Table | None]] = {}
        self._orphans: set[Name] = set()

    def __bool__(self) -> bool:
        """Claim that some table stands in an older version."""
        return bool(self._kept or self._orphans)

    def restore(
        self,
        tables: dict[Name, Table],
        *,
        held: set[Name],
        loses: bool,
        previous: dict[Name, Table],
        first: bool,
    ) -> None:
        """Put frozen tables into `tables`.

        `previous` is the catalog before. On the `first` look with a remembered catalog, what
        is missing while a file `loses` statements is taken to be lost there, not dropped.
        """
        if first and loses:
            self._orphans = set(previous) - set(tables)
        if not loses:
            self._orphans = set()
        names = held | self._orphans
        for name in names - set(self._kept):
            self._kept[name] = (tables.get(name), previous.get(name))
        self._kept = {name: kept for name, kept in self._kept.items() if name in names}
        for name, (built, before) in self._kept.items():
            if before is not None and tables.get(name) == built:
                tables[name] = before
