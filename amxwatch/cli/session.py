"""One command's view of its install: opened, used, closed."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from amxwatch.cli.output import Output, shown
from amxwatch.cli.tree import FOLDER_KEY, JSON_KEY
from amxwatch.core.errors import StoreBusyError
from amxwatch.settings.folder import config_dir

if TYPE_CHECKING:
    from amxwatch.daemon.wiring import Install

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Desk:
    """What a command works with: an open install and where it prints."""

    install: Install
    out: Output


def db_words(desk: Desk, profile: str) -> str:
    """Return the option that a following command needs to mean this db profile, if any."""
    if profile == desk.install.settings.default_db_profile:
        return ""
    return f" --db {shlex.quote(shown(profile))}"


def root() -> Path:
    """Return the config folder of the present call. Raises: UsageError."""
    return config_dir(click.get_current_context().meta.get(FOLDER_KEY), os.environ)


def output() -> Output:
    """Return where the present call prints."""
    return Output(as_json=is_json())


def is_json() -> bool:
    """Say whether the present call asked for JSON."""
    return bool(click.get_current_context().meta.get(JSON_KEY))


def reading(work: Callable[[Desk], Awaitable[T]], *, about: Sequence[str] | None = None) -> T:
    """Run `work` in the open install; a broken config is replaced by the last good one.

    `about` names the schedules that it needs, so that of very many no others are looked at.
    """
    return _run(work, strict=False, about=about)


def writing(work: Callable[[Desk], Awaitable[T]], *, about: Sequence[str] | None = None) -> T:
    """Run `work` in the open install. Raises: ConfigError where the config is wrong.

    `about` is what it is for `reading`.
    """
    return _run(work, strict=True, about=about)


def is_news_wanted(out: Output) -> bool:
    """Say whether a person reads along: a terminal on both sides, and no JSON."""
    return not out.as_json and sys.stdout.isatty() and sys.stderr.isatty()


def leave(status: int) -> None:
    """End the command with this exit status, if it is not 0."""
    if status:
        click.get_current_context().exit(status)


def _run(work: Callable[[Desk], Awaitable[T]], *, strict: bool, about: Sequence[str] | None) -> T:
    folder, out = root(), output()

    async def opened() -> T:
        from amxwatch.daemon.wiring import open_install

        async with open_install(folder, strict=strict, about=about) as install:
            if install.config_error is not None:
                out.warn(f"warning: the last good config is used: {install.config_error}")
            else:
                with suppress(StoreBusyError):  # the next command stores it
                    await install.remember_config()
            desk = Desk(install=install, out=out)
            if is_news_wanted(out):
                from amxwatch.cli.news import tell_news

                await tell_news(desk)
            return await work(desk)

    import anyio

    from amxwatch.cli.logs import logging_to

    with logging_to(folder / "logs" / "cli.log"):
        return anyio.run(opened)
