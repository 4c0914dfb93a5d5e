"""Gather everything that is accepted in one db profile, for a file."""

from __future__ import annotations

from amxwatch.core.draft import APPLICABLE, Draft, DraftStatus
from amxwatch.core.errors import StatementRefusedError
from amxwatch.core.run import RunId
from amxwatch.flows.locking import is_locked, locks_of
from amxwatch.flows.plan import targets_of
from amxwatch.flows.source import Source
from amxwatch.flows.watch import look
from amxwatch.ports.database import CommentTarget
from amxwatch.ports.export import Accepted, Dossier
from amxwatch.ports.ledger import DraftFilter

ACCEPTED = APPLICABLE | {DraftStatus.WRITING, DraftStatus.WRITTEN}


async def gather_accepted(source: Source, *, run_id: RunId | None = None) -> Dossier:
    """Return the last accepted words of each object, written or not, with what stands there now.

    What is locked, or belongs to a file, is left out. Raises: DatabaseError.
    """
    await look(source)
    which = DraftFilter(statuses=ACCEPTED, db_profile=source.profile, run_id=run_id)
    drafts = await source.ledger.read(lambda tx: tx.drafts.list(which))
    last = {draft.object_id: draft for draft in sorted(drafts, key=lambda draft: draft.id)}
    kept = [draft for draft in drafts if last[draft.object_id] is draft and draft.text]
    targets = await targets_of(source, kept)
    locks, owned = await locks_of(source), await source.owned()
    due = [
        (draft, target)
        for draft in kept
        if (target := targets.get(draft.id)) is not None
        and not is_locked(target.ref, locks)
        and target.ref not in owned
    ]
    return Dossier(
        profile=source.profile,
        product=source.database.capabilities.product,
        at=source.clock.now(),
        catalog=await source.catalog(),
        rows=await _rows(source, due),
    )


async def _rows(source: Source, due: list[tuple[Draft, CommentTarget]]) -> tuple[Accepted, ...]:
    holds = source.database.capabilities.holds
    able = [target for _, target in due if holds(target)]
    live = await source.database.commenter.current(able) if able else {}
    return tuple(
        Accepted(
            target=target,
            text=draft.text or "",
            run_id=draft.run_id,
            found=live.get(target.ref) or None,
            statement=_statement(source, target, draft.text),
        )
        for draft, target in due
    )


def _statement(source: Source, target: CommentTarget, text: str | None) -> str | None:
    try:
        return source.database.commenter.statement(target, text)
    except StatementRefusedError:
        return None
