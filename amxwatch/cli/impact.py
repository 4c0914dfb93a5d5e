"""`amxwatch catalog impact`: what reads a table or column."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import click

from amxwatch.cli.options import db_option
from amxwatch.cli.output import shown
from amxwatch.cli.session import Desk, reading

if TYPE_CHECKING:
    from amxwatch.core.catalog import Catalog, ObjectRef, ObjectType
    from amxwatch.core.lineage import Impact

WORDS = {
    "derived": "is computed from {}",
    "filter": "filters, joins, groups or sorts by {}",
    "read": "reads {}",
    "declared": "reads {}, as the source says",
    "key": "refers to {} by a foreign key",
}
"""How an object uses the one above it in the tree."""

UNSURE = "; only the table level is known"


@click.command()
@click.argument("name", metavar="OBJECT")
@click.option(
    "--depth", type=click.IntRange(min=1), metavar="N", help="At most so many steps away."
)
@db_option
def impact(name: str, depth: int | None, db: str | None) -> None:
    """List what reads a table or column, directly and through others.

    OBJECT is s.t or s.t.c, quoted as in scopes. The newest snapshot is asked, not the database.
    """
    reading(partial(_impact, name, depth, db))


async def _impact(name: str, depth: int | None, db: str | None, desk: Desk) -> None:
    import anyio.to_thread

    from amxwatch.cli.catalog_view import snapshot_of
    from amxwatch.context.lineage import Lineage
    from amxwatch.core.lineage import impact_document

    source = desk.install.source(db)
    record = await snapshot_of(source, None, flag="")
    catalog = await source.as_of(record.number)
    target = _named(name, catalog)
    dialect = source.database.capabilities.dialect
    found = await anyio.to_thread.run_sync(
        lambda: Lineage(catalog, dialect).impact(target, depth=depth)
    )
    types = {table.ref: table.type for table in catalog.tables}
    desk.out.document(
        {
            "profile": source.profile,
            "object": str(target),
            "snapshot": record.number,
            "impact": [impact_document(one, types) for one in found],
        }
    )
    desk.out.say(f"{shown(target)} of {shown(source.profile)}, snapshot {record.number}")
    if not found:
        desk.out.say("  nothing reads it")
    for line in _tree(target, found, types):
        desk.out.say(line)


def _named(name: str, catalog: Catalog) -> ObjectRef:
    """Return the table or column of that name. Raises: ScopeError, with what comes close."""
    from amxwatch.cli.catalog_view import object_of
    from amxwatch.core.errors import ScopeError
    from amxwatch.core.scope import Scope

    target = object_of(name)
    missing = Scope.of([target]).missing(catalog)
    if missing:
        raise ScopeError(f"in the newest snapshot there is {'; '.join(missing)}")
    if not target.table:
        raise ScopeError(f"{name!r} is a schema; allowed: a table or column: s.t or s.t.c")
    return target


def _tree(
    target: ObjectRef, found: Sequence[Impact], types: Mapping[ObjectRef, ObjectType]
) -> list[str]:
    """Return a line for each object, under the one through which it was reached."""
    from amxwatch.core.lineage import type_in

    under: dict[ObjectRef, list[Impact]] = defaultdict(list)
    for one in found:
        under[one.via[-1] if one.via else target].append(one)
    lines = []
    stack = under[target][::-1]
    while stack:
        one = stack.pop()
        kind = type_in(one.ref, types).replace("_", " ")
        words = WORDS[one.how].format("it") + (UNSURE if one.level == "table" else "")
        indent = "  " * one.distance
        lines.append(f"{indent}{kind} {shown(one.ref)}: {words}")
        stack += under[one.ref][::-1]
    return lines
