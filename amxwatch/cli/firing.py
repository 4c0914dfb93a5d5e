"""Running a schedule from the command line: now, or what is due."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from amxwatch.cli.daemon import armed_sentence, blocked_sentence, sentence
from amxwatch.cli.documents import Document, run_document
from amxwatch.cli.foreseen import foreseen
from amxwatch.cli.output import local, shown
from amxwatch.cli.running import ended_badly, follow
from amxwatch.cli.scheduling import plan_of
from amxwatch.cli.session import Desk
from amxwatch.core.catalog import Catalog
from amxwatch.core.errors import DatabaseUnavailableError
from amxwatch.core.run import Run, RunId, RunKind, RunStatus
from amxwatch.core.selection import objects_in_scope
from amxwatch.daemon.turn import take
from amxwatch.flows import manual
from amxwatch.flows.firing import Dispatched
from amxwatch.flows.telling import tell_all
from amxwatch.flows.watch import look
from amxwatch.ports.ledger import RunFilter, Tx
from amxwatch.settings.schema import Schedule

PUT_OFF = RunStatus.QUEUED
"""What a run is that was begun and gave itself back for long: the day's budget is spent."""

TELL_SECONDS = 20.0
"""How long alerts are told before the command ends; what is not told by then is told later."""


async def run_schedule_now(name: str, dry_run: bool, desk: Desk) -> int:
    """Run one schedule here, whenever it is due, or show what that would be."""
    plan = plan_of(desk, name)
    catalog = await _seen(plan, desk)
    if dry_run:
        await _show(plan, catalog, desk)
        return 0
    install = desk.install
    run = await manual.put(
        install.ledger,
        install.clock,
        kind=RunKind(plan.kind),
        db_profile=plan.db_profile,
        llm_profile=install.settings.llm_profile(plan.llm_profile).name,
        scope=plan.parsed_scope,
        review_strategy=plan.review_strategy,
        reserved_for=install.owner.name,
        schedule=name,
        trigger_reason=plan.reason,
        timeout_seconds=plan.timeout_seconds,
        priority=plan.run_priority,
    )
    ended = await follow(run.id, desk)
    if ended.status is RunStatus.COMPLETED:
        await _dismiss_missed(name, desk)
    desk.out.line(run_document(ended))
    return _told(ended, desk)


async def _seen(plan: Schedule, desk: Desk) -> Catalog:
    source = desk.install.source(plan.db_profile)
    found = await look(source)
    if found.error is not None and found.snapshot is None:
        raise DatabaseUnavailableError(found.error)
    return await source.catalog()


async def _dismiss_missed(name: str, desk: Desk) -> None:
    """A run by hand serves the firing that was missed."""

    def work(tx: Tx) -> None:
        state = tx.schedules.get(name)
        if state is not None and state.missed_due_at is not None:
            tx.schedules.put(replace(state, missed_due_at=None))

    await desk.install.ledger.write(work)


def _told(run: Run, desk: Desk) -> int:
    if run.status is RunStatus.COMPLETED:
        desk.out.say(f"✓ {run.id}: {shown(run.summary)}", colour="green")
        return 0
    desk.out.warn(ended_badly(run))
    return 1


async def _show(plan: Schedule, catalog: Catalog, desk: Desk) -> None:
    """Print what a run would be given, and what it would be about."""
    state = await desk.install.ledger.read(lambda tx: tx.schedules.get(plan.name))
    number = (state.runs if state else 0) + 1
    scope = plan.parsed_scope
    refs = objects_in_scope(catalog, scope)
    text = rendered(plan, desk, number)
    missing = scope.missing(catalog)
    waiting = await foreseen(plan, state, catalog, desk)
    desk.out.document(
        {
            "schedule": plan.name,
            "kind": plan.kind,
            "db_profile": plan.db_profile,
            "llm_profile": desk.install.settings.llm_profile(plan.llm_profile).name,
            "input": text,
            "scope": str(scope),
            "objects": [str(ref) for ref in refs],
            "missing": missing,
            "pending": waiting.document() if waiting else None,
            "dry_run": True,
        }
    )
    desk.out.say(f"{shown(plan.name)} would run {plan.kind} on {shown(plan.db_profile)}")
    desk.out.say(f"  input: {shown(text)}")
    desk.out.say(f"  scope: {shown(scope)}, {len(refs)} objects now")
    for ref in refs:
        if ref.is_table:
            desk.out.say(f"    {shown(ref)}")
    for line in waiting.lines() if waiting else ():
        desk.out.say(f"  {line}")
    for line in missing:
        desk.out.warn(f"warning: {line}")


