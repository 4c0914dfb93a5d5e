"""`amxwatch run`, `run-apply`, `cancel` and `unblock`: runs by hand."""

from __future__ import annotations

from functools import partial

import click

from amxwatch.cli.options import STRATEGIES, db_option, llm_option, one_of, yes_option
from amxwatch.cli.session import Desk, leave, writing
from amxwatch.cli.terminal import is_interactive
from amxwatch.cli.tree import JSON_KEY


@click.command()
@click.argument("scope", required=False)
@click.option("--scope", "scope_flag", metavar="SCOPE", help="As the argument.")
@click.option("--table", metavar="T", help="One table: schema.table, or a name in SCOPE.")
@click.option("--columns", metavar="C,…", help="Only these columns of --table.")
@db_option
@llm_option
@click.option(
    "--strategy",
    type=click.Choice(["manual", "auto"]),
    default="manual",
    show_default=True,
    help="Queue the drafts for review, or apply the sure ones at once.",
)
@click.pass_context
def run(
    ctx: click.Context,
    scope: str | None,
    scope_flag: str | None,
    table: str | None,
    columns: str | None,
    db: str | None,
    llm: str | None,
    strategy: str,
) -> None:
    """Draft descriptions for a scope, now.

    SCOPE is all, a schema, schema.table, schema.table.column, or a list such as
    schema:a,b or table:s.t1,s.t2. Without one, a terminal asks; else it is all. What is
    undescribed or stale is drafted, and never what a person wrote.
    """
    from amxwatch.cli.running import Order, order_run

    given = one_of(scope, scope_flag, "--scope")
    ask = given is None and table is None and is_interactive() and not ctx.meta.get(JSON_KEY)
    order = Order(
        scope=given, table=table, columns=columns, db=db, llm=llm, strategy=strategy, ask=ask
    )
    leave(writing(partial(order_run, order)))


@click.command("run-apply")
@click.argument("scope", required=False)
@click.option("--scope", "scope_flag", metavar="SCOPE", help="As the argument.")
@click.option("--filter", "pattern", metavar="RE", help="Only tables whose name matches.")
@db_option
@llm_option
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    help="How the drafts are answered; without a terminal it must be given.",
)
@click.option("--apply", "apply_", is_flag=True, help="Write without asking.")
@yes_option
def run_apply(
    scope: str | None,
    scope_flag: str | None,
    pattern: str | None,
    db: str | None,
    llm: str | None,
    strategy: str | None,
    apply_: bool,
    yes: bool,
) -> None:
    """Draft, review by a strategy and apply, in one go.

    accept-all-high accepts only drafts of high confidence; the others stay in the queue.
    """
    from amxwatch.cli.running import Order, order_run_apply

    order = Order(
        scope=one_of(scope, scope_flag, "--scope"),
        pattern=pattern,
        db=db,
        llm=llm,
        strategy="manual",
    )
    leave(writing(partial(order_run_apply, order, strategy, apply_ or yes)))


@click.command()
@click.argument("run_id", metavar="RUN")
def cancel(run_id: str) -> None:
    """Stop a run.

    One that waits stops at once, one that goes on at its next step. RUN is an id or the
    beginning of one.
    """
    writing(partial(_cancel, run_id))


async def _cancel(text: str, desk: Desk) -> None:
    from amxwatch.cli.documents import run_document
    from amxwatch.flows import manual

    install = desk.install
    run_id = await manual.find(install.ledger, text)
    found = await manual.cancel(install.ledger, install.clock, run_id)
    desk.out.document(run_document(found))
    said = "was cancelled" if not found.is_open else "was asked to stop; it ends at its next step"
    desk.out.say(f"{run_id} {said}.")


@click.command()
@click.argument("run_id", metavar="RUN")
def unblock(run_id: str) -> None:
    """Let a blocked run go on.

    RUN is an id or the beginning of one. A daemon takes it up; without one, run-due does.
    """
    writing(partial(_unblock, run_id))


async def _unblock(text: str, desk: Desk) -> None:
    from amxwatch.cli.documents import run_document
    from amxwatch.flows import manual

    install = desk.install
    run_id = await manual.find(install.ledger, text)
    found = await manual.unblock(install.ledger, install.clock, run_id)
    desk.out.document(run_document(found))
    desk.out.say(f"{run_id} is {found.status} again; a daemon, or schedule run-due, takes it up.")
