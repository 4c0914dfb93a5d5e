"""`kill -9` of a real daemon at each of its steps: nothing is lost, paid or written twice."""

from __future__ import annotations

import random
import sqlite3
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from tests.plugins.install import PATIENCE, Installed
from tests.plugins.model_server import Answer, ModelServer, usual
from tests.surfaces.witness import Name, Witness, paid, repeated

CONFIG = """
[daemon]
poll_seconds = 0.4

[db_profiles.source]
url = "{url}"
ignore = ["audit.*"]

[llm_profiles.model]
provider = "openai"
confidence_signal = "evidence"
model = "test-model"
base_url = "{model}"
max_concurrency = {max_concurrency}

[defaults]
db_profile = "source"
llm_profile = "model"

[schedules.watch]
db_profile = "source"
review_strategy = "{strategy}"
trigger = {{ type = "change", cadence_cap_hours = 0, settle_seconds = 0 }}
"""

RECOVERED = "SELECT run_id FROM event WHERE action = 'run_recovered'"
COLUMNS = ("customer_id", "email", "created_at")


class Scene:
    """An install with a daemon on a database that moves, and a model that may hang."""

    def __init__(self, install: Installed, model: ModelServer, url: str) -> None:
        self.install = install
        self.model = model
        self.url = url
        self.witness = Witness(install.folder)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, *, strategy: str = "manual", max_concurrency: int = 2) -> None:
        self.install.config(
            CONFIG.format(
                url=self.url,
                model=self.model.url,
                strategy=strategy,
                max_concurrency=max_concurrency,
            )
        )
        self.restart()

    def restart(self) -> None:
        self.process = started = self.install.popen()
        self.install.until(lambda: self.witness.has_taken_a_turn(started), "a first turn")

    def kill(self) -> None:
        assert self.process is not None
        self.install.kill(self.process)

    def finish(self, changed: set[Name]) -> None:
        """Wait until the change is served, and check what must hold after any kill."""
        self.install.until(lambda: self.served_once(changed), "each object drafted")
        self.install.until(lambda: not self.witness.unfinished(), "end of the runs")
        assert self.witness.served() == Counter(changed)
        assert repeated(self.model) <= self.witness.events("reply_lost")

    def served_once(self, changed: set[Name]) -> bool:
        return self.witness.served().keys() >= changed

    def assert_recovered(self) -> None:
        """The change run was interrupted once, and completed."""
        (run,) = self.witness.rows("SELECT id, status, recovered FROM run WHERE trigger = 'change'")
        assert run[1:] == ("completed", 1)
        assert self.witness.rows(RECOVERED) == [(run[0],)]


@pytest.fixture
def on_sqlite(install: Installed, model_server: ModelServer, tmp_path: Path) -> Scene:
    """A SQLite file with one table."""
    path = tmp_path / "source.db"
    add_tables(path, "first")
    return Scene(install, model_server, f"sqlite:///{path}")


@pytest.fixture
def on_postgres(install: Installed, model_server: ModelServer, postgres_url: str) -> Scene:
    """A PostgreSQL database with one table and a trigger that logs each COMMENT.

    The log is written in the transaction of the COMMENT, so it holds what was committed. While
    `audit.hold` has a row, the second COMMENT and all after it wait inside their statement.
    """
    with psycopg.connect(postgres_url) as connection:
        connection.execute(
            """
            CREATE TABLE first (customer_id int PRIMARY KEY);
            CREATE SCHEMA audit;
            CREATE TABLE audit.hold (held boolean);
            CREATE TABLE audit.log (object text);
            CREATE FUNCTION audit.note() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
                INSERT INTO audit.log
                    SELECT object_identity FROM pg_event_trigger_ddl_commands();
                WHILE EXISTS (SELECT FROM audit.hold) AND (SELECT count(*) FROM audit.log) > 1
                LOOP PERFORM pg_sleep(0.02); END LOOP;
            END $$;
            CREATE EVENT TRIGGER note ON ddl_command_end WHEN TAG IN ('COMMENT')
                EXECUTE FUNCTION audit.note();
            """
        )
    return Scene(install, model_server, postgres_url)


