"""`amxwatch catalog prune`: forget old snapshots."""

from __future__ import annotations

import re
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import click

from amxwatch.cli.options import db_argument, db_option, one_of, yes_option
from amxwatch.cli.output import shown
from amxwatch.cli.session import Desk, writing
from amxwatch.cli.terminal import confirm
from amxwatch.core.errors import UsageError

if TYPE_CHECKING:
    from amxwatch.flows.prune import Pruned

_AGE = re.compile(r"(?P<count>\d{1,6})(?P<unit>[hdwy])", re.ASCII)
_UNITS = {
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
    "y": timedelta(days=365),
}
_LONGEST = timedelta(days=365 * 1000)


@click.command()
@db_argument
@db_option
@click.option("--keep", metavar="AGE", required=True, help="How far back: 36h, 90d, 12w or 1y.")
@click.option("--dry-run", is_flag=True, help="Only say what would be forgotten.")
@yes_option
def prune(profile: str | None, db: str | None, keep: str, dry_run: bool, yes: bool) -> None:
    """Forget the snapshots from before AGE ago.

    The one that stood then stays, and so do the newest and those that a schedule, an open run
    or an open draft starts from. What is forgotten cannot be brought back.
    """
    writing(partial(_prune, one_of(profile, db, "--db"), age_of(keep), dry_run, yes))


def age_of(text: str) -> timedelta:
    """Read an age. Raises: UsageError."""
    found = _AGE.fullmatch(text.strip())
    age = int(found["count"]) * _UNITS[found["unit"]] if found else None
    if age is None or age > _LONGEST:
        raise UsageError(
            f"--keep: found {text!r}; allowed: hours, days, weeks or years: 36h, 90d, 12w, 1y"
        )
    return age


async def _prune(name: str | None, keep: timedelta, dry_run: bool, yes: bool, desk: Desk) -> None:
    from amxwatch.flows.prune import prune as forget
    from amxwatch.settings.plans import outlines

    settings = desk.install.settings
    source = desk.install.source(name)
    owners = {name: told.db_profile for name, told in outlines(settings.schedules)}
    found = await forget(source, keep, owners=owners, dry_run=True)
    if not dry_run:
        question = f"Forget {found.pruned} snapshot(s) of {shown(found.profile)} for ever?"
        if found.pruned and not confirm(question, yes=yes):
            desk.out.say("Nothing was forgotten.")
            return
        found = await forget(source, keep, owners=owners)
    desk.out.document(
        {
            "profile": found.profile,
            "kept_from": found.kept_from,
            "pruned": found.pruned,
            "held_back_by": [
                {"kind": hold.kind, "name": hold.name, "snapshot": hold.snapshot}
                for hold in found.held_back_by
            ],
            "passed": [{"name": hold.name, "snapshot": hold.snapshot} for hold in found.passed],
            "bytes_before": found.bytes_before,
            "bytes_after": found.bytes_after,
        }
    )
    _tell(found, dry_run, desk)


def _tell(found: Pruned, dry_run: bool, desk: Desk) -> None:
    what = "would forget" if dry_run else "forgot"
    desk.out.say(
        f"{shown(found.profile)}: {what} {found.pruned} snapshot(s);"
        f" the oldest {'would be' if dry_run else 'is'} {found.kept_from or 'none'}"
    )
    for hold in found.held_back_by:
        desk.out.say(f"{hold.kind} {shown(hold.name)} still needs snapshot {hold.snapshot}")
    for hold in found.passed:
        desk.out.say(
            f"schedule {shown(hold.name)} is not in the config any more: if it comes back, it goes"
            f" on from snapshot {found.kept_from} and not from {hold.snapshot}"
        )
    if not dry_run and found.pruned:
        desk.out.say(f"{found.bytes_before:,} bytes before, {found.bytes_after:,} after")
