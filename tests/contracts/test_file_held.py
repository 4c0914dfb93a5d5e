"""A DuckDB file that another process holds open: what the user is told, and what stands."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest

from tests.plugins.install import Installed

pytestmark = pytest.mark.timeout(240)

CONFIG = """
[daemon]
poll_seconds = 1

[db_profiles.source]
url = "duckdb:///{path}"

[schedules.watch]
db_profile = "source"
trigger = {{ type = "change", settle_seconds = 0 }}
"""

HOLD = """
import sys, duckdb
with duckdb.connect(sys.argv[1]) as connection:
    connection.execute("CREATE TABLE made_meanwhile (id INTEGER)")
    print("held", flush=True)
    sys.stdin.readline()
"""


@contextmanager
def held(path: Path) -> Iterator[int]:
    """Hold the file open for writing in another process, which has changed it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        yield process.pid


def test_status_says_since_when_a_file_is_held_and_the_snapshot_stays(
    install: Installed, tmp_path: Path
) -> None:
    path = tmp_path / "source.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    install.config(CONFIG.format(path=path))
    install.json("catalog", "refresh", "source")
    daemon = install.daemon()

    def source() -> dict[str, object]:
        [found] = install.json("status")["sources"]
        assert isinstance(found, dict)
        return found

    assert (source()["status"], source()["failing_since"]) == ("ok", None)
    with held(path) as holder:
        told = install.until(lambda: (s := source())["failing_since"] and s, "a file told as held")
        assert told["status"] == "down"
        assert f"PID {holder}" in str(told["error"])
        assert str(path) in str(told["error"])
        assert told["snapshot"] == 1
        since = told["failing_since"]
        install.run("catalog", "refresh", "source", status=1)  # a further try
        again = source()
        assert again["failures"] > told["failures"]
        assert again["failing_since"] == since, "since when it is held, not when it was last tried"
        assert again["retry_at"] is not None
        shown = json.dumps(install.json("catalog", "show", "--db", "source"))
        assert "orders" in shown
        assert "made_meanwhile" not in shown
        [down] = install.events("source_down")
        assert down["db_profile"] == "source"
    install.until(lambda: source()["status"] == "ok" and source()["snapshot"] == 2, "a new look")
    assert len(install.events("source_up")) == 1
    install.stop(daemon)
