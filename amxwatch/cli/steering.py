"""What a person decides about a schedule: pause, resume, skip, cancel, remove."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

import anyio.to_thread

from amxwatch.cli.output import local, shown
from amxwatch.cli.scheduling import plan_of, views
from amxwatch.cli.session import Desk
from amxwatch.cli.terminal import confirm
from amxwatch.core.errors import NotFoundError, TransitionError, UsageError
from amxwatch.core.run import RunStatus
from amxwatch.core.schedule import ScheduleState
from amxwatch.flows import manual
from amxwatch.flows.arming import RESUMED, armed, rearmed, tell_armed
from amxwatch.flows.firing import Firing
from amxwatch.flows.watch import look
from amxwatch.ports.ledger import RunFilter, Tx
from amxwatch.settings.schema import Schedule
from amxwatch.triggers import At, CatalogChange, Files


async def arm(plan: Schedule, desk: Desk) -> ScheduleState | None:
    """Return the schedule's state, armed; None where that needs a snapshot that cannot be had."""
    install = desk.install
    source = install.source(plan.db_profile)
    if isinstance(plan.trigger, CatalogChange) and await source.newest() is None:
        await look(source)
    mark = None
    if isinstance(plan.trigger, Files):
        mark = await install.files_mark(plan.trigger.paths)
    firing = Firing(
        schedule=plan,
        source=source,
        llm_profile=install.settings.llm_profile(plan.llm_profile).name,
        now=install.clock.now(),
    )
    return await armed(firing, files_mark=mark)


async def _changed(
    name: str, desk: Desk, action: str, change: Callable[[ScheduleState], ScheduleState]
) -> ScheduleState:
    """Arm the schedule if need be, change its state, say so in the trail, and return the state."""
    plan = plan_of(desk, name)
    known = await desk.install.ledger.read(lambda tx: tx.schedules.get(name))
    if known is None and await arm(plan, desk) is None:
        raise NotFoundError(
            f"schedule {name!r} has no state yet: {plan.db_profile} was never read; "
            f"mend that first, see: amxwatch db test {plan.db_profile}"
        )
    now = desk.install.clock.now()

    def work(tx: Tx) -> ScheduleState:
        state = tx.schedules.get(name)
        if state is None:
            raise NotFoundError(f"schedule {name!r} was removed meanwhile")
        changed = change(state)
        tx.schedules.put(changed)
        tx.events.add(action, at=now, schedule=name)
        if changed.armed_at != state.armed_at:
            tell_armed(tx, changed, now, reason=RESUMED, before=state)
        return changed

    return await desk.install.ledger.write(work)


async def _tell(name: str, sentence: str, desk: Desk) -> None:
    view = (await views(desk, [plan_of(desk, name)]))[0]
    desk.out.document(view.document(desk.install.clock.now()))
    desk.out.say(f"{shown(name)} {sentence}")


async def pause_schedule(name: str, desk: Desk) -> None:
    """Keep it from firing; what moves meanwhile stays pending."""
    await _changed(
        name,
        desk,
        "schedule_paused",
        lambda state: replace(
            state, paused=True, skip_reason=state.skip_reason if state.paused else None
        ),
    )
    await _tell(name, "is paused; go on with: amxwatch schedule resume", desk)


async def resume_schedule(name: str, desk: Desk) -> None:
    """Let it fire again. Raises: UsageError where the file says `enabled = false`."""
    plan = plan_of(desk, name)
    if not plan.enabled:
        file = desk.install.loaded.schedule_files.get(name)
        raise UsageError(f"schedule {name!r} has enabled = false in {file}: set it to true there")
    now = desk.install.clock.now()
    state = await _changed(name, desk, "schedule_resumed", lambda state: _resumed(state, plan, now))
    await _tell(name, f"is resumed{armed_words(plan, state, anew=state.armed_at == now)}", desk)


def _resumed(state: ScheduleState, plan: Schedule, now: datetime) -> ScheduleState:
    """Count from now on, and count failures anew; what was going on all along is left alone."""
    fresh = replace(state, declined_mark=None)
    if not (state.paused or state.cancelled):
        return fresh
    return replace(
        rearmed(fresh, plan, now),
        paused=False,
        cancelled=False,
        skip_reason=None,
        consecutive_failures=0,
    )


def armed_words(plan: Schedule, state: ScheduleState, *, anew: bool) -> str:
    """Say from when a schedule counts that was armed anew; no more than a stop where it was not."""
    if not anew:
        return "."
    if isinstance(plan.trigger, CatalogChange | Files):
        return ": what moved meanwhile is pending."
    if state.missed_due_at is not None and isinstance(plan.trigger, At):
        return ": its time has passed; run it with `amxwatch schedule run-now`, or `skip` it."
    since = state.last_due_at or state.armed_at
    following = plan.trigger.next_after(since, armed_at=state.armed_at)
    when = f"next at {local(following)}" if following else "it is not due any more"
    return f": it counts from now on, and fires for nothing that is past; {when}."


async def skip_missed(name: str, desk: Desk) -> None:
    """Dismiss a missed firing; a one-shot is over with that. Raises: UsageError."""
    plan = plan_of(desk, name)
    known = await desk.install.ledger.read(lambda tx: tx.schedules.get(name))
    if known is None or known.missed_due_at is None:
        raise UsageError(f"schedule {name!r} has no missed firing to dismiss")
    over = isinstance(plan.trigger, At)
    await _changed(
        name,
        desk,
        "schedule_skipped",
        lambda state: replace(state, missed_due_at=None, cancelled=state.cancelled or over),
    )
    await _tell(name, "has its missed firing dismissed.", desk)


async def cancel_schedule(name: str, desk: Desk) -> None:
    """End it, and stop its open runs."""
    await _changed(
        name,
        desk,
        "schedule_cancelled",
        lambda state: replace(state, cancelled=True, missed_due_at=None),
    )
    stopped = await _stop_runs(name, desk)
    more = f"; {stopped} open run(s) stopped" if stopped else ""
    await _tell(name, f"is cancelled{more}. (amxwatch schedule resume takes that back)", desk)


async def _stop_runs(name: str, desk: Desk) -> int:
    which = RunFilter(
        statuses=frozenset({RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.BLOCKED}),
        schedule=name,
    )
    runs = await desk.install.ledger.read(lambda tx: tx.runs.list(which))
    for run in runs:
        with suppress(TransitionError):  # it has just ended by itself
            await manual.cancel(desk.install.ledger, desk.install.clock, run.id)
    return len(runs)


async def remove(name: str, yes: bool, desk: Desk) -> None:
    """Remove the file, or the part of it, and the state; the history stays."""
    from amxwatch.settings.edit import remove_schedule

    install = desk.install
    plan_of(desk, name)
    if not confirm(f"Remove schedule {shown(name)}?", yes=yes):
        desk.out.say("Nothing was removed.")
        return
    path = await anyio.to_thread.run_sync(
        remove_schedule, install.folder.path, install.loaded, name
    )
    stopped = await _stop_runs(name, desk)
    now = install.clock.now()

    def work(tx: Tx) -> None:
        tx.schedules.drop(name)
        tx.memory.forget(name)
        tx.events.add("schedule_removed", at=now, schedule=name, file=str(path), stopped=stopped)

    await install.ledger.write(work)
    desk.out.document({"removed": name, "file": str(path), "stopped_runs": stopped})
    desk.out.say(f"Removed {shown(name)} from {path}.")
