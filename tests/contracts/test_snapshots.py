"""The catalog cache: what it gives back, what it leaves out, and how it fails."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import anyio
import duckdb
import pytest
from filelock import FileLock
from hypothesis import given, settings

from amxwatch.core.catalog import (
    Catalog,
    Column,
    Key,
    KeyKind,
    ObjectRef,
    ObjectType,
    Schema,
    SnapshotNumber,
    Table,
)
from amxwatch.core.change import Delta, Moved
from amxwatch.core.codec import decode_delta, encode_delta
from amxwatch.core.errors import CacheBrokenError, NotFoundError, StoreBusyError
from amxwatch.stores.snapshots import SnapshotCache
from tests.core.catalogs import chains, exact

N = SnapshotNumber


def column(name: str, ordinal: int, **more: object) -> Column:
    return Column(name=name, type="integer", ordinal=ordinal, **more)


def table(name: str, *, size: int = 3, **more: object) -> Table:
    columns = tuple(column(f"c{i}", i) for i in range(1, size + 1))
    return Table(schema="app", name=name, columns=columns, **more)


def catalog(*tables: Table, **more: object) -> Catalog:
    named = sorted(tables, key=lambda each: (each.schema, each.name))
    given = {"reader": "test/1", "source": "here", "schemas": (Schema(name="app"),), **more}
    return Catalog(tables=tuple(named), **given)


def with_type(one: Table, name: str, kind: str) -> Table:
    columns = tuple(replace(c, type=kind) if c.name == name else c for c in one.columns)
    return replace(one, columns=columns)


class Log:
    """A cache and, in place of the ledger, the list of its deltas."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cache = SnapshotCache(path, wait_seconds=5)
        self.deltas: list[tuple[SnapshotNumber, Delta]] = []

    async def take(
        self, now: Catalog, ignore: Sequence[str] = ()
    ) -> tuple[SnapshotNumber | None, Delta, Moved]:
        """Compare and, where anything differs, replay as the next number; the first always."""
        delta, moved = await self.cache.compare(now, ignore=ignore)
        if self.deltas and not delta:
            return None, delta, moved
        number = N(len(self.deltas) + 1)
        self.deltas.append((number, decode_delta(encode_delta(delta))))
        await self.cache.replay(self.deltas)
        return number, delta, moved

    def wipe(self) -> None:
        """Remove the files behind the cache's back."""
        for file in self.path.parent.glob(f"{self.path.name}*"):
            file.unlink()


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "cache" / "prod.duckdb")


def same(found: Catalog, wanted: Catalog) -> bool:
    return replace(found, tables=tuple(map(exact, found.tables))) == replace(
        wanted, tables=tuple(map(exact, wanted.tables))
    )


def plain_moved(old: Catalog | None, new: Catalog) -> tuple[list, list]:
    """The pairwise difference of two catalogs, in plain Python."""
    before = {(t.schema, t.name): exact(t) for t in (old.tables if old else ())}
    after = {(t.schema, t.name): exact(t) for t in new.tables}
    tables = [(before.get(n), after.get(n)) for n in sorted(before.keys() | after.keys())]
    was = {schema.name: schema for schema in (old.schemas if old else ())}
    now = {schema.name: schema for schema in new.schemas}
    schemas = [(was.get(n), now.get(n)) for n in sorted(was.keys() | now.keys())]
    return [pair for pair in tables if pair[0] != pair[1]], [p for p in schemas if p[0] != p[1]]


def plain_pairs(moved: Moved) -> tuple[list, list]:
    tables = [(old and exact(old), new and exact(new)) for old, new in moved.tables]
    return tables, list(moved.schemas)


async def test_a_lost_file_is_an_empty_cache(log: Log) -> None:
    assert await log.cache.latest() is None
    assert await log.cache.history(ObjectRef(schema="app", table="users")) == []
    for question in (log.cache.as_of(N(1)), log.cache.moved(None, N(1))):
        with pytest.raises(NotFoundError, match="no snapshot 1"):
            await question
    users = table("users")
    delta, moved = await log.cache.compare(catalog(users), ignore=["b.*", "a.*", "a.*"])
    assert delta == Delta(
        reader="test/1",
        source="here",
        ignore=("a.*", "b.*"),
        baseline=False,
        put_schemas=(Schema(name="app"),),
        put_tables=(users,),
    )
    assert moved == Moved(tables=((None, users),), schemas=((None, Schema(name="app")),))
    assert not log.path.exists()
    await log.cache.discard()