def add_tables(path: Path, *tables: str) -> set[Name]:
    """Add tables to a SQLite file in one transaction; return what there is to draft."""
    columns = ", ".join(f"{name} TEXT" for name in COLUMNS)
    with closing(sqlite3.connect(path)) as connection:
        script = "".join(f"CREATE TABLE {table} ({columns});" for table in tables)
        connection.executescript(f"BEGIN; {script} COMMIT;")
    return names(*tables)


def names(*tables: str) -> set[Name]:
    return {(table, column) for table in tables for column in ("", *COLUMNS)}


def until(holds: Callable[[], bool], what: str, *, pause: float = 0.005) -> None:
    """Wait for a moment that may be short."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"no {what} within {PATIENCE} s"
        time.sleep(pause)


def sqlite_of(scene: Scene) -> Path:
    return Path(scene.url.removeprefix("sqlite:///"))


def test_while_reading(on_postgres: Scene) -> None:
    on_postgres.start()
    with psycopg.connect(on_postgres.url) as lock, psycopg.connect(on_postgres.url) as ddl:
        # Whoever reads comments waits for us; the daemon does so when it reads the catalog.
        lock.execute("LOCK TABLE pg_description IN ACCESS EXCLUSIVE MODE")
        ddl.execute("CREATE TABLE moved (customer_id int, email text, created_at timestamp)")
        ddl.commit()
        query = (
            "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE NOT granted"
            " AND application_name = 'amxwatch'"
        )
        until(lambda: lock.execute(query).fetchone() != (0,), "the daemon waiting in its read")
        on_postgres.kill()
    assert on_postgres.witness.count("run") == 0
    on_postgres.restart()
    on_postgres.finish(names("moved"))
    assert repeated(on_postgres.model) == 0


def test_between_comparing_and_numbering(on_sqlite: Scene) -> None:
    on_sqlite.start()
    witness = on_sqlite.witness
    (cache,) = on_sqlite.install.folder.glob("**/source.duckdb")
    with witness.held(), readers_of(cache) as seen:
        changed = add_tables(sqlite_of(on_sqlite), "moved")
        # It is opened to catch up and to compare; then there is only the number to be had.
        until(lambda: seen.is_done and time.monotonic() - seen.last > 0.5, "the comparing")
        on_sqlite.kill()
    assert witness.count("snapshot") == 1
    on_sqlite.restart()
    on_sqlite.finish(changed)
    assert repeated(on_sqlite.model) == 0


def test_between_numbering_and_the_cache(on_sqlite: Scene) -> None:
    """The step takes hundredths of a second: kill as soon as the number stands, until it hits."""
    on_sqlite.start()
    changed: set[Name] = set()
    for number in range(2, 12):
        changed |= add_tables(sqlite_of(on_sqlite), f"moved_{number}")
        until(partial(numbered, on_sqlite, number), "a number", pause=0.0005)
        on_sqlite.kill()
        behind = cached(on_sqlite.install.folder) < number
        on_sqlite.restart()
        on_sqlite.finish(changed)
        if behind:
            break
    else:
        raise AssertionError("no kill landed between the ledger and the cache")
    assert cached(on_sqlite.install.folder) == on_sqlite.witness.count("snapshot")


def numbered(scene: Scene, number: int) -> bool:
    return scene.witness.count("snapshot") >= number


class Readers(FileSystemEventHandler):
    """Counts who opens and closes a file; `last` is when anyone did."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._moves: Counter[str] = Counter()
        self.last = 0.0

    @property
    def is_done(self) -> bool:
        """Say whether it was opened, and nobody has it open any more."""
        closed = self._moves["closed"] + self._moves["closed_no_write"]
        return 0 < self._moves["opened"] <= closed

    def on_any_event(self, event: FileSystemEvent) -> None:
        if event.src_path == self._path:
            self._moves[event.event_type] += 1
            self.last = time.monotonic()


