"""What the rules work with: facts read safely, phrases put together."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import inflect

from amxwatch.core.evidence import Basis
from amxwatch.core.lexicon import IRREGULAR, UNCHANGED
from amxwatch.core.naming import read_name, singular

_ONE = {one: many for many, one in IRREGULAR.items()}

LAYERS = frozenset(
    {"staging", "dimension", "fact", "table", "master", "data", "reference", "view", "temporary"}
)
"""Words of a table's name that say what kind of table it is, and not what is in it."""


@dataclass(frozen=True, kw_only=True)
class Composed:
    """Sentences that the rules made, best first, and what they rest on."""

    alternatives: tuple[str, ...]
    basis: Basis
    unsure: bool = False


@functools.cache
def _english() -> inflect.engine:
    return inflect.engine()


def plural(phrase: str) -> str:
    """Return the plural of a phrase, by its last word."""
    head, _, last = phrase.rpartition(" ")
    if singular(last) != last or last in UNCHANGED or last in IRREGULAR.values():
        return phrase if last not in _ONE else f"{head} {_ONE[last]}".strip()
    many = str(_english().plural_noun(last) or last)
    return f"{head} {many}".strip()


def with_article(phrase: str) -> str:
    """Put a or an before a phrase."""
    return str(_english().a(phrase)) if phrase else phrase


def entity(table_name: str) -> str:
    """Return what one row of a table is: `stg_cust_orders` holds a customer order each."""
    words = [word for word in read_name(table_name).words if word not in LAYERS]
    words = words or list(read_name(table_name).words) or [table_name]
    return " ".join([*words[:-1], singular(words[-1])])


def owned(phrase: str) -> str:
    """Return the possessive: the order's, the news'."""
    return f"{phrase}'" if phrase.endswith("s") else f"{phrase}'s"


def listed(parts: Sequence[str], last: str = "and") -> str:
    """Join as people do: a, b and c."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def sentence(text: str) -> str:
    """Write the first letter large and end with a full stop."""
    text = " ".join(text.split())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "?", "!")) else ".")


def text_of(facts: Mapping[str, object], name: str) -> str:
    """Return a fact that is text, or the empty string."""
    value = facts.get(name)
    return value if isinstance(value, str) else ""


def list_of(facts: Mapping[str, object], name: str) -> list[str]:
    """Return a fact that is a list of texts, or an empty list."""
    value = facts.get(name)
    return [each for each in value if isinstance(each, str)] if isinstance(value, list) else []


def mapping_of(facts: Mapping[str, object], name: str) -> Mapping[str, object]:
    """Return a fact that holds facts, or none."""
    value = facts.get(name)
    return value if isinstance(value, dict) else {}
