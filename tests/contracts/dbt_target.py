"""Writes the target folder of a dbt project whose models are what stands in a DuckDB database."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import duckdb

from amxwatch.databases.views import select_of

COLUMNS = """
SELECT schema_name, table_name, column_name, data_type, column_index FROM duckdb_columns()
WHERE NOT internal ORDER BY ALL
"""
CONSTRAINTS = """
SELECT schema_name, table_name, constraint_type, constraint_column_names, referenced_table,
  referenced_column_names
FROM duckdb_constraints()
"""
VIEWS = "SELECT schema_name, view_name, sql FROM duckdb_views() WHERE NOT internal"

Documents = tuple[dict[str, Any], dict[str, Any]]


def write_target(folder: Path, connection: duckdb.DuckDBPyConnection) -> None:
    """Write manifest.json and catalog.json in the form of dbt 1.10."""
    manifest, catalog = documents(connection)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    (folder / "catalog.json").write_text(json.dumps(catalog), encoding="utf-8")


def documents(connection: duckdb.DuckDBPyConnection) -> Documents:
    """Return both documents: a model for each table and view."""
    views = {(schema, name): sql for schema, name, sql in connection.execute(VIEWS).fetchall()}
    constraints: dict[tuple[str, str], list[tuple[Any, ...]]] = defaultdict(list)
    for schema, table, *rest in connection.execute(CONSTRAINTS).fetchall():
        constraints[schema, table].append(tuple(rest))
    nodes: dict[str, Any] = {}
    entries: dict[str, Any] = {}
    for schema, table, column, kind, index in connection.execute(COLUMNS).fetchall():
        node_id = f"model.shop.{schema}.{table}"
        if node_id not in nodes:
            nodes[node_id] = _node(schema, table, views.get((schema, table)))
            for constraint in constraints[schema, table]:
                _constrain(nodes[node_id], schema, *constraint)
            entries[node_id] = {"unique_id": node_id, "columns": {}, "stats": {}}
        entries[node_id]["columns"][column] = {"name": column, "type": kind, "index": index}
    base = "https://schemas.getdbt.com/dbt"
    manifest = {
        "metadata": {"dbt_schema_version": f"{base}/manifest/v12.json", "adapter_type": "duckdb"},
        "nodes": nodes,
        "sources": {},
    }
    version = {"dbt_schema_version": f"{base}/catalog/v1.json"}
    return manifest, {"metadata": version, "nodes": entries, "sources": {}, "errors": None}


def _node(schema: str, table: str, view: str | None) -> dict[str, Any]:
    return {
        "resource_type": "model",
        "database": "shop",
        "schema": schema,
        "name": table,
        "alias": table,
        "relation_name": f'"shop"."{schema}"."{table}"',
        "config": {"materialized": "table" if view is None else "view"},
        "columns": {},
        "constraints": [],
        "depends_on": {"macros": [], "nodes": []},
        "raw_code": select_of(view) if view else "",
        "compiled_code": select_of(view) if view else None,
    }


def _constrain(
    node: dict[str, Any],
    schema: str,
    kind: str,
    columns: list[str],
    other: str | None,
    others: list[str],
) -> None:
    constraint: dict[str, Any] = {"type": kind.lower().replace(" ", "_"), "columns": columns}
    if other:
        constraint |= {"to": f'"shop"."{schema}"."{other}"', "to_columns": others}
    node["constraints"].append(constraint)