async def test_the_same_catalog_again_is_no_delta(log: Log) -> None:
    unique = Key(kind=KeyKind.UNIQUE, columns=("c2",), name="made_up_1")
    primary = Key(kind=KeyKind.PRIMARY, columns=("c1",), name="users_pkey")
    users = table("users", keys=(primary, unique), row_estimate=10)
    await log.take(catalog(users))
    again = replace(users, row_estimate=99, keys=(replace(unique, name="made_up_2"), primary))
    number, delta, moved = await log.take(catalog(again))
    assert (number, bool(delta), bool(moved)) == (None, False, False)
    (kept,) = (await log.cache.as_of(N(1))).tables
    assert (kept.row_estimate, [key.name for key in kept.keys]) == (10, ["users_pkey", "made_up_1"])


@pytest.mark.parametrize(
    "moved",
    [
        {"comment": "x"},
        {"native_id": 5},
        {"type": ObjectType.VIEW},
        {"definition": "select 1"},
        {"keys": (Key(kind=KeyKind.PRIMARY, columns=("c1",)),)},
        {"columns": (column("c1", 1), column("c3", 2), column("c2", 3))},
        {"columns": (column("c1", 1), column("c2", 2), column("c3", 3, comment=""))},
        {"columns": (column("c1", 1), column("c2", 2), column("c3", 3, nullable=False))},
        {"columns": (column("c1", 1), column("c2", 2), column("c3", 3, default="0"))},
        {"columns": (column("c1", 1), column("c2", 2), column("c3", 3, native_num=9))},
    ],
)
async def test_every_other_field_is_a_difference(log: Log, moved: dict[str, object]) -> None:
    users = table("users")
    await log.take(catalog(users, table("orders")))
    other = replace(users, **moved)
    number, delta, found = await log.take(catalog(other, table("orders")))
    assert number == 2
    assert delta.put_tables == (other,)
    assert found.tables == ((users, other),)
    assert await log.cache.moved(N(1), N(2)) == found


async def test_a_swap_between_columns_is_a_difference(log: Log) -> None:
    """The classic blind spot of fingerprints that add up."""
    one = replace(table("t"), columns=(column("a", 1, comment="x"), column("b", 2, comment="y")))
    two = replace(table("t"), columns=(column("a", 1, comment="y"), column("b", 2, comment="x")))
    await log.take(catalog(one))
    assert (await log.take(catalog(two)))[2].tables == ((one, two),)


@given(chain=chains(size=4))
@settings(max_examples=6, deadline=None)
def test_any_chain_of_catalogs_comes_back(chain: list[Catalog]) -> None:
    async def check(folder: Path) -> None:
        log = Log(folder / "one.duckdb")
        taken: list[Catalog] = []
        for now in chain:
            number, _, moved = await log.take(now)
            if number is None:
                assert same(taken[-1], now)
                continue
            assert plain_pairs(moved) == plain_moved(taken[-1] if taken else None, now)
            taken.append(now)
        rebuilt = SnapshotCache(folder / "two.duckdb")
        await rebuilt.replay(log.deltas)
        for end, now in enumerate(taken, start=1):
            found = await log.cache.as_of(N(end))
            assert same(found, now)
            assert await rebuilt.as_of(N(end)) == found
            assert plain_pairs(await rebuilt.moved(None, N(end))) == plain_moved(None, now)
            for start in range(1, end):
                between = await rebuilt.moved(N(start), N(end))
                assert plain_pairs(between) == plain_moved(taken[start - 1], now)

    with tempfile.TemporaryDirectory() as folder:
        anyio.run(check, Path(folder))


async def test_moved_back_in_time_swaps_the_sides(log: Log) -> None:
    await log.take(catalog(table("users")))
    await log.take(catalog(table("users"), table("orders")))
    assert (await log.cache.moved(N(2), N(1))).tables == ((table("orders"), None),)
    assert not await log.cache.moved(N(2), N(2))


