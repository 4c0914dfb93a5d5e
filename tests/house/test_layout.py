"""The house keeps its shape: names, sizes, docstrings, and docs that match the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from amxwatch.core.event import ACTIONS
from tests.house import diagrams

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "amxwatch"
SOURCES = sorted(PACKAGE.rglob("*.py"))
UNWANTED = {"utils", "util", "helpers", "helper", "manager", "base", "common", "misc"}


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [str(path) for path in SOURCES if path.stem in UNWANTED] == []


def test_every_package_says_what_lives_in_it() -> None:
    packages = {path.parent for path in SOURCES}
    silent = [
        str(package)
        for package in packages
        if not ast.get_docstring(ast.parse((package / "__init__.py").read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_every_file_can_be_finished_by_a_reader() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in SOURCES
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 450
    }
    assert long == {}


def test_functions_are_short() -> None:
    """Half have few lines, and one in twenty at most is longer than thirty."""
    lengths = sorted(
        (node.end_lineno or 0) - node.body[0].lineno + 1
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
    assert lengths[len(lengths) * 95 // 100] <= 30
    assert lengths[-1] <= 80


def test_the_code_adds_only_events_that_are_listed() -> None:
    """The other way round too: an action that nothing writes has no place in the list."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in SOURCES)
    text = text.replace((PACKAGE / "core" / "event.py").read_text(encoding="utf-8"), "")
    unwritten = [action for action in ACTIONS if not re.search(rf"[\"']{action}[\"']", text)]
    assert unwritten == []


@pytest.mark.parametrize("path", diagrams.pages(), ids=lambda path: path.name)
def test_generated_pages_are_not_stale(path: Path) -> None:
    """Mend with: python -m tests.house.diagrams."""
    assert path.read_text(encoding="utf-8") == diagrams.pages()[path]


def test_nothing_left_for_later_in_the_code() -> None:
    words = re.compile(r"\b(TODO|FIXME|XXX|raise NotImplementedError)\b")
    found = [
        f"{path.name}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if words.search(line)
    ]
    assert found == []


def test_every_ignored_type_error_has_a_code() -> None:
    bare = re.compile(r"type:\s*ignore(?!\[)")
    found = [str(path) for path in SOURCES if bare.search(path.read_text(encoding="utf-8"))]
    assert found == []
