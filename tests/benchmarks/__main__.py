"""Runs the benchmarks and writes what they measured into `docs/performance.md`.

    python -m tests.benchmarks [NAME …]

Every `bench_NAME.py` here is run, or those that are named, one after the other and each in a
process of its own, with `--out FILE.json`. Its document is flat: single values, one table of
values, or lists of rows; keys name their units. A benchmark that breaks its promise leaves with
1: its figures are written even so, marked, and the last status is 1.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent.parent / "docs" / "performance.md"
PACKAGES = ("amxwatch", "duckdb", "sqlalchemy", "sqlglot", "psycopg", "anyio", "pydantic")


def names() -> list[str]:
    """Return the benchmarks there are."""
    return sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))


def measure(name: str) -> tuple[Any, bool]:
    """Run one benchmark; return its document (None where it gave none) and whether it passed."""
    print(f"bench_{name} …", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out.json"
        module = f"tests.benchmarks.bench_{name}"
        done = subprocess.run([sys.executable, "-m", module, "--out", str(out)], check=False)
        document = json.loads(out.read_text(encoding="utf-8")) if out.exists() else None
    return document, done.returncode == 0


def machine() -> str:
    """Say what the figures hang on: processor and memory, never a name of the machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = os.cpu_count() or 1
    return f"{platform.system()} {platform.machine()}, {cores} cores, {memory:.0f} GB"


def versions() -> str:
    return ", ".join(f"{name} {version(name)}" for name in PACKAGES)


def section(name: str, document: Any, passed: bool, at: datetime) -> str:
    """Return the part of the page about one benchmark, between its marks."""
    title, *said = told(name)
    python = f"Python {platform.python_version()}"
    lines = [
        f"<!-- bench: {name} -->",
        f"### {title.rstrip('.')}",
        "",
        f"`python -m tests.benchmarks.bench_{name}` on {at:%Y-%m-%d}; {machine()}; {python},",
        f"{versions()}.",
        "",
        *(line for paragraph in said for line in (paragraph, "")),
        *(["**It did not keep its promise in this run.**", ""] if not passed else []),
        *tables(document),
        "<!-- end -->",
    ]
    return "\n".join(lines)


def told(name: str) -> list[str]:
    """Return the paragraphs of a benchmark's docstring, without what is code."""
    tree = ast.parse((HERE / f"bench_{name}.py").read_text(encoding="utf-8"))
    paragraphs = (ast.get_docstring(tree) or name).split("\n\n")
    return [paragraph for paragraph in paragraphs if not paragraph.startswith(" ")]


def tables(document: Any) -> Iterator[str]:
    """Yield the lines of a document: single values first, then each of its lists of rows."""
    single = {key: value for key, value in document.items() if not isinstance(value, dict | list)}
    if single:
        yield from table([single])
    for key, value in document.items():
        rows = [value] if isinstance(value, dict) else value if isinstance(value, list) else []
        if rows:
            yield f"{words(key)}:"
            yield ""
            yield from table(rows)


def table(rows: list[dict[str, Any]]) -> Iterator[str]:
    heads = list(rows[0])
    yield f"| {' | '.join(map(words, heads))} |"
    yield f"| {' | '.join('---' for _ in heads)} |"
    for row in rows:
        yield f"| {' | '.join(figure(row.get(head)) for head in heads)} |"
    yield ""


def words(key: str) -> str:
    return key.replace("_", " ")


def figure(value: object) -> str:
    """Write a value with three digits that count; whole numbers whole."""
    match value:
        case bool() | None:
            return {True: "yes", False: "no", None: "-"}[value]
        case int():
            return f"{value:,}"
        case float() if abs(value) >= 100:
            return f"{value:,.0f}"
        case float():
            return f"{value:.3g}"
    return str(value).replace("|", "\\|")


def put(page: str, name: str, part: str) -> str:
    """Put a benchmark's part into the page: in its old place, else before the end mark."""
    old = re.compile(rf"<!-- bench: {re.escape(name)} -->.*?<!-- end -->", re.DOTALL)
    if old.search(page):
        return old.sub(lambda _: part, page)
    return page.replace("<!-- benches end -->", f"{part}\n\n<!-- benches end -->")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(names())}")
    wanted = parser.parse_args().names or names()
    if unknown := sorted(set(wanted) - set(names())):
        parser.error(f"no benchmark {unknown[0]!r}; there are: {', '.join(names())}")
    bad = []
    for name in wanted:
        document, passed = measure(name)
        if not passed:
            bad.append(name)
        if document is not None:
            part = section(name, document, passed, datetime.now(UTC))
            page = PAGE.read_text(encoding="utf-8")
            PAGE.write_text(put(page, name, part), encoding="utf-8")
    print(f"written: {PAGE}" + (f"; not kept: {', '.join(bad)}" if bad else ""))
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
