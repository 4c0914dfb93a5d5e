"""One turn of the agent: recover, look at the sources, evaluate the schedules that are due.

The daemon takes turns for ever, by an agenda that it keeps between them; `run-due` takes one,
by an agenda of its own, in which everything is due.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

import anyio

from amxwatch.core.catalog import SnapshotNumber
from amxwatch.core.errors import AmxwatchError
from amxwatch.core.schedule import ScheduleState
from amxwatch.daemon import signals
from amxwatch.daemon.agenda import Agenda
from amxwatch.daemon.sessions import busy_profiles, open_sessions, owners, step
from amxwatch.daemon.signals import Taken
from amxwatch.daemon.wiring import Install
from amxwatch.engines import recover
from amxwatch.flows import session_life
from amxwatch.flows.arming import arm_new
from amxwatch.flows.dispatch import Known, dispatch, known_of
from amxwatch.flows.firing import Dispatched, Firing
from amxwatch.flows.interrupted import settle_interrupted
from amxwatch.flows.resting import Rest, resting
from amxwatch.flows.watch import Look, look
from amxwatch.ports.ledger import Tx
from amxwatch.settings.schema import Schedule
from amxwatch.triggers import Files

LOOK_SECONDS = 300
"""A look that takes longer is given up, so that one slow source does not hold up the others."""

BATCH = 200
"""How many schedules are taken from the agenda at a time."""

BATCH_PASSED = 5000
"""The same, of those that are mostly passed by: they share what they read and write."""

AT_ONCE = 32
"""How many are evaluated together: they share what they read, and a commit."""

TELLS_ALL = 200
"""Up to so many, each is evaluated and told; of more, those that surely rest are passed by."""

TURN_SECONDS = 20.0
"""A turn with more to do than that leaves the rest to the next, which follows at once."""

ROUND = 500
ROUND_EVERY = timedelta(minutes=1)
"""How many schedules a slow round over all of them looks at, and how often at most."""

Moves = tuple[tuple[int, list[str]], list[tuple[str, SnapshotNumber | None]]]
"""The number of the last change of a schedule, those that changed, and newest snapshots."""

WAITS = frozenset({"blocked", "missed", "skip", "wait"})
"""What a schedule does that a person or a run's end moves on: the polls go on telling of it."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What one turn came to. `look_at` is the earliest moment at which something is due."""

    ok: bool
    results: tuple[Dispatched, ...]
    errors: tuple[str, ...] = ()
    look_at: datetime | None = None
    intake: Taken = field(default_factory=Taken)

    def document(self, cycle: int) -> dict[str, object]:
        """Return what `daemon --json` and `run-due --json` print."""
        document: dict[str, object] = {
            "cycle": cycle,
            "ok": self.ok,
            "results": [result.document() for result in self.results],
        }
        if self.intake.is_news:
            document["intake"] = self.intake.document()
        if self.errors:
            document["errors"] = list(self.errors)
        return document

    @property
    def is_news(self) -> bool:
        return (
            not self.ok
            or self.intake.is_news
            or any(r.action in ("fire", "missed", "blocked", "ended") for r in self.results)
        )


async def take(
    install: Install,
    *,
    profiles: Collection[str] | None = None,
    only: str | None = None,
    agenda: Agenda | None = None,
    polling: bool = True,
) -> Turn:
    """Take one turn; `only` is one schedule. Looks at all db profiles, or at those named.

    Evaluates what the agenda has due: without one, everything. At a poll what waits is looked
    at again, too. An error of one source or schedule is reported, the others are still served.
    """
    errors: list[str] = []
    seconds = TURN_SECONDS if agenda else math.inf
    agenda = agenda or Agenda()
    agenda.adopt(_plans(install, only))
    sources = _sources(install, profiles, only)
    due = agenda.tick(install.clock.now())[:BATCH]
    await _foresee(install, agenda, sources, due)
    await install.engine.recover()
    on_time = await _serve_on_time(install, agenda, due, errors)
    if on_time:
        await _foresee(install, agenda, sources)
    await install.close_retired()
    await _look_at(install, sources, errors)
    sessions = await open_sessions(install)
    await _note_moves(install, agenda, profiles)
    has_intake = bool(await install.ledger.recall(signals.OPEN, signals.open_items))
    if polling:
        agenda.recheck()
        agenda.touch(owners(sessions))
        await _pass_by(install, agenda, agenda.round(ROUND, ROUND_EVERY))
    served = await _serve(install, agenda, errors, seconds=seconds, polling=polling)
    results = _told_once([*on_time, *served])
    intake = Taken()
    if only is None and profiles is None:
        leave = busy_profiles(sessions)
        intake = await signals.take_signals(install, has_open=has_intake, leave=leave)
        errors += intake.errors
    if intake.planned or _has_fired(served):
        install.engine.wake()
    return Turn(
        ok=not errors,
        results=tuple(results),
        errors=tuple(errors),
        look_at=_earliest(agenda.look_at, intake.look_at),
        intake=intake,
    )


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _told_once(results: Iterable[Dispatched]) -> list[Dispatched]:
    """Leave out what a second look at a schedule that has just fired came to, unless it is news."""
    told: dict[str, Dispatched] = {}
    for result in results:
        before = told.get(result.schedule)
        if before is None or before.action != "fire" or result.action not in ("idle", "skip"):
            told[result.schedule] = result
    return list(told.values())