async def test_a_change_undone_is_no_difference(log: Log) -> None:
    users = table("users")
    for now in (users, with_type(users, "c1", "text"), users):
        await log.take(catalog(now))
    assert not await log.cache.moved(N(1), N(3))


async def test_history_tells_each_snapshot_that_moved_a_table(log: Log) -> None:
    users, other = table("users"), with_type(table("users"), "c1", "text")
    await log.take(catalog(users))
    await log.take(catalog(users, table("orders")))
    await log.take(catalog(other, table("orders")))
    await log.take(catalog(table("orders"), schemas=(Schema(name="app", comment="ours"),)))
    await log.take(catalog(users, table("orders"), schemas=(Schema(name="app", comment="ours"),)))
    wanted = [
        (1, Moved(tables=((None, users),))),
        (3, Moved(tables=((users, other),))),
        (4, Moved(tables=((other, None),))),
        (5, Moved(tables=((None, users),))),
    ]
    assert await log.cache.history(users.ref) == wanted
    assert await log.cache.history(users.column_ref("c2")) == wanted
    assert await log.cache.history(ObjectRef(schema="app")) == [
        (1, Moved(schemas=((None, Schema(name="app")),))),
        (4, Moved(schemas=((Schema(name="app"), Schema(name="app", comment="ours")),))),
    ]


@pytest.mark.parametrize(
    ("more", "ignore"),
    [({"reader": "test/2"}, ()), ({"source": "there"}, ()), ({}, ("app.tmp_*",))],
)
async def test_an_upgrade_is_a_baseline_and_no_change(
    log: Log, more: dict[str, str], ignore: tuple[str, ...]
) -> None:
    users, orders = table("users"), table("orders")
    respelled = with_type(users, "c1", "INTEGER")
    await log.take(catalog(users, orders))
    number, delta, _ = await log.take(catalog(respelled, orders, **more), ignore)
    assert (number, delta.baseline) == (2, True)
    assert not await log.cache.moved(N(1), N(2))
    assert await log.cache.history(users.ref) == [(1, Moved(tables=((None, users),)))]
    # What moves after it counts from there.
    changed = with_type(orders, "c1", "text")
    await log.take(catalog(respelled, changed, **more), ignore)
    assert await log.cache.moved(N(1), N(3)) == Moved(tables=((orders, changed),))
    # From nothing, everything is new, however it came.
    assert (await log.cache.moved(None, N(3))).tables == ((None, changed), (None, respelled))
    assert await log.cache.compare(catalog(respelled, changed, **more), ignore=ignore) == (
        replace(delta, baseline=False, put_tables=()),
        Moved(),
    )


async def test_a_baseline_without_any_difference_is_still_recorded(log: Log) -> None:
    await log.take(catalog(table("users")))
    number, delta, moved = await log.take(catalog(table("users"), reader="test/2"))
    assert (number, delta.baseline, bool(moved)) == (2, True, False)


async def test_the_order_of_ignored_patterns_is_no_baseline(log: Log) -> None:
    await log.take(catalog(table("users")), ("a.*", "b.*"))
    assert (await log.take(catalog(table("users")), ("b.*", "a.*")))[0] is None


async def test_what_moved_before_a_baseline_counts_and_what_it_hid_does_not(log: Log) -> None:
    users, orders = table("users"), table("orders")
    moved_users, moved_orders = with_type(users, "c1", "text"), with_type(orders, "c1", "text")
    await log.take(catalog(users, orders))
    await log.take(catalog(moved_users, moved_orders))
    # Now orders is ignored, and a table that was ignored before is seen.
    await log.take(catalog(moved_users, table("old")), ("app.orders",))
    await log.take(catalog(with_type(moved_users, "c2", "text"), table("old")), ("app.orders",))
    last = with_type(moved_users, "c2", "text")
    assert await log.cache.moved(N(1), N(4)) == Moved(tables=((users, last),))
    assert await log.cache.moved(N(1), N(3)) == Moved(tables=((users, moved_users),))


