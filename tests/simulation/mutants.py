"""Faults built into the program on purpose: the oracle must see each of them.

Each is a context manager that replaces a few functions for as long as it is open.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any
from unittest.mock import patch
from weakref import WeakSet

from amxwatch.core.change import ChangeKind
from amxwatch.core.run import RunEvent, RunStatus, RunTrigger
from amxwatch.core.scope import Scope
from amxwatch.daemon import standby, turn
from amxwatch.engines import ending, local, recover
from amxwatch.engines.held import HeldRun
from amxwatch.flows import arming, cadenced, clocked, dispatch, pending, settling, spending
from amxwatch.flows.firing import put
from amxwatch.triggers.cadence import decide
from amxwatch.triggers.cron import Cron
from tests.simulation import install, ledger
from tests.simulation.ledger import MemoryRuns, MemorySchedules
from tests.simulation.process import ProcessOwner

Mutant = Callable[[], AbstractContextManager[None]]
MUTANTS: dict[str, Mutant] = {}


def mutant(make: Callable[[], Iterator[None]]) -> Mutant:
    MUTANTS[make.__name__] = contextmanager(make)
    return MUTANTS[make.__name__]


@mutant
def a_firing_without_its_unique_key() -> Iterator[None]:
    numbers = count()
    with (
        patch.object(clocked, "unique_key", lambda name, due: f"{name}:{next(numbers)}"),
        patch.object(clocked, "_is_overtaken", lambda *args: False),
    ):
        yield


@mutant
def a_second_change_run() -> Iterator[None]:
    with (
        patch.object(MemoryRuns, "_is_second", lambda self, run: False),
        patch.object(cadenced, "_position", lambda state: ()),
    ):
        yield


@mutant
def the_watermark_moves_when_the_run_starts() -> Iterator[None]:
    def eager(tx: Any, run: Any) -> None:
        state = tx.schedules.get(run.schedule or "")
        newest = tx.snapshots.latest(run.db_profile)
        if run.status is RunStatus.RUNNING and run.trigger is RunTrigger.CHANGE and state:
            tx.schedules.put(replace(state, watermark=newest.number))
        settling.settled(tx, run)

    with patch.object(install, "settled", eager):
        yield


@mutant
def the_watermark_moves_over_a_failed_run() -> Iterator[None]:
    def forgiving(tx: Any, run: Any) -> None:
        settling.settled(tx, run)
        state = tx.schedules.get(run.schedule or "")
        if run.status is RunStatus.FAILED and state is not None:
            tx.schedules.put(settling._passed(state, run))

    with patch.object(install, "settled", forgiving):
        yield


@mutant
def the_watermark_moves_past_what_was_served() -> Iterator[None]:
    def greedy(tx: Any, run: Any) -> None:
        newest = tx.snapshots.latest(run.db_profile)
        settling.settled(tx, replace(run, to_snapshot=run.to_snapshot and newest.number))

    with patch.object(install, "settled", greedy):
        yield


@mutant
def the_cap_is_ignored() -> Iterator[None]:
    real = decide

    def hasty(**told: Any) -> Any:
        return real(**{**told, "cadence_cap": timedelta(0)})

    with patch.object(cadenced, "decide", hasty):
        yield


@mutant
def the_last_due_time_is_forgotten() -> Iterator[None]:
    real = MemorySchedules.put

    def forgetful(self: MemorySchedules, *states: Any) -> None:
        real(self, *(replace(state, last_due_at=None) for state in states))

    with patch.object(MemorySchedules, "put", forgetful):
        yield


@mutant
def a_firing_is_lost() -> Iterator[None]:
    real, numbers = put, count(1)

    def lossy(tx: Any, run: Any, now: Any) -> bool:
        return next(numbers) % 5 == 0 or real(tx, run, now)

    with patch.object(clocked, "put", lossy):
        yield


@mutant
def catch_up_all_fires_only_the_newest() -> Iterator[None]:
    real = clocked._caught_up

    def sparing(*args: Any) -> Any:
        wanted, late = real(*args)
        return wanted[-1:], late

    with patch.object(clocked, "_caught_up", sparing):
        yield


@mutant
def a_firing_comes_too_early() -> Iterator[None]:
    real = clocked._newest_started

    def early(trigger: Any, armed_at: Any, name: str, since: Any, now: Any) -> Any:
        return real(trigger, armed_at, name, since, now + timedelta(minutes=3))

    with patch.object(clocked, "_newest_started", early):
        yield


@mutant
def cron_ignores_its_zone() -> Iterator[None]:
    real = Cron.tick_after

    def elsewhere(self: Cron, moment: Any, *, armed_at: Any) -> Any:
        there = self.model_copy(update={"timezone": "Asia/Kathmandu"})
        return real(there, moment, armed_at=armed_at)

    with patch.object(Cron, "tick_after", elsewhere):
        yield


@mutant
def a_live_run_is_recovered() -> Iterator[None]:
    with patch.object(ProcessOwner, "is_dead", lambda self, name: name != self.name):
        yield


@mutant
def a_dead_worker_s_run_is_not_recovered() -> Iterator[None]:
    async def idle(*args: Any, **told: Any) -> list[Any]:
        return []

    with patch.object(local, "recover", idle):
        yield


@mutant
def a_worker_that_was_taken_over_writes_on() -> Iterator[None]:
    with (
        patch.object(MemoryRuns, "held", lambda self, run_id, token: self.get(run_id)),
        patch.object(HeldRun, "_fence", lambda self, run: None),
    ):
        yield


@mutant
def slots_are_ignored() -> Iterator[None]:
    real = MemoryRuns.claim

    def crowded(self: MemoryRuns, **told: Any) -> Any:
        return real(self, **{**told, "slots": replace(told["slots"], total=99)})

    with patch.object(MemoryRuns, "claim", crowded):
        yield


@mutant
def slots_of_a_profile_are_ignored() -> Iterator[None]:
    real = MemoryRuns.claim

    def crowded(self: MemoryRuns, **told: Any) -> Any:
        slots = replace(told["slots"], profiles={}, each_profile=99)
        return real(self, **{**told, "slots": slots})

    with patch.object(MemoryRuns, "claim", crowded):
        yield


@mutant
def a_blocked_run_goes_on_by_itself() -> Iterator[None]:
    real = recover.recover

    async def eager(ledger: Any, clock: Any, **told: Any) -> Any:
        def work(tx: Any) -> None:
            for run_id in [*tx.tables.open]:
                if tx.runs.get(run_id).status is RunStatus.BLOCKED:
                    tx.runs.move(run_id, RunEvent.UNBLOCK, token=None)

        await ledger.write(lambda tx: work(tx.memory))
        return await real(ledger, clock, **told)

    with patch.object(local, "recover", eager):
        yield


@mutant
def a_paused_schedule_fires() -> Iterator[None]:
    real = dispatch._evaluated

    async def deaf(firing: Any, state: Any, *told: Any) -> Any:
        return await real(firing, replace(state, paused=False), *told)

    with (
        patch.object(dispatch, "_evaluated", deaf),
        patch.object(clocked, "_is_overtaken", lambda *args: False),
    ):
        yield


@mutant
def new_tables_are_not_news() -> Iterator[None]:
    real = pending._counts

    def blind(change: Any, counted: Any) -> bool:
        return change.kind is not ChangeKind.ADDED and real(change, counted)

    with patch.object(pending, "_counts", blind):
        yield


@mutant
def a_widened_scope_forgets_the_former_one() -> Iterator[None]:
    async def forgetful(source: Any, state: Any, scope: str, end: Any) -> Any:
        since = state.scope_since if state.former_scope else state.watermark
        return pending._scoped(await source.changes(since, end), Scope.parse(scope))

    with patch.object(pending, "_in_scope", forgetful):
        yield


@mutant
def a_failure_is_tried_again_without_end() -> Iterator[None]:
    def stubborn(error: Any, run: Any, at: Any) -> Any:
        return (
            ending._retried(error, run, "provider", at) if error.transient else real(error, run, at)
        )

    real = ending._of_ours
    with patch.object(ending, "_of_ours", stubborn):
        yield


@mutant
def a_passing_failure_is_given_up() -> Iterator[None]:
    def hopeless(error: Any, run: Any, _: str, at: Any) -> Any:
        return ending.failed(str(error), "provider", at)

    with patch.object(ending, "_retried", hopeless):
        yield


@mutant
def tries_follow_one_another_at_once() -> Iterator[None]:
    with patch.object(ending, "backoff", lambda count, key: timedelta(0)):
        yield


@mutant
def what_was_put_off_starts_at_once() -> Iterator[None]:
    with patch.object(ledger, "_is_due", lambda run, now: True):
        yield


@mutant
def a_lost_failure() -> Iterator[None]:
    def forgiving(state: Any, status: RunStatus) -> int:
        return 0 if status is RunStatus.COMPLETED else int(state.consecutive_failures)

    with patch.object(settling, "_failures", forgiving):
        yield


@mutant
def no_number_of_failures_pauses() -> Iterator[None]:
    real = dispatch._evaluated

    async def undaunted(firing: Any, state: Any, *told: Any) -> Any:
        return await real(firing, replace(state, consecutive_failures=0), *told)

    with patch.object(dispatch, "_evaluated", undaunted):
        yield


@mutant
def a_spent_day_stops_nobody() -> Iterator[None]:
    with patch.object(spending, "day_start", lambda now, timezone: now):
        yield


@mutant
def the_next_day_begins_in_utc() -> Iterator[None]:
    real = spending.day_start

    with patch.object(spending, "day_start", lambda now, timezone: real(now, "UTC")):
        yield


@mutant
def two_daemons_serve_at_once() -> Iterator[None]:
    with patch.object(standby, "_acquired", lambda lock: True):
        yield


@mutant
def a_standby_never_takes_over() -> Iterator[None]:
    real, tried = standby._acquired, WeakSet[Any]()

    def once(lock: Any) -> bool:
        if lock in tried:
            return False
        tried.add(lock)
        return real(lock)

    with patch.object(standby, "_acquired", once):
        yield


@mutant
def a_removed_schedule_fires_on() -> Iterator[None]:
    real = turn._plans
    seen: dict[int, dict[str, Any]] = {}

    def remembering(install: Any, only: Any) -> Any:
        if only is None:
            known = seen.setdefault(id(install), {})
            known.update(install.settings.schedules)
            return known
        return real(install, only)

    with patch.object(turn, "_plans", remembering):
        yield


@mutant
def an_edited_schedule_keeps_its_past() -> Iterator[None]:
    def careless(state: Any, plan: Any, now: Any) -> Any:
        return replace(state, trigger_hash=plan.armed_mark, enabled=plan.enabled)

    with patch.object(arming, "rearmed", careless):
        yield
