"""`amxwatch daemon`: watch and run until stopped."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from amxwatch.cli.options import complete_schedule
from amxwatch.cli.output import Output, shown
from amxwatch.cli.session import Desk, output, root


@click.command()
@click.option(
    "--poll-seconds",
    type=click.FloatRange(0, min_open=True),
    metavar="N",
    help="How often every source is looked at.",
)
@click.option("--max-cycles", type=click.IntRange(1), metavar="N", help="End after N polls.")
@click.option(
    "--schedule",
    metavar="NAME",
    shell_complete=complete_schedule,
    help="Serve only this schedule.",
)
def daemon(poll_seconds: float | None, max_cycles: int | None, schedule: str | None) -> None:
    """Watch the sources and run the schedules until stopped.

    SIGTERM and Ctrl-C end it in good order within five seconds; edits of the config hold
    within a second. With --json each cycle is one line.
    """
    import anyio

    from amxwatch.cli.logs import logging_to
    from amxwatch.settings.folder import Folder, prepare

    folder: Folder = prepare(root())
    with logging_to(folder.log):
        anyio.run(partial(_daemon, poll_seconds, max_cycles, schedule, output()))


async def _daemon(
    poll_seconds: float | None, max_cycles: int | None, only: str | None, out: Output
) -> None:
    from amxwatch.cli.scheduling import plan_of
    from amxwatch.daemon.service import Service
    from amxwatch.daemon.wiring import open_install

    async with open_install(root(), strict=False) as install:
        if install.config_error is not None:
            out.warn(f"warning: the last good config is used: {install.config_error}")
        for line in install.loaded.warnings:
            out.warn(f"warning: {line}")
        if only is not None:
            plan_of(Desk(install=install, out=out), only)
        service = Service(
            install,
            poll_seconds=poll_seconds,
            max_cycles=max_cycles,
            only=only,
            emit=Reporter(out).emit,
        )
        count = len(install.settings.schedules)
        out.say(
            f"amxwatch watches {len(install.settings.db_profiles)} database(s) for {count}"
            f" schedule(s), a look every {service.poll_seconds:g} s; Ctrl-C stops it."
        )
        await service.serve()


class Reporter:
    """Prints cycles: as JSON whole, for people what is news, and each thing that stands once."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._told: dict[str, str] = {}

    def emit(self, cycle: dict[str, Any]) -> None:
        """Print one cycle, or that another daemon owns the heartbeat."""
        self._out.line(cycle)
        if "standby" in cycle:
            self._out.say(standing_by(cycle["standby"]))
        for result in cycle["results"]:
            self._say(cycle["cycle"], result)
        for error in cycle.get("errors", []):
            self._out.warn(error)

    def _say(self, number: int, result: dict[str, Any]) -> None:
        if result.get("armed"):
            self._out.say(f"cycle {number}: {armed_sentence(result)}")
        line = "" if result["action"] in QUIET else sentence(result)
        if line and self._told.get(result["schedule"]) != line:
            said = line if result["action"] == "blocked" else f"cycle {number}: {line}"
            self._out.say(said, colour="red" if result["action"] == "blocked" else None)
        self._told[result["schedule"]] = line


QUIET = frozenset({"idle", "paused", "cancelled"})


def standing_by(holder: dict[str, Any]) -> str:
    """Say who owns the heartbeat, and what we do meanwhile."""
    who = "Another daemon"
    if holder["pid"] is not None:
        who += f" (pid {holder['pid']} on {shown(holder['host'])}, since {holder['since']})"
    return f"{who} owns the heartbeat; standing by to take over when it ends."


def armed_sentence(result: dict[str, Any]) -> str:
    """Say that a schedule counts from now on, and why."""
    return f"{shown(result['schedule'])}: armed from now on ({result['armed']})"


def sentence(result: dict[str, Any]) -> str:
    """Say what one evaluation of one schedule came to."""
    name = shown(result["schedule"])
    if result["action"] == "blocked":
        recovery = shown(result["recovery_action"])
        return blocked_sentence(name, result["blocked_category"], recovery)
    what = {"fire": "run started", "run": "ran", "wait": "waits", "skip": "skipped"}
    words = [f"{name}: {what.get(result['action'], result['action'])}"]
    if result["run_id"]:
        words.append(str(result["run_id"]))
    if result["skip_reason"]:
        words.append(f"({shown(result['skip_reason'])})")
    return " ".join(words)


def blocked_sentence(name: str, category: object, recovery: str) -> str:
    """Say that a schedule waits for a person, and the command that lets it go on."""
    return f"Schedule blocked: {name} ({category}). Recovery: {recovery}"
