"""`amxwatch schedule`: plans and their runtime."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import click

from amxwatch.cli.options import (
    complete_schedule,
    db_option,
    llm_option,
    schedule_argument,
    yes_option,
)
from amxwatch.cli.service import print_option
from amxwatch.cli.session import is_json, leave, reading, writing

F = TypeVar("F", bound=Callable[..., Any])

STATUSES = (
    "pending",
    "paused",
    "running",
    "completed",
    "failed",
    "missed",
    "cancelled",
    "blocked",
)


@click.group()
def schedule() -> None:
    """Plan runs: add, list, pause, run and remove schedules."""


def _shared(command: F) -> F:
    """Give a command the flags that say what a schedule is."""
    flags = (
        click.option("--at", metavar='"YYYY-MM-DD HH:MM"', help="Once, at a local time."),
        click.option("--every", type=float, metavar="MIN", help="Every so many minutes."),
        click.option("--cron", metavar='"…"', help="By a cron line of five fields."),
        click.option("--on-change", is_flag=True, help="When the catalog changes."),
        click.option(
            "--files", multiple=True, metavar="GLOB", help="When these files change; repeatable."
        ),
        click.option(
            "--cadence-cap-hours",
            type=float,
            metavar="H",
            help="With --on-change or --files: one run in so many hours at most.",
        ),
        click.option(
            "--settle-seconds",
            type=float,
            metavar="S",
            help="With --on-change or --files: wait until a burst is over.",
        ),
        click.option("--tz", metavar="ZONE", help="An IANA zone; default: this machine's."),
        click.option(
            "--kind", type=click.Choice(["analyze", "cache_refresh"]), help="What to run."
        ),
        db_option,
        llm_option,
        click.option("--scope", metavar="SCOPE", help="What the runs are about; default: all."),
        click.option(
            "--strategy",
            type=click.Choice(["auto", "manual"]),
            help="Apply the sure drafts at once, or queue all for review.",
        ),
    )
    for flag in reversed(flags):
        command = flag(command)
    return command


@schedule.command()
@click.option("--name", metavar="N", help="What to call it.")
@_shared
def add(**given: object) -> None:
    """Write a new schedule to schedules.d.

    Give one of --at, --every, --cron, --on-change and --files. In a terminal whatever is
    missing is asked for.
    """
    from amxwatch.cli.planning import Wish, add_schedule

    wish = Wish(**given)  # type: ignore[arg-type]  # named as the options
    writing(partial(add_schedule, wish), about=())


@schedule.command()
@schedule_argument
@_shared
@click.option("--enable/--disable", "enabled", default=None, help="Let it fire, or pause it.")
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any key of it, the value as in TOML; repeatable.",
)
@click.option("--unset", multiple=True, metavar="KEY", help="Take a key out; repeatable.")
def edit(
    enabled: bool | None, settings: tuple[str, ...], unset: tuple[str, ...], **given: object
) -> None:
    """Change a schedule in its file; comments and layout stay.

    Without a flag, in a terminal, the file opens in $EDITOR; it is checked before it holds. An
    edit of when it fires counts from now on.
    """
    from amxwatch.cli.editing import edit_schedule
    from amxwatch.cli.planning import Wish

    wish = Wish(**given)  # type: ignore[arg-type]  # named as the options
    assert wish.name is not None
    writing(partial(edit_schedule, wish, enabled, settings, unset), about=(wish.name,))


@schedule.command()
@schedule_argument
@click.option("--from", "start", metavar="TIME", required=True, help="The first moment, local.")
@click.option("--to", "end", metavar="TIME", help="The last moment; default: now.")
@click.option("--dry-run", is_flag=True, help="Only list the ticks.")
@click.option("--again", is_flag=True, help="Also run again what has run already.")
@yes_option
def backfill(name: str, start: str, end: str | None, dry_run: bool, again: bool, yes: bool) -> None:
    """Queue the ticks that a clock schedule had in the past.

    A tick that has run already is left out. The runs wait for a daemon or run-due, behind what
    is due now.
    """
    from amxwatch.cli.backfilling import Past, backfill_schedule

    past = Past(start=start, end=end, dry_run=dry_run, again=again, yes=yes)
    writing(partial(backfill_schedule, name, past), about=(name,))


@schedule.command("list")
@click.option("--past", is_flag=True, help="Completed, failed and cancelled ones.")
@click.option("--all", "all_", is_flag=True, help="Every one.")
@click.option("--status", type=click.Choice(STATUSES), help="Only those of this status.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help="At most so many, by name; default: all with --json, else 200.",
)
@click.pass_context
def list_(
    ctx: click.Context, past: bool, all_: bool, status: str | None, limit: int | None
) -> None:
    """List the schedules that are still to run."""
    from amxwatch.cli.scheduling import list_schedules

    if past + all_ + (status is not None) > 1:
        raise click.UsageError("--past, --all and --status do not go together", ctx=ctx)
    wanted = frozenset({status}) if status else _statuses(past, all_)
    # A page looks at what is on it; all of them are best judged together.
    about = None if is_json() and limit is None else ()
    reading(partial(list_schedules, wanted, limit), about=about)


def _statuses(past: bool, all_: bool) -> frozenset[str]:
    over = frozenset({"completed", "failed", "cancelled"})
    if past:
        return over
    return frozenset(STATUSES) if all_ else frozenset(STATUSES) - over


@schedule.command()
@schedule_argument
def show(name: str) -> None:
    """Show one schedule: its plan, next run, and how the last ones went."""
    from amxwatch.cli.showing import show_schedule

    reading(partial(show_schedule, name), about=(name,))


@schedule.command("next")
@schedule_argument
@click.option(
    "-n", "--count", type=click.IntRange(1, 10_000), default=10, show_default=True, help="How many."
)
@click.option("--after", metavar="TIME", help="Due times after this moment; default: now.")
def next_(name: str, count: int, after: str | None) -> None:
    """Show when a schedule is due next."""
    from amxwatch.cli.scheduling import show_next

    reading(partial(show_next, name, count, after), about=(name,))


@schedule.command()
@schedule_argument
def pause(name: str) -> None:
    """Keep a schedule from firing until it is resumed."""
    from amxwatch.cli.steering import pause_schedule

    writing(partial(pause_schedule, name), about=(name,))


@schedule.command()
@schedule_argument
def resume(name: str) -> None:
    """Let a paused or cancelled schedule fire again."""
    from amxwatch.cli.steering import resume_schedule

    writing(partial(resume_schedule, name), about=(name,))


@schedule.command()
@schedule_argument
def skip(name: str) -> None:
    """Dismiss a missed firing."""
    from amxwatch.cli.steering import skip_missed

    writing(partial(skip_missed, name), about=(name,))


@schedule.command()
@schedule_argument
def cancel(name: str) -> None:
    """End a schedule, and stop its open runs; its file stays."""
    from amxwatch.cli.steering import cancel_schedule

    writing(partial(cancel_schedule, name), about=(name,))


@schedule.command()
@schedule_argument
@yes_option
def rm(name: str, yes: bool) -> None:
    """Remove a schedule, its file and its state."""
    from amxwatch.cli.steering import remove

    writing(partial(remove, name, yes), about=(name,))


@schedule.command("run-now")
@schedule_argument
@click.option("--dry-run", is_flag=True, help="Only show the rendered input and resolved scope.")
def run_now(name: str, dry_run: bool) -> None:
    """Run a schedule now, in this process, whenever it is due."""
    from amxwatch.cli.firing import run_schedule_now

    leave(writing(partial(run_schedule_now, name, dry_run), about=(name,)))


@schedule.command("run-due")
@click.option(
    "--schedule",
    "only",
    metavar="NAME",
    shell_complete=complete_schedule,
    help="Only this schedule.",
)
@click.option("--quiet", is_flag=True, help="Say nothing unless something fails.")
def run_due(only: str | None, quiet: bool) -> None:
    """Look at every source once and run what is due, in this process."""
    from amxwatch.cli.firing import run_what_is_due

    leave(writing(partial(run_what_is_due, only, quiet)))


@schedule.command("install-daemon")
@print_option
def install_daemon(print_: bool) -> None:
    """Do the same as amxwatch service install."""
    from amxwatch.cli.service import install_service

    install_service(print_)


@schedule.command("uninstall-daemon")
def uninstall_daemon() -> None:
    """Do the same as amxwatch service uninstall."""
    from amxwatch.cli.service import uninstall_service

    uninstall_service()


@schedule.command()
def status() -> None:
    """Show the same as amxwatch status."""
    from amxwatch.cli.start import show_status

    reading(show_status)
