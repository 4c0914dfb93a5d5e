"""`amxwatch review`: accept, edit or reject drafts."""

from __future__ import annotations

from functools import partial

import click

from amxwatch.cli.options import STRATEGIES, db_option, yes_option
from amxwatch.cli.session import leave, reading, writing


@click.command()
@click.option("--list", "list_", is_flag=True, help="List what waits, and ask nothing.")
@click.option("--strategy", type=click.Choice(STRATEGIES), help="Answer the whole queue so.")
@click.option("--run", "run_id", metavar="RUN", help="Only the drafts of this run.")
@db_option
@click.option("--accept", metavar="ID", type=int, help="Accept this draft.")
@click.option("--choice", metavar="N", type=int, help="With --accept: the alternative, from 1.")
@click.option("--text", metavar="TEXT", help="With --accept: your own text instead.")
@click.option("--reject", metavar="ID", type=int, help="Turn this draft down.")
@click.option("--skip", metavar="ID", type=int, help="Leave this draft for later.")
@yes_option
@click.pass_context
def review(
    ctx: click.Context,
    list_: bool,
    strategy: str | None,
    run_id: str | None,
    db: str | None,
    accept: int | None,
    choice: int | None,
    text: str | None,
    reject: int | None,
    skip: int | None,
    yes: bool,
) -> None:
    """Accept, edit or reject drafted descriptions.

    In a terminal each draft is shown with its alternatives; else one of --list, --strategy,
    --accept, --reject and --skip says what to do. Flagged drafts are never accepted in bulk.
    """
    from amxwatch.cli import reviewing

    given = [
        name
        for name, value in (
            ("--list", list_ or None),
            ("--strategy", strategy),
            ("--accept", accept),
            ("--reject", reject),
            ("--skip", skip),
        )
        if value is not None
    ]
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} do not go together", ctx=ctx)
    if accept is None and (choice is not None or text is not None):
        raise click.UsageError("--choice and --text go with --accept ID", ctx=ctx)
    if choice is not None and text is not None:
        raise click.UsageError("--choice and --text do not go together", ctx=ctx)
    which = reviewing.Which(db=db, run_id=run_id)
    if list_:
        reading(partial(reviewing.list_waiting, which))
    elif strategy is not None:
        writing(partial(reviewing.by_strategy, which, strategy))
    elif accept is not None:
        writing(partial(reviewing.accept_one, accept, choice or 1, text))
    elif reject is not None:
        writing(partial(reviewing.reject_one, reject))
    elif skip is not None:
        writing(partial(reviewing.skip_one, skip))
    else:
        leave(reviewing.in_terminal(which))
