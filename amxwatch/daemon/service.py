"""The service loop: one anyio process that watches, dispatches, works and beats.

The loop owns the root task group. Hints, edits of the config and signals only wake it; what
is to be done is computed anew in each turn.
"""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime

import anyio
import anyio.to_thread
from filelock import FileLock

from amxwatch.core.errors import ConfigError, StoreError
from amxwatch.core.run import RunStatus
from amxwatch.daemon.agenda import Agenda
from amxwatch.daemon.alerts import AlertKeeper
from amxwatch.daemon.config_keeper import keep_config
from amxwatch.daemon.housekeeper import keep_house
from amxwatch.daemon.listeners import Edits, listen_to_all
from amxwatch.daemon.standby import Holder, Standby
from amxwatch.daemon.turn import Turn, take
from amxwatch.daemon.wiring import Install
from amxwatch.ports.ledger import DaemonState, RunFilter, Tx
from amxwatch.services.notify import is_supervised, notify, watchdog_seconds
from amxwatch.settings.file import load

log = logging.getLogger(__name__)

STOP_SECONDS = 3.0
"""How long running batches may take to end after SIGTERM; the whole stop stays under 5 s."""

LEAVE_SECONDS = 4.3
"""After this a signal ends the process even where a connection attempt still hangs."""

BEAT_SECONDS = 10.0
"""The heartbeat is at least this frequent, also while runs go on."""

START_PROLONGED = "EXTEND_TIMEOUT_USEC=90000000"
"""Said with every beat before the first turn has ended. See: sd_notify(3)."""

Emit = Callable[[dict[str, object]], None]


@dataclass(kw_only=True)
class Wakes:
    """Why the loop should take a turn before its next poll."""

    profiles: set[str] = field(default_factory=set)
    everything: bool = False
    _event: anyio.Event = field(default_factory=anyio.Event)

    def hint(self, profile: str | None) -> None:
        if profile is None:
            self.everything = True
        else:
            self.profiles.add(profile)
        self._event.set()

    async def wait(self) -> None:
        await self._event.wait()

    def take(self) -> set[str] | None:
        """Return the hinted profiles (None: all of them) and start afresh."""
        taken = None if self.everything else set(self.profiles)
        self.profiles.clear()
        self.everything = False
        self._event = anyio.Event()
        return taken


