"""What a draft rests on, as lines for people."""

from __future__ import annotations

from collections.abc import Iterator

from amxwatch.cli.documents import Document
from amxwatch.cli.output import cut, shown
from amxwatch.cli.session import Desk
from amxwatch.core.draft import Draft
from amxwatch.flows.rehearsal import facts_of

WIDEST = 160
"""Characters of one line of evidence."""


async def evidence_of(draft: Draft, desk: Desk) -> Document:
    """Return what a draft rests on, as `review --show ID --json` prints it."""
    return await facts_of(draft, desk.install.drafting())


async def evidence_lines(draft: Draft, desk: Desk) -> list[str]:
    """Return what a draft rests on: its band, where it comes from, and the facts that were seen."""
    facts = await evidence_of(draft, desk)
    head = f"{draft.band} ({draft.confidence:.2f}), from {draft.source}, run {draft.run_id}"
    return [head, *_lines(facts, "")]


def _lines(facts: object, before: str) -> Iterator[str]:
    """Yield `name: value` lines; what is nested stands under its name."""
    if isinstance(facts, dict):
        for name, value in facts.items():
            if value in (None, "", [], {}, ()):
                continue
            if isinstance(value, dict):
                yield f"{before}{shown(name)}:"
                yield from _lines(value, f"{before}  ")
            elif isinstance(value, list | tuple) and any(isinstance(v, dict) for v in value):
                yield f"{before}{shown(name)}:"
                for one in value:
                    yield f"{before}  - {cut(_inline(one), WIDEST)}"
            else:
                yield f"{before}{shown(name)}: {cut(_inline(value), WIDEST)}"


def _inline(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_inline(one)}" for name, one in value.items() if one)
    if isinstance(value, list | tuple):
        return ", ".join(_inline(one) for one in value)
    return str(value)
