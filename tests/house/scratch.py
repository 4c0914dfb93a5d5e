"""A folder with small databases and the demo's warehouse, in which a page's commands run."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
import sqlite3
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import duckdb

from amxwatch.cli.app import run
from amxwatch.daemon import demo
from tests.house.markdown import Block

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"

SHOP = """
CREATE TABLE customer (
    customer_id INTEGER PRIMARY KEY, email VARCHAR NOT NULL, status VARCHAR DEFAULT 'new');
CREATE TABLE orders (
    order_id INTEGER PRIMARY KEY, customer_id INTEGER REFERENCES customer (customer_id),
    total DECIMAL(10, 2), placed_at TIMESTAMP);
CREATE VIEW big_orders AS SELECT order_id, total FROM orders WHERE total > 100;
COMMENT ON COLUMN customer.email IS 'Where invoices go.';
INSERT INTO customer SELECT i, 'a' || i || '@example.com', ['new', 'active'][1 + i % 2]
    FROM range(1, 40) AS t (i);
INSERT INTO orders SELECT i, 1 + i % 39, i * 3.5, TIMESTAMP '2026-01-05' + INTERVAL (i) HOUR
    FROM range(1, 200) AS t (i);
"""

LITE = """
CREATE TABLE item (item_id INTEGER PRIMARY KEY, label TEXT NOT NULL, price NUMERIC);
INSERT INTO item VALUES (1, 'lamp', 20), (2, 'chair', 45);
"""

MODELS = {
    "001_users.sql": "CREATE TABLE app_user (user_id int PRIMARY KEY, full_name text NOT NULL);\n",
    "002_logins.sql": (
        "CREATE TABLE login (login_id bigint PRIMARY KEY,\n"
        "    user_id int REFERENCES app_user (user_id), seen_at timestamptz);\n"
        "ALTER TABLE app_user ADD COLUMN locale text;\n"
    ),
}

SHELL_SIGNS = re.compile(r"[|<>;&`]|\$\(")
"""What makes a line more than one call of amxwatch; such a line is left to bash."""

_EXPORT = re.compile(r"export (?P<name>\w+)=(?P<value>.*)")


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a line did. `output` is stdout and stderr as a terminal would mix them."""

    line: str
    status: int
    output: str


@dataclass(kw_only=True)
class Scratch:
    """A working folder and the environment of the shell that a page makes its reader open."""

    folder: Path
    env: dict[str, str] = field(default_factory=dict)

    def build(self) -> None:
        """Make small databases, `models/`, `shop_dbt/`, the demo's warehouse, an environment."""
        with duckdb.connect(str(self.folder / "shop.duckdb")) as connection:
            connection.execute(SHOP)
        with contextlib.closing(sqlite3.connect(self.folder / "shop.db")) as lite:
            lite.executescript(LITE)
        (self.folder / "demo").mkdir(mode=0o700)
        with duckdb.connect(str(self.folder / "demo" / "warehouse.duckdb")) as connection:
            connection.execute((files(demo) / "warehouse.sql").read_text(encoding="utf-8"))
        (self.folder / "models").mkdir()
        for name, text in MODELS.items():
            (self.folder / "models" / name).write_text(text, encoding="utf-8")
        shutil.copytree(FIXTURES / "dbt" / "shop", self.folder / "shop_dbt")
        programs = str(Path(sys.executable).parent)
        self.env = {
            **os.environ,
            "AMXWATCH_CONFIG_DIR": str(self.folder / ".amxwatch"),
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PWD": str(self.folder),
            "NO_COLOR": "1",
            "TZ": "UTC",
        }

    def run(self, block: Block) -> list[Done]:
        """Run a block: each line of a shell's, or a Python program whole."""
        if block.language != "python":
            return [self.line(line) for line in block.commands]
        (self.folder / "block.py").write_text(block.text, encoding="utf-8")
        return [self.line("python3 block.py")]

    def line(self, line: str) -> Done:
        """Run one line. A plain call of amxwatch runs in this process, anything else in bash."""
        if exported := _EXPORT.fullmatch(line):
            self.env[exported["name"]] = shlex.split(self._expanded(exported["value"]))[0]
            return Done(line=line, status=0, output="")
        words = line.removeprefix(".venv/bin/")
        if words.startswith("amxwatch ") and not SHELL_SIGNS.search(_unquoted(words)):
            return self._inside(line, shlex.split(self._expanded(words), comments=True)[1:])
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=60,
        )
        return Done(line=line, status=done.returncode, output=done.stdout)

    def _inside(self, line: str, words: list[str]) -> Done:
        if "--config-dir" not in words:
            words += ["--config-dir", self.env["AMXWATCH_CONFIG_DIR"]]
        output, stdin = io.StringIO(), sys.stdin
        sys.stdin = io.StringIO()
        try:
            with (
                contextlib.chdir(self.folder),
                contextlib.redirect_stdout(output),
                contextlib.redirect_stderr(output),
            ):
                status = run(words)
        finally:
            sys.stdin = stdin
        return Done(line=line, status=status, output=output.getvalue())

    def _expanded(self, text: str) -> str:
        return re.sub(r"\$(\w+)", lambda found: self.env.get(found[1], ""), text)


def _unquoted(text: str) -> str:
    return re.sub(r"'[^']*'|\"[^\"]*\"|#.*", "", text)


def blurred(text: str, folder: Path) -> list[str]:
    """Return lines without what differs from run to run: ids, times, durations, paths, widths."""
    text = text.replace(str(folder), "/FOLDER")
    for pattern, word in (
        (r"/(?:home|Users|tmp)/\w[\w./-]*?/(?=shop|mine|models|\.amxwatch|demo|try)", "/FOLDER/"),
        (r"\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d-[0-9a-f]{8}\b", "ID"),
        (r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d)?(?:\.\d+)?(?:[+]00:00|Z)?", "TIME"),
        (r"\b\d+\.\d+ s\b", "SECONDS"),
        (r"\b[\d,]+ MB free", "MB free"),
        (r"\bpid \d+|\(PID \d+\)", "PID"),
        (r"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?=TIME)", ""),
        (r"(?m)^ *\d+  (?=\w+\.)", ""),  # a draft's number, which hangs on who was first
        (r" {2,}", " "),
    ):
        text = re.sub(pattern, word, text)
    return [line.strip() for line in text.splitlines() if line.strip()]
