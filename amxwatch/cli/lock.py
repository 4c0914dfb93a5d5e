"""`amxwatch lock` and `unlock`: objects whose descriptions stay with people."""

from __future__ import annotations

from functools import partial

import click

from amxwatch.cli.options import db_option
from amxwatch.cli.output import Column, local, moment, shown
from amxwatch.cli.session import Desk, reading, writing


@click.command()
@click.argument("objects", metavar="[OBJECT]...", nargs=-1)
@click.option("--list", "list_", is_flag=True, help="List what is locked.")
@db_option
@click.pass_context
def lock(ctx: click.Context, objects: tuple[str, ...], list_: bool, db: str | None) -> None:
    """Keep objects to people: they are neither drafted nor written.

    OBJECT is schema, schema.table or schema.table.column, or a glob, which locks what it matches
    now. A table's lock holds for its columns; a lock follows a rename.
    """
    if list_ and objects:
        raise click.UsageError("--list and OBJECT do not go together", ctx=ctx)
    if list_:
        reading(partial(_list, db))
    elif objects:
        writing(partial(_lock, objects, db))
    else:
        raise click.UsageError("say what to lock, or give --list", ctx=ctx)


@click.command()
@click.argument("objects", metavar="OBJECT...", nargs=-1, required=True)
@db_option
def unlock(objects: tuple[str, ...], db: str | None) -> None:
    """Let locked objects be described again."""
    writing(partial(_unlock, objects, db))


async def _list(db: str | None, desk: Desk) -> None:
    source = desk.install.source(db)
    held = await desk.install.ledger.read(lambda tx: tx.locks.list(source.profile))
    desk.out.document(
        {
            "db_profile": source.profile,
            "locks": [{"object": str(ref), "at": moment(at)} for ref, at in held.items()],
        }
    )
    if not held:
        desk.out.say(f"Nothing is locked in {shown(source.profile)}.")
        return
    desk.out.table(
        ["object", Column("locked at", rigid=True)],
        [[ref, local(at)] for ref, at in held.items()],
    )


async def _lock(objects: tuple[str, ...], db: str | None, desk: Desk) -> None:
    from amxwatch.flows.locking import lock as locking

    source = desk.install.source(db)
    new = await locking(source, objects)
    desk.out.document({"db_profile": source.profile, "locked": [str(ref) for ref in new]})
    for ref in new:
        desk.out.say(f"Locked: {shown(ref)}")
    if not new:
        desk.out.say("It was locked already.")


async def _unlock(objects: tuple[str, ...], db: str | None, desk: Desk) -> None:
    from amxwatch.flows.locking import unlock as unlocking

    source = desk.install.source(db)
    gone = await unlocking(source, objects)
    desk.out.document({"db_profile": source.profile, "unlocked": [str(ref) for ref in gone]})
    for ref in gone:
        desk.out.say(f"Unlocked: {shown(ref)}")
