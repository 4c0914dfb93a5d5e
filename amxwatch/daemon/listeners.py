"""Hints from the sources: one task a db profile that listens, or watches its files."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio

from amxwatch.core.errors import AmxwatchError, DatabaseError
from amxwatch.core.retry import backoff
from amxwatch.daemon.wiring import Install
from amxwatch.flows.source import Source
from amxwatch.settings.plans import of_trigger
from amxwatch.settings.schema import DbProfile, Schedule
from amxwatch.triggers import Files
from amxwatch.watchers.files import watch

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
"""How soon an edit of a database file is noticed where no event tells of it."""

Hint = Callable[[str | None], None]


class Edits:
    """Says that another config is in force, to the one task that waits for it."""

    def __init__(self) -> None:
        self._event = anyio.Event()

    def announce(self) -> None:
        self._event.set()

    async def wait(self) -> None:
        """Return when a config came into force since the last wait."""
        await self._event.wait()
        self._event = anyio.Event()


@dataclass(frozen=True, kw_only=True)
class _Listener:
    """What a task listens to. It is started anew when this moves."""

    profile: DbProfile
    schedules: tuple[Schedule, ...]


async def listen_to_all(install: Install, hint: Hint, edits: Edits) -> None:
    """Keep one listener for each db profile of the config that is in force."""
    running: dict[str, tuple[_Listener, anyio.CancelScope]] = {}
    async with anyio.create_task_group() as group:
        while True:
            wanted = _wanted(install)
            for name, (listener, scope) in list(running.items()):
                if wanted.get(name) != listener:
                    scope.cancel()
                    del running[name]
            for name, listener in wanted.items():
                if name not in running:
                    scope = anyio.CancelScope()
                    running[name] = (listener, scope)
                    group.start_soon(_listen, install, listener, hint, scope)
            await edits.wait()


def _wanted(install: Install) -> dict[str, _Listener]:
    schedules = install.settings.schedules
    plans = [schedules[name] for name in of_trigger(schedules, "files")]
    return {
        name: _Listener(
            profile=profile,
            schedules=tuple(plan for plan in plans if plan.db_profile == name),
        )
        for name, profile in install.settings.db_profiles.items()
    }


async def _listen(
    install: Install, listener: _Listener, hint: Hint, scope: anyio.CancelScope
) -> None:
    name = listener.profile.name
    with scope:
        failures = 0
        while True:
            try:
                source = install.source(name)
                await _listen_once(install, source, listener, lambda: hint(name))
                failures = 0
            except DatabaseError as error:
                failures += 1
                log.info(
                    "Listening to %s ended: %s",
                    name,
                    error,
                    extra={"action": "listening_ended", "db_profile": name},
                )
            except AmxwatchError as error:
                failures += 1
                log.warning(
                    "Cannot listen to %s: %s",
                    name,
                    error,
                    extra={"action": "listening_failed", "db_profile": name},
                )
            await install.clock.sleep(backoff(max(failures, 1), key=name).total_seconds())


async def _listen_once(
    install: Install, source: Source, listener: _Listener, wake: Callable[[], None]
) -> None:
    paths = [*install.watch_paths(source.profile), *_roots(install, listener)]
    if not paths and source.database.hints is None:
        await anyio.sleep_forever()
    try:
        async with anyio.create_task_group() as group:
            if paths:
                group.start_soon(_watch_files, install, paths, wake)
            if source.database.hints is not None:
                async with source.database.hints.listen() as reasons:
                    async for _ in reasons:
                        wake()
                group.cancel_scope.cancel()
    except ExceptionGroup as errors:
        # The task group's own wrapping: a database that is down ends the listening, not us.
        raise errors.exceptions[0] from None


async def _watch_files(install: Install, paths: list[Path], wake: Callable[[], None]) -> None:
    async with watch(paths, clock=install.clock, look_seconds=LOOK_SECONDS) as wakes:
        async for _ in wakes:
            wake()


def _roots(install: Install, listener: _Listener) -> list[Path]:
    """Return the folders above the first wildcard of each watched pattern."""
    roots = set()
    for plan in listener.schedules:
        assert isinstance(plan.trigger, Files)
        for pattern in plan.trigger.paths:
            plain = []
            for part in Path(pattern).parts[:-1]:
                if set(part) & set("*?["):
                    break
                plain.append(part)
            roots.add(install.folder.path.joinpath(*plain))
    return sorted(roots)