def _plans(install: Install, only: str | None) -> Mapping[str, Schedule]:
    schedules = install.settings.schedules
    if only is None:
        return schedules
    return {only: schedules[only]} if only in schedules else {}


# -- sources ---------------------------------------------------------------------------------


def _sources(install: Install, profiles: Collection[str] | None, only: str | None) -> set[str]:
    wanted = set(profiles) if profiles is not None else set(install.settings.db_profiles)
    if only is not None:
        wanted &= {plan.db_profile for plan in _plans(install, only).values()}
    return wanted


async def _look_at(install: Install, profiles: Collection[str], errors: list[str]) -> None:
    async def one(name: str) -> None:
        found = await look_once(install, name)
        if isinstance(found, str):
            errors.append(f"{name}: {found}")
        elif found.error is not None:
            errors.append(f"{name}: {found.error}")

    async with anyio.create_task_group() as group:
        for name in sorted(profiles):
            group.start_soon(one, name)


async def look_once(install: Install, name: str) -> Look | str:
    """Look at one source, settling what an interrupted apply left behind. Errors are texts."""
    try:
        with anyio.fail_after(LOOK_SECONDS):
            source = install.source(name)
            found = await look(source)
            if found.error is None and found.snapshot is not None:
                await settle_interrupted(source, install.owner.is_dead, owner=install.owner.name)
            return found
    except TimeoutError:
        return f"looking took longer than {LOOK_SECONDS} s and was given up"
    except AmxwatchError as error:
        return str(error)


# -- what is due -----------------------------------------------------------------------------


async def _foresee(
    install: Install, agenda: Agenda, profiles: Collection[str], due: Sequence[str] = ()
) -> None:
    """Read what this turn asks of the ledger in one look, if anything was written since."""
    questions: dict[Hashable, Callable[[Tx], object]] = {
        recover.OWNED: recover.owned_runs,
        session_life.OPEN: session_life.open_sessions,
        signals.OPEN: signals.open_items,
    }
    key, moves = _moves(agenda)
    questions[key] = moves
    for part in _parts(due):
        questions["known", *part] = partial(known_of, names=part)
    for name in profiles:
        with suppress(AmxwatchError):  # told when it is looked at
            questions |= install.source(name).questions()
    await install.ledger.foresee(questions)


def _parts(names: Sequence[str]) -> list[Sequence[str]]:
    return [names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE)]


async def _serve_on_time(
    install: Install, agenda: Agenda, names: Sequence[str], errors: list[str]
) -> list[Dispatched]:
    """Fire what the clock alone decides before the sources are looked at: a look takes time."""
    clocked = [name for name in names if agenda.is_clocked(name) and _needs_no_look(agenda, name)]
    results = await _evaluate_all(install, agenda, clocked, errors, polling=False)
    if _has_fired(results):
        install.engine.wake()
    return results


def _needs_no_look(agenda: Agenda, name: str) -> bool:
    try:
        plan = agenda.plans[name]
    except AmxwatchError:  # told when it is evaluated
        return False
    return not (plan.continuous.enabled or getattr(plan.trigger, "only_if_changed", False))


def _has_fired(results: Iterable[Dispatched]) -> bool:
    return any(result.action == "fire" for result in results)


async def _note_moves(install: Install, agenda: Agenda, profiles: Collection[str] | None) -> None:
    """Tell the agenda what moved since it was last told: states, snapshots, files."""
    (agenda.seen, touched), newest = await install.ledger.recall(*_moves(agenda))
    agenda.touch(touched)
    for name, number in newest:
        agenda.snapshot(name, number)
    for paths in agenda.watched(profiles):
        agenda.files(paths, await install.files_mark(paths))


