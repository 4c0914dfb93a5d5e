"""`amxwatch history`: past runs."""

from __future__ import annotations

from functools import partial

import click

from amxwatch.cli.options import BANDS, STRATEGIES, complete_schedule, db_option
from amxwatch.cli.output import Column, cut, dollars, local, shown
from amxwatch.cli.session import Desk, leave, reading, writing
from amxwatch.core.run import RunStatus

STATUSES = [str(status) for status in RunStatus]


@click.group()
def history() -> None:
    """List, show and review past runs."""


@history.command("list")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=50,
    show_default=True,
    help="How many, newest first.",
)
@click.option("--status", type=click.Choice(STATUSES), help="Only runs of this status.")
@click.option(
    "--schedule",
    metavar="NAME",
    shell_complete=complete_schedule,
    help="Only runs of this schedule.",
)
@db_option
def list_(limit: int, status: str | None, schedule: str | None, db: str | None) -> None:
    """List runs, newest first."""
    reading(partial(_list, limit, status, schedule, db))


async def _list(
    limit: int, status: str | None, schedule: str | None, db: str | None, desk: Desk
) -> None:
    from amxwatch.cli.documents import run_document
    from amxwatch.ports.ledger import RunFilter

    which = RunFilter(
        statuses=frozenset({RunStatus(status)}) if status else None,
        schedule=schedule,
        db_profile=db,
        limit=limit,
    )
    runs = await desk.install.ledger.read(lambda tx: tx.runs.list(which))
    desk.out.document({"runs": [run_document(run) for run in runs]})
    if not runs:
        desk.out.say("No run yet.")
        return
    desk.out.table(
        [Column("run", rigid=True), "status", "trigger", Column("cost", right=True), "summary"],
        [
            [
                run.id,
                run.status,
                run.schedule or run.trigger,
                dollars(run.cost_usd, requests=run.requests),
                cut(run.error or run.summary, 80),
            ]
            for run in runs
        ],
    )


@history.command()
@click.argument("run_id", metavar="RUN")
def show(run_id: str) -> None:
    """Show a run with its drafts and its trail.

    RUN is an id or the beginning of one.
    """
    reading(partial(_show, run_id))


async def _show(text: str, desk: Desk) -> None:
    from amxwatch.cli.documents import draft_document, event_document, run_document
    from amxwatch.cli.trail import events_of
    from amxwatch.flows import manual
    from amxwatch.ports.ledger import DraftFilter

    ledger, out = desk.install.ledger, desk.out
    run_id = await manual.find(ledger, text)
    run = await ledger.read(lambda tx: tx.runs.get(run_id))
    drafts = await ledger.read(lambda tx: tx.drafts.list(DraftFilter(run_id=run_id)))
    events = await ledger.read(lambda tx: events_of(tx, run_id))
    document = run_document(run)
    out.document(
        {
            **document,
            "drafts": [draft_document(draft) for draft in drafts],
            "events": [event_document(event) for event in events],
        }
    )
    for key, value in document.items():
        if value is not None:
            out.say(f"{key:>18}  {shown(value)}")
    if drafts:
        out.say()
        out.table(
            [Column("draft", right=True), "object", "status", "band", "text"],
            [
                [d.id, d.ref, d.status, d.band, cut(d.text or (d.alternatives or (None,))[0], 60)]
                for d in drafts
            ],
        )
    out.say()
    out.table([Column("at", rigid=True), "action"], [[local(e.at), e.action] for e in events])


@history.command("review")
@click.argument("run_id", metavar="RUN")
@click.option("--list", "list_", is_flag=True, help="List what waits, and ask nothing.")
@click.option("--strategy", type=click.Choice(STRATEGIES), help="Answer the run's queue so.")
@click.option("--table", metavar="T", help="Only this table: a name or glob.")
@click.option("--band", type=click.Choice(BANDS), help="Only drafts of this band.")
def review_(
    run_id: str, list_: bool, strategy: str | None, table: str | None, band: str | None
) -> None:
    """Review the drafts of one run."""
    from amxwatch.cli import reviewing

    which = reviewing.Which(run_id=run_id, table=table, band=band)
    if list_:
        reading(partial(reviewing.list_waiting, which))
    elif strategy is not None:
        writing(partial(reviewing.by_strategy, which, strategy))
    else:
        leave(reviewing.in_terminal(which))
