"""The docs tell the truth: their commands exist and run, their TOML holds, their links resolve."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from amxwatch.settings.schema import Settings
from tests.house import commands_page, config_page
from tests.house.config_words import WORDS
from tests.house.markdown import DOCS, ROOT, Block, anchors, blocks, inline_commands, links, pages
from tests.house.scratch import Scratch, blurred

TREE = commands_page.tree()
PAGES = pages()
BLOCKS = [block for page in PAGES for block in blocks(page)]
RUN = [page for page in PAGES if any(block.asked for block in blocks(page))]

NOT_BUILT = re.compile(r"amxwatch (?:studio|mcp|ask|worker|adopt)\b")


PROMISED = re.compile(r"`(test_\w+)`")


def test_every_test_that_a_page_names_exists() -> None:
    there = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text(encoding="utf-8"))
    }
    named = {name for page in PAGES for name in PROMISED.findall(page.read_text(encoding="utf-8"))}
    named -= {path.stem for path in (ROOT / "tests").rglob("test_*.py")}
    assert sorted(named - there) == []
    assert len(named) > 30


def names_of(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


def calls(block: Block) -> list[str]:
    """Return the calls of amxwatch in a shell block, each up to a sign that the shell takes."""
    found = []
    for line in block.commands:
        words = line.removeprefix("$ ").removeprefix(".venv/bin/")
        if words.startswith("amxwatch"):
            found.append(words)
    return found


def fault_in(call: str) -> str:
    """Return what is wrong with a call: a command or an option that does not exist."""
    words = shlex.split(re.split(r" (?:\||>|&&|;) ?", call)[0], comments=True)[1:]
    path: tuple[str, ...] = ()
    while words and (*path, words[0]) in TREE:
        path = (*path, words.pop(0))
    command = TREE[path]
    if words and not words[0].startswith(("-", "…", "[")) and hasattr(command, "commands"):
        return f"{call!r}: there is no command {words[0]!r}"
    if not path and words and not words[0].startswith("-") and words[0] != "COMMAND":
        return f"{call!r}: there is no command {words[0]!r}"
    known = commands_page.options(command) | commands_page.options(TREE[()])
    wrong = [w for w in words if w.startswith("-") and w.partition("=")[0] not in known]
    return f"{call!r}: there is no option {wrong[0]}" if wrong else ""


@pytest.mark.parametrize("page", PAGES, ids=names_of(PAGES))
def test_every_command_and_option_exists(page: Path) -> None:
    told = [call for block in blocks(page) if block.language == "sh" for call in calls(block)]
    faults = [fault for call in [*told, *inline_commands(page)] if (fault := fault_in(call))]
    assert faults == []


def test_a_wrong_call_would_be_found() -> None:
    assert fault_in("amxwatch statsu")
    assert fault_in("amxwatch schedule ad --name x")
    assert fault_in("amxwatch run --scop all")
    assert not fault_in("amxwatch schedule add --name x --on-change | cat")


@pytest.mark.parametrize("page", PAGES, ids=names_of(PAGES))
def test_links_resolve(page: Path) -> None:
    broken = []
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        file = (page.parent / place).resolve() if place else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=names_of(PAGES))
def test_nothing_is_told_that_does_not_exist(page: Path) -> None:
    assert NOT_BUILT.findall(page.read_text(encoding="utf-8")) == []


TOML = [block for block in BLOCKS if block.language == "toml"]


@pytest.mark.parametrize("block", TOML, ids=[block.name for block in TOML])
def test_toml_is_a_config_that_holds(block: Block) -> None:
    """A fragment may name a database that another part of the page would configure."""
    table = tomllib.loads(block.text)
    profiles = {plan["db_profile"] for plan in table.get("schedules", {}).values()}
    known = {name: {"url": "env:SOME_URL"} for name in profiles}
    table["db_profiles"] = {**known, **table.get("db_profiles", {})}
    try:
        Settings.model_validate(table)
    except ValidationError as error:
        pytest.fail(f"{block.name}: {error}")


def test_every_python_block_is_run_with_its_page() -> None:
    unmarked = [b.name for b in BLOCKS if b.language == "python" and b.asked != "run"]
    assert unmarked == []


def test_every_key_of_the_config_has_words() -> None:
    assert set(WORDS) == set(config_page.keys())


def test_every_page_is_in_the_index() -> None:
    told = {(DOCS / target.partition("#")[0]).resolve() for target in links(DOCS / "index.md")}
    here = {page.resolve() for page in DOCS.rglob("*.md") if page.name != "index.md"}
    assert {page for page in here if page.parent.name != "adr"} <= told


# -- what runs -------------------------------------------------------------------------------


def expected_status(asked: str) -> int:
    found = re.search(r"exit (\d)", asked)
    return int(found[1]) if found else 0


def unsaid(block: Block, output: str, folder: Path) -> list[str]:
    """Return the lines that a page shows and the program did not print."""
    printed = set(blurred(output, folder))
    shown = [line for line in blurred(block.text, folder) if line != "…"]
    return [line for line in shown if line not in printed]


def shape(value: Any) -> Any:
    """Return the fields of a document: of a list, those of all its elements together."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()}
    if isinstance(value, list):
        merged: dict[str, Any] = {}
        for element in map(shape, value):
            if isinstance(element, dict):
                merged |= element
        return [merged] if merged else []
    return None


def misfits(told: Any, real: Any, at: str = "") -> list[str]:
    """Return where two shapes differ. What is null or empty on one side fits anything."""
    if isinstance(told, dict) and isinstance(real, dict):
        differ = [f"{at}.{key}" for key in told.keys() ^ real.keys()]
        both = told.keys() & real.keys()
        return differ + [
            m for key in sorted(both) for m in misfits(told[key], real[key], f"{at}.{key}")
        ]
    if isinstance(told, list) and isinstance(real, list) and told and real:
        return misfits(told[0], real[0], f"{at}[]")
    return []


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    made = Scratch(folder=tmp_path)
    made.build()
    return made


@pytest.mark.parametrize("page", RUN, ids=names_of(RUN))
def test_a_page_runs_from_its_first_command_to_its_last(page: Path, scratch: Scratch) -> None:
    output = ""
    for block in blocks(page):
        verb, _, rest = block.asked.partition(" ")
        if verb.startswith("run"):
            wanted = expected_status(block.asked)
            done = scratch.run(block)
            wrong = [one for one in done[:-1] if one.status != 0]
            assert not wrong, (block.name, wrong)
            assert done[-1].status == wanted, (block.name, done[-1])
            output = "\n".join(one.output for one in done)
        elif verb == "output":
            assert unsaid(block, output, scratch.folder) == [], (block.name, output)
        elif verb in ("json", "jsonl"):
            real = scratch.line(f"amxwatch {rest} --json")
            assert real.status == 0, (block.name, real)
            printed = real.output.splitlines()[-1] if verb == "jsonl" else real.output
            found = misfits(shape(json.loads(block.text)), shape(json.loads(printed)))
            assert found == [], block.name
        else:
            assert not block.asked, f"{block.name}: unknown request {block.asked!r}"
