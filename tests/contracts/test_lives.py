"""The lives that the catalog cache tells: every version of what moved, and nothing else."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from hypothesis import given, settings

from amxwatch.core.catalog import Catalog, SnapshotNumber
from amxwatch.core.life import Lives
from tests.contracts.test_snapshots import Log, catalog, table, with_type
from tests.core.catalogs import chains, exact

pytestmark = pytest.mark.anyio

N = SnapshotNumber


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "cache" / "prod.duckdb")


def standing(lives: Lives, name: tuple[str, str], number: int) -> object:
    """Return what the lives say stood under a name at a snapshot."""
    known = [each for each in lives.versions[name] if each.since <= number]
    table = known[-1].table if known else None
    return table and exact(table)


async def test_an_empty_cache_has_no_lives(log: Log) -> None:
    assert await log.cache.lives() == Lives()


async def test_what_stands_as_it_came_is_left_out(log: Log) -> None:
    users, orders = table("users"), table("orders")
    await log.take(catalog(users, orders))
    await log.take(catalog(users, with_type(orders, "c2", "text")))
    await log.take(catalog(users, with_type(orders, "c2", "text"), table("later")))
    lives = await log.cache.lives()
    assert set(lives.versions) == {("app", "orders")}
    first, second = lives.versions["app", "orders"]
    assert (first.since, second.since) == (1, 2)
    assert second.table == with_type(orders, "c2", "text")


async def test_what_came_as_another_went_may_be_it_renamed(log: Log) -> None:
    await log.take(catalog(table("users"), table("still")))
    await log.take(catalog(table("people"), table("still")))
    await log.take(catalog(table("people"), table("users"), table("still")))
    lives = await log.cache.lives()
    assert set(lives.versions) == {("app", "people"), ("app", "users")}
    versions = lives.versions["app", "users"]
    assert [(v.since, v.table is None) for v in versions] == [(1, False), (2, True), (3, False)]


async def test_baselines_are_named(log: Log) -> None:
    users = table("users")
    await log.take(catalog(users))
    await log.take(catalog(with_type(users, "c1", "int8"), reader="test/2"))
    lives = await log.cache.lives()
    assert lives.baselines == {N(2)}
    assert [v.since for v in lives.versions["app", "users"]] == [1, 2]
    assert lives.until(N(1)).baselines == frozenset()
    assert [v.since for v in lives.until(N(1)).versions["app", "users"]] == [1]


@settings(max_examples=25, deadline=None)
@given(chains(size=4))
def test_lives_tell_each_name_at_each_snapshot(chain: list[Catalog]) -> None:
    async def told() -> tuple[Lives, list[Catalog]]:
        with tempfile.TemporaryDirectory() as folder:
            log = Log(Path(folder) / "prod.duckdb")
            taken = []
            for now in chain:
                number, _, _ = await log.take(replace(now, schemas=()))
                if number is not None:
                    taken.append(now)
            return await log.cache.lives(), taken

    lives, taken = anyio.run(told)
    names = {(t.schema, t.name) for each in taken for t in each.tables}
    for name in names:
        stood = [each.table(*name) for each in taken]
        plain = [found and exact(found) for found in stood]
        if name in lives.versions:
            assert [standing(lives, name, n) for n in range(1, len(taken) + 1)] == plain
        else:
            since = next(at for at, found in enumerate(plain) if found is not None)
            assert all(found == plain[since] for found in plain[since:])
