"""Empty the outbox: tell each target what it is to be told, in order, until it took it.

At least once: a kill between telling and recording tells again, under the same id.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

import anyio
import anyio.to_thread

from amxwatch.core.alert import Alert, of_test
from amxwatch.core.errors import AmxwatchError, NotifyUnavailableError, StoreError
from amxwatch.core.message import Delivery, Message, Phase, tellable
from amxwatch.core.retry import backoff
from amxwatch.flows.alerting import Teller, evaluate, new_alert_id
from amxwatch.ports.ledger import Tx

log = logging.getLogger(__name__)

PATIENCE = timedelta(days=3)
"""How long a target is tried for one message, with growing pauses, before it is given up."""

CLAIM = timedelta(minutes=20)
"""After this another process may tell what a process that still lives has not finished."""


async def tell_all(teller: Teller, *, within: float) -> None:
    """Find what is news and tell it, in this process, for a command that is about to end.

    What is not told within so many seconds, or while the ledger is busy, is told by the next
    process that looks.
    """
    with anyio.move_on_after(within):
        try:
            await evaluate(teller)
            targets = await targets_waiting(teller)
        except StoreError as error:
            log.warning(str(error), extra={"action": "store_failed"})
            return
        async with anyio.create_task_group() as group:
            for target in targets:
                group.start_soon(tell, teller, target)


async def targets_waiting(teller: Teller) -> list[str]:
    """Return the targets that something can be told now. Raises: StoreError."""
    waiting = await teller.ledger.read(lambda tx: tx.outbox.waiting())
    return sorted({one.target for one in await _free(teller, tellable(waiting))})


async def next_due(teller: Teller) -> datetime | None:
    """Return when to look at the outbox again; None where nothing waits. Raises: StoreError."""
    waiting = await teller.ledger.read(lambda tx: tx.outbox.waiting())
    return min((one.due_at for one in tellable(waiting)), default=None)


async def tell(teller: Teller, target: str) -> bool:
    """Tell one target all that is due, oldest first; where it is down, leave the rest for later.

    False where the ledger could not be written: then the next look goes on from what it holds.
    """
    try:
        waiting = await teller.ledger.read(lambda tx: tx.outbox.waiting())
        mine = [one for one in waiting if one.target == target]
        for one in await _free(teller, mine):
            if await _tell_one(teller, one) is _Result.DOWN:
                await _postpone(teller, target)
                break
    except StoreError as error:
        log.warning(str(error), extra={"action": "store_failed"})
        return False
    return True


async def _postpone(teller: Teller, target: str) -> None:
    """Put off what else is due for a target that is down until it is tried again."""

    def work(tx: Tx) -> None:
        mine = [one for one in tx.outbox.waiting() if one.target == target and one.owner is None]
        tried = [one.not_before for one in mine if one.not_before > teller.clock.now()]
        for one in mine:
            if tried and one.not_before < min(tried):
                tx.outbox.put(replace(one, not_before=min(tried)))

    await teller.ledger.write(work)


async def _free(teller: Teller, waiting: Sequence[Delivery]) -> list[Delivery]:
    """Return what is due and that nobody is telling just now."""
    now = teller.clock.now()
    due = [one for one in waiting if one.not_before <= now]
    others = {one.owner for one in due if one.owner not in (None, teller.owner)}
    names = {name for name in others if name is not None}
    dead = await anyio.to_thread.run_sync(lambda: {n for n in names if teller.is_dead(n)})
    return [one for one in due if one.due_at <= now or one.owner in dead]


class _Result(enum.Enum):
    """How a try went."""

    DONE = "done"
    REFUSED = "refused"
    DOWN = "down"


@dataclass(frozen=True, kw_only=True)
class _Claimed:
    """A delivery that is ours to make."""

    delivery: Delivery
    alert: Alert


async def _tell_one(teller: Teller, one: Delivery) -> _Result:
    claimed = await teller.ledger.write(partial(_claim, seen=one, teller=teller))
    if claimed is None:
        return _Result.DONE
    error: AmxwatchError | None = None
    try:
        await teller.notifier(one.target).send(message_of(claimed.alert, one))
    except AmxwatchError as failure:
        error = failure
    now = teller.clock.now()
    await teller.ledger.write(partial(_settle, claimed=claimed, error=error, now=now))
    if error is None:
        return _Result.DONE
    log.warning(
        "An alert could not be told to %s: %s",
        one.target,
        error,
        extra={"action": "alert_failed", "target": one.target},
    )
    return _Result.DOWN if isinstance(error, NotifyUnavailableError) else _Result.REFUSED


def message_of(alert: Alert, delivery: Delivery) -> Message:
    """Return what is told: the same at each try."""
    over = alert.recovered_at if delivery.phase is Phase.RECOVERED else None
    return Message(id=delivery.id, phase=delivery.phase, at=over or alert.opened_at, alert=alert)


def _claim(tx: Tx, *, seen: Delivery, teller: Teller) -> _Claimed | None:
    """Take a delivery, if it still stands as it was seen; drop one that nobody waits for."""
    now = teller.clock.now()
    same = tx.outbox.of([seen.alert_id])
    if seen not in same:
        return None
    alert = tx.outbox.alert(seen.alert_id)
    if seen.target not in teller.settings().alerts.targets:
        _drop(tx, seen, alert, now, "the target is not in the config any more")
        return None
    opened = [one for one in same if (one.target, one.phase) == (seen.target, Phase.OPENED)]
    if seen.phase is Phase.RECOVERED and any(not one.is_over for one in opened):
        return None  # that it is over is told after that it began
    if seen.phase is Phase.RECOVERED and any(one.dropped_at for one in opened):
        tx.outbox.put(replace(seen, dropped_at=now))  # nobody was told that it began
        return None
    mine = replace(seen, owner=teller.owner, until=now + CLAIM, tries=seen.tries + 1)
    tx.outbox.put(mine)
    return _Claimed(delivery=mine, alert=alert)


def _settle(tx: Tx, *, claimed: _Claimed, error: AmxwatchError | None, now: datetime) -> None:
    one, alert = claimed.delivery, claimed.alert
    free = replace(one, owner=None, until=None)
    if error is None:
        tx.outbox.put(replace(free, told_at=now, error=None))
        _note(tx, "alert_sent", one, alert, now)
        return
    since = alert.recovered_at if one.phase is Phase.RECOVERED else None
    if now - (since or alert.opened_at) >= PATIENCE:
        _drop(tx, free, alert, now, str(error))
        return
    pause = backoff(one.tries, key=one.id + one.target)
    tx.outbox.put(replace(free, not_before=now + pause, error=str(error)))
    if one.tries == 1:  # the later tries show in `alerts list`
        _note(tx, "alert_failed", one, alert, now, error=str(error), given_up=False)


def _drop(tx: Tx, one: Delivery, alert: Alert, now: datetime, why: str) -> None:
    tx.outbox.put(replace(one, dropped_at=now, error=why))
    _note(tx, "alert_failed", one, alert, now, error=why, given_up=True)


def _note(
    tx: Tx,
    action: str,
    one: Delivery,
    alert: Alert,
    now: datetime,
    *,
    error: str | None = None,
    given_up: bool | None = None,
) -> None:
    condition = alert.condition
    tx.events.add(
        action,
        at=now,
        schedule=condition.schedule,
        run_id=condition.run_id,
        db_profile=condition.db_profile,
        alert=alert.id,
        kind=condition.kind,
        phase=one.phase,
        target=one.target,
        tries=one.tries,
        error=error,
        given_up=given_up,
    )


async def send_test(teller: Teller, target: str) -> str:
    """Tell one target a test, once, now, and return the message's id; an event is left of it.

    Raises: UsageError, NotifyError.
    """
    now = teller.clock.now()
    alert = Alert(id=new_alert_id(now), condition=of_test(target), opened_at=now)
    message = Message(id=f"{alert.id}_test", phase=Phase.OPENED, at=now, alert=alert, is_test=True)
    await teller.notifier(target).send(message)
    await teller.ledger.write(
        lambda tx: tx.events.add("alert_sent", at=now, alert=alert.id, phase="test", target=target)
    )
    return message.id
