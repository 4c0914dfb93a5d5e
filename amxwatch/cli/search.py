"""`amxwatch search`: names and comments in the cached catalogs."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import click

from amxwatch.cli.documents import Document
from amxwatch.cli.options import db_option
from amxwatch.cli.output import Column, cut
from amxwatch.cli.session import Desk, reading
from amxwatch.core.catalog import Catalog, ObjectRef, ObjectType
from amxwatch.core.errors import UsageError


@click.command()
@click.argument("text", nargs=-1, required=True)
@db_option
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, 10_000),
    default=50,
    show_default=True,
    help="How many to show.",
)
def search(text: tuple[str, ...], db: str | None, limit: int) -> None:
    """Find names and comments in the cached catalogs.

    Each word must occur in the name or the comment; case does not matter. Names that begin
    with a word come first.
    """
    reading(partial(_search, " ".join(text).casefold().split(), db, limit))


async def _search(words: list[str], db: str | None, limit: int, desk: Desk) -> None:
    settings = desk.install.settings
    names = [settings.db_profile(db).name] if db else sorted(settings.db_profiles)
    found: list[tuple[int, Document]] = []
    for name in names:
        try:
            source = desk.install.source(name)
        except UsageError as error:  # the other profiles are searched all the same
            desk.out.warn(f"warning: {name} is left out: {error}")
            continue
        if await source.newest() is not None:
            found += _matches(name, await source.catalog(), words)
    found.sort(key=lambda match: match[0])
    shown = [document for _, document in found[:limit]]
    desk.out.document({"matches": shown, "total": len(found)})
    if not shown:
        desk.out.say("Nothing found. (Only cached catalogs are searched: catalog refresh)")
        return
    desk.out.table(
        [Column("profile"), "object", "type", "comment"],
        [
            [match["profile"], match["object"], match["object_type"], cut(_text(match), 60)]
            for match in shown
        ],
    )
    if len(found) > limit:
        desk.out.say(f"… and {len(found) - limit} more; give more words, or -n {len(found)}")


def _text(match: Document) -> str | None:
    comment = match["comment"]
    return comment if isinstance(comment, str) else None


def _matches(profile: str, catalog: Catalog, words: list[str]) -> Iterator[tuple[int, Document]]:
    for ref, kind, comment in _objects(catalog):
        own = (ref.column or ref.table or ref.schema).casefold()
        text = f"{ref} {comment or ''}".casefold()
        if all(word in text for word in words):
            yield (
                _rank(own, words),
                {
                    "profile": profile,
                    "object": str(ref),
                    "object_type": kind,
                    "schema": ref.schema,
                    "table": ref.table or None,
                    "column": ref.column or None,
                    "comment": comment,
                },
            )


def _rank(own: str, words: list[str]) -> int:
    """Return 0 for the very name, then names that begin so, names that hold it, the rest."""
    if own == "".join(words) or own in words:
        return 0
    if any(own.startswith(word) for word in words):
        return 1
    return 2 if any(word in own for word in words) else 3


def _objects(catalog: Catalog) -> Iterator[tuple[ObjectRef, ObjectType, str | None]]:
    for schema in catalog.schemas:
        yield ObjectRef(schema=schema.name), ObjectType.SCHEMA, schema.comment
    for table in catalog.tables:
        yield table.ref, table.type, table.comment
        for column in table.columns:
            yield table.column_ref(column.name), ObjectType.COLUMN, column.comment
