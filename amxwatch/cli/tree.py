"""Groups whose commands are loaded when they are called, and the options that go anywhere."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click

JSON_KEY = "amxwatch.json"
FOLDER_KEY = "amxwatch.config_dir"

Entry = tuple[str, str]
"""Where a command is, as `module:attribute` inside `amxwatch.cli`, and its one line of help."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and help line only.

    `sections` maps a heading to its commands. Help is printed from it, so that asking for help
    imports no command.
    """

    def __init__(self, *, sections: Mapping[str, Mapping[str, Entry]], **values: Any) -> None:
        super().__init__(**values)
        self.sections = sections

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for section in self.sections.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for section in self.sections.values():
            if cmd_name in section:
                return load(section[cmd_name][0])
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, section in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(name, entry[1]) for name, entry in section.items()])


def load(target: str) -> click.Command:
    """Import one command and give it, and all that is under it, the options that go anywhere."""
    module, _, attribute = target.partition(":")
    command: click.Command = getattr(importlib.import_module(f"amxwatch.cli.{module}"), attribute)
    add_everywhere(command)
    return command


def add_everywhere(command: click.Command) -> None:
    """Let `--config-dir` and `--json` stand after this command and after those under it."""
    if not any(parameter.name == "config_dir" for parameter in command.params):
        command.params += _everywhere()
    if isinstance(command, click.Group) and not isinstance(command, LazyGroup):
        for under in command.commands.values():
            add_everywhere(under)


def _everywhere() -> list[click.Parameter]:
    return [
        click.Option(
            ["--config-dir"],
            metavar="DIR",
            expose_value=False,
            callback=_remember_folder,
            help="The install's folder (else AMXWATCH_CONFIG_DIR, else ~/.amxwatch).",
        ),
        click.Option(
            ["--json"],
            is_flag=True,
            expose_value=False,
            callback=_remember_json,
            help="Print JSON on stdout and nothing else there.",
        ),
    ]


def _remember_folder(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    # `meta` is shared by the contexts of one call, so the innermost mention wins.
    if value is not None:
        ctx.meta[FOLDER_KEY] = value


def _remember_json(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[JSON_KEY] = True
