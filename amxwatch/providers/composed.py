"""What the rules work with: facts read safely, phrases put together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

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


def plural(phrase: str) -> str:
    """Return the plural of a phrase, by its last word; what is plural stays."""
    head, _, last = phrase.rpartition(" ")
    if last in _ONE:
        many = _ONE[last]
    elif singular(last) != last or last in UNCHANGED or last in IRREGULAR:
        many = last
    elif last.endswith("y") and last[-2:-1] not in tuple("aeiou"):
        many = f"{last[:-1]}ies"
    else:
        many = last + ("es" if last.endswith(("s", "x", "z", "ch", "sh")) else "s")
    return f"{head} {many}".strip()


def with_article(phrase: str) -> str:
    """Put a or an before a phrase, by how it is spoken."""
    first = phrase.partition(" ")[0]
    if first.isupper() and len(first) > 1 and not set(first[1:]) & set("AEIOU"):
        # Spelled out letter by letter: an FX rate, a URL.
        vowel = first[0] in "AEFHILMNORSX"
    else:
        vowel = first.casefold().startswith((*"aeiou", "hour", "hono", "heir"))
        vowel = vowel and not _SPOKEN_AS_YOU.match(first)
    return f"{'an' if vowel else 'a'} {phrase}"


_SPOKEN_AS_YOU = re.compile(r"u(?:ni(?!n)|s[aeu]|til|r[ai])|eu|one\b", re.IGNORECASE)


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


def literal(default: str) -> str | None:
    """Return a default that is a plain value, without its quotes and cast; else None."""
    bare = re.sub(r"::[\w\s\"().,]+$", "", default.strip()).strip("()")
    if re.fullmatch(r"'[^'\\]{1,20}'", bare):
        return bare.strip("'").strip() or None
    if re.fullmatch(r"-?\d{1,12}(?:\.\d{1,6})?|true|false", bare, re.IGNORECASE):
        return bare.lower()
    return None
