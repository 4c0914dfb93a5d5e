"""The prompt that a bare `amxwatch` opens: the same commands, after a slash."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory

from amxwatch import __version__
from amxwatch.cli.app import app, invoke
from amxwatch.cli.output import shown
from amxwatch.cli.session import root
from amxwatch.cli.spelling import GROUPED, translated
from amxwatch.core.errors import AmxwatchError
from amxwatch.settings.folder import make_private, prepare

PROMPT = "amxwatch> "
LEAVING = frozenset({"quit", "exit", "q"})


class CommandCompleter(Completer):
    """Completes the line out of click's own tree, with or without the slash."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Yield what may stand at the cursor."""
        words = _words(document.text_before_cursor)
        if words is None:
            return
        *before, last = words
        slash = "/" if not before and last.startswith("/") else ""
        for value, help_text in candidates(
            ["--config-dir", str(self._folder), *_plain(before)], last.removeprefix(slash)
        ):
            yield Completion(
                slash + _written(value), start_position=-len(last), display_meta=help_text or ""
            )


def _words(line: str) -> list[str] | None:
    """Split what is typed so far; the last word is the one being typed. None inside quotes."""
    try:
        words = shlex.split(line)
    except ValueError:
        return None
    return [*words, ""] if not line or line[-1].isspace() else words


def _plain(words: Sequence[str]) -> list[str]:
    """Return the words before the cursor in our own spelling."""
    if words and words[0].lstrip("/") == "analyze":
        words = [word.lstrip("/") for word in words[1:]]
    elif words:
        words = [words[0].lstrip("/"), *words[1:]]
    return list(words)


def _written(value: str) -> str:
    return shlex.quote(value) if any(sign in value for sign in " '\"\\") else value


def candidates(before: list[str], incomplete: str) -> list[tuple[str, str | None]]:
    """Return what click would complete, each with its line of help."""
    from click.shell_completion import ShellComplete

    complete = ShellComplete(app, {}, "amxwatch", "_AMXWATCH_COMPLETE")
    try:
        items = complete.get_completions(before, incomplete)
    except (click.ClickException, AmxwatchError):
        return []
    found = [(item.value, item.help) for item in items if item.type == "plain"]
    if len(before) == 2:
        extra = [*sorted(GROUPED & {"schedule"}), "help", "quit"]
        found += [(word, None) for word in extra if word.startswith(incomplete)]
    return list(dict(found).items())


def loop(ctx: click.Context) -> int:
    """Read commands until the end of input or `/quit`, and return the exit status."""
    folder = prepare(root())
    history = folder.path / "history"
    make_private(history)
    session: PromptSession[str] = PromptSession(
        history=FileHistory(str(history)),
        completer=CommandCompleter(folder.path),
        complete_while_typing=False,
    )
    click.echo(f"amxwatch {__version__}. /help shows the commands, /quit leaves.")
    _banner(folder.path)
    while True:
        try:
            line = session.prompt(PROMPT)
        except KeyboardInterrupt:
            continue
        except EOFError:
            return 0
        if not line.strip():
            continue
        if line.strip().lstrip("/") in LEAVING:
            return 0
        execute(line, folder.path)


def execute(line: str, folder: Path) -> int:
    """Run one line of the prompt, and return the exit status that it would have in a shell."""
    try:
        words = shlex.split(line)
    except ValueError as error:
        click.echo(f"amxwatch: {error}: {shown(line)}", err=True)
        return 2
    if not words or words == ["/"]:
        words = ["/help"]
    if not words[0].startswith("/"):
        words[0] = "/" + words[0]
    if words[0] in ("/help", "/?"):
        rest = translated(["/" + words[1].lstrip("/"), *words[2:]]) if words[1:] else []
        return invoke(["--config-dir", str(folder), *rest, "--help"])
    return invoke(["--config-dir", str(folder), *translated(words)])


def _banner(folder: Path) -> None:
    """Say in a line what waits for the person, if anything does."""
    from amxwatch.cli.waiting import waiting_line

    try:
        line = waiting_line(folder)
    except AmxwatchError as error:
        line = shown(error)
    if line:
        click.secho(line, fg="yellow")
