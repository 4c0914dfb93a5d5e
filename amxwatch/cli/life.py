"""`amxwatch catalog log`: the snapshots of a db profile, and the life of one object."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from amxwatch.cli.options import complete_db, db_option
from amxwatch.cli.output import Column, cut, json_text, local, moment, shown
from amxwatch.cli.session import Desk, reading

if TYPE_CHECKING:
    from amxwatch.cli.documents import Document
    from amxwatch.core.catalog import ObjectRef
    from amxwatch.flows.life import Moment
    from amxwatch.flows.source import Source


@click.command()
@click.argument("name", metavar="[PROFILE|OBJECT]", required=False, shell_complete=complete_db)
@db_option
def log(name: str | None, db: str | None) -> None:
    """List the snapshots of a db profile, or tell the life of one object.

    Oldest first. OBJECT is a schema, s.t or s.t.c, quoted as in scopes; it need not exist any
    more. A name that is a profile's too means the profile; with --db it means the object.
    """
    reading(partial(_log, name, db))


async def _log(name: str | None, db: str | None, desk: Desk) -> None:
    is_profile = db is None and name in desk.install.settings.db_profiles
    if name is None or is_profile:
        await _snapshots(name or db, desk)
    else:
        await _life(name, db, desk)


async def _snapshots(name: str | None, desk: Desk) -> None:
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


async def _life(name: str, db: str | None, desk: Desk) -> None:
    from amxwatch.cli.catalog_view import object_of
    from amxwatch.flows.life import life

    ref = object_of(name)
    source = desk.install.source(db)
    moments = await life(source, ref)
    if not moments:
        await _require(name, ref, source, desk)
    desk.out.document(
        {
            "profile": source.profile,
            "object": str(ref),
            "life": [_document(each) for each in moments],
        }
    )
    desk.out.say(f"{shown(str(ref))} of {shown(source.profile)}")
    if not moments:
        desk.out.say("It stood there at the last baseline and has not moved since.")
        return
    desk.out.table(
        [
            Column("at", rigid=True),
            Column("snapshot", right=True),
            "what",
            "object",
            "before",
            "after",
            "by",
        ],
        [_row(each) for each in moments],
    )


async def _require(name: str, ref: ObjectRef, source: Source, desk: Desk) -> None:
    """Say of a name without a life what is close to it; one that stands is no mistake.

    Raises: NotFoundError.
    """
    from amxwatch.core.errors import NotFoundError
    from amxwatch.core.scope import Scope

    missing = Scope.of([ref]).missing(await source.catalog())
    if missing:
        profiles = ", ".join(shown(each) for each in sorted(desk.install.settings.db_profiles))
        raise NotFoundError(
            f"no snapshot of {source.profile} ever held {shown(name)}; {missing[0]}"
            f" (db profiles are: {profiles})"
        )


def _document(each: Moment) -> Document:
    document: Document = {
        "snapshot": each.snapshot,
        "at": moment(each.at),
        "change": each.what,
        "object": str(each.ref),
        "before": each.before,
        "after": each.after,
        "by": each.author,
        "draft": each.draft.id if each.draft else None,
        "run_id": each.draft.run_id if each.draft else None,
    }
    if each.confidence is not None:
        document["confidence"] = each.confidence
    return document


def _row(each: Moment) -> list[object]:
    sure = each.confidence is None or each.confidence >= 1
    return [
        local(each.at),
        each.snapshot,
        each.what if sure else f"{each.what} ({each.confidence:.0%} sure)",
        str(each.ref),
        side(each.before),
        side(each.after),
        each.author,
    ]


def side(value: object) -> str:
    """Return one side of a change for people, in short."""
    if not isinstance(value, dict):
        return cut(None if value is None else str(value), 40)
    columns = value.get("columns")
    if isinstance(columns, list):
        return f"{len(columns)} column{'s' * (len(columns) != 1)}"
    if "primary" in value or "unique" in value or "foreign" in value:
        return cut(_key_words(value), 60)
    names = [value[part] for part in ("schema", "table", "column") if part in value]
    if names and set(value) <= {"schema", "table", "column"}:
        return cut(".".join(map(str, names)), 40)
    return cut(str(value["type"]) if "type" in value else json_text(value), 40)


def _key_words(keys: dict[str, Any]) -> str:
    """Return the keys of one side of a `key_changed`, for people."""
    words = [f"primary ({', '.join(keys['primary'])})"] if keys.get("primary") else []
    words += [f"unique ({', '.join(columns)})" for columns in keys.get("unique", ())]
    for key in keys.get("foreign", ()):
        there = key["references"]
        words.append(f"{', '.join(key['columns'])} to {there['schema']}.{there['table']}")
    return "; ".join(words)
