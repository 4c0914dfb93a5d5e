"""Apply edits of the config within a second of the save, and keep the last good one."""

from __future__ import annotations

import logging
from collections.abc import Callable

import anyio

from amxwatch.core.errors import ConfigError, StoreError
from amxwatch.daemon.wiring import Install
from amxwatch.ports.ledger import Tx
from amxwatch.settings.file import Loaded
from amxwatch.settings.plans import moved
from amxwatch.settings.reload import Reloader
from amxwatch.settings.schema import Settings
from amxwatch.watchers.files import watch

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
"""However the editor saves, and whatever events are lost: the files are looked at so often."""

SETTLE_SECONDS = 0.1

MAX_TOLD = 1000
"""How many differences an event lists."""


async def keep_config(install: Install, hint: Callable[[str | None], None]) -> None:
    """Watch the config files for as long as the daemon lives.

    A good edit is in force at once and wakes the loop; a bad one changes nothing and is said
    in an event, once for each content.
    """
    folder = install.folder
    reloader = Reloader(folder.path, install.clock, install.loaded)
    paths = [folder.path, folder.schedules]
    async with watch(
        paths,
        clock=install.clock,
        look_seconds=LOOK_SECONDS,
        only=("*.toml",),
        glance=reloader.glance,
    ) as wakes:
        hinted = True
        while True:
            found = await reloader.check(hinted=hinted)
            try:
                if isinstance(found, Loaded):
                    await _accept(install, found)
                    hint(None)
                elif isinstance(found, ConfigError):
                    await _refuse(install, found)
            except StoreError as error:  # it is in force, though nothing could be written
                log.warning(str(error), extra={"action": "store_failed"})
                hint(None)
            hinted = False
            with anyio.move_on_after(_pause(reloader)):
                await anext(wakes)
                hinted = True


def _pause(reloader: Reloader) -> float | None:
    """Return when to look without being woken; None while stat can be trusted to tell."""
    if reloader.is_settling:
        return SETTLE_SECONDS
    return LOOK_SECONDS if reloader.is_fresh else None


async def _accept(install: Install, loaded: Loaded) -> None:
    news = differences(install.settings, loaded.settings)
    await install.apply(loaded)
    now = install.clock.now()
    warnings = list(loaded.warnings)
    log.info(
        "The config was taken: %s",
        ", ".join(news) or "nothing that matters moved",
        extra={"action": "config_loaded"},
    )

    def work(tx: Tx) -> None:
        tx.events.add("config_loaded", at=now, understood=news, warnings=warnings)

    await install.ledger.write(work)


async def _refuse(install: Install, error: ConfigError) -> None:
    now = install.clock.now()
    problems = [str(problem) for problem in error.problems]
    for problem in problems:
        log.warning(
            "The config was not taken, the last good one stays in force: %s",
            problem,
            extra={"action": "config_rejected"},
        )
    install.config_error = error
    await install.ledger.write(
        lambda tx: tx.events.add("config_rejected", at=now, problems=problems)
    )


def differences(old: Settings, new: Settings) -> list[str]:
    """Say in a few words what an edit moved: `+ schedules.nightly`, `~ db_profiles.prod`."""
    said = []
    for kind in ("db_profiles", "llm_profiles", "doc_profiles", "code_profiles", "schedules"):
        before, after = getattr(old, kind), getattr(new, kind)
        if kind == "schedules":  # told apart without building very many of them
            names = moved(before, after)
        else:
            either = before.keys() | after.keys()
            names = sorted(name for name in either if before.get(name) != after.get(name))
        for name in names:
            sign = "+" if name not in before else "~" if name in after else "-"
            said.append(f"{sign} {kind}.{name}")
    said += [
        f"~ {kind}"
        for kind in ("defaults", "budget", "daemon", "studio", "alerts", "intake", "retention")
        if getattr(old, kind) != getattr(new, kind)
    ]
    more = len(said) - MAX_TOLD
    return [*said[:MAX_TOLD], f"and {more} more"] if more > 0 else said
