"""`amxwatch apply`: write accepted descriptions back."""

from __future__ import annotations

from functools import partial

import click

from amxwatch.cli.options import db_option, yes_option
from amxwatch.cli.session import leave, writing


@click.command()
@db_option
@click.option("--run", "run_id", metavar="RUN", help="Only the drafts of this run.")
@click.option("--dry-run", is_flag=True, help="Print the statements, and write nothing.")
@click.option("--undo", metavar="RUN", help="Put back what stood before this run's comments.")
@yes_option
@click.pass_context
def apply(
    ctx: click.Context,
    db: str | None,
    run_id: str | None,
    dry_run: bool,
    undo: str | None,
    yes: bool,
) -> None:
    """Write accepted descriptions to the database.

    Each row is a statement of its own. A comment that someone else changed meanwhile is a
    conflict and is not overwritten; what fails stays queued.
    """
    from amxwatch.cli import applying

    if undo is not None and run_id is not None:
        raise click.UsageError("--undo and --run do not go together", ctx=ctx)
    if undo is not None:
        leave(writing(partial(applying.undo_run, undo, dry_run, yes)))
    else:
        leave(writing(partial(applying.apply_command, db, run_id, dry_run, yes)))
