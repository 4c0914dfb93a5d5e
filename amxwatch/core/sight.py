"""Whether what vanished from a catalog was dropped, or is only out of our sight.

A database that hides what a user has no right on (MySQL's information_schema) makes a revoked
grant look like a drop. So a table that vanishes at the very read at which the rights moved, or
that the reader itself says it could not read, is unseen: its last version stays, and people are
told. It is dropped once it is missing under the rights under which it was seen.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from amxwatch.core.catalog import Catalog, ObjectRef
from amxwatch.core.change import Delta, Moved


@dataclass(frozen=True, kw_only=True, order=True)
class Unseen:
    """A table that stands in the catalog though it cannot be seen now.

    `grants` is the digest of the rights under which it was seen last; None where the reader
    itself said that it could not read it.
    """

    schema: str
    table: str
    grants: str | None = None

    @property
    def ref(self) -> ObjectRef:
        return ObjectRef(schema=self.schema, table=self.table)


def unseen_now(
    catalog: Catalog,
    vanished: Iterable[tuple[str, str]],
    *,
    before: Collection[Unseen],
    grants: str | None,
) -> tuple[Unseen, ...]:
    """Return which of the vanished tables are unseen, by name; the others were dropped.

    `before` is what was unseen at the last read, `grants` the digest of the rights then.
    """
    known = {(each.schema, each.table): each for each in before}
    found = []
    for schema, table in vanished:
        if _told(catalog, schema, table):
            found.append(Unseen(schema=schema, table=table))
            continue
        former = known.get((schema, table))
        seen_under = former.grants if former is not None else grants
        if seen_under is not None and seen_under != catalog.grants:
            found.append(Unseen(schema=schema, table=table, grants=seen_under))
    return tuple(sorted(found))


def _told(catalog: Catalog, schema: str, table: str) -> bool:
    """Claim that the reader named the table, or its schema, as one it could not read."""
    return any(
        ref.schema == schema and ref.table in ("", table) and not ref.column
        for ref in catalog.unseen
    )


def keep_unseen(
    delta: Delta, moved: Moved, unseen: Collection[Unseen], catalog: Catalog
) -> tuple[Delta, Moved]:
    """Return the same without the removal of what is only unseen."""
    if not unseen and not catalog.unseen:
        return delta, moved
    kept = {(each.schema, each.table) for each in unseen}
    schemas = {each.schema for each in unseen} | {ref.schema for ref in catalog.unseen}
    return (
        replace(
            delta,
            gone_tables=tuple(name for name in delta.gone_tables if name not in kept),
            gone_schemas=tuple(name for name in delta.gone_schemas if name not in schemas),
        ),
        Moved(
            tables=tuple(
                (old, new)
                for old, new in moved.tables
                if new is not None or old is None or (old.schema, old.name) not in kept
            ),
            schemas=tuple(
                (old, new)
                for old, new in moved.schemas
                if new is not None or old is None or old.name not in schemas
            ),
        ),
    )


def elsewhere(before: int, gone: int, *, share: float) -> bool:
    """Claim that a source that says it is another one does not hold what the former one did.

    `before` counts the tables of the last snapshot, `gone` those of them that are not there.
    """
    return before > 0 and gone >= before * share
