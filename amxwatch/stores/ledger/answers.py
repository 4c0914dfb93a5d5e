"""Many answers of a reviewer at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from amxwatch.core.draft import APPLICABLE, DraftEvent, DraftId, DraftStatus, after
from amxwatch.core.event import ACTIONS
from amxwatch.ports.answers import Answer
from amxwatch.stores.ledger.drafts import batched
from amxwatch.stores.ledger.tables import draft as table
from amxwatch.stores.ledger.tables import event

_ACCEPTING = frozenset({DraftEvent.ACCEPT, DraftEvent.EDIT})


class SqlAnswers:
    """Implements `ports.answers.Answers`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def give(self, answers: Sequence[Answer], action: str, at: datetime) -> list[DraftId]:
        standing = self._statuses([answer.draft.id for answer in answers])
        due = [answer for answer in answers if standing.get(answer.draft.id) == answer.draft.status]
        if not due:
            return []
        accepting = [answer for answer in due if answer.event in _ACCEPTING]
        self._supersede(accepting, at)
        self._connection.execute(_MOVE, [_values(answer, at) for answer in due])
        self._tell([_event(answer, action, at) for answer in due])
        return [answer.draft.id for answer in due]

    def _statuses(self, ids: Sequence[DraftId]) -> dict[DraftId, DraftStatus]:
        found: dict[DraftId, DraftStatus] = {}
        for some in batched(ids):
            query = select(table.c.id, table.c.status).where(table.c.id.in_(some))
            found.update((row.id, row.status) for row in self._connection.execute(query))
        return found

    def _supersede(self, accepting: Sequence[Answer], at: datetime) -> None:
        """What was accepted before for the same objects, and not written, gives way."""
        newest = {answer.draft.object_id: answer.draft for answer in accepting}
        for some in batched(newest):
            query = select(table.c.id, table.c.object_id, table.c.run_id, table.c.status).where(
                table.c.object_id.in_(some), table.c.status.in_(sorted(APPLICABLE))
            )
            old = [
                row for row in self._connection.execute(query) if row.id != newest[row.object_id].id
            ]
            if not old:
                continue
            moved = [
                {"row_id": row.id, "new": after(row.status, DraftEvent.REPLACE)} for row in old
            ]
            self._connection.execute(_SET_STATUS, moved)
            self._tell(
                _line(
                    newest[row.object_id], "draft_superseded", at, run_id=row.run_id, draft=row.id
                )
                for row in old
            )

    def _tell(self, lines: Iterator[dict[str, Any]] | Sequence[dict[str, Any]]) -> None:
        self._connection.execute(insert(event), list(lines))


_SET_STATUS = update(table).where(table.c.id == bindparam("row_id")).values(status=bindparam("new"))
_MOVE = (
    update(table)
    .where(table.c.id == bindparam("row_id"))
    .values(
        status=bindparam("new"),
        text=bindparam("new_text"),
        choice=bindparam("new_choice"),
        reviewed_at=bindparam("at"),
        error=None,
    )
)


def _values(answer: Answer, at: datetime) -> dict[str, Any]:
    return {
        "row_id": answer.draft.id,
        "new": after(answer.draft.status, answer.event),
        "new_text": answer.text,
        "new_choice": answer.choice,
        "at": at,
    }


def _event(answer: Answer, action: str, at: datetime) -> dict[str, Any]:
    found = answer.draft
    return _line(found, action, at, run_id=found.run_id, draft=found.id, choice=answer.choice)


def _line(
    found: Any, action: str, at: datetime, *, run_id: str, **detail: object
) -> dict[str, Any]:
    if action not in ACTIONS:
        raise ValueError(f"{action!r} is no action of core.event.ACTIONS")
    return {
        "at": at,
        "action": action,
        "schedule": None,
        "run_id": run_id,
        "trigger": None,
        "db_profile": found.db_profile,
        "detail": {**detail, "object": str(found.ref)},
    }
