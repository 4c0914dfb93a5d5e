"""A dbt project, read from what dbt writes: target/manifest.json and catalog.json.

Lives here: the parts of the two files that are used (`artifacts`), their stamps (`files`), and
what becomes of them: SQL (`code`), keys (`keys`), the catalog (`assembly`). What must not: running
dbt, and writing into the project. A new manifest version is added to `artifacts.KNOWN_VERSIONS`
with what it renamed, and a case in `tests/contracts/test_dbt.py`.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from amxwatch.core.catalog import Catalog, Table
from amxwatch.core.sample import Sample, Tally, Wanted
from amxwatch.databases import ConnectOptions, dbt_target
from amxwatch.databases.dbt.files import MANIFEST
from amxwatch.databases.dbt.properties import DbtCommenter
from amxwatch.databases.dbt.reader import DbtReader
from amxwatch.ports.database import Capabilities

DIALECTS = {
    "postgres": "postgres", "redshift": "redshift", "snowflake": "snowflake",
    "bigquery": "bigquery", "databricks": "databricks", "spark": "spark", "duckdb": "duckdb",
    "trino": "trino", "starburst": "trino", "athena": "athena", "clickhouse": "clickhouse",
    "sqlite": "sqlite", "mysql": "mysql", "mariadb": "mysql", "sqlserver": "tsql",
    "synapse": "tsql", "fabric": "fabric", "oracle": "oracle", "teradata": "teradata",
    "dremio": "dremio", "exasol": "exasol", "starrocks": "starrocks", "doris": "doris",
    "materialize": "materialize", "risingwave": "risingwave", "hive": "hive", "impala": "hive",
}  # fmt: skip
"""dbt's adapter -> sqlglot's dialect. Others have none, and SQL is compared as text."""

HEAD_BYTES = 4096
"""The manifest's metadata stand at its beginning."""

_ADAPTER = re.compile(rb'"adapter_type"\s*:\s*"(\w+)"')


class DbtProject:
    """Implements `ports.database.Database`. Use `open_dbt`."""

    hints = None

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._dialect = ""
        self.reader = DbtReader(folder)
        self.sampler = NoRows(self.reader)
        self.commenter = DbtCommenter(self.reader)

    @property
    def capabilities(self) -> Capabilities:
        """What a project can hold. Its dialect stands in the head of the manifest."""
        if not self._dialect:
            self._dialect = _dialect(self._folder / MANIFEST)
        return Capabilities(
            product="dbt project", dialect=self._dialect, comments=frozenset(), sampling=False
        )

    def remember(self, catalog: Catalog) -> None:
        """Take the newest stored catalog, before the first read of this process.

        A model that dbt did not compile this time keeps the SQL that it has there.
        """
        self.reader.remember(catalog)

    async def aclose(self) -> None:
        """Nothing is open between calls."""


class NoRows:
    """Implements `ports.database.Sampler` for a source without rows."""

    def __init__(self, reader: DbtReader) -> None:
        self._reader = reader

    async def sample(self, table: Table, *, rows: int, full: bool) -> Sample:
        await self._reader.gate()  # says when the files are gone, as the port promises
        return Sample(columns=tuple(column.name for column in table.columns), rows=())

    async def tally(self, table: Table, wanted: Wanted) -> Tally:
        await self._reader.gate()
        return Tally()


def open_dbt(url: str, *, relative_to: Path, options: ConnectOptions | None = None) -> DbtProject:
    """Open `dbt:///PROJECT` or `dbt:///PROJECT?target=DIR`. Raises: UsageError.

    The files need not exist yet.
    """
    return DbtProject(dbt_target(url, relative_to=relative_to))


def _dialect(manifest: Path) -> str:
    with suppress(OSError), manifest.open("rb") as file:
        found = _ADAPTER.search(os.read(file.fileno(), HEAD_BYTES))
        return DIALECTS.get(found[1].decode(), "") if found else ""
    return ""