async def test_numbers_that_are_held_are_skipped_and_gaps_refused(log: Log) -> None:
    await log.take(catalog(table("users")))
    await log.take(catalog(table("users"), table("orders")))
    await log.cache.replay(log.deltas)
    (_, first), (_, second) = log.deltas
    assert await log.cache.latest() == 2
    with pytest.raises(CacheBrokenError, match="snapshot 3 is missing before 4"):
        await log.cache.replay([(N(3 + 1), second)])
    await log.cache.discard()
    with pytest.raises(CacheBrokenError, match="snapshot 1 is missing before 2"):
        await log.cache.replay([(N(2), second)])
    # Nothing of a replay that failed stays.
    gap = [(N(1), first), (N(3), second)]
    with pytest.raises(CacheBrokenError):
        await log.cache.replay(gap)
    assert await log.cache.latest() is None
    await log.cache.replay(log.deltas)
    assert len((await log.cache.as_of(N(2))).tables) == 2


async def test_strange_names_come_back(log: Log) -> None:
    odd = ["é🐦", "a'b\"c", "x.y", "-- name: x", "\n\t", "%s $n ?", "a\x00b", "NULL", " "]
    now = catalog(
        *(
            Table(
                schema=name,
                name=name,
                comment=name,
                columns=(Column(name=name, type=name, ordinal=1, default=name, comment=name),),
                keys=(Key(kind=KeyKind.UNIQUE, columns=(name,), name=name),),
            )
            for name in odd
        ),
        schemas=tuple(Schema(name=name, comment=name) for name in sorted(odd)),
    )
    await log.take(now, odd)
    assert await log.cache.as_of(N(1)) == now
    assert (await log.take(now, odd))[0] is None


async def test_the_files_are_for_the_owner_only(log: Log) -> None:
    await log.take(catalog(table("users")))
    for file in log.path.parent.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file
    assert log.path.parent.stat().st_mode & 0o777 == 0o700


# Damage


async def grown(log: Log, size: int = 40, steps: int = 4) -> list[Catalog]:
    """Take snapshots of a catalog of which each fourth table moves each time."""
    tables = [
        replace(table(f"t{i:03}", size=8), comment=f"comment {i}", native_id=i) for i in range(size)
    ]
    taken = []
    for step in range(steps):
        tables = [
            with_type(t, "c3", f"varchar({step})") if i % 4 == step else t
            for i, t in enumerate(tables)
        ]
        taken.append(catalog(*tables))
        await log.take(taken[-1])
    return taken


async def answers(cache: SnapshotCache, taken: list[Catalog]) -> list[object]:
    """Ask every question; an error that the port names is an answer, any other fails."""
    newest = N(len(taken))
    next_delta = Delta(reader="test/1", source="here", put_tables=(table("zz"),))
    questions: list[Callable[[], Awaitable[object]]] = [
        cache.latest,
        lambda: cache.compare(taken[0], ignore=()),
        lambda: cache.moved(N(1), newest),
        lambda: cache.as_of(N(1)),
        lambda: cache.as_of(newest),
        lambda: cache.history(ObjectRef(schema="app", table="t002")),
        lambda: cache.replay([(N(newest + 1), next_delta)]),
    ]
    found: list[object] = []
    for question in questions:
        try:
            found.append(await question())
        except CacheBrokenError:
            found.append(CacheBrokenError)
        except NotFoundError:
            found.append(NotFoundError)
    return found


async def test_a_flipped_bit_is_never_a_wrong_answer(log: Log, tmp_path: Path) -> None:
    taken = await grown(log)
    whole = log.path.read_bytes()
    right = await answers(log.cache, taken)
    assert CacheBrokenError not in right
    chance = random.Random(20261121)
    places = [chance.randrange(len(whole)) for _ in range(10)]
    places += [16, 300, 4096 + 9, 4096 + 40, 8192 + 9, 8192 + 40, 12288 + 3]
    broken = 0
    for place in places:
        log.wipe()
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        log.path.write_bytes(damaged)
        found = await answers(log.cache, taken)
        broken += CacheBrokenError in found
        for answer, wanted in zip(found, right, strict=True):
            assert answer in (wanted, CacheBrokenError), place
    assert broken > len(places) // 4


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.999])
async def test_a_cut_file_is_rebuilt_from_the_log(log: Log, share: float) -> None:
    taken = await grown(log, steps=2)
    whole = log.path.read_bytes()
    log.path.write_bytes(whole[: int(len(whole) * share)])
    found = await answers(log.cache, taken)
    assert CacheBrokenError in found
    await log.cache.discard()
    assert await log.cache.latest() is None
    await log.cache.replay(log.deltas)
    assert await log.cache.as_of(N(2)) == taken[1]


