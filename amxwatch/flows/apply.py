"""Write accepted descriptions back: carry a plan out, one statement a row.

The intent is recorded before the write and the text read back after it, so a kill in between
is settled by looking at the live comment, and nothing is written twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from amxwatch.core.draft import DraftEvent, DraftStatus
from amxwatch.core.errors import DatabaseError, DatabaseUnavailableError, TransitionError
from amxwatch.flows.plan import Planned, Verdict
from amxwatch.flows.source import Source
from amxwatch.flows.watch import look
from amxwatch.ports.ledger import Tx

CHUNK = 25
"""Rows written between two looks at the live comments: the look stays fresh, and a kill leaves
little to settle."""

MOST = 250
"""Rows of one table that go together, so that they stand or fall in one short transaction."""


@dataclass(frozen=True, kw_only=True)
class Applied:
    """What an apply came to; the fields of `apply --json`."""

    written: int = 0
    failed: tuple[dict[str, str], ...] = ()
    skipped: tuple[dict[str, str], ...] = ()
    conflicts: tuple[dict[str, str | None], ...] = ()
    statements: tuple[str, ...] = ()

    def document(self) -> dict[str, object]:
        return {
            "written": self.written,
            "failed": list(self.failed),
            "skipped": list(self.skipped),
            "conflicts": list(self.conflicts),
            "statements": list(self.statements),
        }


@dataclass(kw_only=True)
class Tally:
    """Rows as they come in; frozen into an `Applied` at the end."""

    written: int = 0
    failed: list[dict[str, str]] = field(default_factory=list)
    skipped: list[dict[str, str]] = field(default_factory=list)
    conflicts: list[dict[str, str | None]] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)
    down: str | None = None
    """Set once the database went away: the remaining rows are not tried one by one."""

    def frozen(self) -> Applied:
        return Applied(
            written=self.written,
            failed=tuple(self.failed),
            skipped=tuple(self.skipped),
            conflicts=tuple(self.conflicts),
            statements=tuple(self.statements),
        )


Report = Callable[[int, int, Planned, str], None]
"""Called after each row: its number, how many there are, the row, and what came of it."""


async def execute(
    source: Source, rows: Sequence[Planned], *, owner: str, report: Report | None = None
) -> Applied:
    """Carry the plan out, row by row; a row that fails stays queued and the rest goes on.

    Ends with an exact look, so that the snapshot shows what was written. Live comments are
    read once more just before each few writes.
    """
    tally = Tally()
    number = 0
    for chunk in chunks(rows):
        outcomes = await _chunk(source, chunk, owner, tally)
        for row, outcome in zip(chunk, outcomes, strict=True):
            number += 1
            if report is not None:
                report(number, len(rows), row, outcome)
    if tally.written:
        await look(source, exact=True)
    return tally.frozen()


def chunks(rows: Sequence[Planned]) -> Iterator[list[Planned]]:
    """Cut a plan into what is written together: whole tables, as far as they are small enough."""
    chunk: list[Planned] = []
    for _, group in groupby(rows, key=lambda row: row.target.ref.owner):
        table = list(group)
        if chunk and len(chunk) + len(table) > CHUNK:
            yield chunk
            chunk = []
        chunk += table
        while len(chunk) > MOST:
            yield chunk[:MOST]
            chunk = chunk[MOST:]
    if chunk:
        yield chunk


async def _chunk(source: Source, rows: Sequence[Planned], owner: str, tally: Tally) -> list[str]:
    """Carry out a few rows: intents first, then the statements, then what was read back."""
    outcomes: dict[int, str] = {}
    writing = []
    for row in rows:
        if row.verdict in (Verdict.WRITE, Verdict.ALREADY):
            writing.append(row)
        else:
            outcomes[row.draft.id] = await _left(source, row, tally)
    if tally.down is not None:
        outcomes |= {row.draft.id: _failed(row, tally.down, tally) for row in writing}
    elif writing:
        outcomes |= await _write(source, writing, owner, tally)
    return [outcomes[row.draft.id] for row in rows]


async def _left(source: Source, row: Planned, tally: Tally) -> str:
    """Settle a row that is not written."""
    try:
        if row.verdict is Verdict.CONFLICT:
            return await conflict(source, row, tally)
        if row.verdict is Verdict.GONE:
            await move(source, row, DraftEvent.WITHDRAW, "draft_withdrawn")
    except TransitionError as error:  # another process was quicker; its word stands
        tally.skipped.append({"object": str(row.target.ref), "reason": str(error)})
        return "skipped"
    if row.verdict is Verdict.UNSUPPORTED and row.statement:
        tally.statements.append(row.statement)
    tally.skipped.append({"object": str(row.target.ref), "reason": row.reason or row.verdict})
    return "skipped"


def _failed(row: Planned, error: str, tally: Tally) -> str:
    tally.failed.append({"object": str(row.target.ref), "error": error})
    return f"failed: {error}"


async def conflict(source: Source, row: Planned, tally: Tally) -> str:
    """Nothing is written; the draft goes back to review, now over the comment that stands."""
    await source.ledger.write(lambda tx: _conflict(tx, source, row))
    return _conflicted(row, tally)


def _conflict(tx: Tx, source: Source, row: Planned) -> None:
    # Flagged, so that no bulk answer ever replaces what a person wrote.
    flags = tuple(sorted({*row.draft.flags, "person_comment"}))
    told = {"base_comment": row.found, "flags": flags}
    _move(tx, source, row, DraftEvent.CONFLICT, "comment_conflict", **told)


def _conflicted(row: Planned, tally: Tally) -> str:
    tally.conflicts.append(
        {"object": str(row.target.ref), "expected": row.expected, "found": row.found}
    )
    return "conflict"


async def _write(
    source: Source, rows: Sequence[Planned], owner: str, tally: Tally
) -> dict[int, str]:
    """Write some rows. A kill at any point is settled by `interrupted` from the live comments."""
    outcomes: dict[int, str] = {}
    ours = {int(row.draft.id) for row in rows}
    source.applying.update(ours)
    try:
        mine = await source.ledger.write(lambda tx: _intend(tx, rows, owner))
        for row in rows:
            if row.draft.id not in mine:
                reason = "another process is writing it, or it was answered anew"
                tally.skipped.append({"object": str(row.target.ref), "reason": reason})
                outcomes[row.draft.id] = "skipped"
        held = [row for row in rows if row.draft.id in mine]
        results = await _statements(source, held)
        settled = list(zip(held, results, strict=True))
        await source.ledger.write(lambda tx: _settle_all(tx, source, settled))
        outcomes |= {int(row.draft.id): _counted(row, result, tally) for row, result in settled}
    finally:
        source.applying.difference_update(ours)
    return outcomes


def _intend(tx: Tx, rows: Sequence[Planned], owner: str) -> set[int]:
    """Note the intent to write each row; returns the drafts that are ours to write."""
    mine = set()
    for row in rows:
        if tx.drafts.get(row.draft.id).text != row.text:
            continue  # answered anew since the plan was made
        try:
            again = row.draft.status is DraftStatus.WRITTEN
            event = DraftEvent.RESTORE if again else DraftEvent.INTEND
            tx.drafts.move(row.draft.id, event, owner=owner)
        except TransitionError:
            continue
        mine.add(int(row.draft.id))
    return mine


Result = str | DatabaseError | Planned
"""The comment as read back, why it was refused, or the row with the comment found instead."""


async def _statements(source: Source, rows: Sequence[Planned]) -> list[Result]:
    """Look at the live comments once more, then run what still may be run."""
    commenter = source.database.commenter
    try:
        live = await commenter.current([row.target for row in rows])
    except DatabaseError as error:
        return [error] * len(rows)
    results: list[Result] = []
    due = []
    for row in rows:
        found = live.get(row.target.ref) or None
        if found not in (row.found, row.text):
            results.append(replace(row, found=found))
        elif found == row.text:
            results.append(row.text or "")
        else:
            due.append((len(results), row))
            results.append("")
    back = await commenter.execute_many([(row.target, row.text) for _, row in due])
    for (place, _), result in zip(due, back, strict=True):
        results[place] = result
    return results


def _settle_all(tx: Tx, source: Source, settled: Sequence[tuple[Planned, Result]]) -> None:
    for row, result in settled:
        _settle(tx, source, row, result)


def _settle(tx: Tx, source: Source, row: Planned, result: Result) -> None:
    """Record what became of one row."""
    if isinstance(result, Planned):
        _conflict(tx, source, result)
    elif isinstance(result, DatabaseError):
        _move(tx, source, row, DraftEvent.FAIL, "comment_failed", error=str(result))
    else:
        _written(tx, source, row, result)


def _counted(row: Planned, result: Result, tally: Tally) -> str:
    """Count what became of one row, and return the word for it."""
    if isinstance(result, Planned):
        return _conflicted(result, tally)
    if isinstance(result, DatabaseError):
        if isinstance(result, DatabaseUnavailableError):
            tally.down = str(result)
        return _failed(row, str(result), tally)
    if row.verdict is Verdict.WRITE:
        tally.statements.append(row.statement or "")
    tally.written += 1
    return "ok"


async def written(source: Source, row: Planned, back: str) -> None:
    """Record that a comment stands as `back`, which was read from the database."""
    await source.ledger.write(lambda tx: _written(tx, source, row, back))


def _written(tx: Tx, source: Source, row: Planned, back: str) -> None:
    now = source.clock.now()
    # What is put back once more still has what stood before it was first written.
    before = row.draft.base_comment if row.draft.written_at is not None else row.found
    tx.drafts.move(
        row.draft.id,
        DraftEvent.WRITE,
        written_at=now,
        written_text=back,
        base_comment=before,
        error=None,
    )
    tx.events.add(
        "comment_written",
        at=now,
        run_id=row.draft.run_id,
        db_profile=source.profile,
        object=str(row.target.ref),
        before=row.found,
        after=back,
    )


async def move(
    source: Source, row: Planned, event: DraftEvent, action: str, **values: object
) -> None:
    """Make a draft's move and say so in the trail, in one transaction."""
    await source.ledger.write(lambda tx: _move(tx, source, row, event, action, **values))


def _move(
    tx: Tx, source: Source, row: Planned, event: DraftEvent, action: str, **values: object
) -> None:
    tx.drafts.move(row.draft.id, event, **values)
    tx.events.add(
        action,
        at=source.clock.now(),
        run_id=row.draft.run_id,
        db_profile=source.profile,
        draft=row.draft.id,
        object=str(row.target.ref),
        expected=row.expected,
        found=row.found,
        error=values.get("error"),
    )
