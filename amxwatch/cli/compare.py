"""`amxwatch compare`: two runs side by side."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from amxwatch.cli.documents import Document, run_document
from amxwatch.cli.output import Column, cut, dollars, shown
from amxwatch.cli.session import Desk, reading

if TYPE_CHECKING:
    from amxwatch.core.draft import Draft
    from amxwatch.core.run import Run


@click.command()
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@click.option("--only-different", is_flag=True, help="Leave out what reads alike in both.")
def compare(first: str, second: str, only_different: bool) -> None:
    """Show two runs side by side: their words, confidence and cost.

    RUN is an id or the beginning of one. Both must be about the same db profile.
    """
    reading(partial(_compare, first, second, only_different))


async def _compare(first: str, second: str, only_different: bool, desk: Desk) -> None:
    from amxwatch.flows import manual
    from amxwatch.flows.repeating import compare as comparing

    ledger, out = desk.install.ledger, desk.out
    ids = [await manual.find(ledger, text) for text in (first, second)]
    one, other = await ledger.read(lambda tx: [tx.runs.get(run_id) for run_id in ids])
    found = await comparing(ledger, one, other)
    pairs = [
        pair
        for pair in found.pairs
        if not only_different or _words(pair.first) != _words(pair.second)
    ]
    out.document(
        {
            "runs": [_run(one), _run(other)],
            "objects": [
                {
                    "object": str(pair.ref),
                    "first": _draft(pair.first),
                    "second": _draft(pair.second),
                    "same": _words(pair.first) == _words(pair.second),
                }
                for pair in pairs
            ],
        }
    )
    out.table(
        ["", Column("first", rigid=True), Column("second", rigid=True)],
        [[name, *values] for name, values in _heads(one, other).items()],
    )
    out.say()
    out.table(
        ["object", "", "first", "", "second"],
        [
            [
                pair.ref,
                _sure(pair.first),
                cut(_words(pair.first)),
                _sure(pair.second),
                "(the same)"
                if _words(pair.first) == _words(pair.second)
                else cut(_words(pair.second)),
            ]
            for pair in pairs
        ],
    )


def _heads(one: Run, other: Run) -> dict[str, list[object]]:
    rows: dict[str, list[object]] = {
        "run": [run.id for run in (one, other)],
        "llm": [shown(run.llm_profile) for run in (one, other)],
        "drafted": [f"{run.drafted:,}" for run in (one, other)],
        "tokens": [f"{run.input_tokens:,} in / {run.output_tokens:,} out" for run in (one, other)],
        "cost": [dollars(run.cost_usd, requests=run.requests) for run in (one, other)],
    }
    for name in sorted({*one.manner.settings, *other.manner.settings}):
        rows[name] = [str(run.manner.settings.get(name, "-")) for run in (one, other)]
    return rows


def _run(run: Run) -> Document:
    return {**run_document(run), "settings": run.manner.settings, "rerun_of": run.manner.rerun_of}


def _words(draft: Draft | None) -> str | None:
    """Return what was chosen, or else the first alternative."""
    if draft is None:
        return None
    return draft.text or next(iter(draft.alternatives), None)


def _sure(draft: Draft | None) -> str:
    return "-" if draft is None else f"{draft.band} {draft.confidence:.2f}"


def _draft(draft: Draft | None) -> Document | None:
    if draft is None:
        return None
    return {
        "id": draft.id,
        "status": draft.status,
        "text": draft.text,
        "alternatives": list(draft.alternatives),
        "confidence": draft.confidence,
        "band": draft.band,
        "flags": list(draft.flags),
    }