@contextmanager
def readers_of(path: Path) -> Iterator[Readers]:
    """Yield who reads a file, as it goes on."""
    readers = Readers(path)
    observer = Observer()
    observer.schedule(readers, str(path.parent))
    observer.start()
    try:
        yield readers
    finally:
        observer.stop()
        observer.join()


def cached(folder: Path) -> int:
    """Return the newest snapshot that the cache file holds."""
    (path,) = folder.glob("**/source.duckdb")
    with duckdb.connect(str(path), read_only=True) as connection:
        found = connection.execute("SELECT max(n) FROM snapshot").fetchone()
    assert found is not None
    return int(found[0])


def test_with_a_run_in_the_queue(on_sqlite: Scene) -> None:
    """A run by hand takes the only slot of the profile, so that the change run stays queued."""
    on_sqlite.start()
    install, witness = on_sqlite.install, on_sqlite.witness
    on_sqlite.model.hang()
    by_hand = subprocess.Popen(
        install.command("run", "main.first"), env=install.env, stdout=subprocess.DEVNULL
    )
    try:
        until(lambda: on_sqlite.model.in_flight == 1, "the run by hand")
        changed = add_tables(sqlite_of(on_sqlite), "moved")
        query = "trigger = 'change' AND status = 'queued'"
        until(lambda: witness.count("run", query) == 1, "the queued run")
        on_sqlite.kill()
        on_sqlite.restart()
        on_sqlite.model.release()
        assert by_hand.wait(PATIENCE) == 0
    finally:
        by_hand.kill()
        by_hand.wait()
    on_sqlite.finish(changed | names("first"))
    assert witness.count("run") == 2
    assert repeated(on_sqlite.model) == 0


def test_with_requests_in_flight(on_sqlite: Scene) -> None:
    on_sqlite.start(max_concurrency=2)
    model = on_sqlite.model
    answers_then_hangs(model, answers=2)
    changed = add_tables(sqlite_of(on_sqlite), "a", "b", "c", "d", "e")
    until(lambda: model.in_flight == 2 and model.count == 4, "two answers and two in flight")
    until(lambda: on_sqlite.witness.count("request") == 2, "two replies in the ledger")
    on_sqlite.kill()
    known = paid(model)
    model.script.clear()
    model.release()
    on_sqlite.restart()
    on_sqlite.finish(changed)
    on_sqlite.assert_recovered()
    lost = on_sqlite.witness.rows("SELECT detail FROM event WHERE action = 'reply_lost'")
    again = paid(model) - Counter(paid(model).keys())
    assert len(lost) == len(set(lost)) == 2
    assert again.total() == 2
    assert again.keys() <= known.keys()
    assert set(paid(model)) - set(known) == set(list(paid(model))[4:])


def answers_then_hangs(model: ModelServer, *, answers: int) -> None:
    """Queue so many usual answers; those after them hang."""
    for _ in range(answers):
        model.script.append(lambda request: Answer(body=usual(request)))
    for _ in range(20):
        model.hang()


def test_between_a_recorded_reply_and_its_drafts(on_sqlite: Scene) -> None:
    on_sqlite.start(max_concurrency=1)
    on_sqlite.model.latency = 0.05
    changed = add_tables(sqlite_of(on_sqlite), *(f"moved_{number}" for number in range(15)))
    kill_over_a_reply_without_drafts(on_sqlite)
    recorded = on_sqlite.witness.count("request")
    on_sqlite.restart()
    on_sqlite.finish(changed)
    on_sqlite.assert_recovered()
    assert recorded < on_sqlite.witness.count("request") == 15
    assert repeated(on_sqlite.model) <= 1


def kill_over_a_reply_without_drafts(scene: Scene) -> None:
    """Take the ledger from the daemon again and again until a reply stands there alone."""

    def landed() -> bool:
        with scene.witness.held():
            replies, drafts = scene.witness.count("request"), scene.witness.count("draft")
            if replies * (1 + len(COLUMNS)) > drafts:
                scene.kill()
                return True
            return False

    until(landed, "a reply without its drafts", pause=0.002)


