"""Put back the comments that stood before a run."""

from __future__ import annotations

from dataclasses import replace

from amxwatch.core.draft import Draft, DraftEvent, DraftStatus
from amxwatch.core.errors import DatabaseError
from amxwatch.core.run import RunId
from amxwatch.flows.apply import Applied, Report, Tally, move
from amxwatch.flows.plan import Planned, Verdict, gone, targets_of
from amxwatch.flows.source import Source
from amxwatch.flows.watch import look
from amxwatch.ports.database import CommentTarget
from amxwatch.ports.ledger import DraftFilter


async def undo(source: Source, run_id: RunId, *, report: Report | None = None) -> Applied:
    """Put back what stood before a run's comments, where they still stand as we wrote them."""
    which = DraftFilter(
        statuses=frozenset({DraftStatus.WRITTEN}), db_profile=source.profile, run_id=run_id
    )
    written = await source.ledger.read(lambda tx: tx.drafts.list(which))
    targets = await targets_of(source, written)
    tally = Tally()
    for number, draft in enumerate(written, start=1):
        target = targets.get(draft.id)
        row = gone(draft) if target is None else _backwards(draft, target)
        outcome = await _unwrite(source, row, tally)
        if report is not None:
            report(number, len(written), row, outcome)
    if tally.written:
        await look(source, exact=True)
    return tally.frozen()


def _backwards(draft: Draft, target: CommentTarget) -> Planned:
    return Planned(
        draft=draft,
        target=target,
        verdict=Verdict.WRITE,
        text=draft.base_comment or None,
        expected=draft.written_text,
    )


async def _unwrite(source: Source, row: Planned, tally: Tally) -> str:
    name = str(row.target.ref)
    if row.verdict is Verdict.GONE:
        tally.skipped.append({"object": name, "reason": "no longer exists"})
        return "skipped"
    try:
        live = await source.database.commenter.current([row.target])
        found = live.get(row.target.ref) or None
        if found not in (row.expected, row.text):
            tally.conflicts.append({"object": name, "expected": row.expected, "found": found})
            return "conflict"
        if found != row.text:
            tally.statements.append(source.database.commenter.statement(row.target, row.text))
            await source.database.commenter.execute(row.target, row.text)
    except DatabaseError as error:
        tally.failed.append({"object": name, "error": str(error)})
        return f"failed: {error}"
    now = source.clock.now()
    undone = replace(row, found=found)
    await move(source, undone, DraftEvent.UNDO, "comment_undone", undone_at=now)
    tally.written += 1
    return "ok"
