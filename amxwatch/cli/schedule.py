"""`amxwatch schedule`: plans and their runtime."""

from __future__ import annotations

from functools import partial

import click

from amxwatch.cli.options import (
    complete_schedule,
    db_option,
    llm_option,
    schedule_argument,
    yes_option,
)
from amxwatch.cli.session import leave, reading, writing

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


@schedule.command()
@click.option("--name", metavar="N", help="What to call it.")
@click.option("--at", metavar='"YYYY-MM-DD HH:MM"', help="Once, at a local time.")
@click.option("--every", type=float, metavar="MIN", help="Every so many minutes.")
@click.option("--cron", metavar='"…"', help="By a cron line of five fields.")
@click.option("--on-change", is_flag=True, help="When the catalog changes.")
@click.option("--files", multiple=True, metavar="GLOB", help="When these files change; repeatable.")
@click.option(
    "--cadence-cap-hours",
    type=float,
    metavar="H",
    help="With --on-change or --files: one run in so many hours at most.",
)
@click.option(
    "--settle-seconds",
    type=float,
    metavar="S",
    help="With --on-change or --files: wait until a burst is over.",
)
@click.option("--tz", metavar="ZONE", help="An IANA zone; default: this machine's.")
@click.option("--kind", type=click.Choice(["analyze", "cache_refresh"]), help="What to run.")
@db_option
@llm_option
@click.option("--scope", metavar="SCOPE", help="What the runs are about; default: all.")
@click.option(
    "--strategy",
    type=click.Choice(["auto", "manual"]),
    help="Apply the sure drafts at once, or queue all for review.",
)
def add(**given: object) -> None:
    """Write a new schedule to schedules.d.

    Give one of --at, --every, --cron, --on-change and --files. In a terminal whatever is
    missing is asked for.
    """
    from amxwatch.cli.planning import Wish, add_schedule

    writing(partial(add_schedule, Wish(**given)))  # type: ignore[arg-type]  # named as the options


@schedule.command("list")
@click.option("--past", is_flag=True, help="Completed, failed and cancelled ones.")
@click.option("--all", "all_", is_flag=True, help="Every one.")
@click.option("--status", type=click.Choice(STATUSES), help="Only those of this status.")
@click.pass_context
def list_(ctx: click.Context, past: bool, all_: bool, status: str | None) -> None:
    """List the schedules that are still to run."""
    from amxwatch.cli.scheduling import list_schedules

    if past + all_ + (status is not None) > 1:
        raise click.UsageError("--past, --all and --status do not go together", ctx=ctx)
    wanted = frozenset({status}) if status else _statuses(past, all_)
    reading(partial(list_schedules, wanted))


def _statuses(past: bool, all_: bool) -> frozenset[str]:
    over = frozenset({"completed", "failed", "cancelled"})
    if past:
        return over
    return frozenset(STATUSES) if all_ else frozenset(STATUSES) - over


@schedule.command()
@schedule_argument
def show(name: str) -> None:
    """Show one schedule: its plan, its state and its last runs."""
    from amxwatch.cli.scheduling import show_schedule

    reading(partial(show_schedule, name))


@schedule.command("next")
@schedule_argument
@click.option(
    "-n", "--count", type=click.IntRange(1, 10_000), default=10, show_default=True, help="How many."
)
@click.option("--after", metavar="TIME", help="Due times after this moment; default: now.")
def next_(name: str, count: int, after: str | None) -> None:
    """Show when a schedule is due next."""
    from amxwatch.cli.scheduling import show_next

    reading(partial(show_next, name, count, after))


@schedule.command()
@schedule_argument
def pause(name: str) -> None:
    """Keep a schedule from firing until it is resumed."""
    from amxwatch.cli.steering import pause_schedule

    writing(partial(pause_schedule, name))


@schedule.command()
@schedule_argument
def resume(name: str) -> None:
    """Let a paused or cancelled schedule fire again."""
    from amxwatch.cli.steering import resume_schedule

    writing(partial(resume_schedule, name))


@schedule.command()
@schedule_argument
def skip(name: str) -> None:
    """Dismiss a missed firing."""
    from amxwatch.cli.steering import skip_missed

    writing(partial(skip_missed, name))


@schedule.command()
@schedule_argument
def cancel(name: str) -> None:
    """End a schedule, and stop its open runs; its file stays."""
    from amxwatch.cli.steering import cancel_schedule

    writing(partial(cancel_schedule, name))


@schedule.command()
@schedule_argument
@yes_option
def rm(name: str, yes: bool) -> None:
    """Remove a schedule, its file and its state."""
    from amxwatch.cli.steering import remove

    writing(partial(remove, name, yes))


@schedule.command("run-now")
@schedule_argument
@click.option("--dry-run", is_flag=True, help="Only show the rendered input and resolved scope.")
def run_now(name: str, dry_run: bool) -> None:
    """Run a schedule now, in this process, whenever it is due."""
    from amxwatch.cli.firing import run_schedule_now

    leave(writing(partial(run_schedule_now, name, dry_run)))


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


@schedule.command()
def status() -> None:
    """Show the same as amxwatch status."""
    from amxwatch.cli.start import show_status

    reading(show_status)
