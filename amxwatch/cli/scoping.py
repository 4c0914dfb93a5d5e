"""What a person asked to be run, read and checked against what is there."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from amxwatch.cli.output import Output
from amxwatch.cli.session import Desk
from amxwatch.core.catalog import Catalog, ObjectRef
from amxwatch.core.errors import DatabaseUnavailableError, ScopeError, UsageError
from amxwatch.core.manner import UNASKED, Manner
from amxwatch.core.pattern import parse_parts
from amxwatch.core.scope import Scope
from amxwatch.flows.source import Source
from amxwatch.flows.watch import look


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a person asked to be run. `ask` opens the pickers."""

    scope: str | None = None
    table: str | None = None
    columns: str | None = None
    pattern: str | None = None
    db: str | None = None
    llm: str | None = None
    strategy: str = "manual"
    manner: Manner = UNASKED
    ask: bool = False


async def ordered_scope(order: Order, desk: Desk) -> tuple[Source, Scope]:
    """Return what an order means, asking where it says so. Raises: ScopeError."""
    if order.ask and order.db is None:
        order = replace(order, db=_picked_profile(desk))
    source = desk.install.source(order.db)
    catalog = await _seen(source, desk.out)
    return source, _picked_scope(catalog) if order.ask else _scope(order, catalog)


async def scope_of_order(order: Order, desk: Desk) -> tuple[Source, Scope]:
    """Return what an order names, checked against what is there now. Raises: ScopeError."""
    return await ordered_scope(replace(order, ask=False), desk)


async def _seen(source: Source, out: Output) -> Catalog:
    """Look at the source, so that the scope is checked against what is there now."""
    found = await look(source)
    if found.error is not None and found.snapshot is not None:
        out.warn(f"warning: {found.error}")
    elif found.error is not None:
        raise DatabaseUnavailableError(found.error)
    return await source.catalog()


def _scope(order: Order, catalog: Catalog) -> Scope:
    """Read what was asked for. Raises: ScopeError for what does not exist."""
    if order.columns and not order.table:
        raise UsageError("--columns needs --table: say of which table")
    text = _table_scope(order, catalog) if order.table else order.scope or "all"
    scope = Scope.parse_bare(text)
    if order.pattern is not None:
        return _filtered(scope, order.pattern, catalog)
    missing = scope.missing(catalog)
    if missing:
        raise ScopeError(f"scope: {'; '.join(missing)}")
    return scope


def _table_scope(order: Order, catalog: Catalog) -> str:
    assert order.table is not None
    parts = parse_parts(order.table)
    schema = order.scope or _only_schema(order.table, catalog)
    prefix = () if len(parts) > 1 else parse_parts(schema)
    names = tuple(name.text for name in (*prefix, *parts))
    if len(names) != 2:
        raise ScopeError(
            f"--table: found {order.table!r}; allowed: schema.table, or a table of the schema SCOPE"
        )
    table = ObjectRef(schema=names[0], table=names[1])
    if not order.columns:
        return f"table:{table}"
    columns = [column.strip() for column in order.columns.split(",") if column.strip()]
    refs = (ObjectRef(schema=names[0], table=names[1], column=name) for name in columns)
    return "column:" + ",".join(str(ref) for ref in refs)


def _only_schema(table: str, catalog: Catalog) -> str:
    """Return the schema that has a table of this name. Raises: ScopeError."""
    if len(parse_parts(table)) > 1:
        return ""
    name = parse_parts(table)[0].text
    schemas = [found.schema for found in catalog.tables if found.name == name]
    if len(schemas) != 1:
        said = f"is in {len(schemas)} schemas" if schemas else "does not exist"
        raise ScopeError(f"--table: {table!r} {said}; give it as schema.table")
    return str(ObjectRef(schema=schemas[0]))


def _filtered(scope: Scope, pattern: str, catalog: Catalog) -> Scope:
    """Return the tables in scope whose name, or schema.name, the pattern finds."""
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise UsageError(f"--filter: {pattern!r} is no regular expression: {error}") from None
    found = [
        table.ref
        for table in catalog.tables
        if scope.touches_table(table.ref)
        and (wanted.search(table.name) or wanted.search(f"{table.schema}.{table.name}"))
    ]
    if not found:
        raise ScopeError(f"--filter: no table in {scope} matches {pattern!r}")
    return Scope.parse("table:" + ",".join(str(ref) for ref in found))


def _picked_profile(desk: Desk) -> str:
    from amxwatch.cli.terminal import pick

    settings = desk.install.settings
    names = sorted(settings.db_profiles)
    if len(names) < 2:
        return settings.db_profile(None).name
    return pick("DB profiles", names, default=settings.default_db_profile)


def _picked_scope(catalog: Catalog) -> Scope:
    from amxwatch.cli.pickers import pick_scope

    return pick_scope(catalog, is_rule=False)
