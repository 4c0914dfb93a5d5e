"""The catalog cache against a plain list of catalogs: patches, pruning, every number."""

from __future__ import annotations

import tempfile
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amxwatch.core.catalog import Catalog, ObjectRef, Schema, SnapshotNumber
from amxwatch.core.change import Delta, Moved, Patch
from amxwatch.core.codec import decode_delta, encode_delta
from amxwatch.core.errors import CacheBrokenError, NotFoundError
from amxwatch.stores.snapshots import SnapshotCache
from tests.contracts.test_snapshots import Log, catalog, plain_moved, plain_pairs, same, table
from tests.core.catalogs import catalogs, chains

pytestmark = pytest.mark.anyio

N = SnapshotNumber


def patch_between(old: Catalog, new: Catalog, more: st.DataObject) -> Patch:
    """Return a patch as a reader may give it: what moved, some that did not, names never heard."""
    before = {(t.schema, t.name): t for t in old.tables}
    after = {(t.schema, t.name): t for t in new.tables}
    named = more.draw(st.sets(st.sampled_from(sorted(after)))) if after else set()
    put = {name for name in after if before.get(name) != after[name]} | named
    unheard = {("zz", "never")} if more.draw(st.booleans()) else set()
    return Patch(
        reader=new.reader,
        source=new.source,
        schemas=new.schemas,
        put=tuple(after[name] for name in sorted(put)),
        gone=tuple(sorted((before.keys() - after.keys()) | unheard)),
    )