class Service:
    """The daemon of one install. `serve` returns when it was told to stop."""

    def __init__(
        self,
        install: Install,
        *,
        poll_seconds: float | None = None,
        max_cycles: int | None = None,
        only: str | None = None,
        emit: Emit,
    ) -> None:
        self.install = install
        self.max_cycles = max_cycles
        self.only = only
        self.emit = emit
        self._poll_seconds = poll_seconds
        self._wakes = Wakes()
        self._edits = Edits()
        self._stopping = False
        self._doing = ""  # nothing before the first turn
        self._agenda = Agenda()
        self._waiting = anyio.CancelScope()
        self._looping = anyio.CancelScope()
        self._lock: FileLock | None = None
        self._stood_by = False
        self._cycle = 0
        self._started_at = install.clock.now()
        self._last_cycle: dict[str, object] | None = None
        self._alerts = AlertKeeper(install, is_daemon=True)
        self._standby = Standby(
            folder=install.folder,
            ledger=install.ledger,
            clock=install.clock,
            poll_seconds=lambda: self.poll_seconds,
            max_cycles=max_cycles,
            told=self._stand_by,
            alive=lambda: notify("WATCHDOG=1"),
        )
        # What moved while a run went on is looked at as soon as it has ended.
        install.engine.on_ended = lambda run: self._wakes.hint(run.db_profile)

    @property
    def poll_seconds(self) -> float:
        return self._poll_seconds or self.install.settings.daemon.poll_seconds

    async def serve(self) -> None:
        """Run until SIGTERM or SIGINT, or until `max_cycles` polls and their runs have ended.

        Stands by while another daemon owns this install, and takes over when that one ends.
        Raises: StoreBusyError where it still stands by after `max_cycles` polls.
        """
        async with anyio.create_task_group() as group:
            group.start_soon(self._on_signals)
            standing = AlertKeeper(self.install, is_daemon=False)
            group.start_soon(standing.watch, lambda: self.poll_seconds)
            with self._waiting:
                self._lock = await self._standby.own()
            standing.leave()
            if self._lock is not None:
                try:
                    await self._serve_owned()
                finally:
                    self._lock.release(force=True)
            group.cancel_scope.cancel()

    async def _serve_owned(self) -> None:
        if self._stood_by:
            await self._take_over()
        await self._beat()
        if self.install.config_error is None:
            await self.install.remember_config()
        await self._note("daemon_started", f"polling every {self.poll_seconds:g} s")
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(self._beats)
                group.start_soon(keep_config, self.install, self._on_config)
                group.start_soon(keep_house, self.install)
                group.start_soon(
                    self.install.engine.work, self.install.handler(), self.install.slots
                )
                group.start_soon(self._alerts.serve)
                group.start_soon(listen_to_all, self.install, self._wakes.hint, self._edits)
                with self._looping:
                    await self._loop()
                await self._drain()
                group.cancel_scope.cancel()
        finally:
            # On a full disk nothing can be written; that the process ended is told by its lock.
            with anyio.CancelScope(shield=True), anyio.move_on_after(1), suppress(StoreError):
                await self._beat(stopped=f"after {self._cycle} cycles")

    def _stand_by(self, holder: Holder) -> None:
        """Say who owns the heartbeat; a service manager hears that we have started."""
        self._stood_by = True
        self._tell_ready(f"{holder} owns the heartbeat; standing by")
        log.info("Standing by: %s", holder, extra={"action": "daemon_standing_by"})
        self.emit({"cycle": 0, "ok": True, "results": [], "standby": holder.document()})

    async def _take_over(self) -> None:
        """Read the config again: it may have been edited while another daemon kept it."""
        self._started_at = self.install.clock.now()
        with suppress(ConfigError):  # the keeper of the config tells what is wrong with it
            loaded = await anyio.to_thread.run_sync(load, self.install.folder.path)
            if loaded.digest != self.install.loaded.digest:
                await self.install.apply(loaded)

    def _on_config(self, profile: str | None) -> None:
        self._edits.announce()
        self._wakes.hint(profile)

    # -- the loop ----------------------------------------------------------------------------

    async def _loop(self) -> None:
        next_poll = self.install.clock.monotonic()
        look_at: datetime | None = None
        while not self._stopping:
            polling = self.install.clock.monotonic() >= next_poll
            hinted = self._wakes.take()
            turn = await self._turn(None if polling else hinted)
            self._alerts.look()
            self._tell_ready(f"a look every {self.poll_seconds:g} s")
            if polling:
                next_poll = self.install.clock.monotonic() + self.poll_seconds
                self._cycle += 1
                self._report(turn)
                if self.max_cycles is not None and self._cycle >= self.max_cycles:
                    return
            elif turn.is_news:
                self._report(turn)
            look_at = self._next_due(turn, look_at, is_partial=bool(hinted) and not polling)
            await self._rest(next_poll, look_at)

    def _next_due(self, turn: Turn, known: datetime | None, *, is_partial: bool) -> datetime | None:
        """A turn over hinted profiles alone says nothing of the others: their times stand."""
        times = [turn.look_at]
        if is_partial and known is not None and known > self.install.clock.now():
            times.append(known)
        return min((time for time in times if time is not None), default=None)

    async def _turn(self, profiles: set[str] | None) -> Turn:
        # A turn that was woken by a due time alone looks at every source too: settling needs
        # a second look, and the gate is cheap.
        try:
            return await take(
                self.install,
                profiles=profiles or None,
                only=self.only,
                agenda=self._agenda,
                polling=profiles is None,
            )
        except StoreError as error:  # busy, or a full disk: the next turn tries again
            return Turn(ok=False, results=(), errors=(str(error),))

    def _report(self, turn: Turn) -> None:
        self._last_cycle = turn.document(self._cycle)
        self.emit(self._last_cycle)

    async def _rest(self, next_poll: float, look_at: datetime | None) -> None:
        """Wait for the next poll, the next due time, or a hint, whichever comes first."""
        clock = self.install.clock
        seconds = next_poll - clock.monotonic()
        if look_at is not None:
            seconds = min(seconds, (look_at - clock.now()).total_seconds())

        async def until_due(scope: anyio.CancelScope) -> None:
            await clock.sleep(max(seconds, 0))
            scope.cancel()

        async with anyio.create_task_group() as group:
            group.start_soon(until_due, group.cancel_scope)
            await self._wakes.wait()
            group.cancel_scope.cancel()

    async def _drain(self) -> None:
        """Let runs end: all of them after the last cycle, only their batches after a signal."""
        notify("STOPPING=1")
        if self._stopping:
            await self.install.engine.stop(STOP_SECONDS)
            return
        while not self._stopping and await self._has_open_runs():
            await self.install.clock.sleep(0.1)
        await self.install.engine.stop(STOP_SECONDS)
        await self._alerts.finish()

    async def _has_open_runs(self) -> bool:
        """Whether a run that this daemon can end is not ended yet."""
        which = RunFilter(statuses=frozenset({RunStatus.QUEUED, RunStatus.RUNNING}))
        now, me = self.install.clock.now(), self.install.owner.name
        runs = await self.install.ledger.read(lambda tx: tx.runs.list(which))
        return any(
            run.not_before <= now and run.owner in (None, me) and run.reserved_for in (None, me)
            for run in runs
        )

    async def _on_signals(self) -> None:
        # A service manager asks for a new look by SIGHUP; from a terminal it means to end.
        reload = (signal.SIGHUP,) if is_supervised() else ()
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, *reload) as signals:
            async for received in signals:
                if received in reload:
                    self._wakes.hint(None)
                    continue
                log.info("Stopping", extra={"action": "daemon_stopping", "signal": received.name})
                self._stopping = True
                self._waiting.cancel()
                self._looping.cancel()
                await self._leave_anyway()

    async def _leave_anyway(self) -> None:
        """End the process where a driver does not let go; recovery settles what is left.

        Cancelled when the service has stopped in good order, which is nearly always.
        """
        await self.install.clock.sleep(LEAVE_SECONDS)
        log.warning("Leaving without waiting any longer", extra={"action": "daemon_left"})
        if self._lock is not None:
            with suppress(StoreError):
                await self._beat(stopped="without waiting any longer")
        logging.shutdown()
        os._exit(0)

    # -- heartbeat ---------------------------------------------------------------------------

    async def _beats(self) -> None:
        while True:
            await self.install.clock.sleep(self._beat_seconds)
            try:
                await self._beat()
            except StoreError as error:  # the next beat tries again
                log.warning(str(error), extra={"action": "store_failed"})
            # A first turn over slow sources is no failed start, as long as the loop lives.
            notify("WATCHDOG=1", *(() if self._doing else (START_PROLONGED,)))

    @property
    def _beat_seconds(self) -> float:
        return min(BEAT_SECONDS, self.poll_seconds, (watchdog_seconds() or BEAT_SECONDS * 2) / 2)

    def _tell_ready(self, doing: str) -> None:
        """Tell the service manager that the daemon has started and what it does, where news."""
        if doing != self._doing:
            self._doing = doing
            notify("READY=1", f"STATUS={doing}")

    async def _beat(self, *, stopped: str | None = None) -> None:
        """Say that this daemon lives, or that it ends and how, in one commit."""
        now = self.install.clock.now()
        state = DaemonState(
            owner=self.install.owner.name,
            pid=os.getpid(),
            started_at=self._started_at,
            heartbeat_at=now,
            poll_seconds=self.poll_seconds,
            stopped_at=None if stopped is None else now,
            last_cycle_result=self._last_cycle,
        )

        def work(tx: Tx) -> None:
            tx.installation.beat(state)
            if stopped is not None:
                tx.events.add("daemon_stopped", at=now, pid=os.getpid(), detail=stopped)

        await self.install.ledger.write(work)

    async def _note(self, action: str, detail: str) -> None:
        now = self.install.clock.now()
        await self.install.ledger.write(
            lambda tx: tx.events.add(action, at=now, pid=os.getpid(), detail=detail)
        )
