"""`amxwatch doctor`: what is wrong with this install, and how to mend it."""

from __future__ import annotations

import os
import shlex
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from amxwatch.cli.documents import Document
from amxwatch.cli.output import Output, shown
from amxwatch.cli.session import Desk, leave, output, writing
from amxwatch.core.errors import AmxwatchError, ConfigError, StoreError
from amxwatch.core.event import Event
from amxwatch.ports.housekeeping import Room
from amxwatch.ports.ledger import Tx
from amxwatch.settings.folder import FILE_MODE, FOLDER_MODE, Folder

LITTLE_SPACE = 200 * 1024 * 1024
NO_SPACE = 20 * 1024 * 1024
MUCH_STATE = 2 * 1024 * 1024 * 1024

LATE_DAYS = 7
"""House-keeping may be so many days behind before that is worth a word."""

COLOURS = {"ok": "green", "warning": "yellow", "error": "red"}


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at. `level` is `ok`, `warning` or `error`."""

    level: str
    check: str
    message: str
    remedy: str | None = None

    def document(self) -> Document:
        """Return one element of `doctor --json`."""
        return {
            "level": self.level,
            "check": self.check,
            "message": self.message,
            "remedy": self.remedy,
        }


@click.command()
def doctor() -> None:
    """Check this install and say how to mend what is wrong.

    Exit status 1 where anything is an error, 2 where the config is.
    """
    out = output()
    try:
        leave(writing(_doctor))
    except ConfigError as error:
        found = [
            Finding(level="error", check="config", message=str(problem), remedy="edit that file")
            for problem in error.problems
        ]
        _print(out, found)
        raise


async def _doctor(desk: Desk) -> int:
    found = [
        *_config(desk),
        *_modes(desk.install.folder),
        *_machine(desk.install.folder.path),
        await _clock(desk),
        await _state(desk),
        *_intake(desk),
        *await _databases(desk),
        *await _models(desk),
        await _daemon(desk),
        await _service(desk),
    ]
    _print(desk.out, found)
    return 1 if any(finding.level == "error" for finding in found) else 0


def _print(out: Output, found: list[Finding]) -> None:
    levels = {finding.level for finding in found}
    out.document(
        {"ok": "error" not in levels, "findings": [finding.document() for finding in found]}
    )
    for finding in found:
        label = f"{finding.level:<8}{finding.check:<10}"
        out.say(f"{label} {shown(finding.message)}", colour=COLOURS[finding.level])
        if finding.remedy and finding.level != "ok":
            out.say(f"{'':<19}mend: {shown(finding.remedy)}")


def _config(desk: Desk) -> Iterator[Finding]:
    from amxwatch.settings.secrets import is_plain, is_reference

    settings = desk.install.settings
    file = desk.install.folder.config_file
    if not file.exists():
        yield Finding(
            level="warning",
            check="config",
            message=f"there is no {file}",
            remedy="amxwatch init",
        )
    else:
        yield Finding(level="ok", check="config", message=f"{file} holds")
    for warning in desk.install.loaded.warnings:
        yield Finding(
            level="warning", check="config", message=warning, remedy="leave it out, or wait for it"
        )
    plain = [
        f"db_profiles.{name}.url"
        for name, profile in settings.db_profiles.items()
        if is_plain(profile.url)
    ] + [
        f"llm_profiles.{name}.api_key"
        for name, llm in settings.llm_profiles.items()
        if llm.api_key is not None and is_plain(llm.api_key)
    ]
    plain += [
        f"alerts.targets.{name}.{key}"
        for name, target in settings.alerts.targets.items()
        for key in ("secret", "password")
        if (value := getattr(target, key, None)) is not None and not is_reference(value)
    ]
    for key in plain:
        yield Finding(
            level="warning",
            check="secrets",
            message=f"{key} is a plain secret in the config",
            remedy="write it as env:NAME, file:PATH or keyring:SERVICE/USER",
        )


def _modes(folder: Folder) -> Iterator[Finding]:
    """Say of each file of ours that others may read it."""
    wrong = [path for path in _ours(folder) if _is_open(path)]
    for path in wrong:
        mode = FOLDER_MODE if path.is_dir() else FILE_MODE
        yield Finding(
            level="warning",
            check="modes",
            message=f"others may read {path}",
            remedy=f"chmod {mode:o} {path}",
        )
    if not wrong:
        yield Finding(level="ok", check="modes", message=f"{folder.path} is its owner's only")


def _ours(folder: Folder) -> Iterator[Path]:
    yield folder.path
    for path in (folder.config_file, folder.state, folder.service_env):
        if path.exists():
            yield path
    for part in (folder.schedules, folder.catalog, folder.logs, folder.exports):
        if part.is_dir():
            yield part
            yield from sorted(path for path in part.iterdir() if path.is_file())


def _is_open(path: Path) -> bool:
    try:
        return bool(stat.S_IMODE(path.stat().st_mode) & 0o077)
    except OSError:
        return False


def _machine(path: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(path).free
    said = f"{free // (1024 * 1024):,} MB free for {path}"
    level = "error" if free < NO_SPACE else "warning" if free < LITTLE_SPACE else "ok"
    yield Finding(level=level, check="disk", message=said, remedy="make room on that disk")
    try:
        ZoneInfo("Europe/Istanbul")
    except (KeyError, ValueError, OSError):
        yield Finding(
            level="error",
            check="timezones",
            message="there is no timezone data",
            remedy="pip install tzdata",
        )
    else:
        yield Finding(level="ok", check="timezones", message="timezone data is there")


async def _clock(desk: Desk) -> Finding:
    """Compare the clock with what the ledger has seen already: it must not have gone back."""
    now = desk.install.clock.now()
    newest = await desk.install.ledger.read(lambda tx: tx.events.recent(1))
    if newest and newest[-1].at > now:
        return Finding(
            level="error",
            check="clock",
            message=f"the clock says {now:%Y-%m-%d %H:%M} UTC, before what was already done",
            remedy="set the machine's clock",
        )
    return Finding(level="ok", check="clock", message=f"{now:%Y-%m-%d %H:%M:%S} UTC")


async def _state(desk: Desk) -> Finding:
    """Say how large the state is and how far back it goes; house-keeping bounds both."""
    now, rules = desk.install.clock.now(), desk.install.settings.retention

    def read(tx: Tx) -> tuple[Room, list[Event]]:
        return tx.housekeeping.room(), tx.events.after(0, limit=1)

    room, oldest = await desk.install.ledger.read(read)
    path = desk.install.folder.state
    said = f"{path} takes {room.taken // 2**20:,} MB"
    days = (now - oldest[0].at).days if oldest else 0
    if days:
        said += f" and goes back {days:,} days"
    level, remedy = "ok", "set max_mb or shorter ages under [retention], and keep a daemon running"
    if rules.events_days and days > rules.events_days + LATE_DAYS:
        level = "warning"
        said += f", longer than [retention] events_days = {rules.events_days}"
        remedy = "amxwatch daemon: it forgets what is too old"
    elif room.taken > MUCH_STATE and not rules.max_mb:
        level = "warning"
    return Finding(level=level, check="state", message=said, remedy=remedy)


def _intake(desk: Desk) -> Iterator[Finding]:
    """Look at each folder that files are dropped in: they are read there and moved away."""
    for name in desk.install.settings.intake.folders:
        folder = desk.install.folder.path / name
        fault = _folder_fault(folder)
        if fault is None:
            said = f"{folder} can be read and written"
            yield Finding(level="ok", check="intake", message=said)
        else:
            yield Finding(
                level="error",
                check="intake",
                message=f"{folder} {fault}",
                remedy=f"mkdir -p {shlex.quote(str(folder))}, with the right to read and write it",
            )


def _folder_fault(folder: Path) -> str | None:
    if not folder.is_dir():
        return "is no folder" if folder.exists() else "does not exist"
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        return "cannot be read and written by this user"
    return None


async def _databases(desk: Desk) -> list[Finding]:
    from amxwatch.cli.probe import probe

    found = []
    for name in sorted(desk.install.settings.db_profiles):
        tried = await probe(desk.install, name)
        check = f"db {name}"
        if tried.error is not None:
            found.append(
                Finding(
                    level="error",
                    check=check,
                    message=tried.error,
                    remedy=f"mend the profile or the database, then: amxwatch db test {name}",
                )
            )
            continue
        found.append(Finding(level="ok", check=check, message="; ".join(tried.lines())))
        found += [
            Finding(
                level="warning",
                check=check,
                message="comments on some objects would be refused",
                remedy=statement,
            )
            for statement in tried.missing
        ]
        found += [
            Finding(
                level="warning",
                check=check,
                message=problem,
                remedy="mend that file; the rest counts",
            )
            for problem in tried.problems
        ]
    if not found:
        found.append(
            Finding(
                level="warning",
                check="db",
                message="there is no db profile",
                remedy="add [db_profiles.NAME] with a url to amxwatch.toml",
            )
        )
    return found


async def _models(desk: Desk) -> list[Finding]:
    """Ask each model for one small answer, all at the same time."""
    import anyio

    names = sorted(desk.install.settings.llm_profiles)
    found: dict[str, Finding] = {}

    async def one(name: str) -> None:
        found[name] = await _model(desk, name)

    async with anyio.create_task_group() as group:
        for name in names:
            group.start_soon(one, name)
    return [found[name] for name in names]


async def _model(desk: Desk, name: str) -> Finding:
    from amxwatch.cli.model_probe import ask_once

    profile, check = desk.install.settings.llm_profile(name), f"llm {name}"
    try:
        priced = desk.install.provider(name).priced
        answer = await ask_once(desk.install, name)
    except AmxwatchError as error:
        return Finding(
            level="error",
            check=check,
            message=str(error),
            remedy=f"mend [llm_profiles.{name}], then: amxwatch llm test {name}",
        )
    said = f"{profile.provider} {profile.model} answered in {answer.seconds:.1f} s"
    unpriced = "" if priced else ", no price known: its costs show as unpriced"
    return Finding(level="ok", check=check, message=said + unpriced)


async def _daemon(desk: Desk) -> Finding:
    from amxwatch.cli.health import daemon_status

    install = desk.install
    try:
        state = await install.ledger.read(lambda tx: tx.installation.daemon())
    except StoreError as error:
        return Finding(
            level="warning", check="daemon", message=str(error), remedy="amxwatch daemon"
        )
    status = "never_started" if state is None else daemon_status(state, install.clock.now())
    if status == "running" or not install.settings.schedules:
        return Finding(level="ok", check="daemon", message=f"the daemon is {status}")
    count = len(install.settings.schedules)
    return Finding(
        level="error" if status == "stale" else "warning",
        check="daemon",
        message=f"the daemon is {status}, and {count} schedule(s) wait for one",
        remedy="amxwatch daemon",
    )


async def _service(desk: Desk) -> Finding:
    """Look at what keeps a daemon running; without schedules none is wanted."""
    from amxwatch.daemon.os_service import os_service

    try:
        made = os_service(desk.install.folder.path)
        status = str(await made.status())
    except AmxwatchError as error:
        return Finding(level="ok", check="service", message=str(error))
    message = f"the service is {status}"
    remedy = "amxwatch service install"
    if status == "loaded":
        if made.file.path.read_bytes() != made.file.content:
            message = f"{message}, but {made.file.path} is of another amxwatch"
        elif advice := await made.advice():
            message = f"{message}; {advice}"
            return Finding(level="ok", check="service", message=message)
        else:
            return Finding(level="ok", check="service", message=message)
    elif status == "not_installed" and not desk.install.settings.schedules:
        return Finding(level="ok", check="service", message=f"{message}, and no schedule wants one")
    return Finding(level="warning", check="service", message=message, remedy=remedy)
