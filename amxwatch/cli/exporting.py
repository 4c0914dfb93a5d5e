"""Accepted descriptions into a file: a migration, a schema.yml, a data dictionary, or JSON."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path

import anyio.to_thread
import click

from amxwatch.cli.output import shown, visible
from amxwatch.cli.session import Desk
from amxwatch.core.errors import UsageError
from amxwatch.exports import render
from amxwatch.flows import manual
from amxwatch.flows.exporting import gather_accepted
from amxwatch.settings.replacement import replace_file

MERGED = frozenset({"dbt"})
"""Forms that keep what their file holds already; the others are written anew."""


DIFFERING = frozenset({"sql"})
"""Forms that hold only what differs from the comments that stand."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Which form goes into which file; `-` is stdout."""

    form: str
    file: str
    db: str | None = None
    run: str | None = None
    dry_run: bool = False


async def export_to(place: Place, desk: Desk) -> int:
    """Write the file, or with `dry_run` say what would change in it."""
    install, out = desk.install, desk.out
    source = install.source(place.db)
    run_id = await manual.find(install.ledger, place.run) if place.run else None
    dossier = await gather_accepted(source, run_id=run_id)
    path = None if place.file == "-" else Path(place.file)
    before = await anyio.to_thread.run_sync(_held, path) if path else ""
    text = render(place.form, dossier, before if place.form in MERGED else "")
    count = len(dossier.differing if place.form in DIFFERING else dossier.rows)
    document = {
        "form": place.form,
        "file": place.file,
        "descriptions": count,
        "changed": text != before,
        "dry_run": place.dry_run,
    }
    if path is None:
        out.document({**document, "text": text})
        if not out.as_json:
            click.echo(text, nl=False)
        return 0
    if place.dry_run:
        out.document({**document, "text": text})
        for line in unified_diff(before.splitlines(), text.splitlines(), lineterm="", n=1):
            out.say(visible(line))
        out.say(f"Dry run: {shown(place.file)} was not written.")
        return 0
    await anyio.to_thread.run_sync(_write, path, text)
    now = install.clock.now()
    await install.ledger.write(
        lambda tx: tx.events.add(
            "comments_exported",
            at=now,
            run_id=run_id,
            db_profile=source.profile,
            form=place.form,
            file=path.name,
            descriptions=count,
        )
    )
    out.document(document)
    out.say(
        f"✓ {count} description(s) of {shown(source.profile)} are in"
        f" {shown(place.file)}; the database was not touched.",
        colour="green",
    )
    return 0


def _held(path: Path) -> str:
    """Return what a file holds; nothing where there is none. Raises: UsageError."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"--to: {path} cannot be read: {error}") from None


def _write(path: Path, text: str) -> None:
    if not path.parent.is_dir():
        raise UsageError(f"--to: there is no folder {path.parent}; make it first")
    try:
        replace_file(path, text.encode("utf-8"))
    except OSError as error:
        raise UsageError(f"--to: {path} cannot be written: {error.strerror}") from None
