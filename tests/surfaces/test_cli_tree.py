"""The tree of commands: help, options anywhere, exit statuses, and what is not imported."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from amxwatch.cli.app import COMMANDS, app
from amxwatch.cli.failure import cause_of, status_of
from amxwatch.cli.spelling import translated
from amxwatch.cli.tree import load
from amxwatch.core.errors import DatabaseError, UsageError
from tests.surfaces.conftest import Inside

HEAVY = (
    "pydantic",
    "sqlalchemy",
    "alembic",
    "duckdb",
    "sqlglot",
    "httpx",
    "anyio",
    "asyncio",
    "rich",
    "prompt_toolkit",
    "psycopg",
    "tomlkit",
    "genai_prices",
    "watchdog",
)
GROUPS = [name for part in COMMANDS.values() for name in part]


def every_command(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from every_command(found, (*path, name))


ALL = list(every_command(app))


def test_the_static_help_is_that_of_the_commands() -> None:
    told = {name: line for part in COMMANDS.values() for name, (_, line) in part.items()}
    real = {
        name: load(target).get_short_help_str(200)
        for part in COMMANDS.values()
        for name, (target, _) in part.items()
    }
    assert told == real


@pytest.mark.parametrize(("path", "command"), ALL, ids=[" ".join(p) or "amxwatch" for p, _ in ALL])
def test_every_command_says_in_a_line_what_it_does(
    path: tuple[str, ...], command: click.Command
) -> None:
    line = command.get_short_help_str(200)
    assert line[:1].isupper()
    assert line.endswith(".")
    assert len(line) <= 68  # it stands in 80 columns beside the name
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, (path, parameter.name)


def imported(*args: str) -> set[str]:
    """Return the heavy packages that a command line imports."""
    code = (
        "import sys\n"
        "from amxwatch.cli.app import run\n"
        "run(sys.argv[1:])\n"
        f"print('HEAVY', *[m for m in {HEAVY!r} if m in sys.modules])\n"
        "print('COMMANDS', *[m for m in sys.modules if m.startswith('amxwatch.cli.')])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    heavy = next(line for line in lines if line.startswith("HEAVY"))
    commands = next(line for line in lines if line.startswith("COMMANDS"))
    return {*heavy.split()[1:], *commands.split()[1:]}


def test_help_imports_no_command_and_nothing_heavy() -> None:
    assert imported("--help") == {
        "amxwatch.cli.app",
        "amxwatch.cli.spelling",
        "amxwatch.cli.tree",
    }


@pytest.mark.parametrize("group", GROUPS)
def test_the_help_of_a_command_imports_nothing_heavy(group: str) -> None:
    assert not imported(group, "--help") & set(HEAVY)


def test_version(shop_once: Inside) -> None:
    assert shop_once.outside.run("--version").stdout.startswith("amxwatch 0.")


@pytest.mark.parametrize(
    "words",
    [
        ("--json", "--config-dir", "DIR", "llm", "list"),
        ("llm", "--json", "--config-dir", "DIR", "list"),
        ("llm", "list", "--config-dir", "DIR", "--json"),
        ("--config-dir", "/nowhere", "llm", "list", "--json", "--config-dir=DIR"),
    ],
)
def test_options_that_go_anywhere(shop_once: Inside, words: tuple[str, ...]) -> None:
    given = [
        word.replace("DIR", str(shop_once.folder)) if "DIR" in word else word for word in words
    ]
    assert '"builtin"' in shop_once.outside.run(*given).stdout


@pytest.mark.parametrize(
    "words",
    [
        ("nope",),
        ("schedule", "nope"),
        ("schedule",),
        ("status", "--nope"),
        ("history", "show"),
        ("history", "list", "--status", "nope"),
        ("events", "--limit", "many"),
        ("db", "use", "nope"),
        ("llm", "use", "nope"),
        ("db", "test", "nope"),
        ("llm", "test", "nope"),
        ("db", "inspect", "house", "--db", "shop"),
        ("catalog", "refresh", "nope"),
        ("catalog", "show", "main.nope"),
        ("catalog", "show", "main.a.b.c.d"),
        ("catalog", "show", "--as-of", "77"),
        ("catalog", "show", "--as-of", "1999-01-01"),
        ("catalog", "show", "--as-of", "yesterday"),
        ("catalog", "log", "nope"),
        ("catalog", "diff", "--from", "9"),
        ("catalog", "diff", "shop"),
        ("catalog", "coverage", "--min", "101"),
        ("search",),
        ("run", "main.custmer"),
        ("run", "--columns", "email"),
        ("run", "--table", "nope"),
        ("run", "--llm", "nope"),
        ("run-apply", "main", "--strategy", "accept-all", "--filter", "("),
        ("run-apply", "main"),
        ("review",),
        ("review", "--accept", "99999"),
        ("review", "--accept", "1", "--choice", "99"),
        ("review", "--accept", "1", "--text", "  "),
        ("review", "--accept", "1", "--reject", "2"),
        ("review", "--choice", "1"),
        ("review", "--run", "run_nope", "--list"),
        ("apply", "--undo", "run_nope"),
        ("apply", "--run", "run_nope"),
        ("cancel", "run_nope"),
        ("unblock", "run_nope"),
        ("history", "show", "run_nope"),
        ("schedule", "show", "nope"),
        ("schedule", "next", "watch"),
        ("schedule", "next", "nightly", "--after", "soon"),
        ("schedule", "pause", "nope"),
        ("schedule", "skip", "nightly"),
        ("schedule", "rm", "nightly"),
        ("schedule", "run-now", "nope"),
        ("schedule", "run-due", "--schedule", "nope"),
        ("schedule", "list", "--past", "--all"),
        ("daemon", "--schedule", "nope"),
        ("daemon", "--poll-seconds", "0"),
        ("init",),
        ("status", "\udcff"),
    ],
    ids=" ".join,
)
def test_a_wrong_call_is_one_line_and_exit_2(shop_once: Inside, words: tuple[str, ...]) -> None:
    done = shop_once.run(*words, "--json", status=2)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("amxwatch: ")


WRONG = [("nope",), ("run", "main.custmer"), ("review",)]


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_a_wrong_call_of_a_process(shop_once: Inside, words: tuple[str, ...]) -> None:
    done = shop_once.outside.run(*words, status=2)
    assert (done.stdout, len(done.stderr.splitlines())) == ("", 1)


def test_bare_without_a_terminal_shows_the_help(shop_once: Inside) -> None:
    done = shop_once.outside.run(status=2)
    assert "Commands" in done.stdout or "Describe:" in done.stdout
    assert len(done.stderr.splitlines()) == 1


def test_a_pipe_that_closes_early_is_no_error(shop_once: Inside) -> None:
    command = " ".join(shop_once.command("events", "--json"))
    done = subprocess.run(
        ["bash", "-c", f"{command} | head -c 10"],
        capture_output=True,
        text=True,
        env=shop_once.env,
        check=True,
    )
    assert done.stderr == ""


def test_an_error_out_of_a_task_group_is_told_as_itself(capsys: pytest.CaptureFixture[str]) -> None:
    error = ExceptionGroup("tasks", [ExceptionGroup("more", [UsageError("give --db")])])
    assert status_of(error, []) == 2
    assert capsys.readouterr().err == "amxwatch: give --db\n"
    both = ExceptionGroup("tasks", [DatabaseError("down"), ValueError("ours")])
    assert isinstance(cause_of(both), ValueError)


def test_an_unexpected_error_names_the_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        raise ZeroDivisionError("postgresql://me:secret@host/db")
    assert status_of(caught.value, ["status", "--config-dir", str(tmp_path)]) == 1
    said = capsys.readouterr().err
    log = tmp_path / "logs" / "cli.log"
    assert str(log) in said
    assert len(said.splitlines()) == 1
    assert "ZeroDivisionError" in log.read_text()
    assert "secret" not in said + log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("schedule list", "schedule list"),
        ("/schedule list", "schedule list"),
        ("/analyze schedule list --all", "schedule list --all"),
        ("/analyze apply --dry-run", "apply --dry-run"),
        ("/analyze review", "review"),
        ("/run sales.customer", "run sales.customer"),
        ("/run-apply --filter ^stg_ --apply", "run-apply --filter ^stg_ --apply"),
        ("/connect", "db test"),
        ("/db connect prod", "db test prod"),
        ("/sync prod", "catalog refresh prod"),
        ("/inspect", "db inspect"),
        ("/history list", "history list"),
        ("/analyze schedule tick --silent", "schedule run-due --quiet"),
        ("/schedule daemon --max-cycles 1", "daemon --max-cycles 1"),
        ("/schedule list --schedule X", "schedule show X"),
        ("--json /llm test", "--json llm test"),
        ("--config-dir /d /status", "--config-dir /d status"),
    ],
)
def test_other_spellings(typed: str, meant: str) -> None:
    assert translated(typed.split()) == meant.split()
