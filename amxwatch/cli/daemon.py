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
            emit=partial(_emit, out),
        )
        count = len(install.settings.schedules)
        out.say(
            f"amxwatch watches {len(install.settings.db_profiles)} database(s) for {count}"
            f" schedule(s), a look every {service.poll_seconds:g} s; Ctrl-C stops it."
        )
        await service.serve()


def _emit(out: Output, cycle: dict[str, Any]) -> None:
    """Print one cycle: as JSON whole, for people only what is news."""
    out.line(cycle)
    for line in sentences(cycle):
        out.say(line)
    for error in cycle.get("errors", []):
        out.warn(error)


def sentences(cycle: dict[str, Any]) -> list[str]:
    """Say what happened in a cycle; nothing where nothing did."""
    return [
        f"cycle {cycle['cycle']}: {sentence(result)}"
        for result in cycle["results"]
        if result["action"] not in ("idle", "paused", "cancelled")
    ]


def sentence(result: dict[str, Any]) -> str:
    """Say what one evaluation of one schedule came to."""
    name = shown(result["schedule"])
    if result["action"] == "blocked":
        recovery = shown(result["recovery_action"])
        return f"Schedule blocked: {name} ({result['blocked_category']}). Recovery: {recovery}"
    what = {"fire": "run started", "wait": "waits", "skip": "skipped", "missed": "missed"}
    words = [f"{name}: {what.get(result['action'], result['action'])}"]
    if result["run_id"]:
        words.append(str(result["run_id"]))
    if result["skip_reason"]:
        words.append(f"({shown(result['skip_reason'])})")
    return " ".join(words)
