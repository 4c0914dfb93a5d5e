"""`amxwatch apply`: write accepted descriptions back, or into a file."""

from __future__ import annotations

from functools import partial

import click

from amxwatch.cli.options import db_option, yes_option
from amxwatch.cli.session import leave, writing

FORMS = ("sql", "dbt", "markdown", "json")


@click.command()
@db_option
@click.option("--run", "run_id", metavar="RUN", help="Only the drafts of this run.")
@click.option("--dry-run", is_flag=True, help="Print the statements, and write nothing.")
@click.option("--force", is_flag=True, help="Overwrite comments that were changed since the draft.")
@click.option(
    "--restore", is_flag=True, help="Also what was written before and stands there no more."
)
@click.option("--undo", metavar="RUN", help="Put back what stood before this run's comments.")
@click.option(
    "--to",
    "to",
    type=(click.Choice(FORMS), click.Path(dir_okay=False)),
    metavar="FORM FILE",
    help="Write a file instead: sql, dbt, markdown or json.",
)
@yes_option
@click.pass_context
def apply(
    ctx: click.Context,
    db: str | None,
    run_id: str | None,
    dry_run: bool,
    force: bool,
    restore: bool,
    undo: str | None,
    to: tuple[str, str] | None,
    yes: bool,
) -> None:
    """Write accepted descriptions to the database.

    Each row is a statement of its own. A comment that someone else changed meanwhile is a
    conflict and is not overwritten without --force; what fails stays queued.

    With --to nothing is sent to the database: sql writes a migration of what differs, dbt merges
    a schema.yml, markdown writes a data dictionary, json everything that is accepted. - is stdout.
    """
    from amxwatch.cli import applying

    others = {"--run": run_id, "--force": force, "--restore": restore, "--to": to}
    if undo is not None:
        for flag, given in others.items():
            if given:
                raise click.UsageError(f"--undo and {flag} do not go together", ctx=ctx)
        leave(writing(partial(applying.undo_run, undo, dry_run, yes)))
    elif to is not None:
        from amxwatch.cli.exporting import Place, export_to

        for flag, given in {"--force": force, "--restore": restore}.items():
            if given:
                raise click.UsageError(f"--to and {flag} do not go together", ctx=ctx)
        place = Place(form=to[0], file=to[1], db=db, run=run_id, dry_run=dry_run)
        leave(writing(partial(export_to, place)))
    else:
        wish = applying.Wish(
            db=db, run=run_id, dry_run=dry_run, yes=yes, force=force, restore=restore
        )
        leave(writing(partial(applying.apply_command, wish)))
