"""Goals as intake items, where a person approves what a session works on."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime

from amxwatch.core.continuous import Session
from amxwatch.core.goal import Goal
from amxwatch.core.intake import IntakeId, IntakeItem, IntakeSource
from amxwatch.ports.ledger import Tx

WAITS = 'waits for a person, as triage_approval = "human" says'


def propose(
    tx: Tx, session: Session, wanted: Iterable[tuple[Goal, str, str]], *, now: datetime
) -> list[IntakeItem]:
    """Put each goal (with its run's scope, and the mark of its work) in intake, once.

    The very same work is proposed once ever: what a person turned down stays so until
    something about it moves.
    """
    items = []
    for goal, scope, mark in wanted:
        item = IntakeItem(
            id=IntakeId(f"int_{now:%Y-%m-%d_%H-%M-%S}-{secrets.token_hex(3)}"),
            source=IntakeSource.VISION,
            title=f"{goal}"[:200],
            detail=f"{goal.file}:{goal.line}",
            db_profile=session.db_profile,
            scope=scope,
            dedupe_key=f"vision:{session.db_profile}:{goal.key}",
            signal=_signal(session, goal, mark),
            added_at=now,
            not_before=now,
            # Automatic triage leaves alone what has a reason to wait.
            reason=WAITS,
        )
        kept = tx.intake.add(item)
        if kept.id == item.id:
            tx.events.add(
                "intake_added",
                at=now,
                schedule=session.owner_id if session.owner_type == "schedule" else None,
                db_profile=item.db_profile,
                item=item.id,
                source=item.source,
                title=item.title,
                session=session.id,
            )
        items.append(kept)
    return items


def _signal(session: Session, goal: Goal, mark: str) -> str:
    text = f"{session.db_profile}\0{goal.key}\0{mark}"
    return f"vision:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:40]}"
