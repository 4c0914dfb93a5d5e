"""`amxwatch catalog`: the cached catalogs and their history."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from amxwatch.cli.coverage import coverage
from amxwatch.cli.impact import impact
from amxwatch.cli.life import log
from amxwatch.cli.options import db_argument, db_option, one_of
from amxwatch.cli.output import Column, Output, cut, json_text, local, moment, shown
from amxwatch.cli.pruning import prune
from amxwatch.cli.session import Desk, leave, reading, writing


@click.group()
def catalog() -> None:
    """Show, compare and measure the cached catalogs."""


@catalog.command()
@db_argument
@db_option
@click.option(
    "--accept",
    is_flag=True,
    help="Take what is there as true: another database, or tables that went out of sight.",
)
def refresh(profile: str | None, db: str | None, accept: bool) -> None:
    """Read a database now and print the number of its newest snapshot."""
    leave(writing(partial(_refresh, one_of(profile, db, "--db"), accept)))


async def _refresh(name: str | None, accept: bool, desk: Desk) -> int:
    from amxwatch.flows.watch import look

    source = desk.install.source(name)
    former = await source.newest()
    found = await look(source, exact=True, accept=accept)
    state = await source.ledger.read(lambda tx: tx.sources.get(source.profile))
    problems = [str(problem) for problem in state.problems]
    desk.out.document(
        {
            "profile": source.profile,
            "snapshot": found.snapshot,
            "changes": len(found.changes),
            "problems": problems,
            "unseen": [str(each.ref) for each in state.unseen],
            "error": found.error,
        }
    )
    for problem in problems:
        desk.out.warn(f"warning: {problem}")
    if state.unseen:
        names = ", ".join(shown(str(each.ref)) for each in state.unseen)
        desk.out.warn(
            f"warning: out of sight since the rights of this login moved, and kept: {names}; grant"
            f" them again, or let them count as dropped with --accept"
        )
    if found.error is not None:
        desk.out.warn(found.error)
        return 1
    newest = await source.newest()
    what = f": {newest.tables} tables, {newest.columns} columns" if newest else ""
    moved = f", {len(found.changes)} changes" if found.changes else ", no change"
    said = moved if former is not None else ""
    desk.out.say(f"snapshot {found.snapshot} of {shown(source.profile)}{what}{said}")
    return 0


@catalog.command()
@click.argument("scope", required=False)
@click.option("--as-of", metavar="TIME|SNAPSHOT", help="The catalog as it stood then.")
@click.option("--scope", "scope_flag", metavar="SCOPE", help="As the argument.")
@click.option("--profile", "profiled", is_flag=True, help="With what was seen of the rows last.")
@db_option
def show(
    scope: str | None, as_of: str | None, scope_flag: str | None, profiled: bool, db: str | None
) -> None:
    """Show the tables and columns of a snapshot."""
    reading(partial(_show, one_of(scope, scope_flag, "--scope"), as_of, profiled, db))


async def _show(
    scope: str | None, as_of: str | None, profiled: bool, db: str | None, desk: Desk
) -> None:
    from amxwatch.cli.catalog_view import scope_of, snapshot_of, table_documents
    from amxwatch.cli.seen import add_profiles, say_profile

    source = desk.install.source(db)
    record = await snapshot_of(source, as_of, flag="--as-of")
    found = await source.as_of(record.number)
    tables = table_documents(found, scope_of(scope, found))
    if profiled:
        await add_profiles(source, tables)
    desk.out.document(
        {
            "profile": source.profile,
            "snapshot": record.number,
            "at": moment(record.at),
            "schemas": [{"schema": s.name, "comment": s.comment} for s in found.schemas],
            "tables": tables,
        }
    )
    desk.out.say(f"{shown(source.profile)}, snapshot {record.number} of {local(record.at)}")
    if scope is None and len(tables) > 1 and not profiled:
        _overview(desk.out, tables)
    else:
        for table in tables:
            _table(desk.out, table)
            if profiled:
                await say_profile(source, table, desk.out)


def _overview(out: Output, tables: list[dict[str, Any]]) -> None:
    out.table(
        ["table", "type", Column("columns", right=True), "comment"],
        [
            [
                f"{table['schema']}.{table['table']}",
                table["object_type"],
                table["column_count"],
                cut(table["comment"], 50),
            ]
            for table in tables
        ],
    )


def _table(out: Output, table: dict[str, Any]) -> None:
    from amxwatch.cli.catalog_view import key_words

    out.say()
    out.say(shown(f"{table['object_type']} {table['schema']}.{table['table']}"), colour="cyan")
    out.say(f"  {shown(table['comment'])}")
    out.table(
        ["column", "type", "null", "key", "comment"],
        [
            [
                column["column"],
                column["type"],
                "yes" if column["nullable"] else "no",
                key_words(table, column["column"]),
                cut(column["comment"], 100),
            ]
            for column in table["columns"]
        ],
    )


@catalog.command()
@db_argument
@db_option
@click.option("--from", "start", metavar="SNAPSHOT|TIME", help="The older side.")
@click.option("--to", "end", metavar="SNAPSHOT|TIME", help="The newer side.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "json", "sql"]),
    default=None,
    help="How to print it; sql: the statements that make the newer side of the older.",
)
def diff(
    profile: str | None, db: str | None, start: str | None, end: str | None, form: str | None
) -> None:
    """Compare two snapshots of a db profile; by default the last two."""
    reading(partial(_diff, one_of(profile, db, "--db"), start, end, form))


async def _diff(
    name: str | None, start: str | None, end: str | None, form: str | None, desk: Desk
) -> None:
    from amxwatch.cli.catalog_view import snapshot_of
    from amxwatch.core.catalog import SnapshotNumber
    from amxwatch.core.change import change_document

    out = Output(as_json=True) if form == "json" else desk.out
    source = desk.install.source(name)
    to = (await snapshot_of(source, end, flag="--to")).number
    if start is not None:
        since = (await snapshot_of(source, start, flag="--from")).number
    else:
        since = SnapshotNumber(max(to - 1, 1))
    changes = await source.changes(since, to)
    if form == "sql":
        from amxwatch.cli.diffing import print_statements

        await print_statements(source, changes, since, to, desk.out)
        return
    documents = [change_document(change) for change in changes]
    out.document({"profile": source.profile, "from": since, "to": to, "changes": documents})
    out.say(f"{shown(source.profile)}, from snapshot {since} to {to}: {len(changes)} changes")
    if not changes:
        return
    out.table(
        ["change", "object", "before", "after"],
        [
            [
                change.kind,
                f"{change.object_type} {change.ref}",
                _side(change.before),
                _side(change.after),
            ]
            for change in changes
        ],
    )


def _side(value: object) -> str:
    """Return one side of a change for people, in short."""
    if isinstance(value, dict):
        columns = value.get("columns")
        return f"{len(columns)} columns" if isinstance(columns, list) else cut(json_text(value), 40)
    return cut(None if value is None else str(value), 40)


catalog.add_command(log)
catalog.add_command(coverage)
catalog.add_command(impact)
catalog.add_command(prune)