def write_text(path: Path) -> None:
    path.write_text("dear diary\n" * 2000)


def write_other_tables(path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute("CREATE TABLE cake (slices INTEGER)")


def write_older_format(path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute("UPDATE meta SET format = 0")


def write_other_fingerprints(path: Path) -> None:
    with duckdb.connect(path) as connection:
        connection.execute("UPDATE meta SET canary = 1")


@pytest.mark.parametrize("foreign", [write_text, write_other_tables])
async def test_a_foreign_file_is_broken_to_every_call_but_discard(
    log: Log, foreign: Callable[[Path], None]
) -> None:
    log.path.parent.mkdir()
    foreign(log.path)
    found = await answers(log.cache, [catalog(table("users"))])
    assert set(found) == {CacheBrokenError}
    await log.cache.discard()
    assert await log.cache.latest() is None


@pytest.mark.parametrize("other", [write_older_format, write_other_fingerprints])
async def test_a_cache_written_otherwise_is_rebuilt(
    log: Log, other: Callable[[Path], None]
) -> None:
    taken = await grown(log, size=4, steps=1)
    other(log.path)
    assert set(await answers(log.cache, taken)) == {CacheBrokenError}


async def test_content_that_checksums_vouch_for_must_match_its_fingerprint(log: Log) -> None:
    taken = await grown(log, size=8, steps=1)
    with duckdb.connect(log.path) as connection:
        connection.execute("UPDATE tbl SET body = body || 'x'::BLOB WHERE tid = 3")
    with pytest.raises(CacheBrokenError, match="fingerprint"):
        await log.cache.as_of(N(1))
    delta, _ = await log.cache.compare(taken[0], ignore=())
    assert not delta


async def test_a_file_without_a_commit_is_empty(log: Log) -> None:
    log.path.parent.mkdir()
    duckdb.connect(log.path).close()
    assert await log.cache.latest() is None
    await log.take(catalog(table("users")))
    assert await log.cache.latest() == 1


# Other processes


async def test_a_held_lock_makes_busy_after_the_wait(log: Log) -> None:
    await log.take(catalog(table("users")))
    with FileLock(f"{log.path}.lock"), pytest.raises(StoreBusyError, match="another process"):
        await SnapshotCache(log.path, wait_seconds=0.1).latest()
    assert await log.cache.latest() == 1


async def test_a_call_waits_for_the_lock(log: Log) -> None:
    await log.take(catalog(table("users")))
    lock = FileLock(f"{log.path}.lock")
    lock.acquire()
    found = []

    async def ask() -> None:
        found.append(await log.cache.size())
        found.append(await log.cache.lives())

    async with anyio.create_task_group() as group:
        group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        assert len(found) < 2
        lock.release()
    assert len(found) == 2


async def test_a_cancelled_call_stops_waiting_for_the_lock(log: Log) -> None:
    await log.take(catalog(table("users")))
    patient = SnapshotCache(log.path, wait_seconds=3600)
    with FileLock(f"{log.path}.lock"), anyio.fail_after(10):
        async with anyio.create_task_group() as group:
            group.start_soon(patient.latest)
            await anyio.wait_all_tasks_blocked()
            group.cancel_scope.cancel()
    assert await patient.latest() == 1


async def test_two_caches_of_one_file_take_turns(log: Log) -> None:
    taken = await grown(log, size=8, steps=2)
    caches = [SnapshotCache(log.path, wait_seconds=30) for _ in range(3)]

    async def work(cache: SnapshotCache) -> None:
        for _ in range(3):
            assert await cache.latest() == 2
            assert await cache.as_of(N(1)) == taken[0]
            await cache.replay(log.deltas)

    async with anyio.create_task_group() as group:
        for cache in caches:
            group.start_soon(work, cache)


HOLD = """
import sys, duckdb
connection = duckdb.connect(sys.argv[1])
print("open", flush=True)
sys.stdin.read()
"""


async def test_a_file_that_another_program_holds_open_is_busy(log: Log) -> None:
    await log.take(catalog(table("users")))
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(log.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(StoreBusyError, match="another program"):
            await log.cache.as_of(N(1))
        other.kill()
    assert await log.cache.latest() == 1


REPLAY = """
import json, sys, anyio
from pathlib import Path
from amxwatch.core.codec import decode_delta
from amxwatch.stores.snapshots import SnapshotCache

def log(path):
    lines = json.loads(Path(path).read_text())
    for number, line in enumerate(lines, start=1):
        if number == len(lines) and sys.argv[3] == "stop":
            print("in the middle", flush=True)
            sys.stdin.read()
        yield number, decode_delta(line)
    print("all given", flush=True)

anyio.run(SnapshotCache(Path(sys.argv[1])).replay, log(sys.argv[2]))
print("done", flush=True)
"""


def replaying(path: Path, lines: Path, how: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", REPLAY, str(path), str(lines), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )


async def test_a_kill_in_the_middle_of_a_replay_leaves_the_old_state(
    log: Log, tmp_path: Path
) -> None:
    taken = await grown(log, steps=4)
    lines = tmp_path / "log"
    lines.write_text(json.dumps([encode_delta(delta) for _, delta in log.deltas]))
    await log.cache.discard()
    await log.cache.replay(log.deltas[:1])
    with replaying(log.path, lines, "stop") as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in the middle\n"
        other.kill()
    assert await log.cache.latest() == 1
    assert await log.cache.as_of(N(1)) == taken[0]
    await log.cache.replay(log.deltas)
    assert await log.cache.as_of(N(4)) == taken[3]


async def test_a_kill_around_the_commit_leaves_the_old_or_the_new_state(
    log: Log, tmp_path: Path
) -> None:
    taken = await grown(log, size=400, steps=3)
    lines = tmp_path / "log"
    lines.write_text(json.dumps([encode_delta(delta) for _, delta in log.deltas]))
    await log.cache.discard()
    await log.cache.replay(log.deltas[:1])
    start = tmp_path / "start.duckdb"
    shutil.copy(log.path, start)
    for delay in (0.001, 0.008, 0.016):
        await log.cache.discard()
        shutil.copy(start, log.path)
        with replaying(log.path, lines, "run") as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"all given\n"
            with suppress(subprocess.TimeoutExpired):
                other.wait(delay)
            other.kill()
        newest = await log.cache.latest()
        assert newest in (1, 3)
        assert await log.cache.as_of(newest) == taken[newest - 1]
        await log.cache.replay(log.deltas)
        assert await log.cache.as_of(N(3)) == taken[2]


async def test_a_flipped_bit_in_the_log_file_is_never_a_wrong_answer(log: Log) -> None:
    """A write that was killed after its commit leaves a log beside the file."""
    taken = await grown(log, steps=2)
    right = await answers(log.cache, taken)
    await log.cache.discard()
    await log.cache.replay(log.deltas[:1])
    old = await answers(log.cache, taken)
    script = (
        "import os, sys, duckdb; from pathlib import Path;"
        "from amxwatch.core.codec import decode_delta;"
        "from amxwatch.stores.snapshots import replaying;"
        "connection = duckdb.connect(sys.argv[1]); connection.begin();"
        "replaying.replay(connection, [(2, decode_delta(sys.stdin.read()))]);"
        "connection.commit(); os._exit(0)"
    )
    subprocess.run(
        [sys.executable, "-c", script, str(log.path)],
        input=encode_delta(log.deltas[1][1]).encode(),
        check=True,
        cwd=Path(__file__).resolve().parents[2],
    )
    wal = Path(f"{log.path}.wal")
    file, whole = log.path.read_bytes(), wal.read_bytes()
    assert len(whole) > 1000
    assert await answers(log.cache, taken) == right
    chance = random.Random(20261121)
    for place in [0, 8, len(whole) - 1, *(chance.randrange(len(whole)) for _ in range(12))]:
        log.wipe()
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        log.path.write_bytes(file)
        wal.write_bytes(damaged)
        # A log that was cut short is taken for a write that never came about.
        found = await answers(log.cache, taken)
        if found[0] == 1:
            assert found == old
        else:
            for answer, wanted in zip(found, right, strict=True):
                assert answer in (wanted, CacheBrokenError), place
        await log.cache.discard()
        assert not wal.exists()
