"""Putting a run by hand, following it to its end, and saying what came of it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from amxwatch.cli.documents import run_document
from amxwatch.cli.output import Output, dollars, shown
from amxwatch.cli.progress import Ticker
from amxwatch.cli.session import Desk, db_words
from amxwatch.core.catalog import Catalog, ObjectRef
from amxwatch.core.draft import Band, Draft
from amxwatch.core.errors import ScopeError, UsageError
from amxwatch.core.pattern import parse_parts
from amxwatch.core.run import Run, RunId, RunKind, RunStatus
from amxwatch.core.scope import Scope
from amxwatch.flows import manual, review
from amxwatch.flows.source import Source
from amxwatch.flows.watch import look
from amxwatch.ports.ledger import DraftFilter


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
    ask: bool = False


async def order_run(order: Order, desk: Desk) -> int:
    """Run it here, and return the exit status."""
    run = await _ordered(order, desk)
    return await _told(run, desk)


async def order_run_apply(
    order: Order, strategy: str | None, write_at_once: bool, desk: Desk
) -> int:
    """Run it, answer its drafts by a strategy, and apply what was accepted."""
    from amxwatch.cli.applying import apply_accepted
    from amxwatch.cli.reviewing import ask_strategy

    chosen = review.Strategy(strategy) if strategy else ask_strategy(desk.out)
    run = await _ordered(order, desk)
    status = await _told(run, desk, last=False)
    if status:
        desk.out.line(run_document(run))
        return status
    install = desk.install
    waiting = await review.queue(install.ledger, profile=run.db_profile, run_id=run.id)
    tally = await review.by_strategy(install.ledger, install.clock, chosen, waiting)
    desk.out.say(
        f"[Review] {chosen}: {tally.accepted} accepted, {tally.rejected} rejected,"
        f" {tally.left} left in the queue (amxwatch review)"
    )
    return await apply_accepted(
        desk,
        install.source(run.db_profile),
        run_id=run.id,
        yes=write_at_once,
        extra={"run": run_document(run), "accepted": tally.accepted, "left": tally.left},
    )


async def _ordered(order: Order, desk: Desk) -> Run:
    if order.ask and order.db is None:
        order = replace(order, db=_picked_profile(desk))
    source = desk.install.source(order.db)
    catalog = await _seen(source, desk.out)
    scope = _picked_scope(catalog) if order.ask else _scope(order, catalog)
    llm = desk.install.settings.llm_profile(order.llm).name
    run = await manual.put(
        desk.install.ledger,
        desk.install.clock,
        kind=RunKind.ANALYZE,
        db_profile=source.profile,
        llm_profile=llm,
        scope=scope,
        review_strategy=order.strategy,
        reserved_for=desk.install.owner.name,
    )
    return await follow(run.id, desk)


async def scope_of_order(order: Order, desk: Desk) -> tuple[Source, Scope]:
    """Return what an order names, checked against what is there now. Raises: ScopeError."""
    source = desk.install.source(order.db)
    return source, _scope(order, await _seen(source, desk.out))


async def _seen(source: Source, out: Output) -> Catalog:
    """Look at the source, so that the scope is checked against what is there now."""
    found = await look(source)
    if found.error is not None and found.snapshot is not None:
        out.warn(f"warning: {found.error}")
    elif found.error is not None:
        from amxwatch.core.errors import DatabaseUnavailableError

        raise DatabaseUnavailableError(found.error)
    return await source.catalog()


async def follow(run_id: RunId, desk: Desk) -> Run:
    """Execute a queued run in this process, showing its steps, and return it settled.

    Interrupted from the keyboard, the run is cancelled: nobody else should go on with it.
    """
    import anyio

    install = desk.install
    with Ticker(desk.out) as ticker:
        try:
            return await install.engine.work_one(
                run_id, install.handler(ticker.report), install.slots
            )
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True), anyio.move_on_after(3):
                run = await install.ledger.read(lambda tx: tx.runs.get(run_id))
                if run.is_open:
                    await manual.cancel(install.ledger, install.clock, run_id)
            raise


async def _told(run: Run, desk: Desk, *, last: bool = True) -> int:
    """Say what came of a run; return the exit status that it means."""
    out = desk.out
    drafts = await desk.install.ledger.read(lambda tx: tx.drafts.list(DraftFilter(run_id=run.id)))
    bands = {band: sum(draft.band is band for draft in drafts) for band in Band}
    if last:
        out.line({**run_document(run), "bands": {str(band): n for band, n in bands.items()}})
    if run.status is not RunStatus.COMPLETED:
        out.warn(ended_badly(run))
        return 1
    _summary(out, run, bands, drafts)
    if last and run.drafted:
        there = db_words(desk, run.db_profile)
        out.say(f"  Next: amxwatch review{there}, then amxwatch apply{there}")
    return 0


def _summary(out: Output, run: Run, bands: dict[Band, int], drafts: list[Draft]) -> None:
    seconds = run_document(run)["duration_seconds"] or 0
    out.say(f"✓ {run.id} finished in {seconds:.1f} s. {run.drafted} drafted.", colour="green")
    # The first clause of a summary says once more what was drafted.
    besides = (run.summary or "").partition("; ")[2]
    if besides:
        out.say(f"  {shown(besides)}")
    if drafts:
        out.say("  Confidence: " + " · ".join(f"{band} {n}" for band, n in bands.items()))
    if run.requests:
        cost = dollars(run.cost_usd)
        out.say(f"  Tokens: {run.input_tokens:,} in / {run.output_tokens:,} out · Cost: {cost}")


def ended_badly(run: Run) -> str:
    """Say why a run did not complete, and what to do."""
    why = f": {run.error}" if run.error else ""
    mend = f"; mend with: {run.recovery_action}" if run.recovery_action else ""
    return f"{run.id} is {run.status}{why}{mend}"


# -- scopes ----------------------------------------------------------------------------------


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

    return pick_scope(catalog)
