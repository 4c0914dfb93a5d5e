"""Pruning snapshots, bad caches and bad deltas: what is kept, what is told, what still works."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import anyio
import pytest

from amxwatch.core.catalog import Catalog, SnapshotNumber
from amxwatch.core.errors import DeltaDamagedError, NotFoundError, StoreError
from amxwatch.core.event import Event
from amxwatch.flows.pending import pending
from amxwatch.flows.prune import Pruned, prune
from amxwatch.stores.snapshots import SnapshotCache
from tests.flows.conftest import World, catalog, table

pytestmark = pytest.mark.anyio

N = SnapshotNumber
DAY = 86_400.0


async def grow(world: World, days: int) -> None:
    """Take a snapshot a day, each with a table more."""
    for day in range(1, days + 1):
        names = [f"t{number}" for number in range(1, day + 1)]
        world.database.catalog = catalog(*(table(name, "id") for name in names))
        await world.look()
        world.pass_time(DAY)


async def forget(world: World, days: float, *, dry_run: bool = False) -> Pruned:
    owners = {name: plan.db_profile for name, plan in world.plans.items()}
    return await prune(world.source, timedelta(days=days), owners=owners, dry_run=dry_run)


async def numbers(world: World) -> list[int]:
    return [r.number for r in await world.ledger.read(lambda tx: tx.snapshots.list("shop"))]


async def events(world: World, action: str) -> list[Event]:
    return [
        e for e in await world.ledger.read(lambda tx: tx.events.recent(1000)) if e.action == action
    ]


async def count(world: World, number: int) -> int:
    return len((await world.source.as_of(N(number))).tables)


def spoil_delta(world: World, tmp_path: Path, number: int) -> None:
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection, connection:
        connection.execute("UPDATE snapshot SET delta = x'00ff' WHERE number = ?", [number])


async def test_nothing_is_pruned_before_the_first_snapshot(world: World) -> None:
    found = await forget(world, 0)
    assert (found.kept_from, found.pruned, found.held_back_by) == (None, 0, ())


async def test_what_stood_at_the_age_stays_and_all_later_ones(world: World) -> None:
    await grow(world, 6)
    asked = await forget(world, 3.5, dry_run=True)
    assert (asked.kept_from, asked.pruned, asked.bytes_after) == (3, 2, asked.bytes_before)
    assert await numbers(world) == [1, 2, 3, 4, 5, 6]
    done = await forget(world, 3.5)
    assert (done.kept_from, done.pruned, done.held_back_by) == (3, 2, ())
    assert await numbers(world) == [3, 4, 5, 6]
    assert [await count(world, number) for number in (3, 4, 6)] == [3, 4, 6]
    with pytest.raises(NotFoundError, match="snapshot 2 was pruned: the oldest is 3"):
        await world.source.as_of(N(2))
    (told,) = await events(world, "snapshots_pruned")
    assert told.detail == {"kept_from": 3, "pruned": 2}
    # A cache that is lost is rebuilt from the compacted log, and numbers go on.
    await world.source.snapshots.discard()
    assert [await count(world, number) for number in (3, 4, 6)] == [3, 4, 6]
    assert [c.ref.table for c in await world.source.changes(N(3), N(5))] == ["t4", "t5"]
    world.database.catalog = catalog(table("t1", "id"))
    assert (await world.look()).snapshot == 7


async def test_the_newest_always_stays(world: World) -> None:
    await grow(world, 3)
    done = await forget(world, 0)
    assert (done.kept_from, await numbers(world)) == (3, [3])
    again = await forget(world, 0)
    assert (again.kept_from, again.pruned) == (3, 0)
    assert len(await events(world, "snapshots_pruned")) == 1


async def test_a_watermark_holds_back_and_is_named(world: World) -> None:
    plan = world.on_change(cap=1000)
    await grow(world, 2)
    await world.turn(plan)
    await grow(world, 5)
    done = await forget(world, 0)
    (hold,) = done.held_back_by
    assert (hold.kind, hold.name, hold.snapshot) == ("schedule", "watch", done.kept_from)
    assert (await numbers(world))[0] == done.kept_from
    # The schedule goes on from there.
    assert await world.source.changes(done.kept_from, N((await numbers(world))[-1]))


async def test_a_schedule_of_another_profile_holds_nothing_back(world: World) -> None:
    plan = world.on_change(cap=1000)
    await grow(world, 1)
    await world.turn(plan)
    await grow(world, 4)
    found = await prune(world.source, timedelta(0), owners={"watch": "other"})
    assert found.held_back_by == ()


async def test_a_schedule_that_left_the_config_is_passed_and_comes_back(world: World) -> None:
    plan = world.on_change(cap=1000)
    await grow(world, 1)
    await world.turn(plan)
    await grow(world, 4)
    done = await prune(world.source, timedelta(0), owners={})
    assert done.held_back_by == ()
    (passed,) = done.passed
    assert (passed.kind, passed.name) == ("schedule", "watch")
    assert done.kept_from is not None
    assert passed.snapshot < done.kept_from == (await numbers(world))[-1]
    # It goes on from the oldest that is left: what came before is not told, what comes is.
    world.database.catalog = catalog(table("late", "id"))
    await world.look()
    state = await world.ledger.read(lambda tx: tx.schedules.get("watch"))
    assert state is not None
    newest = N((await numbers(world))[-1])
    found = await pending(world.source, state, scope="all", kinds=None, end=newest)
    assert found.start == done.kept_from
    assert [change.ref.table for change in found.changes] == ["late"]


async def test_an_open_run_holds_back_where_it_starts(world: World) -> None:
    plan = world.on_change()
    await grow(world, 1)
    await world.turn(plan)
    await grow(world, 3)
    await world.turn(plan)
    (run,) = await world.runs()
    assert (run.from_snapshot, run.is_open) == (1, True)
    await world.ledger.write(lambda tx: tx.schedules.drop("watch"))
    done = await forget(world, 0)
    assert [(hold.kind, hold.name, hold.snapshot) for hold in done.held_back_by] == [
        ("run", run.id, 1)
    ]
    assert (done.kept_from, done.pruned) == (1, 0)


async def test_a_pending_draft_holds_back_what_it_was_made_from(world: World) -> None:
    plan = world.on_change(trigger={"initial_run": True})
    await grow(world, 1)
    await world.turn(plan)
    await world.execute()
    drafts = [str(draft.id) for draft in await world.drafts()]
    await world.ledger.write(lambda tx: tx.schedules.drop("watch"))
    await grow(world, 4)
    done = await forget(world, 0)
    (hold,) = done.held_back_by
    assert hold.kind == "draft"
    assert hold.name in drafts
    assert (done.kept_from, hold.snapshot) == (1, 1)


async def test_a_kill_between_ledger_and_cache_is_mended_at_the_next_look(
    world: World, tmp_path: Path
) -> None:
    await grow(world, 4)
    cache = world.source.snapshots
    assert isinstance(cache, SnapshotCache)
    other = SnapshotCache(tmp_path / "other.duckdb")
    await replace(world.source, snapshots=other).catch_up()
    assert await other.latest() == 4
    await forget(world, 0)
    # This cache never heard of it: it still holds what is pruned.
    assert len((await other.as_of(N(2))).tables) == 2
    late = replace(world.source, snapshots=other)
    with pytest.raises(NotFoundError, match="pruned: the oldest is 4"):
        await late.as_of(N(2))
    assert len((await late.as_of(N(4))).tables) == 4


async def test_a_cache_from_before_the_base_is_rebuilt(world: World, tmp_path: Path) -> None:
    await grow(world, 2)
    other = SnapshotCache(tmp_path / "other.duckdb")
    late = replace(world.source, snapshots=other)
    await late.catch_up()
    await grow(world, 5)
    await forget(world, 0)
    assert len((await late.as_of(N((await numbers(world))[-1]))).tables) == 5
    told = (await events(world, "cache_rebuilt"))[-1]
    assert "pruned" in str(told.detail["reason"])
    assert "kept" not in told.detail


async def test_two_prunes_and_looks_at_once(world: World) -> None:
    await grow(world, 6)
    world.database.catalog = catalog(table("last", "id"))
    async with anyio.create_task_group() as group:
        group.start_soon(forget, world, 2.5)
        group.start_soon(world.look)
        group.start_soon(forget, world, 0.5)
    assert (await numbers(world))[-1] == 7
    assert await count(world, 7) == 1
    assert [await count(world, n) for n in await numbers(world)]


class Overtaken(SnapshotCache):
    """A cache at whose first reading another prune has just gone further."""

    def __init__(self, path: Path, meanwhile: Callable[[], Awaitable[object]]) -> None:
        super().__init__(path)
        self._meanwhile: Callable[[], Awaitable[object]] | None = meanwhile

    async def as_of(self, number: SnapshotNumber) -> Catalog:
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        return await super().as_of(number)


async def test_a_prune_that_is_overtaken_plans_anew(world: World, tmp_path: Path) -> None:
    await grow(world, 6)
    overtaken = Overtaken(tmp_path / "shop.duckdb", lambda: forget(world, 0.5))
    done = await prune(replace(world.source, snapshots=overtaken), timedelta(days=2.5), owners={})
    assert (done.kept_from, done.pruned) == (6, 0)
    assert await numbers(world) == [6]
    assert len(await events(world, "snapshots_pruned")) == 1


async def test_a_foreign_file_is_moved_aside_said_and_rebuilt(world: World, tmp_path: Path) -> None:
    await grow(world, 3)
    (tmp_path / "shop.duckdb").write_text("dear diary\n" * 500)
    assert [await count(world, number) for number in (1, 2, 3)] == [1, 2, 3]
    (told,) = await events(world, "cache_rebuilt")
    assert told.detail["kept"] == str(tmp_path / "shop.duckdb.bad-1")
    assert (tmp_path / "shop.duckdb.bad-1").read_text().startswith("dear diary")


async def test_damage_deep_in_the_file_is_mended_at_the_question(
    world: World, tmp_path: Path
) -> None:
    import duckdb

    await grow(world, 3)
    with duckdb.connect(tmp_path / "shop.duckdb") as connection:
        connection.execute("UPDATE tbl SET body = body || 'x'::BLOB WHERE tid = 2")
    assert await world.source.catch_up() == 3
    assert await count(world, 3) == 3
    assert len(await events(world, "cache_rebuilt")) == 1


async def test_a_damaged_delta_leaves_what_comes_before_it(world: World, tmp_path: Path) -> None:
    await grow(world, 4)
    spoil_delta(world, tmp_path, 3)
    # The cache is whole: nothing is asked of the ledger.
    assert await count(world, 4) == 4
    await world.source.snapshots.discard()
    with pytest.raises(DeltaDamagedError, match="snapshot 3 of shop is damaged") as caught:
        await world.source.catalog()
    assert "up to 2 can still be read" in str(caught.value)
    assert [await count(world, number) for number in (1, 2)] == [1, 2]
    assert [c.ref.table for c in await world.source.changes(N(1), N(2))] == ["t2"]
    with pytest.raises(StoreError, match="snapshot 3"):
        await world.look()


async def test_a_damaged_delta_can_be_pruned_away_while_the_cache_is_whole(
    world: World, tmp_path: Path
) -> None:
    await grow(world, 4)
    spoil_delta(world, tmp_path, 2)
    await forget(world, 1.5)
    await world.source.snapshots.discard()
    assert [await count(world, number) for number in await numbers(world)] == [3, 4]
