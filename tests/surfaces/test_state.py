"""Backups while a daemon works, a restore after the loss of everything, and house-keeping."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

from tests.plugins.install import Installed

CONFIG = """
[db_profiles.shop]
url = "sqlite:///{shop}"

[llm_profiles.paid]
provider = "openai"
model = "m"
api_key = "sk-plain-and-secret"

[daemon]
poll_seconds = 0.5

[schedules.watch]
db_profile = "shop"
trigger = {{ type = "change", settle_seconds = 0, cadence_cap_hours = 0 }}
"""


def change(shop: Path, sql: str) -> None:
    with closing(sqlite3.connect(shop)) as connection:
        connection.executescript(sql)


def prepared(install: Installed, tmp_path: Path) -> Path:
    shop = tmp_path / "shop.db"
    change(shop, "CREATE TABLE orders (order_id integer PRIMARY KEY, total numeric);")
    install.config(CONFIG.format(shop=shop))
    install.run("catalog", "refresh", "shop")
    install.run("schedule", "add", "--name", "yearly", "--cron", "@yearly", "--db", "shop")
    return shop


def test_everything_goes_on_after_a_restore(install: Installed, tmp_path: Path) -> None:
    shop = prepared(install, tmp_path)
    daemon = install.daemon()
    change(shop, "ALTER TABLE orders ADD COLUMN customer_id integer;")
    first = install.completed_run()
    pending = install.pending()
    assert pending
    made = install.json("state", "backup", str(tmp_path / "kept.tar.gz"))
    assert made["left_out"] == ["llm_profiles.paid.api_key"]
    with tarfile.open(made["file"]) as archive:
        told = b"".join(
            archive.extractfile(name).read()  # type: ignore[union-attr]  # all are files
            for name in archive.getnames()
        )
    assert b"sk-plain-and-secret" not in told
    refused = install.run("state", "restore", made["file"], "--yes", status=None)
    assert refused.returncode in (1, 2)
    assert "daemon" in refused.stderr

    install.kill(daemon)
    shutil.rmtree(install.folder)
    change(shop, "ALTER TABLE orders ADD COLUMN placed_at text;")
    install.folder.mkdir()
    done = install.json("state", "restore", made["file"], "--yes")
    assert (done["set_aside"], done["left_out"]) == (None, made["left_out"])
    assert [run["id"] for run in install.runs()] == [first["id"]]
    assert install.pending() == pending
    assert {each["name"] for each in install.json("schedule", "list")["schedules"]} == {
        "watch",
        "yearly",
    }

    install.daemon()
    install.completed_run(2)  # what moved between the backup and the restore is found
    assert {each["column"] for each in install.pending()} > {each["column"] for each in pending}
    assert len(install.events("cache_rebuilt")) == 1
    log = install.json("catalog", "log", "shop")["snapshots"]
    assert [each["snapshot"] for each in log] == [1, 2, 3]


def test_what_a_restore_replaces_is_set_aside(install: Installed, tmp_path: Path) -> None:
    prepared(install, tmp_path)
    kept = tmp_path / "backups"
    kept.mkdir()
    made = install.json("state", "backup", str(kept))
    assert Path(made["file"]).parent == kept
    assert Path(made["file"]).stat().st_mode & 0o777 == 0o600
    install.run("schedule", "rm", "yearly", "--yes")
    done = install.json("state", "restore", made["file"], "--yes")
    assert (Path(done["set_aside"]) / "state.db").exists()
    assert len(install.json("schedule", "list")["schedules"]) == 2
    again = install.run("state", "backup", made["file"], status=2)
    assert "exists" in again.stderr
    (kept / "half.tar.gz").write_bytes(Path(made["file"]).read_bytes()[:2000])
    half = install.run("state", "restore", str(kept / "half.tar.gz"), "--yes", status=2)
    assert "no backup" in half.stderr
    assert len(install.json("schedule", "list")["schedules"]) == 2


def test_a_backup_goes_nowhere_else_than_was_meant(install: Installed, tmp_path: Path) -> None:
    install.config("")
    install.run("status")
    there = tmp_path / "there.tar.gz"
    there.write_bytes(b"mine")
    for target, says in ((there, "exists"), (tmp_path / "no" / "x.tar.gz", "there is no folder")):
        refused = install.run("state", "backup", str(target), status=2)
        assert says in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert there.read_bytes() == b"mine"
    assert not (tmp_path / "no").exists()


def test_a_damaged_state_is_found(install: Installed, tmp_path: Path) -> None:
    prepared(install, tmp_path)
    assert install.json("state", "check")["ok"] is True
    state = install.folder / "state.db"
    with closing(sqlite3.connect(state)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    data = bytearray(state.read_bytes())
    data[9000:13000] = b"\xa5" * 4000
    state.write_bytes(data)
    found = install.json("state", "check", status=1)
    assert (found["ok"], bool(found["problems"])) == (False, True)


def test_the_daemon_forgets_what_is_old_and_the_file_shrinks(
    install: Installed, tmp_path: Path
) -> None:
    prepared(install, tmp_path)
    state = install.folder / "state.db"
    detail = json.dumps({"detail": "x" * 2000})
    with closing(sqlite3.connect(state)) as connection:
        connection.executemany(
            "INSERT INTO event (at, action, detail) VALUES (?, 'config_loaded', ?)",
            [("2001-01-01T00:00:00.000000Z", detail)] * 6000,
        )
        # The oldest have the smallest numbers.
        connection.execute("UPDATE event SET id = id + 100000 WHERE at > '2002'")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    before = state.stat().st_size
    daemon = install.daemon()
    [kept] = install.until(lambda: install.events("house_kept"), "round of house-keeping")
    assert (kept["events"], kept["replies"], kept["history"]) == (6000, 0, 0)
    assert kept["bytes_after"] < kept["bytes_before"] / 2
    install.stop(daemon)
    assert state.stat().st_size < before / 2
    assert install.events("schedule_added")
