"""Reads a dbt target folder as a catalog, and tells what moved since the last time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import anyio
import anyio.to_thread

from amxwatch.core.catalog import Catalog, SourceProblem, Table
from amxwatch.core.change import Patch
from amxwatch.databases.dbt.artifacts import (
    KNOWN_VERSIONS,
    CatalogTable,
    Manifest,
    WarehouseCatalog,
    parse,
)
from amxwatch.databases.dbt.assembly import Assembly
from amxwatch.databases.dbt.files import CATALOG, MANIFEST, TargetFolder
from amxwatch.databases.dbt.keys import Relation

T = TypeVar("T")
READER = "dbt/1"


class DbtReader:
    """Implements `ports.database.Reader` and `ports.partial.PartialReader`.

    A file that is cut, or no manifest at all, is an outage: the last snapshot stays. What only
    the warehouse's catalog.json can tell stays as it said last when that file is gone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files = TargetFolder(folder)
        self._limiter = anyio.CapacityLimiter(1)
        self._digests: tuple[str, str] | None = None
        self._warehouse: dict[str, CatalogTable] = {}
        self._told: Catalog | None = None
        """What the last call that returned gave away."""
        self._before: dict[Relation, Table] = {}
        self._last: tuple[Catalog, Assembly] | None = None

    def remember(self, catalog: Catalog) -> None:
        """Take the newest stored catalog, before the first read of this process."""
        self._before = {(table.schema, table.name): table for table in catalog.tables}

    async def gate(self) -> str:
        """Return a hash of the content of both files, read only where their stamps moved."""
        return await self.run(lambda: _token(self._files.digests()))

    async def read(self) -> Catalog:
        catalog, _ = await self.read_assembled()
        self._told = catalog
        return catalog

    async def read_moved(self) -> Patch | None:
        told, self._told = self._told, None
        if told is None:
            return None
        catalog, _ = await self.read_assembled()
        self._told = catalog
        return _patch(told, catalog)

    async def read_assembled(self) -> tuple[Catalog, Assembly]:
        """Return the catalog, and the nodes that it comes from."""
        return await self.run(self._read)

    async def run(self, work: Callable[[], T]) -> T:
        """Run file work in a thread, one call at a time."""
        return await anyio.to_thread.run_sync(work, limiter=self._limiter)

    def _read(self) -> tuple[Catalog, Assembly]:
        if self._last is not None and self._files.digests() == self._digests:
            return self._last
        first, second = self._files.read(MANIFEST), self._files.read(CATALOG)
        manifest = parse(Manifest, first.data, self._folder / MANIFEST)
        problems = [*self._odd_version(manifest), *self._lost_catalog(bool(second.digest))]
        if second.digest:
            path = self._folder / CATALOG
            self._warehouse = parse(WarehouseCatalog, second.data, path).tables()
        assembly = Assembly(manifest, self._warehouse, self._before)
        catalog = Catalog(
            reader=READER,
            source=f"dbt:{self._folder}",
            schemas=assembly.schemas(),
            tables=assembly.tables(),
            problems=tuple(problems),
        )
        self.remember(catalog)
        self._last = catalog, assembly
        self._digests = first.digest, second.digest
        return self._last

    def _odd_version(self, manifest: Manifest) -> list[SourceProblem]:
        version = manifest.metadata.version
        if version in KNOWN_VERSIONS:
            return []
        message = (
            f"manifest version {version} is newer than this amxwatch knows; it was read like "
            "v12: check the result, and upgrade amxwatch"
        )
        return [SourceProblem(file=str(self._folder / MANIFEST), message=message)]

    def _lost_catalog(self, present: bool) -> list[SourceProblem]:
        if present or not self._warehouse:
            return []
        message = "it is gone; what it said last still counts: run `dbt docs generate`"
        return [SourceProblem(file=str(self._folder / CATALOG), message=message)]


def _token(digests: tuple[str, str]) -> str:
    return hashlib.blake2b("|".join(digests).encode(), digest_size=16).hexdigest()


def _patch(before: Catalog, now: Catalog) -> Patch:
    old = {(table.schema, table.name): table for table in before.tables}
    new = {(table.schema, table.name): table for table in now.tables}
    return Patch(
        reader=now.reader,
        source=now.source,
        schemas=now.schemas,
        put=tuple(table for place, table in new.items() if old.get(place) != table),
        gone=tuple(place for place in old if place not in new),
        problems=now.problems,
    )
