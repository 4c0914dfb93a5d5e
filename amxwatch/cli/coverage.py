"""`amxwatch catalog coverage`: how much is described, by whom, and what went stale."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Literal

import click

from amxwatch.cli.options import db_argument, db_option, one_of
from amxwatch.cli.output import Column, Output, cut, local, moment
from amxwatch.cli.session import Desk, leave, reading

if TYPE_CHECKING:
    from amxwatch.cli.documents import Document
    from amxwatch.core.catalog import SnapshotNumber
    from amxwatch.core.coverage import Coverage, Share, Stale

BAR = 20
"""Signs in the bar of a share."""


@dataclass(frozen=True)
class Limit:
    """How many stale descriptions are let pass."""

    most: float
    is_percent: bool

    def __str__(self) -> str:
        return f"{self.most:g}{'%' * self.is_percent}"

    def holds(self, found: Coverage) -> bool:
        """Claim that no more of what is described is stale."""
        if self.is_percent:
            return 100 * found.stale <= self.most * found.described
        return found.stale <= self.most


def _limit(ctx: click.Context, param: click.Parameter, value: str | None) -> Limit | None:
    """Read a number, or a percentage of what is described."""
    if value is None:
        return None
    text = value.strip()
    number, is_percent = text.removesuffix("%"), text.endswith("%")
    try:
        found = float(number) if is_percent else int(number)
    except ValueError:
        found = -1
    if not 0 <= found <= (100 if is_percent else 10**12):
        allowed = "allowed: a number such as 0, or a share such as 5%"
        raise click.BadParameter(f"found {text!r}; {allowed}", ctx=ctx, param=param)
    return Limit(most=found, is_percent=is_percent)


@dataclass(frozen=True, kw_only=True)
class Gates:
    """What makes the command exit 1."""

    least: float | None
    most_stale: Limit | None

    def failed(self, profile: str, found: Coverage) -> list[str]:
        """Return a line for each gate that is not met."""
        lines = []
        if self.least is not None and found.percent < self.least:
            lines.append(
                f"coverage of {profile} is {found.percent:.1f}%, below --min {self.least:g}"
            )
        if self.most_stale is not None and not self.most_stale.holds(found):
            lines.append(
                f"{found.stale} of {found.described} descriptions of {profile} are stale,"
                f" more than --max-stale {self.most_stale}"
            )
        return lines


@click.command()
@db_argument
@db_option
@click.option("--scope", metavar="SCOPE", help="Only these objects.")
@click.option(
    "--by",
    "grain",
    type=click.Choice(["schema", "table"]),
    default="schema",
    help="What a line is about; schemas by default.",
)
@click.option(
    "--min", "least", type=click.FloatRange(0, 100), metavar="PERCENT", help="Exit 1 below this."
)
@click.option(
    "--max-stale",
    callback=_limit,
    metavar="N|PERCENT%",
    help="Exit 1 where more descriptions are stale; 5% is of those that there are.",
)
@click.option("--stale", "list_stale", is_flag=True, help="List the stale descriptions.")
@click.option("--as-of", metavar="TIME|SNAPSHOT", help="The catalog as it stood then.")
def coverage(
    profile: str | None,
    db: str | None,
    scope: str | None,
    grain: Literal["schema", "table"],
    least: float | None,
    max_stale: Limit | None,
    list_stale: bool,
    as_of: str | None,
) -> None:
    """Say how much of a catalog is described, by whom, and what is stale.

    A description is stale when what it describes has moved since it was made.
    """
    gates = Gates(least=least, most_stale=max_stale)
    asked = partial(_coverage, one_of(profile, db, "--db"), scope, as_of, gates)
    leave(reading(partial(asked, "stale" if list_stale else grain)))


async def _coverage(
    name: str | None,
    scope: str | None,
    as_of: str | None,
    gates: Gates,
    listing: Literal["schema", "table", "stale"],
    desk: Desk,
) -> int:
    from amxwatch.cli.catalog_view import scope_of, snapshot_of
    from amxwatch.flows import described

    source = desk.install.source(name)
    record = await snapshot_of(source, as_of, flag="--as-of")
    catalog = await source.as_of(record.number)
    meant = scope_of(scope, catalog)
    found, stale = await described.coverage(source, record.number, meant, catalog)
    records = await source.ledger.read(lambda tx: tx.snapshots.list(source.profile))
    times = {each.number: each.at for each in records}
    failed = gates.failed(source.profile, found)
    desk.out.document(
        {
            "profile": source.profile,
            "snapshot": record.number,
            "at": moment(record.at),
            "scope": str(meant),
            "objects": found.objects,
            "described": found.described,
            "percent": round(found.percent, 2),
            "by": found.by,
            "min": gates.least,
            "max_stale": str(gates.most_stale) if gates.most_stale else None,
            "ok": not failed,
            "schemas": [{"schema": s.schema, **_numbers(s)} for s in found.schemas],
            "tables": [{"schema": t.schema, "table": t.table, **_numbers(t)} for t in found.tables],
            "stale": [_stale_document(each, times) for each in stale],
        }
    )
    if listing == "stale":
        _stale_table(desk.out, stale, times)
    else:
        _share_table(desk.out, found.tables if listing == "table" else found.schemas, listing)
    _sum(desk.out, found, listing)
    for line in failed:
        desk.out.warn(line)
    return 1 if failed else 0


def _numbers(share: Share) -> Document:
    return {
        "objects": share.objects,
        "described": share.described,
        "percent": round(share.percent, 2),
        "stale": share.stale,
    }


def _stale_document(each: Stale, times: dict[SnapshotNumber, datetime]) -> Document:
    from amxwatch.core.change import change_document

    return {
        "schema": each.ref.schema,
        "table": each.ref.table,
        "column": each.ref.column or None,
        "object_type": each.object_type,
        "by": each.author,
        "comment": each.text,
        "described_in": each.described_in,
        "since": each.since,
        "since_at": moment(times.get(each.since)),
        "moved": [change_document(change) for change in each.moved],
    }


def _share_table(out: Output, shares: tuple[Share, ...], grain: str) -> None:
    out.table(
        [
            grain,
            Column("described", right=True),
            Column("of", right=True),
            Column("", right=True),
            Column("", rigid=True),
            Column("stale", right=True),
        ],
        [
            [
                f"{share.schema}.{share.table}" if share.table else share.schema,
                share.described,
                share.objects,
                f"{share.percent:.0f}%",
                _bar(share.percent),
                share.stale,
            ]
            for share in shares
        ],
    )


def _bar(percent: float) -> str:
    # Never full before all is described, never empty once something is.
    full = int(percent * BAR / 100) or int(percent > 0)
    return "#" * full + "." * (BAR - full)


def _stale_table(
    out: Output, stale: tuple[Stale, ...], times: dict[SnapshotNumber, datetime]
) -> None:
    out.table(
        [
            "object",
            "by",
            Column("since", rigid=True),
            Column("snapshot", right=True),
            "what moved",
            "comment",
        ],
        [
            [
                str(each.ref),
                each.author,
                local(times.get(each.since)),
                each.since,
                "; ".join(_words(each)),
                cut(each.text, 60),
            ]
            for each in stale
        ],
    )


def _words(each: Stale) -> list[str]:
    """Say what moved, at most three things in full."""
    words = [
        f"{change.kind} {change.ref.column if change.ref != each.ref else ''}".strip()
        + f": {cut(_side(change.before), 24)} -> {cut(_side(change.after), 24)}"
        for change in each.moved[:3]
    ]
    more = len(each.moved) - len(words)
    return [*words, f"{more} more"] if more else words


def _side(value: object) -> str | None:
    return None if value is None else str(value)


def _sum(out: Output, found: Coverage, listing: str) -> None:
    out.say(
        f"{found.described} of {found.objects} tables and columns are described:"
        f" {found.percent:.1f}%"
    )
    by = ", ".join(f"{count} by {author}" for author, count in found.by.items())
    hint = "; see which with --stale" if found.stale and listing != "stale" else ""
    out.say(f"{by}; {found.stale} stale{hint}")