def rendered(plan: Schedule, desk: Desk, number: int) -> str | None:
    """Return the schedule's input as the run of that number would be given it."""
    from amxwatch.flows.job import render_input

    return render_input(plan, now=desk.install.clock.now(), run_number=number)


# -- what is due -----------------------------------------------------------------------------


async def run_what_is_due(only: str | None, quiet: bool, desk: Desk) -> int:
    """Take one turn, execute here what it fired, and print the turn's document."""
    if only is not None:
        plan_of(desk, only)
    turn = await take(desk.install, only=only)
    ended = {
        run.id: run for run in [await _executed(run_id, desk) for run_id in await _due(only, desk)]
    }
    await tell_all(desk.install.teller(), within=TELL_SECONDS)
    document = turn.document(1)
    results = [_settled(result.document(), ended) for result in turn.results]
    results += _taken_up(ended, {result["run_id"] for result in results})
    bad = [run for run in ended.values() if run.status not in (RunStatus.COMPLETED, PUT_OFF)]
    ok = turn.ok and not bad
    desk.out.document({**document, "ok": ok, "results": results})
    for error in turn.errors:
        desk.out.warn(error)
    if not quiet:
        _print(results, desk)
        for run in ended.values():
            _print_standing(run, desk)
    for run in bad:
        desk.out.warn(ended_badly(run))
    return 0 if ok else 1


def _print_standing(run: Run, desk: Desk) -> None:
    """Say of a run that was taken up here that it waits: for a person, or for its time."""
    if run.status is RunStatus.BLOCKED:
        desk.out.say(_blocked_words(run), colour="red")
    if run.status is PUT_OFF:
        desk.out.say(f"{run.id} is put off until {local(run.not_before)}")


def _blocked_words(run: Run) -> str:
    name = shown(run.schedule or run.id)
    return blocked_sentence(name, run.failure_category, shown(run.recovery_action))


async def _due(only: str | None, desk: Desk) -> list[RunId]:
    """Return the queued runs that any process may take: the most urgent first, then by age."""
    which = RunFilter(statuses=frozenset({RunStatus.QUEUED}), schedule=only, limit=10_000)
    runs = await desk.install.ledger.read(lambda tx: tx.runs.list(which))
    now = desk.install.clock.now()
    ready = [run for run in reversed(runs) if run.reserved_for is None and run.not_before <= now]
    return [run.id for run in sorted(ready, key=lambda run: -run.priority)]


async def _executed(run_id: RunId, desk: Desk) -> Run:
    install = desk.install
    return await install.engine.work_one(run_id, install.handler(), install.slots)


def _taken_up(ended: dict[RunId, Run], told: set[object]) -> list[Document]:
    """Return results for the runs that waited in the queue and were executed here."""
    return [
        _settled(
            Dispatched(schedule=run.schedule or "", action="run", run_id=run.id).document(), ended
        )
        for run in ended.values()
        if run.id not in told
    ]


def _settled(result: Document, ended: dict[RunId, Run]) -> Document:
    """Give a result the status that its run has by now."""
    run = next((run for run_id, run in ended.items() if run_id == result["run_id"]), None)
    if run is None:
        return result
    blocked = run.status is RunStatus.BLOCKED
    return {
        **result,
        "status": run.status,
        "blocked_category": run.failure_category if blocked else None,
        "recovery_action": run.recovery_action,
    }


def _print(results: list[dict[str, Any]], desk: Desk) -> None:
    if not results:
        desk.out.say("No schedule yet; add one with: amxwatch schedule add")
    for result in results:
        if result.get("armed"):
            desk.out.say(armed_sentence(result))
        status = f": {result['status']}" if result["action"] in ("fire", "run") else ""
        desk.out.say(sentence(result) + status)