def test_while_a_comment_is_being_written(on_postgres: Scene) -> None:
    """The second COMMENT is in its statement: the database takes it back, and it is written."""
    on_postgres.start(strategy="auto")
    with psycopg.connect(on_postgres.url, autocommit=True) as other:
        other.execute("INSERT INTO audit.hold VALUES (true)")
        other.execute("CREATE TABLE moved (customer_id int, email text, created_at timestamp)")
        until(lambda: sleeps_in_a_comment(other), "a COMMENT that waits")
        on_postgres.kill()
        other.execute("DELETE FROM audit.hold")
        until(lambda: not sleeps_in_a_comment(other), "end of the statement")
    assert_written_once(on_postgres)


def test_between_a_written_comment_and_its_record(on_postgres: Scene) -> None:
    on_postgres.start(strategy="auto")
    with psycopg.connect(on_postgres.url, autocommit=True) as other:
        other.execute("INSERT INTO audit.hold VALUES (true)")
        other.execute("CREATE TABLE moved (customer_id int, email text, created_at timestamp)")
        until(lambda: sleeps_in_a_comment(other), "a COMMENT that waits")
        with on_postgres.witness.held():
            # The statement may end, but what came of it cannot be recorded.
            other.execute("DELETE FROM audit.hold")
            # Comments of one round trip are committed together: all of them at once.
            until(lambda: len(logged(other)) >= 2, "the second comment")
            on_postgres.kill()
    assert on_postgres.witness.count("draft", "status = 'writing'") >= 1
    assert_written_once(on_postgres)


def sleeps_in_a_comment(connection: psycopg.Connection[Any]) -> bool:
    query = (
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'COMMENT ON%'"
    )
    return connection.execute(query).fetchone() != (0,)


def logged(connection: psycopg.Connection[Any]) -> list[str]:
    """Return the objects whose comments were committed, as often as they were."""
    return [row[0] for row in connection.execute("SELECT object FROM audit.log")]


def assert_written_once(scene: Scene) -> None:
    """Restart after a kill in the middle of applying, and count what the database was told."""
    scene.restart()
    changed = names("moved")
    scene.finish(changed)
    scene.assert_recovered()
    assert scene.witness.count("draft", "status = 'written'") == len(changed)
    with psycopg.connect(scene.url) as connection:
        objects = logged(connection)
        texts = connection.execute(
            "SELECT description FROM pg_description WHERE objoid = 'moved'::regclass"
        ).fetchall()
    assert sorted(objects) == sorted(
        f"public.moved.{column}" if column else "public.moved" for _, column in changed
    )
    drafts = scene.witness.rows("SELECT text FROM draft")
    assert sorted(text for (text,) in texts) == sorted(text for (text,) in drafts)
    told = scene.witness.rows("SELECT detail FROM event WHERE action = 'comment_written'")
    assert len(told) == len(set(told)) == len(changed)
    assert repeated(scene.model) == 0


def test_at_any_moment(on_sqlite: Scene) -> None:
    """Many short lives, each ended after a while that nobody chose."""
    on_sqlite.start(max_concurrency=2)
    on_sqlite.model.latency = 0.03
    chance = random.Random(6)
    changed: set[Name] = set()
    for life in range(8):
        changed |= add_tables(sqlite_of(on_sqlite), f"a{life}", f"b{life}", f"c{life}")
        time.sleep(chance.uniform(0.02, 1.8))
        on_sqlite.kill()
        on_sqlite.process = on_sqlite.install.popen()
    on_sqlite.kill()
    on_sqlite.restart()
    witness = on_sqlite.witness
    on_sqlite.install.until(lambda: witness.open_drafts().keys() >= changed, "all drafts")
    on_sqlite.install.until(lambda: not witness.unfinished(), "end of the runs")
    assert witness.open_drafts() == Counter(changed)
    assert repeated(on_sqlite.model) <= witness.events("reply_lost")
    assert witness.events("run_recovered") <= 9
