"""One turn of the agent: recover, look at the sources, evaluate the schedules.

The daemon takes turns for ever, `run-due` takes one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

import anyio

from amxwatch.core.errors import AmxwatchError
from amxwatch.daemon.wiring import Install
from amxwatch.flows.dispatch import dispatch
from amxwatch.flows.firing import Dispatched, Firing
from amxwatch.flows.interrupted import settle_interrupted
from amxwatch.flows.watch import Look, look
from amxwatch.settings.schema import Schedule
from amxwatch.triggers import Files

LOOK_SECONDS = 300
"""A look that takes longer is given up, so that one slow source does not hold up the others."""


@dataclass(frozen=True, kw_only=True)
class Turn:
    """What one turn came to. `look_at` is the earliest moment at which something is due."""

    ok: bool
    results: tuple[Dispatched, ...]
    errors: tuple[str, ...] = ()
    look_at: datetime | None = None

    def document(self, cycle: int) -> dict[str, object]:
        """Return what `daemon --json` and `run-due --json` print."""
        document: dict[str, object] = {
            "cycle": cycle,
            "ok": self.ok,
            "results": [result.document() for result in self.results],
        }
        if self.errors:
            document["errors"] = list(self.errors)
        return document

    @property
    def is_news(self) -> bool:
        return not self.ok or any(r.action in ("fire", "missed", "blocked") for r in self.results)


async def take(
    install: Install,
    *,
    profiles: Collection[str] | None = None,
    only: str | None = None,
) -> Turn:
    """Take one turn over all db profiles, or over those named; `only` is one schedule.

    An error of one source or schedule is reported, and the others are still served.
    """
    await install.engine.recover()
    await install.close_retired()
    schedules = [
        plan for plan in install.settings.schedules.values() if only is None or plan.name == only
    ]
    wanted = set(profiles) if profiles is not None else set(install.settings.db_profiles)
    if only is not None:
        wanted &= {plan.db_profile for plan in schedules}
    errors: list[str] = []
    await _look_at(install, wanted, errors)
    results: list[Dispatched] = []
    for plan in schedules:
        if profiles is not None and plan.db_profile not in wanted:
            continue
        result = await _evaluate(install, plan, errors)
        if result is not None:
            results.append(result)
    if any(result.action == "fire" for result in results):
        install.engine.wake()
    times = [result.look_at for result in results if result.look_at is not None]
    return Turn(
        ok=not errors,
        results=tuple(results),
        errors=tuple(errors),
        look_at=min(times) if times else None,
    )


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


async def _evaluate(install: Install, plan: Schedule, errors: list[str]) -> Dispatched | None:
    try:
        mark = None
        if isinstance(plan.trigger, Files):
            mark = await install.files_mark(plan.trigger.paths)
        firing = Firing(
            schedule=plan,
            source=install.source(plan.db_profile),
            llm_profile=install.settings.llm_profile(plan.llm_profile).name,
            now=install.clock.now(),
        )
        return await dispatch(firing, files_mark=mark)
    except AmxwatchError as error:
        errors.append(f"schedule {plan.name}: {error}")
        return None
