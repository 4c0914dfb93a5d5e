"""Makes `docs/reference/commands.md` out of the tree of commands."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from amxwatch.cli.app import COMMANDS, app
from amxwatch.cli.tree import load

HEAD = """\
# Commands

The same tree in a shell (`amxwatch schedule list`) and at the prompt that a bare `amxwatch` opens
(`/schedule list`). This page is made from the program; `amxwatch COMMAND --help` says the same.

Every command takes three options, before or after its name:

| option | what it does |
| --- | --- |
| `--config-dir DIR` | the install's folder; else `AMXWATCH_CONFIG_DIR`, else `~/.amxwatch` |
| `--json` | JSON on stdout and nothing else there: see [the documents](json.md) |
| `-h`, `--help` | what the command does |

A command leaves with 0 when it did what it was asked, 1 when the work failed or a gate is not met,
and 2 when the call or the config is wrong: then one line on stderr says what, where, and how to
mend it. Without a terminal nothing waits for an answer. See [errors](errors.md), and
[troubleshooting](../troubleshooting.md) for what to do about a message.
"""

EVERYWHERE = frozenset({"config_dir", "json", "help", "version"})


def walk(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command under this one, groups included, with the words that call it."""
    if path:
        yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            under = command.get_command(context, name)
            assert under is not None
            yield from walk(under, (*path, name))


def tree() -> dict[tuple[str, ...], click.Command]:
    """Return every command by the words that call it; the program itself by none."""
    return {(): app, **dict(walk(app))}


def options(command: click.Command) -> set[str]:
    """Return every spelling of every option of a command."""
    found = {"-h", "--help", "--config-dir", "--json"}
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            found |= {*parameter.opts, *parameter.secondary_opts}
    return found


def page() -> str:
    """Return the page as the tree is now."""
    parts = [HEAD]
    for title, section in COMMANDS.items():
        parts.append(f"## {title}\n")
        for name, (target, _) in section.items():
            parts += [_entry(path, command) for path, command in walk(load(target), (name,))]
    return "\n".join(parts)


def _entry(path: tuple[str, ...], command: click.Command) -> str:
    heading = f"### `amxwatch {' '.join(path)}`\n\n{inspect.cleandoc(command.help or '')}\n"
    if isinstance(command, click.Group):
        return heading
    context = click.Context(command, info_name=f"amxwatch {' '.join(path)}")
    rows = [
        f"| `{_cell(record[0])}` | {_cell(record[1])} |"
        for parameter in command.params
        if isinstance(parameter, click.Option)
        and parameter.name not in EVERYWHERE
        and (record := parameter.get_help_record(context)) is not None
    ]
    arguments = "".join(
        f" {parameter.make_metavar(context)}"
        for parameter in command.params
        if isinstance(parameter, click.Argument)
    )
    usage = f"`amxwatch {' '.join(path)}{arguments}`\n" if arguments else ""
    table = ["| option | what it does |", "| --- | --- |", *rows, ""] if rows else []
    return "\n".join([heading, *([usage] if usage else []), *table])


def _cell(text: str) -> str:
    """Write click's text so that a table of Markdown holds it."""
    return " ".join(text.split()).replace("|", "\\|")
