"""Renamed objects keep their descriptions: nothing is drafted, nothing is paid."""

from __future__ import annotations

from collections.abc import Sequence

from amxwatch.core.catalog import Catalog, ObjectRef, ObjectType
from amxwatch.core.draft import Band, Draft, DraftSource, NewDraft
from amxwatch.core.selection import Carry, TableWork, structure_hash
from amxwatch.flows.described import DESCRIBED, commented
from amxwatch.flows.source import Source
from amxwatch.ports.ledger import DraftFilter

GUESSED = "guessed_rename"
"""Flags a description that was carried over a rename which the database did not vouch for."""


async def split(
    source: Source, catalog: Catalog, work: Sequence[TableWork]
) -> tuple[int, list[NewDraft], set[ObjectRef]]:
    """Say what becomes of each renamed object.

    Returns how many keep their description, the drafts that put a lost one back, and the
    objects that had none and are to be drafted.
    """
    which = DraftFilter(statuses=DESCRIBED, db_profile=source.profile)
    texts = {
        draft.ref: draft
        for draft in await source.ledger.read(lambda tx: tx.drafts.list(which))
        if draft.text
    }
    comments = commented(catalog)
    kept, lost, bare = 0, [], set()
    for one in work:
        for carry in one.carried:
            accepted = texts.get(carry.ref)
            if comments.get(carry.ref) or (accepted and not accepted.written_text):
                kept += 1
            elif accepted is not None:
                kept += 1
                lost.append(_again(one, carry, accepted))
            else:
                bare.add(carry.ref)
    return kept, lost, bare


def _again(work: TableWork, carry: Carry, accepted: Draft) -> NewDraft:
    """Offer the words that the former name had; a guessed rename is for a person to confirm."""
    sure = carry.confidence >= 1
    return NewDraft(
        object_type=ObjectType.COLUMN if carry.ref.is_column else work.table.type,
        ref=carry.ref,
        source=DraftSource.CARRIED,
        alternatives=(accepted.text or "",),
        confidence=carry.confidence,
        band=Band.HIGH if sure else Band.MEDIUM,
        flags=() if sure else (GUESSED,),
        base_comment=None,
        input_hash=structure_hash(work.table, carry.ref.column or None),
    )
