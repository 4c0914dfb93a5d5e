"""`amxwatch review`: accept, edit or reject drafts."""

from __future__ import annotations

from functools import partial

import click

from amxwatch.cli.options import BANDS, STRATEGIES, db_option, yes_option
from amxwatch.cli.session import leave, reading, writing


@click.command()
@click.option("--list", "list_", is_flag=True, help="List what waits, and ask nothing.")
@click.option("--strategy", type=click.Choice(STRATEGIES), help="Answer the whole queue so.")
@click.option("--run", "run_id", metavar="RUN", help="Only the drafts of this run.")
@click.option("--table", metavar="T", help="Only this table: a name or glob.")
@click.option("--band", type=click.Choice(BANDS), help="Only drafts of this band.")
@db_option
@click.option("--accept", metavar="ID", type=int, help="Accept this draft.")
@click.option("--choice", metavar="N", type=int, help="With --accept: the alternative, from 1.")
@click.option("--text", metavar="TEXT", help="With --accept: your own text instead.")
@click.option("--reject", metavar="ID", type=int, help="Turn this draft down.")
@click.option("--skip", metavar="ID", type=int, help="Leave this draft for later.")
@click.option("--reopen", metavar="ID", type=int, help="Take the answer to this draft back.")
@click.option("--show", metavar="ID", type=int, help="Show a draft and what it rests on.")
@yes_option
@click.pass_context
def review(
    ctx: click.Context,
    list_: bool,
    strategy: str | None,
    run_id: str | None,
    table: str | None,
    band: str | None,
    db: str | None,
    accept: int | None,
    choice: int | None,
    text: str | None,
    reject: int | None,
    skip: int | None,
    reopen: int | None,
    show: int | None,
    yes: bool,
) -> None:
    """Accept, edit or reject drafted descriptions.

    In a terminal each draft is shown with its alternatives; else one of --list, --strategy,
    --accept, --reject, --skip, --reopen and --show says what to do. Each answer is kept at once:
    who leaves goes on later where they stopped. Flagged drafts are never accepted in bulk.
    """
    from amxwatch.cli import reviewing

    answers = {
        "--list": list_ or None,
        "--strategy": strategy,
        "--accept": accept,
        "--reject": reject,
        "--skip": skip,
        "--reopen": reopen,
        "--show": show,
    }
    given = [flag for flag, value in answers.items() if value is not None]
    _check(ctx, given, choice, text)
    which = reviewing.Which(db=db, run_id=run_id, table=table, band=band)
    if not given:
        leave(reviewing.in_terminal(which))
        return
    singles = (
        (reject, reviewing.reject_one),
        (skip, reviewing.skip_one),
        (reopen, reviewing.reopen_one),
        (show, reviewing.show_one),
    )
    if list_:
        reading(partial(reviewing.list_waiting, which))
    elif strategy is not None:
        writing(partial(reviewing.by_strategy, which, strategy))
    elif accept is not None:
        writing(partial(reviewing.accept_one, accept, choice or 1, text))
    for number, answer in singles:
        if number is not None:
            writing(partial(answer, number))


def _check(ctx: click.Context, given: list[str], choice: int | None, text: str | None) -> None:
    """Refuse options that do not go together. Raises: click.UsageError."""
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} do not go together", ctx=ctx)
    if "--accept" not in given and (choice is not None or text is not None):
        raise click.UsageError("--choice and --text go with --accept ID", ctx=ctx)
    if choice is not None and text is not None:
        raise click.UsageError("--choice and --text do not go together", ctx=ctx)
