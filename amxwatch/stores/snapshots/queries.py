"""The named queries of the `.sql` files beside this one.

Each begins with `-- name: NAME`, says in comments what it answers, and ends with a semicolon.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

_MARK = "-- name: "


@cache
def queries(file: str) -> dict[str, str]:
    """Return the queries of one file (named without its suffix) by name, in the file's order."""
    source = resources.files(__package__).joinpath(f"{file}.sql")
    text = source.read_text(encoding="utf-8")
    pieces = text.split(_MARK)[1:]
    named = (piece.partition("\n") for piece in pieces)
    return {name.strip(): body.strip() for name, _, body in named}
