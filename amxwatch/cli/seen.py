"""What was seen of the rows of a table when they were sampled last."""

from __future__ import annotations

import json

from amxwatch.cli.documents import Document
from amxwatch.cli.output import Output, cut, local, moment, shown
from amxwatch.core.catalog import ObjectRef
from amxwatch.flows.source import Source
from amxwatch.ports.profiles import KeptProfile


async def add_profiles(source: Source, tables: list[Document]) -> None:
    """Put the kept profile of each table beside its columns; None where there is none."""
    for table in tables:
        table["profile"] = _document(await _kept(source, table))


async def _kept(source: Source, table: Document) -> KeptProfile | None:
    ref = ObjectRef(schema=str(table["schema"]), table=str(table["table"]))
    return await source.ledger.read(lambda tx: tx.profiles.get(source.profile, ref))


def _document(kept: KeptProfile | None) -> Document | None:
    if kept is None:
        return None
    return {"at": moment(kept.at), "rows": kept.rows, "columns": json.loads(kept.statistics)}


async def say_profile(source: Source, table: Document, out: Output) -> None:
    """Print a table's kept profile for people."""
    kept = await _kept(source, table)
    if kept is None:
        out.say("  no profile is kept; a run makes one")
        return
    out.say(f"  {kept.rows:,} rows seen {local(kept.at)}")
    columns = json.loads(kept.statistics)
    out.table(
        ["column", "empty", "distinct", "range", "shapes and values"],
        [
            [
                shown(name),
                f"{seen['null_share']:.0%}",
                f"{seen['distinct']:,}",
                _range(seen),
                cut(_texts(seen), 60),
            ]
            for name, seen in columns.items()
        ],
    )


def _range(seen: Document) -> str:
    if seen["minimum"] is not None:
        return cut(f"{seen['minimum']} to {seen['maximum']}", 45)
    if seen["max_length"] is not None:
        return f"{seen['min_length']} to {seen['max_length']} characters"
    return ""


def _texts(seen: Document) -> str:
    values, patterns, hints = seen["values"], seen["patterns"], seen["hints"]
    assert isinstance(values, list)
    assert isinstance(patterns, list)
    assert isinstance(hints, list)
    shapes = [f"{each['text']} {each['share']:.0%}" for each in patterns[:2]]
    return ", ".join(map(str, [*hints, *(values or shapes)]))
