"""What is used of dbt's manifest.json and catalog.json; whatever else they hold is passed over.

See: docs.getdbt.com/reference/artifacts/manifest-json. Versions differ in names (`raw_sql` became
`raw_code`), and some writers put null where others put nothing: everything may be absent.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from amxwatch.core.errors import DatabaseUnavailableError

KNOWN_VERSIONS = frozenset({*range(1, 13), 20})
"""Of manifest.json: dbt 0.19 to 1.11, and 20 of dbt 2 (Fusion), which reads like 12."""

_VERSION = re.compile(r"/(manifest|catalog)/v(\d+)")

Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
Names = Annotated[list[str], BeforeValidator(lambda value: value or [])]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class Metadata(_Part):
    """The head of either file."""

    dbt_schema_version: Text = ""
    adapter_type: Text = ""
    project_name: Text = ""

    @property
    def version(self) -> int:
        """The schema's version, or 0 where there is none."""
        found = _VERSION.search(self.dbt_schema_version)
        return int(found[2]) if found else 0


class Constraint(_Part):
    """A constraint of a model (with `columns`) or of one of its columns."""

    type: Text = ""
    columns: Names = []
    to: Text = ""
    to_columns: Names = []
    expression: Text = ""


class DeclaredColumn(_Part):
    """A column as a properties file names it."""

    name: Text = ""
    description: Text = ""
    data_type: Text = ""
    constraints: Annotated[list[Constraint], BeforeValidator(lambda value: value or [])] = []


class NodeConfig(_Part):
    """How a node is built; of a test, on which rows it looks."""

    materialized: Text = ""
    where: Text = ""


class DependsOn(_Part):
    """Ids of what a node reads."""

    nodes: Names = []


class TestMetadata(_Part):
    """A generic test: its name and what it was given."""

    __test__ = False

    name: Text = ""
    namespace: Text = ""
    given: Annotated[dict[str, Any], BeforeValidator(lambda value: value or {})] = Field(
        default={}, validation_alias="kwargs"
    )


class Node(_Part):
    """A model, seed, snapshot, source or test."""

    resource_type: Text = ""
    database: Text = ""
    schema_name: Text = Field(default="", alias="schema")
    name: Text = ""
    alias: Text = ""
    identifier: Text = ""
    relation_name: Text = ""
    source_name: Text = ""
    source_description: Text = ""
    description: Text = ""
    columns: Annotated[dict[str, DeclaredColumn], BeforeValidator(lambda value: value or {})] = {}
    constraints: Annotated[list[Constraint], BeforeValidator(lambda value: value or [])] = []
    config: Annotated[NodeConfig, BeforeValidator(lambda value: value or {})] = NodeConfig()
    depends_on: Annotated[DependsOn, BeforeValidator(lambda value: value or {})] = DependsOn()
    compiled: Text = Field("", validation_alias=AliasChoices("compiled_code", "compiled_sql"))
    raw: Text = Field("", validation_alias=AliasChoices("raw_code", "raw_sql"))
    attached_node: Text = ""
    column_name: Text = ""
    test_metadata: TestMetadata | None = None
    version: str | int | float | None = None

    @property
    def table(self) -> str:
        return self.identifier or self.alias or self.name


Nodes = Annotated[dict[str, Node], BeforeValidator(lambda value: value or {})]


class Manifest(_Part):
    """target/manifest.json."""

    metadata: Metadata
    nodes: Nodes
    sources: Nodes = {}


class CatalogColumn(_Part):
    """A column as the warehouse has it."""

    name: Text = ""
    type: Text = ""
    index: int = 0


class CatalogTable(_Part):
    """A relation as the warehouse has it, by the id of its node."""

    columns: Annotated[dict[str, CatalogColumn], BeforeValidator(lambda value: value or {})] = {}
    stats: Annotated[dict[str, Any], BeforeValidator(lambda value: value or {})] = {}


CatalogTables = Annotated[dict[str, CatalogTable], BeforeValidator(lambda value: value or {})]


class WarehouseCatalog(_Part):
    """target/catalog.json."""

    metadata: Metadata
    nodes: CatalogTables
    sources: CatalogTables = {}

    def tables(self) -> dict[str, CatalogTable]:
        """Return all entries by node id."""
        return {**self.sources, **self.nodes}


Document = TypeVar("Document", Manifest, WarehouseCatalog)


def parse(kind: type[Document], data: bytes, path: Path) -> Document:
    """Read one file. Raises: DatabaseUnavailableError, saying what makes it anew."""
    command = "dbt parse" if kind is Manifest else "dbt docs generate"
    try:
        document = kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        if first["type"] == "json_invalid":
            raise DatabaseUnavailableError(
                f"{path} is cut short or no JSON; let dbt finish, or run `{command}` again"
            ) from None
        where = ".".join(str(part) for part in first["loc"])
        raise DatabaseUnavailableError(
            f"{path} is of a form that this amxwatch does not know ({where}: {first['msg']}); "
            f"run `{command}` with a dbt that writes manifest v12, or upgrade amxwatch"
        ) from None
    if not document.metadata.version:
        raise DatabaseUnavailableError(
            f"{path} was not written by dbt (no dbt_schema_version); run `{command}`"
        )
    return document
