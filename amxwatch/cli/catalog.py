"""`amxwatch catalog`: the cached catalogs and their history."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from amxwatch.cli.options import db_argument, db_option, one_of
from amxwatch.cli.output import Column, Output, cut, json_text, local, moment, percent, shown
from amxwatch.cli.session import Desk, leave, reading, writing


@click.group()
def catalog() -> None:
    """Show, compare and measure the cached catalogs."""


@catalog.command()
@db_argument
@db_option
def refresh(profile: str | None, db: str | None) -> None:
    """Read a database now and print the number of its newest snapshot."""
    leave(writing(partial(_refresh, one_of(profile, db, "--db"))))


async def _refresh(name: str | None, desk: Desk) -> int:
    from amxwatch.flows.watch import look

    source = desk.install.source(name)
    found = await look(source, exact=True)
    state = await source.ledger.read(lambda tx: tx.sources.get(source.profile))
    problems = [str(problem) for problem in state.problems]
    desk.out.document(
        {
            "profile": source.profile,
            "snapshot": found.snapshot,
            "changes": len(found.changes),
            "problems": problems,
            "error": found.error,
        }
    )
    for problem in problems:
        desk.out.warn(f"warning: {problem}")
    if found.error is not None:
        desk.out.warn(found.error)
        return 1
    newest = await source.newest()
    what = f": {newest.tables} tables, {newest.columns} columns" if newest else ""
    moved = f", {len(found.changes)} changes" if found.changes else ", no change"
    desk.out.say(f"snapshot {found.snapshot} of {shown(source.profile)}{what}{moved}")
    return 0


@catalog.command()
@click.argument("scope", required=False)
@click.option("--as-of", metavar="TIME|SNAPSHOT", help="The catalog as it stood then.")
@click.option("--scope", "scope_flag", metavar="SCOPE", help="As the argument.")
@db_option
def show(scope: str | None, as_of: str | None, scope_flag: str | None, db: str | None) -> None:
    """Show the tables and columns of a snapshot."""
    reading(partial(_show, one_of(scope, scope_flag, "--scope"), as_of, db))


async def _show(scope: str | None, as_of: str | None, db: str | None, desk: Desk) -> None:
    from amxwatch.cli.catalog_view import scope_of, snapshot_of, table_documents

    source = desk.install.source(db)
    record = await snapshot_of(source, as_of, flag="--as-of")
    found = await source.as_of(record.number)
    tables = table_documents(found, scope_of(scope, found))
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
    if scope is None and len(tables) > 1:
        _overview(desk.out, tables)
    else:
        for table in tables:
            _table(desk.out, table)


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
def log(profile: str | None, db: str | None) -> None:
    """List the snapshots of a db profile, oldest first."""
    reading(partial(_log, one_of(profile, db, "--db")))


async def _log(name: str | None, desk: Desk) -> None:
    from amxwatch.cli.documents import snapshot_document

    profile = desk.install.settings.db_profile(name).name
    records = await desk.install.ledger.read(lambda tx: tx.snapshots.list(profile))
    desk.out.document({"profile": profile, "snapshots": [snapshot_document(r) for r in records]})
    if not records:
        desk.out.say(f"No snapshot yet; take one with: amxwatch catalog refresh {shown(profile)}")
        return
    desk.out.table(
        [
            Column("snapshot", right=True),
            Column("taken at", rigid=True),
            Column("tables", right=True),
            Column("columns", right=True),
            Column("changes", right=True),
            "note",
        ],
        [
            [r.number, local(r.at), r.tables, r.columns, r.changes, "baseline" * r.baseline]
            for r in records
        ],
    )


@catalog.command()
@db_argument
@db_option
@click.option("--from", "start", metavar="SNAPSHOT|TIME", help="The older side.")
@click.option("--to", "end", metavar="SNAPSHOT|TIME", help="The newer side.")
@click.option(
    "--format", "form", type=click.Choice(["table", "json"]), default=None, help="How to print it."
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


@catalog.command()
@db_argument
@db_option
@click.option("--scope", metavar="SCOPE", help="Only these objects.")
@click.option(
    "--min", "least", type=click.FloatRange(0, 100), metavar="PERCENT", help="Exit 1 below this."
)
def coverage(profile: str | None, db: str | None, scope: str | None, least: float | None) -> None:
    """Say how much of a catalog is described."""
    leave(reading(partial(_coverage, one_of(profile, db, "--db"), scope, least)))


async def _coverage(name: str | None, scope: str | None, least: float | None, desk: Desk) -> int:
    from amxwatch.cli.catalog_view import scope_of, snapshot_of, table_documents

    source = desk.install.source(name)
    record = await snapshot_of(source, None, flag="")
    found = await source.as_of(record.number)
    meant = scope_of(scope, found)
    rows = [_measured(table) for table in table_documents(found, meant)]
    objects = sum(row["objects"] for row in rows)
    described = sum(row["described"] for row in rows)
    share = 100 * described / objects if objects else 100.0
    ok = least is None or share >= least
    desk.out.document(
        {
            "profile": source.profile,
            "snapshot": record.number,
            "scope": str(meant),
            "objects": objects,
            "described": described,
            "percent": round(share, 2),
            "min": least,
            "ok": ok,
            "tables": rows,
        }
    )
    desk.out.table(
        [
            "table",
            Column("described", right=True),
            Column("of", right=True),
            Column("", right=True),
        ],
        [
            [
                f"{row['schema']}.{row['table']}",
                row["described"],
                row["objects"],
                percent(row["described"], row["objects"]),
            ]
            for row in rows
        ],
    )
    desk.out.say(f"{described} of {objects} tables and columns are described: {share:.1f}%")
    if not ok:
        desk.out.warn(f"coverage of {source.profile} is {share:.1f}%, below --min {least:g}")
    return 0 if ok else 1


def _measured(table: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema": table["schema"],
        "table": table["table"],
        "objects": table["column_count"] + 1,
        "described": table["described_columns"] + bool(table["comment"]),
    }
