"""The tree of commands. Importing this imports click and nothing heavier."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import click

from amxwatch import __version__
from amxwatch.cli.spelling import translated
from amxwatch.cli.tree import JSON_KEY, Entry, LazyGroup, add_everywhere

COMMANDS: dict[str, dict[str, Entry]] = {
    "Start": {
        "demo": ("demo:demo", "Play the whole line on a small warehouse of its own."),
        "init": ("start:init", "Write a first amxwatch.toml."),
        "doctor": ("doctor:doctor", "Check this install and say how to mend what is wrong."),
        "status": ("start:status", "Show the daemon, the sources, the runs and what waits."),
    },
    "Watch": {
        "daemon": ("daemon:daemon", "Watch the sources and run the schedules until stopped."),
        "service": ("service:service", "Have the operating system keep the daemon running."),
        "schedule": ("schedule:schedule", "Plan runs: add, list, pause, run and remove schedules."),
        "intake": ("intake:intake", "Take signals in, and let them become runs."),
    },
    "Catalogs": {
        "db": ("db:db", "List, test, inspect and choose db profiles."),
        "llm": ("llm:llm", "List, test and choose llm profiles."),
        "catalog": ("catalog:catalog", "Show, compare and measure the cached catalogs."),
        "check": ("check:check", "Say what a merge would add, move, remove or leave undescribed."),
        "search": ("search:search", "Find names and comments in the cached catalogs."),
    },
    "Describe": {
        "run": ("run:run", "Draft descriptions for a scope, now."),
        "review": ("review:review", "Accept, edit or reject drafted descriptions."),
        "apply": ("apply:apply", "Write accepted descriptions to the database."),
        "run-apply": ("run:run_apply", "Draft, review by a strategy and apply, in one go."),
        "confidence": ("confidence:confidence", "Fit the thresholds of the bands."),
        "rerun": ("rerun:rerun", "Draft objects of a run once more, as a new run."),
        "compare": (
            "compare:compare",
            "Show two runs side by side: their words, confidence and cost.",
        ),
        "lock": ("lock:lock", "Keep objects to people: they are neither drafted nor written."),
        "unlock": ("lock:unlock", "Let locked objects be described again."),
        "cancel": ("run:cancel", "Stop a run."),
        "unblock": ("run:unblock", "Let a blocked run go on."),
    },
    "Look back": {
        "history": ("history:history", "List, show and review past runs."),
        "events": ("events:events", "Show the audit trail."),
        "alerts": ("alerts:alerts", "Show what was told to whom, and try a target."),
        "state": ("state:state", "Back up, check and restore the state."),
        "costs": ("costs:costs", "Show what the runs cost."),
    },
}
"""Every command of the first level, under the headings of `--help`."""


@click.group(
    cls=LazyGroup,
    sections=COMMANDS,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Without a command, in a terminal, amxwatch opens a prompt over the same commands.",
)
@click.version_option(__version__, prog_name="amxwatch", message="%(prog)s %(version)s")
@click.pass_context
def app(ctx: click.Context) -> int | None:
    """Keep the descriptions of a database true.

    amxwatch caches each catalog, notices when a schema moves or when the clock says so, drafts
    descriptions for exactly what moved, asks for review, and writes COMMENT ON back.
    """
    if ctx.invoked_subcommand is not None:
        return None
    if sys.stdin.isatty() and sys.stdout.isatty():
        from amxwatch.cli.repl import loop

        return loop(ctx)
    if not ctx.meta.get(JSON_KEY):
        click.echo(ctx.get_help())
    raise click.UsageError("no command was given, and the prompt needs a terminal")


add_everywhere(app)


def run(args: Sequence[str]) -> int:
    """Run one command line and return its exit status. Errors are one line on stderr."""
    for stream in (sys.stdout, sys.stderr):
        # A name that the terminal cannot spell is shown escaped; it must not end the command.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")
    return invoke(translated(list(args)))


def invoke(args: Sequence[str]) -> int:
    """Invoke the tree and return an exit status, whatever happens in it."""
    try:
        _refuse_broken_text(args)
        status = _invoke(args)
        sys.stdout.flush()
    # Whatever happened is told in one line and becomes an exit status.
    except BaseException as error:  # noqa: BLE001
        from amxwatch.cli.failure import status_of

        return status_of(error, args)
    return status if isinstance(status, int) else 0


def _invoke(args: Sequence[str]) -> object:
    if "_AMXWATCH_COMPLETE" in os.environ:
        return app.main(list(args), prog_name="amxwatch")
    # Not `app.main`, which prints an empty line when the keyboard interrupts.
    try:
        with app.make_context("amxwatch", list(args)) as context:
            return app.invoke(context)
    except click.exceptions.Exit as done:
        return done.exit_code


def _refuse_broken_text(args: Sequence[str]) -> None:
    for arg in args:
        if any("\ud800" <= character <= "\udfff" for character in arg):
            raise click.UsageError("an argument is not valid UTF-8 text")
