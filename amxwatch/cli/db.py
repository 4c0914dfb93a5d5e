"""`amxwatch db`: the db profiles."""

from __future__ import annotations

from functools import partial

import click

from amxwatch.cli.options import complete_db, db_argument, db_option, one_of
from amxwatch.cli.output import Column, local_text, shown
from amxwatch.cli.session import Desk, leave, output, reading, root, writing
from amxwatch.cli.watch_ddl import watch_ddl


@click.group()
def db() -> None:
    """List, test, inspect and choose db profiles."""


db.add_command(watch_ddl)


@db.command("list")
def list_() -> None:
    """List the db profiles and how looking at them goes."""
    reading(_list)


async def _list(desk: Desk) -> None:
    from amxwatch.cli.health import source_document

    settings = desk.install.settings
    names = sorted(settings.db_profiles)
    sources = await desk.install.ledger.read(lambda tx: [source_document(tx, n) for n in names])
    chosen = settings.default_db_profile
    profiles = [
        {
            "name": name,
            "url": _public(settings.db_profiles[name].url),
            "default": name == chosen,
            **source,
        }
        for name, source in zip(names, sources, strict=True)
    ]
    desk.out.document({"profiles": profiles})
    if not profiles:
        desk.out.say("No db profile yet: add [db_profiles.NAME] with a url to amxwatch.toml.")
        return
    desk.out.table(
        [Column("name"), "url", "status", Column("tables", right=True), "last look"],
        [
            [
                f"{profile['name']}{' *' if profile['default'] else ''}",
                profile["url"],
                profile["status"],
                profile["tables"],
                local_text(profile["looked_at"]),
            ]
            for profile in profiles
        ],
    )
    desk.out.say("* is used where no --db is given")


def _public(url: str) -> str:
    """Return a profile's URL without what is secret in it; a reference as it stands."""
    from amxwatch.settings.secrets import is_reference, redact

    if is_reference(url):
        return url
    before, mark, _ = redact(url, ()).partition("?")
    return before + ("?…" if mark else "")


@db.command()
@db_argument
@db_option
def test(profile: str | None, db: str | None) -> None:
    """Connect to a database and say what it can do."""
    leave(writing(partial(_test, one_of(profile, db, "--db"))))


async def _test(name: str | None, desk: Desk) -> int:
    from amxwatch.cli.probe import probe

    found = await probe(desk.install, desk.install.settings.db_profile(name).name)
    desk.out.document(found.document())
    desk.out.say(f"{shown(found.profile)}: {found.product}", colour="green" if found.ok else "red")
    for line in found.lines():
        desk.out.say(f"  {line}")
    if found.error is not None:
        desk.out.warn(found.error)
    return 0 if found.ok else 1


@db.command()
@db_argument
@db_option
@click.option("--scope", metavar="SCOPE", help="Only these objects.")
def inspect(profile: str | None, db: str | None, scope: str | None) -> None:
    """Look at a database now and list what is described there."""
    reading(partial(_inspect, one_of(profile, db, "--db"), scope))


async def _inspect(name: str | None, scope: str | None, desk: Desk) -> None:
    from amxwatch.cli.catalog_view import scope_of, table_documents
    from amxwatch.flows.watch import look

    source = desk.install.source(name)
    found = await look(source)
    if found.error is not None:
        desk.out.warn(f"warning: the last snapshot is shown: {found.error}")
    catalog = await source.catalog()
    tables = table_documents(catalog, scope_of(scope, catalog))
    desk.out.document({"profile": source.profile, "snapshot": found.snapshot, "tables": tables})
    desk.out.table(
        [
            "table",
            "type",
            Column("rows", right=True),
            Column("columns", right=True),
            "comment?",
            Column("described", right=True),
        ],
        [
            [
                f"{table['schema']}.{table['table']}",
                table["object_type"],
                table["row_estimate"],
                table["column_count"],
                "yes" if table["comment"] else "no",
                f"{table['described_columns']}/{table['column_count']}",
            ]
            for table in tables
        ],
    )


@db.command()
@click.argument("profile", shell_complete=complete_db)
def use(profile: str) -> None:
    """Make a db profile the one that is used where no --db is given."""
    from amxwatch.settings.edit import set_default
    from amxwatch.settings.file import load

    out = output()
    load(root()).settings.db_profile(profile)
    set_default(root(), "db_profile", profile)
    out.document({"db_profile": profile})
    out.say(f"{shown(profile)} is the default db profile now.")
