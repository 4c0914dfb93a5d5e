"""Questions to a person. Without a terminal nothing is asked, and the missing flag is named."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Iterator, Sequence

import click

from amxwatch.cli.output import shown

MAX_SHOWN = 40
"""A picker lists this many; any other is typed by name."""


def is_interactive() -> bool:
    """Say whether there is a person to ask."""
    return sys.stdin.isatty() and sys.stdout.isatty()


def require(flag: str, what: str) -> None:
    """Refuse to wait for an answer that nobody will give. Raises: click.UsageError."""
    if not is_interactive():
        raise click.UsageError(
            f"{what} is missing: give {flag} (there is no terminal to ask in)",
            ctx=click.get_current_context(silent=True),
        )


@contextlib.contextmanager
def asking() -> Iterator[None]:
    """Let Ctrl-C end a question at once: an event loop would keep it for later."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def confirm(question: str, *, yes: bool, flag: str = "-y") -> bool:
    """Ask y/N, where no is the default; `yes` answers beforehand. Raises: click.UsageError."""
    if yes:
        return True
    require(flag, "a confirmation")
    with asking():
        return click.confirm(question, default=False)


def ask(question: str, *, default: str | None = None) -> str:
    """Ask for a line of text."""
    with asking():
        answer: str = click.prompt(question, default=default, type=str)
    return answer


def pick(title: str, options: Sequence[str], *, default: str | None = None) -> str:
    """Let a person choose one, by number or name."""
    while True:
        found = _chosen(_ask_for(title, options, default, "a number or name"), options)
        if found is not None and len(found) == 1:
            return found[0]
        click.echo("choose one of the list, by its number or name")


def pick_several(title: str, options: Sequence[str], *, default: str | None = None) -> list[str]:
    """Let a person choose one or more: numbers or names with commas between, or `all`."""
    while True:
        found = _chosen(_ask_for(title, options, default, "numbers or names, or all"), options)
        if found:
            return found
        click.echo("choose from the list: numbers or names, with commas between, or all")


def _ask_for(title: str, options: Sequence[str], default: str | None, how: str) -> str:
    click.echo(f"{title}:")
    for number, option in enumerate(options[:MAX_SHOWN], start=1):
        current = " (default)" if option == default else ""
        click.echo(f"  [{number}] {shown(option)}{current}")
    if len(options) > MAX_SHOWN:
        click.echo(f"  … and {len(options) - MAX_SHOWN} more")
    return ask(f"Pick {how}", default=default)


def _chosen(answer: str, options: Sequence[str]) -> list[str] | None:
    """Return what an answer means, or None. A name that holds a comma is given by number."""
    if answer in options:
        return [answer]
    if answer.strip().lower() == "all":
        return list(options)
    found = []
    for part in (part.strip() for part in answer.split(",")):
        if part in options:
            found.append(part)
        elif part.isdecimal() and 1 <= int(part) <= len(options):
            found.append(options[int(part) - 1])
        else:
            return None
    return list(dict.fromkeys(found))
