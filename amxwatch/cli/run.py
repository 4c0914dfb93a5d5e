"""`amxwatch run`, `run-apply`, `cancel` and `unblock`: runs by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from functools import partial

import click

from amxwatch.cli.options import STRATEGIES, db_option, llm_option, one_of, yes_option
from amxwatch.cli.session import Desk, leave, writing
from amxwatch.cli.terminal import is_interactive
from amxwatch.cli.tree import JSON_KEY


class _Dollars(click.ParamType[Decimal]):
    """An amount in USD, above zero."""

    name = "usd"

    def convert(
        self, value: str | Decimal, param: click.Parameter | None, ctx: click.Context | None
    ) -> Decimal:
        try:
            amount = Decimal(value)
        except InvalidOperation:
            amount = Decimal(0)
        if not amount.is_finite() or amount <= 0:
            self.fail(f"found {value!r}; allowed: an amount above 0, such as 2.50", param, ctx)
        return amount


DOLLARS = _Dollars()


@click.command()
@click.argument("scope", required=False)
@click.option("--scope", "scope_flag", metavar="SCOPE", help="As the argument.")
@click.option("--table", metavar="T", help="One table: schema.table, or a name in SCOPE.")
@click.option("--columns", metavar="C,…", help="Only these columns of --table.")
@click.option("--filter", "pattern", metavar="RE", help="Only tables whose name matches.")
@click.option("--only-missing", is_flag=True, help="Only what has no description.")
@click.option("--stale", is_flag=True, help="Only what moved since it was described.")
@db_option
@llm_option
@click.option("--estimate", is_flag=True, help="Say what it would cost, and ask no model.")
@click.option(
    "--show-prompt", is_flag=True, help="Print what a model would be sent, and send nothing."
)
@click.option(
    "--strategy",
    type=click.Choice(["manual", "auto"]),
    default="manual",
    show_default=True,
    help="Queue the drafts for review, or apply the sure ones at once.",
)
@click.option(
    "--continuous", is_flag=True, help="One run after another until the goals of --vision are met."
)
@click.option("--vision", metavar="FILE", help="The goals file of --continuous, in Markdown.")
@click.option("--max-runs", type=click.IntRange(1), metavar="N", help="Make at most N runs.")
@click.option(
    "--max-idle-cycles",
    type=click.IntRange(1),
    metavar="N",
    help="End after N polls without anything to do.",
)
@click.option("--max-usd", type=DOLLARS, metavar="USD", help="Begin no run once so much is spent.")
@click.option(
    "--poll-seconds",
    type=click.FloatRange(0, min_open=True),
    metavar="N",
    help="How often a session without anything to do looks again.",
)
@click.pass_context
def run(
    ctx: click.Context,
    scope: str | None,
    scope_flag: str | None,
    table: str | None,
    columns: str | None,
    pattern: str | None,
    only_missing: bool,
    stale: bool,
    db: str | None,
    llm: str | None,
    estimate: bool,
    show_prompt: bool,
    strategy: str,
    continuous: bool,
    vision: str | None,
    max_runs: int | None,
    max_idle_cycles: int | None,
    max_usd: Decimal | None,
    poll_seconds: float | None,
) -> None:
    """Draft descriptions for a scope, now.

    SCOPE is all, a schema, schema.table, schema.table.column, or a list such as
    schema:a,b or table:s.t1,s.t2; names may be globs. Without one, a terminal asks; else it is
    all. What is undescribed or stale is drafted, and never what a person wrote.

    With --continuous, runs follow one another until the goals in the --vision file are met, or
    until a limit; the goals' own scopes say what each is about, within SCOPE. Ctrl-C ends it.
    """
    from amxwatch.cli.running import order_run
    from amxwatch.cli.scoping import Order
    from amxwatch.core.manner import Manner, Only

    bounds = {"max_runs": max_runs, "max_idle_cycles": max_idle_cycles, "max_usd": max_usd}
    _check_continuous(
        ctx, continuous, vision, {**bounds, "poll_seconds": poll_seconds}, columns or table
    )

    _check_rehearsal(
        ctx,
        continuous,
        only_missing=only_missing,
        stale=stale,
        estimate=estimate,
        show_prompt=show_prompt,
    )
    given = one_of(scope, scope_flag, "--scope")
    named = given is not None or table is not None or pattern is not None
    only = Only.MISSING if only_missing else Only.STALE if stale else None
    order = Order(
        scope=given,
        table=table,
        columns=columns,
        pattern=pattern,
        db=db,
        llm=llm,
        strategy=strategy,
        manner=Manner(only=only),
        ask=not named and is_interactive() and not ctx.meta.get(JSON_KEY),
    )
    if estimate or show_prompt:
        from amxwatch.cli.foretelling import estimate_run, show_prompts

        writing(partial(estimate_run if estimate else show_prompts, order))
        return
    if vision is None:
        leave(writing(partial(order_run, order)))
        return
    from amxwatch.cli.continuous import Wish, order_continuous

    wish = Wish(
        order=replace(order, ask=False),
        vision=vision,
        max_runs=max_runs,
        max_idle_cycles=max_idle_cycles,
        max_usd=max_usd,
        poll_seconds=poll_seconds,
    )
    leave(writing(partial(order_continuous, wish)))


def _check_continuous(
    ctx: click.Context,
    continuous: bool,
    vision: str | None,
    bounds: Mapping[str, object],
    narrowed: str | None,
) -> None:
    """Refuse options that do not go together. Raises: click.UsageError."""
    if not continuous:
        given = [name for name, value in {"vision": vision, **bounds}.items() if value is not None]
        if given:
            flag = f"--{given[0].replace('_', '-')}"
            raise click.UsageError(f"{flag} goes with --continuous: give both", ctx=ctx)
    elif vision is None:
        raise click.UsageError("--continuous needs --vision FILE, the goals file", ctx=ctx)
    elif narrowed is not None:
        raise click.UsageError(
            "--table and --columns do not go with --continuous: the goals name their scopes",
            ctx=ctx,
        )


def _check_rehearsal(
    ctx: click.Context,
    continuous: bool,
    *,
    only_missing: bool,
    stale: bool,
    estimate: bool,
    show_prompt: bool,
) -> None:
    """Refuse what does not go together. Raises: click.UsageError."""
    if only_missing and stale:
        raise click.UsageError(
            "--only-missing and --stale do not go together: without either, both are drafted",
            ctx=ctx,
        )
    if estimate and show_prompt:
        raise click.UsageError("--estimate and --show-prompt do not go together", ctx=ctx)
    if continuous and (only_missing or stale or estimate or show_prompt):
        raise click.UsageError(
            "--only-missing, --stale, --estimate and --show-prompt are for a single run: leave"
            " --continuous out",
            ctx=ctx,
        )


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
    from amxwatch.cli.running import order_run_apply
    from amxwatch.cli.scoping import Order

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
