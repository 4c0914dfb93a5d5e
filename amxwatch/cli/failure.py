"""What went wrong, as one line on stderr and an exit status."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from amxwatch.core.errors import AmxwatchError

INTERRUPTED = 130
BROKEN_PIPE = 141


def status_of(error: BaseException, args: Sequence[str]) -> int:
    """Tell the user about an error and return the exit status it means.

    Of a group that concurrent tasks raised, the one that decides is told.
    """
    cause = cause_of(error)
    match cause:
        case SystemExit() if isinstance(cause.code, int):
            return cause.code
        case click.exceptions.Exit():
            return cause.exit_code
        case KeyboardInterrupt() | click.Abort():
            if sys.stderr.isatty():
                print(file=sys.stderr)  # leave the line that shows ^C
            tell("stopped")
            return INTERRUPTED
        case BrokenPipeError():
            _close_stdout()
            return BROKEN_PIPE
        case click.exceptions.NoArgsIsHelpError():
            click.echo(cause.ctx.get_help() if cause.ctx else "")
            tell("name one of the commands above")
            return 2
        case click.ClickException():
            tell(_usage(cause))
            return 2 if isinstance(cause, click.UsageError) else cause.exit_code
        case AmxwatchError():
            tell(str(cause))
            return cause.exit_status
    tell(_unexpected(error, cause, args))
    return 1


def cause_of(error: BaseException) -> BaseException:
    """Return the exception that decides: a person's stop, then a fault of ours, then the first."""
    leaves = _leaves(error)
    stops = [leaf for leaf in leaves if isinstance(leaf, KeyboardInterrupt | click.Abort)]
    known = (AmxwatchError, click.ClickException, click.exceptions.Exit, BrokenPipeError)
    faults = [leaf for leaf in leaves if not isinstance(leaf, known)]
    return [*stops, *faults, *leaves][0]


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]


def tell(message: str) -> None:
    """Print one line on stderr, with no secret and no control character in it."""
    from amxwatch.cli.output import one_line
    from amxwatch.settings.secrets import redact

    print(f"amxwatch: {redact(one_line(message), ())}", file=sys.stderr, flush=True)


def _usage(error: click.ClickException) -> str:
    message = error.format_message().rstrip(".")
    message = message[:1].lower() + message[1:]
    if isinstance(error, click.UsageError) and error.ctx is not None:
        return f"{message}; see: {error.ctx.command_path} --help"
    return message


def _close_stdout() -> None:
    """Whoever read us has left; what is still buffered must not raise again at exit."""
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, sys.stdout.fileno())
    os.close(sink)


def _unexpected(error: BaseException, cause: BaseException, args: Sequence[str]) -> str:
    """Keep the traceback in the log, and name the log."""
    from amxwatch.cli.logs import keep_traceback

    kept: Path | None = keep_traceback(error, args)
    where = f"the traceback is in {kept}" if kept else "no log could be written"
    return f"internal error ({type(cause).__name__}); please report it: {where}"
