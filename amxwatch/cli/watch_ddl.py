"""`amxwatch db watch-ddl`: let a database announce its changes."""

from __future__ import annotations

from functools import partial

import click

from amxwatch.cli.options import db_argument, db_option, one_of, yes_option
from amxwatch.cli.output import shown
from amxwatch.cli.session import Desk, leave, writing
from amxwatch.core.errors import StatementRefusedError, UsageError
from amxwatch.ports.ddl_watch import DdlWatch, DdlWatchPlan

POOLER = (
    "a pooler in transaction mode does not pass announcements on: where the profile's url leads "
    "to one, give it the server's own address"
)

dry_run_option = click.option(
    "--dry-run", "--print", "dry_run", is_flag=True, help="Print the statements and run none."
)


@click.group("watch-ddl")
def watch_ddl() -> None:
    """Let PostgreSQL announce DDL, so that changes are noticed at once.

    Two event triggers say on the channel amxwatch_ddl that something moved; they can make no
    statement fail. Creating them wants a superuser. Without them polls find every change.
    """


@watch_ddl.command()
@db_argument
@db_option
@dry_run_option
@yes_option
def install(profile: str | None, db: str | None, dry_run: bool, yes: bool) -> None:
    """Create the event triggers. Does nothing where they are there already."""
    name = one_of(profile, db, "--db")
    leave(writing(partial(_change, name, install=True, dry_run=dry_run, yes=yes)))


@watch_ddl.command()
@db_argument
@db_option
@dry_run_option
@yes_option
def uninstall(profile: str | None, db: str | None, dry_run: bool, yes: bool) -> None:
    """Drop the event triggers and their function. Leaves nothing behind."""
    name = one_of(profile, db, "--db")
    leave(writing(partial(_change, name, install=False, dry_run=dry_run, yes=yes)))


async def _change(name: str | None, desk: Desk, *, install: bool, dry_run: bool, yes: bool) -> int:
    source = desk.install.source(name)
    watch: DdlWatch | None = getattr(source.database, "ddl_watch", None)
    if watch is None:
        product = source.database.capabilities.product
        raise UsageError(
            f"watch-ddl is for PostgreSQL only, and {source.profile} is {product}; "
            "what its changes are noticed by is in docs/sources.md"
        )
    plan = await watch.plan(install=install)
    if install and plan.obstacle is not None and not dry_run:
        return _told(desk, source.profile, plan, error=f"not installed: {plan.obstacle}")
    for statement in plan.statements:
        desk.out.say(statement)
    if dry_run or not plan.statements:
        return _told(desk, source.profile, plan)
    if not _agreed(desk, source.profile, install, yes):
        return 1
    try:
        await watch.execute(plan)
    except StatementRefusedError as error:
        return _told(desk, source.profile, plan, error=str(error))
    return _told(desk, source.profile, await watch.plan(install=install), ran=plan.statements)


def _agreed(desk: Desk, profile: str, install: bool, yes: bool) -> bool:
    from amxwatch.cli.terminal import confirm

    verb = "Create" if install else "Drop"
    return confirm(f"{verb} the event triggers of {shown(profile)}?", yes=yes)


def _told(
    desk: Desk,
    profile: str,
    plan: DdlWatchPlan,
    *,
    ran: tuple[str, ...] = (),
    error: str | None = None,
) -> int:
    """Say what stands now, and return the exit status."""
    desk.out.document(
        {
            "profile": profile,
            "installed": plan.installed,
            "changed": bool(ran),
            "statements": list(ran or plan.statements),
            "error": error,
        }
    )
    if error is not None:
        desk.out.warn(error)
        return 1
    if plan.installed:
        desk.out.say(f"{shown(profile)} announces DDL.", colour="green")
        desk.out.say(f"Mind: {POOLER}.")
    else:
        desk.out.say(f"{shown(profile)} does not announce DDL: polls find its changes.")
    return 0
