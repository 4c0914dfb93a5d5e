"""The quick reader of plain TOML: what it reads is what tomllib reads, or it reads nothing."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from amxwatch.settings.plain import read_plain

HEADERS = (
    "[schedules.a]",
    '[schedules."a"]',
    "[schedules.'a b/..']",
    "[schedules.a.trigger]",
    '[schedules."a".budget]',
    "[schedules.b]",
    "[schedules]",
    "[schedules.a.b.c]",
    "[[schedules.a]]",
    " [schedules.a] # x",
)
LINES = (
    "",
    "# words",
    "#\ttab",
    "#\x01",
    "key = 1",
    "key = 2",
    "trigger = 1",
    "trigger = { type = 'every', minutes = 5 }",
    "trigger = {a = 1, a = 2}",
    "trigger = { a = 1, }",
    "t = {}",
    "list = ['a', \"b\" , 'c'] # d",
    "list = []",
    "list = ['a',]",
    "list = [1]",
    'text = "ü \\" \\n"',
    'text = "#, = ] }"',
    "text = ''''",
    'text = """',
    '"""',
    "x.y = 3",
    '"quoted" = 4',
    "on = true # yes",
    "on = True",
    "n = 01",
    "n = -0",
    "n = +3",
    "n = 1_000",
    "n = 1.50",
    "n = -0.0",
    "n = 1.",
    "n = 1e3",
    "n = 99999999999999999999",
    "n = inf",
    "d = 2026-01-01",
    "ü = 1",
    "\ufeffa = 1",
    "k = 'a\x7f'",
    "k = 'a\tb'\t",
    "key = 1 2",
    "= 1",
    "key =",
)


def meant(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except ValueError:
        return None


def typed(value: Any) -> Any:
    """Tell 1, 1.0 and True apart, and 0.0 and -0.0."""
    if isinstance(value, dict):
        return {key: typed(each) for key, each in value.items()}
    return [typed(each) for each in value] if isinstance(value, list) else repr(value)


@given(st.sampled_from(HEADERS), st.lists(st.sampled_from(HEADERS + LINES), max_size=6))
@example("[schedules.a]", ["trigger = 1", "[schedules.a.trigger]"])
@example("[schedules.a]", ["[schedules.a.trigger]", "key = 1", "[schedules.a.trigger]"])
@example("# first", ["[schedules.a]", "[schedules.b]"])
def test_it_reads_what_tomllib_reads_or_nothing(first: str, rest: list[str]) -> None:
    text = "\n".join([first, *rest])
    found = read_plain(text)
    if found is not None:
        assert typed({"schedules": {found[0]: found[1]}}) == typed(meant(text))


@given(st.text(alphabet="[]{}=.,#\"'\\ \t\n\rab01-_tru\x00\x7fü", max_size=40))
def test_it_reads_no_noise_that_tomllib_does_not(noise: str) -> None:
    text = f"[schedules.a]\n{noise}"
    found = read_plain(text)
    if found is not None:
        assert typed({"schedules": {found[0]: found[1]}}) == typed(meant(text))


@pytest.mark.parametrize(
    "text",
    [
        '[schedules.job-1]\ndb_profile = "shop"\ntrigger = { type = "every", minutes = 60 }\n',
        '[schedules."a/b.c"]\nscope = "all"\n\n[schedules."a/b.c".trigger]\nminutes = 0.5 # x\n',
        "# ours\n\n[schedules.x]\npaths = [ 'a', 'b' ]\nenabled = false\n",
    ],
)
def test_it_reads_what_programs_write(text: str) -> None:
    found = read_plain(text)
    assert found is not None
    assert {"schedules": {found[0]: found[1]}} == tomllib.loads(text)