def _moves(agenda: Agenda) -> tuple[Hashable, Callable[[Tx], Moves]]:
    """Return the question what moved since the agenda was last told, and what it is kept under."""
    sources, seen = agenda.profiles, agenda.seen

    def read(tx: Tx) -> Moves:
        newest = [(name, tx.snapshots.latest(name)) for name in sources]
        return tx.schedules.moved(seen), [
            (name, None if record is None else record.number) for name, record in newest
        ]

    return ("moves", seen, *sources), read


async def _serve(
    install: Install, agenda: Agenda, errors: list[str], *, seconds: float, polling: bool
) -> list[Dispatched]:
    """Evaluate what is due, in batches, until nothing is or the time is over."""
    results: list[Dispatched] = []
    until = install.clock.monotonic() + seconds
    tells_all = agenda.pending_count <= TELLS_ALL
    while names := agenda.pending(BATCH if tells_all else BATCH_PASSED):
        if not tells_all:
            names = await _pass_by(install, agenda, names)
        results += await _evaluate_all(install, agenda, names, errors, polling=polling)
        if _has_fired(results):
            install.engine.wake()
        if install.clock.monotonic() >= until:
            break
    return results


async def _pass_by(install: Install, agenda: Agenda, names: Sequence[str]) -> list[str]:
    """Settle those that surely rest, by one look at the ledger; return the others."""
    if not names:
        return []
    plans = {}
    for name in names:
        with suppress(AmxwatchError):  # told when it is evaluated
            plans[name] = agenda.plans[name]
    states = await _states(install, agenda, plans)
    now, others = install.clock.now(), []
    for name in names:
        rest = _resting(agenda, plans[name], states.get(name), now) if name in plans else None
        if rest is None:
            others.append(name)
        else:
            agenda.settle(name, rest.until, waits=agenda.is_waiting(name))
    agenda.touch(others)
    return others


async def _states(
    install: Install, agenda: Agenda, plans: Mapping[str, Schedule]
) -> dict[str, ScheduleState]:
    """Return the states of these; those that the clock decides are armed at first sight."""
    states = await install.ledger.read(lambda tx: tx.schedules.some(plans))
    new = [plan for name, plan in plans.items() if name not in states and agenda.is_clocked(name)]
    return states | await arm_new(install.ledger, new, install.clock.now()) if new else states


def _resting(
    agenda: Agenda, plan: Schedule, state: ScheduleState | None, now: datetime
) -> Rest | None:
    newest, mark = agenda.newest(plan.db_profile), agenda.mark(plan.name)
    try:
        return resting(plan, state, now, newest=newest, files_mark=mark)
    except AmxwatchError:  # told when it is evaluated
        return None


async def _evaluate_all(
    install: Install, agenda: Agenda, names: Sequence[str], errors: list[str], *, polling: bool
) -> list[Dispatched]:
    """Evaluate these, several at a time; the results are in the order of the names."""
    found: dict[str, Dispatched] = {}
    for part in _parts(names):
        known = await install.ledger.recall(("known", *part), partial(known_of, names=part))

        async def one(name: str, known: Known) -> None:
            found[name] = await _evaluate(install, agenda, name, known, errors, polling=polling)

        async with anyio.create_task_group() as group:
            for name in part:
                group.start_soon(one, name, known[name])
    return [found[name] for name in names]


async def _evaluate(
    install: Install,
    agenda: Agenda,
    name: str,
    known: Known,
    errors: list[str],
    *,
    polling: bool,
) -> Dispatched:
    try:
        plan = agenda.plans[name]
        mark = None
        if isinstance(plan.trigger, Files):
            mark = await install.files_mark(plan.trigger.paths)
        firing = Firing(
            schedule=plan,
            source=install.source(plan.db_profile),
            llm_profile=install.settings.llm_profile(plan.llm_profile).name,
            now=install.clock.now(),
        )
        if plan.continuous.enabled:
            result = await step(install, firing, polling=polling)
        else:
            result = await dispatch(firing, files_mark=mark, known=known)
    except AmxwatchError as error:
        errors.append(f"schedule {name}: {error}")
        agenda.fail(name)
        return Dispatched(schedule=name, action="error", skip_reason=str(error))
    agenda.settle(name, result.look_at, waits=result.action in WAITS)
    return replace(result, skip_reason=result.skip_reason or install.fault_of(name))
