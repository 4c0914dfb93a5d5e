"""Named SQL: a file of queries, each under a line `-- name: NAME` and its description."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

MARK = "-- name:"


@cache
def load_queries(package: str, file: str) -> dict[str, str]:
    """Return the queries of one file by name, in the file's order, descriptions included."""
    text = files(package).joinpath(file).read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for part in text.split(MARK)[1:]:
        name, _, query = part.partition("\n")
        found[name.strip()] = query.strip().removesuffix(";")
    return found
