"""Settle the writes that a killed process or task left between its intent and its record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from amxwatch.core.draft import Draft, DraftEvent
from amxwatch.flows.apply import Tally, conflict, move, written
from amxwatch.flows.plan import Planned, Verdict, gone, targets_of
from amxwatch.flows.source import Source
from amxwatch.ports.ledger import Tx


async def settle_interrupted(source: Source, is_dead: Callable[[str], bool], *, owner: str) -> int:
    """Settle the writes whose process died in between, by what the database says now.

    Returns how many were settled. A live comment that equals the text was written; one that
    equals the old comment was not; anything else is someone else's, and a conflict. Whoever
    comes while another task of this process settles waits for it.
    """
    async with source.settling:
        orphans = await _taken_over(source, is_dead, owner)
        if orphans:
            await _settle(source, orphans)
        return len(orphans)


async def _taken_over(source: Source, is_dead: Callable[[str], bool], owner: str) -> list[Draft]:
    """Take writes that nobody will finish over, so that no two processes settle one."""
    which = source.writing
    writing = await source.ledger.recall(("writing", source.profile), source.writing_in)
    dead = {draft.owner for draft in writing if draft.owner is None or is_dead(draft.owner)}

    def is_orphan(draft: Draft) -> bool:
        # A task of ours that was cancelled in the middle of a write does not come back to it.
        left = draft.owner == owner and draft.id not in source.applying
        return left or draft.owner in dead

    if not any(is_orphan(draft) for draft in writing):
        return []

    def work(tx: Tx) -> list[Draft]:
        orphans = [draft for draft in tx.drafts.list(which) if is_orphan(draft)]
        for draft in orphans:
            tx.drafts.move(draft.id, DraftEvent.FAIL)
        return [tx.drafts.move(draft.id, DraftEvent.INTEND, owner=owner) for draft in orphans]

    return await source.ledger.write(work)


async def _settle(source: Source, orphans: Sequence[Draft]) -> None:
    targets = await targets_of(source, orphans)
    live = await source.database.commenter.current(list(targets.values()))
    for draft in orphans:
        target = targets.get(draft.id)
        if target is None or target.ref not in live:
            await move(source, gone(draft), DraftEvent.WITHDRAW, "draft_withdrawn")
            continue
        found = live[target.ref] or None
        row = Planned(
            draft=draft,
            target=target,
            verdict=Verdict.ALREADY,
            text=draft.text,
            expected=draft.base_comment or None,
            found=found,
        )
        if found == draft.text:
            await written(source, replace(row, found=row.expected), found or "")
        elif found == row.expected:
            await move(source, row, DraftEvent.FAIL, "comment_failed", error="interrupted")
        else:
            await conflict(source, row, Tally())
