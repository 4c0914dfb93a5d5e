"""One spelling for each type and default, whatever the version of the server prints."""

from __future__ import annotations

import re

from amxwatch.databases.mysql.product import Product

WIDTHS = {
    "tinyint": (4, 3),
    "smallint": (6, 5),
    "mediumint": (9, 8),
    "int": (11, 10),
    "bigint": (20, 20),
    "year": (4, 4),
}
"""The display widths that a server adds by itself: signed, unsigned. They say nothing."""

WIDE = re.compile(r"(tinyint|smallint|mediumint|int|bigint|year)\((\d+)\)(.*)", re.DOTALL)
DECORATION = re.compile(r"\s*/\*!?M?!?\d*.*?\*/", re.DOTALL)
NOW = re.compile(
    r"\b(?:current_timestamp|now|localtimestamp|localtime)(?:\((\d*)\))?", re.IGNORECASE
)

SPATIAL = frozenset(
    {"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring"}
    | {"multipolygon", "geometrycollection", "geomcollection"}
)


def spelled_type(
    product: Product, declared: str, *, collation: str | None, reference_system: int | None = None
) -> str:
    """Return a column's type with what belongs to it.

    The collation is a part of it, except for the product's customary one; the reference system
    of a spatial column too. A display width that the server adds by itself is left out.
    """
    text = _without_width(declared)
    if not text.startswith(("enum(", "set(")):
        text = DECORATION.sub("", text)  # COMPRESSED: how it is stored, not what it is
    if collation is not None and collation != product.customary:
        text += f" collate {collation}"
    if reference_system is not None:
        text += f" srid {reference_system}"
    return text


def _without_width(declared: str) -> str:
    found = WIDE.fullmatch(declared)
    if found is None or "zerofill" in found[3]:
        return declared
    signed, unsigned = WIDTHS[found[1]]
    usual = unsigned if "unsigned" in found[3] else signed
    return found[1] + found[3] if int(found[2]) == usual else declared


def spelled_default(
    product: Product, *, declared: str, text: str | None, extra: str, expression: str | None
) -> str | None:
    """Return everything that fills a column by itself, as one text, or None."""
    if expression:
        if expression in {"ROW START", "ROW END"}:
            return f"GENERATED ALWAYS AS {expression}"
        kind = "VIRTUAL" if "VIRTUAL" in extra.upper() else "STORED"
        return f"GENERATED ALWAYS AS ({product.expression(expression)}) {kind}"
    if "auto_increment" in extra.lower():
        return "AUTO_INCREMENT"
    parts = []
    default = product.default(text, declared=declared, extra=extra)
    if default is not None:
        parts.append(_canonical_now(default))
    _, on_update, moment = extra.partition("on update ")
    if on_update:
        parts.append(f"ON UPDATE {_canonical_now(moment.split()[0])}")
    return " ".join(parts) or None


def _canonical_now(text: str) -> str:
    found = NOW.fullmatch(text)
    if found is None:
        return text
    return (
        f"CURRENT_TIMESTAMP({found[1]})" if found[1] not in (None, "", "0") else "CURRENT_TIMESTAMP"
    )