class Model:
    """The cache beside a list of all catalogs that were ever numbered."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = Log(folder / "one.duckdb")
        self.taken: list[Catalog] = []
        self.oldest = 1

    async def compare(self, now: Catalog, more: st.DataObject) -> tuple[Delta, Moved]:
        if not self.taken or more.draw(st.booleans()):
            return await self.log.cache.compare(now, ignore=())
        patch = patch_between(self.taken[-1], now, more)
        found = await self.log.cache.compare_patch(patch, ignore=())
        assert found == await self.log.cache.compare(now, ignore=())
        return found

    async def take(self, now: Catalog, more: st.DataObject) -> None:
        delta, moved = await self.compare(now, more)
        former = self.taken[-1] if self.taken else None
        assert plain_pairs(moved) == plain_moved(former, now)
        if former is not None and not delta:
            assert same(former, now)
            return
        self.taken.append(now)
        self.log.deltas.append((N(len(self.taken)), decode_delta(encode_delta(delta))))
        await self.log.cache.replay(self.log.deltas)

    async def prune(self, oldest: int) -> None:
        """Do as a ledger and its cache do: the oldest that stays becomes whole."""
        stood = await self.log.cache.as_of(N(oldest))
        whole = Delta(
            reader=stood.reader,
            source=stood.source,
            whole=True,
            put_schemas=stood.schemas,
            put_tables=stood.tables,
        )
        kept = [numbered for numbered in self.log.deltas if numbered[0] > oldest]
        self.log.deltas = [(N(oldest), decode_delta(encode_delta(whole))), *kept]
        await self.log.cache.forget(N(oldest))
        self.oldest = oldest

    async def check(self, cache: SnapshotCache) -> None:
        assert await cache.latest() == len(self.taken)
        for number in range(1, self.oldest):
            with pytest.raises(NotFoundError, match=f"was pruned: the oldest is {self.oldest}"):
                await cache.as_of(N(number))
        for end in range(self.oldest, len(self.taken) + 1):
            assert same(await cache.as_of(N(end)), self.taken[end - 1])
            start = max(end - 2, self.oldest)
            between = await cache.moved(N(start), N(end))
            assert plain_pairs(between) == plain_moved(self.taken[start - 1], self.taken[end - 1])


@given(chain=chains(size=4), more=st.data())
@settings(max_examples=5, deadline=None)
def test_the_cache_tells_what_a_list_of_catalogs_tells(
    chain: list[Catalog], more: st.DataObject
) -> None:
    async def play(folder: Path) -> None:
        model = Model(folder)
        for place, now in enumerate(chain):
            await model.take(now, more)
            if more.draw(st.integers(0, 2)) == 0:
                await model.prune(more.draw(st.integers(model.oldest, len(model.taken))))
                await model.check(model.log.cache)
            if place == len(chain) // 2:
                await model.check(model.log.cache)
        await model.check(model.log.cache)
        rebuilt = SnapshotCache(folder / "two.duckdb")
        await rebuilt.replay(model.log.deltas)
        await model.check(rebuilt)

    with tempfile.TemporaryDirectory() as folder:
        anyio.run(play, Path(folder))


@given(old=catalogs(), new=catalogs(), more=st.data())
@settings(max_examples=10, deadline=None)
def test_a_patch_is_compared_as_the_whole(old: Catalog, new: Catalog, more: st.DataObject) -> None:
    async def play(folder: Path) -> None:
        log = Log(folder / "one.duckdb")
        await log.take(old)
        found = await log.cache.compare_patch(patch_between(old, new, more), ignore=())
        assert found == await log.cache.compare(new, ignore=())

    with tempfile.TemporaryDirectory() as folder:
        anyio.run(play, Path(folder))


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "cache" / "prod.duckdb")


async def test_what_a_patch_does_not_name_stands(log: Log) -> None:
    users, orders = table("users"), table("orders")
    await log.take(catalog(users, orders))
    patch = Patch(reader="test/1", source="here", schemas=(Schema(name="app"),))
    assert await log.cache.compare_patch(patch, ignore=["b.*", "a.*"]) == (
        Delta(reader="test/1", source="here", ignore=("a.*", "b.*")),
        Moved(),
    )


async def test_a_cache_older_than_what_was_pruned_is_broken_and_not_kept(log: Log) -> None:
    users, orders = table("users"), table("orders")
    for now in (catalog(users), catalog(users, orders), catalog(orders)):
        await log.take(now)
    whole = Delta(
        reader="test/1",
        source="here",
        whole=True,
        put_schemas=(Schema(name="app"),),
        put_tables=(orders, users),
    )
    late = SnapshotCache(log.path.with_name("late.duckdb"))
    await late.replay(log.deltas[:1])
    compacted = [(N(2), whole), log.deltas[2]]
    with pytest.raises(CacheBrokenError, match="pruned"):
        await late.replay(compacted)
    assert await late.discard() is None
    await late.replay(compacted)
    assert await late.as_of(N(3)) == await log.cache.as_of(N(3))
    assert await late.history(users.ref) == [
        (2, Moved(tables=((None, users),))),
        (3, Moved(tables=((users, None),))),
    ]


async def test_forgetting_gives_room_back_and_keeps_the_names(log: Log) -> None:
    many = [table(f"t{i:03}", comment=f"{i} " * 400) for i in range(300)]
    for step in range(6):
        now = [table(t.name, comment=f"{step}{t.comment}") for t in many]
        await log.take(catalog(*now))
    before = await log.cache.size()
    await log.cache.forget(N(6))
    assert await log.cache.size() < before / 2
    assert {file.name for file in log.path.parent.iterdir()} == {
        "prod.duckdb",
        "prod.duckdb.lock",
    }
    assert log.path.stat().st_mode & 0o777 == 0o600
    # Numbers of names are not given twice, and what came later is told as before.
    await log.take(catalog(table("new"), *now))
    await log.take(catalog(table("new")))
    assert (await log.cache.as_of(N(8))).tables == (table("new"),)
    assert len((await log.cache.as_of(N(7))).tables) == 301
    assert [n for n, _ in await log.cache.history(ObjectRef(schema="app", table="t007"))] == [6, 8]


async def test_there_is_nothing_to_forget_in_an_empty_cache_or_twice(log: Log) -> None:
    await log.cache.forget(N(3))
    assert not log.path.exists()
    for now in (catalog(table("a")), catalog(table("b"))):
        await log.take(now)
    await log.cache.forget(N(2))
    written = log.path.stat().st_mtime_ns
    await log.cache.forget(N(2))
    await log.cache.forget(N(1))
    assert log.path.stat().st_mtime_ns == written


async def test_another_process_sees_what_was_written_since(log: Log) -> None:
    await log.take(catalog(table("a")))
    other = SnapshotCache(log.path)
    assert await other.latest() == 1
    await log.take(catalog(table("b")))
    assert await other.latest() == 2
    await log.cache.forget(N(2))
    with pytest.raises(NotFoundError, match="pruned"):
        await other.as_of(N(1))
