"""Options that several commands take, spelled the same everywhere, and their completions."""

from __future__ import annotations

import os
from operator import attrgetter

import click
from click.shell_completion import CompletionItem

from amxwatch.cli.tree import FOLDER_KEY
from amxwatch.core.errors import AmxwatchError

BANDS = ("high", "medium", "low")
STRATEGIES = ("accept-all-high", "accept-all", "reject-all")


def _names(ctx: click.Context, kind: str, incomplete: str) -> list[CompletionItem]:
    """Return the names that the config gives to one kind of thing; none where it is broken."""
    from amxwatch.settings.file import load
    from amxwatch.settings.folder import config_dir

    try:
        settings = load(config_dir(ctx.meta.get(FOLDER_KEY), os.environ)).settings
    except AmxwatchError:
        return []
    names = sorted(attrgetter(kind)(settings))
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def complete_db(ctx: click.Context, _: click.Parameter, text: str) -> list[CompletionItem]:
    """Complete the name of a db profile."""
    return _names(ctx, "db_profiles", text)


def complete_llm(ctx: click.Context, _: click.Parameter, text: str) -> list[CompletionItem]:
    """Complete the name of an llm profile."""
    return _names(ctx, "llm_profiles", text)


def complete_schedule(ctx: click.Context, _: click.Parameter, text: str) -> list[CompletionItem]:
    """Complete the name of a schedule."""
    return _names(ctx, "schedules", text)


def complete_target(ctx: click.Context, _: click.Parameter, text: str) -> list[CompletionItem]:
    """Complete the name of a target of alerts."""
    return _names(ctx, "alerts.targets", text)


db_option = click.option(
    "--db", metavar="PROFILE", shell_complete=complete_db, help="The db profile."
)
llm_option = click.option(
    "--llm", metavar="PROFILE", shell_complete=complete_llm, help="The llm profile."
)
yes_option = click.option("-y", "--yes", is_flag=True, help="Answer yes to every question.")
db_argument = click.argument("profile", required=False, shell_complete=complete_db)
schedule_argument = click.argument("name", shell_complete=complete_schedule)


def one_of(argument: str | None, option: str | None, flag: str) -> str | None:
    """Return what was given in either place. Raises: click.UsageError where both disagree."""
    if argument is not None and option is not None and argument != option:
        raise click.UsageError(
            f"{argument!r} and {flag} {option!r} disagree: give one of them",
            ctx=click.get_current_context(),
        )
    return argument if argument is not None else option
