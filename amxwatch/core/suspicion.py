"""Which texts of a database could be meant for a model, not for people who read the data.

Nothing here decides what is true of a text: an object that is suspected is asked about alone,
without other objects that could be talked into something, and its draft waits for a person.
So a doubt costs a request, and a miss would cost trust: it is suspected rather too much.
"""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Iterable

from amxwatch.core.catalog import ObjectRef
from amxwatch.core.comment import suspects
from amxwatch.core.evidence import Cited, ColumnEvidence, TableEvidence

HOSTILE = "suspect_data"
"""Flags a draft of an object whose own name, comment or values read like orders to a model."""

MIN_LETTERS = 12
"""A shorter text can hardly tell a model to do anything."""

_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget|override|bypass|pretend|act as|roleplay|jailbreak|say|print"
    r"|repeat|echo|write|respond|reply|output|answer|translate|summari[sz]e|rephrase|reveal|leak"
    r"|append|insert|execute|eval|import|curl|wget|visit|click|download|classify|describe|explain"
    r"|tell|give|return|show|do not|don't|must|never|always|instead|please|stop|start|let's|imagine"
    r"|what (?:is|are)|generate|create|complete|continue|follow|obey|remember|help"
    r"|how (?:do|can|to))"
    r"\b",
    re.IGNORECASE,
)
_SPOKEN_TO = re.compile(
    r"\b(?:you|your|yourself|you're|me|my|i|i'm|we|us|assistant|chatgpt|gpt|llm|ai|model|prompt"
    r"|prompts|instruction|instructions|system|user|human|admin|developer|humans|dan|sentence|text"
    r"|following|above|below|previous|output|answer|response)\b",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"<\s*/?\s*[a-z!?%]|\{\{|\}\}|\$\{|\$\(|<%|javascript:|\bon\w+\s*=|\bselect\b.+\bfrom\b|\bunion\b"
    r"|--\s*$|/\*|\bor\b\s+\S+\s*=|\b(?:drop|alter|truncate|grant)\s+\w+|\binsert\s+into\b|\bimport\s+\w"
    r"|__\w+__|\bos\.\w+|\bsubprocess\b|\bexec\b|\beval\b|[;|&`]\s*(?:cat|ls|rm|sh|bash|ping|sleep|touch|echo)\b"
    r"|\bcase\s+when\b|\balert\s*\(|@\{\[|\bsystem\s*\(|`[^`]+`|\{\w+\}"
    r"|\.\./|!\[|\]\(|https?://|\\x[0-9a-f]{2}|\\u[0-9a-f]{4}|%[0-9a-f]{2}%|\bpasswd\b",
    re.IGNORECASE | re.DOTALL,
)
_SPELLED = re.compile(
    r"(?=[A-Za-z0-9+/]*\d)(?=[A-Za-z0-9+/]*[a-z])(?=[A-Za-z0-9+/]*[A-Z])[A-Za-z0-9+/]{24,}={0,2}"
    r"|[A-Za-z0-9+/]{16,}==?(?!\w)|(?:\b[0-9a-f]{2}\b[ \\x]*){8,}|[.-]{3,} ?(?:[.-]+ ?){6,}"
)
"""Base64, hexadecimal, Morse: text that hides what it says."""


def is_suspect(text: str) -> bool:
    """Claim that a text of the data reads like an order, code or something hidden."""
    # An address of a person tells a model nothing to do.
    if set(suspects(text)) - {"personal"} or _hides(text):
        return True
    if len(text) < MIN_LETTERS:
        return False
    if _CODE.search(text) or _SPELLED.search(text):
        return True
    signs = sum(not (char.isalnum() or char.isspace()) for char in text)
    if signs * 3 > len(text):
        return True
    words = len(re.findall(r"\w+", text))
    orders = len(_ORDERS.findall(text))
    spoken = len(_SPOKEN_TO.findall(text))
    return words >= 3 and (orders >= 2 or (orders >= 1 and spoken >= 1) or spoken >= 2)


def _hides(text: str) -> bool:
    """Whether a text has characters that nobody sees, or letters dressed up as others."""
    kinds = {unicodedata.category(char) for char in text}
    if kinds & {"Cf", "Co", "Cs"} or "Cc" in {
        unicodedata.category(char) for char in text if char not in "\t\n\r"
    }:
        return True
    folded = unicodedata.normalize("NFKC", text)
    dressed = sum(one != other for one, other in zip(text, folded, strict=False))
    return len(folded) == len(text) and dressed >= 4


def suspects_of(column: ColumnEvidence) -> bool:
    """Claim that something of the data that goes into a prompt about a column is suspect."""
    seen = column.statistics
    values = () if seen is None else (*seen.values, seen.minimum or "", seen.maximum or "")
    texts = (
        *(column.ref.column, column.comment or "", *_literal(column.default or "")),
        *(column.derived.expression or "", *values),  # of patterns no word is left
    )
    return any(is_suspect(text) for text in texts if text)


def _literal(default: str) -> tuple[str, ...]:
    """Return a default as it stands, and the text between its first and last quote."""
    first, last = default.find("'"), default.rfind("'")
    return (default, default[first + 1 : last]) if 0 <= first < last else (default,)


def table_is_suspect(table: TableEvidence) -> bool:
    """Claim that the table's own name, schema or comment is."""
    return any(
        is_suspect(text) for text in (table.ref.schema, table.ref.table, table.comment or "")
    )


def suspects_in(table: TableEvidence) -> frozenset[str]:
    """Return the suspect columns, and "" for the table itself.

    Where the table's own name is suspect, everything in it is: every request names the table.
    """
    named = any(is_suspect(part) for part in (table.ref.schema, table.ref.table))
    found = {c.ref.column for c in table.columns if named or suspects_of(c)}
    return frozenset(found | ({""} if named or table_is_suspect(table) else set()))


def shielded(table: TableEvidence, keep: frozenset[str] = frozenset()) -> TableEvidence:
    """Return a table's evidence without what is suspect of other objects, but those in `keep`.

    Suspect siblings, keys to and from suspect names, their descriptions and a suspect comment or
    definition are left out: what is asked about the rest is the same as if they were not there.
    """
    columns = tuple(
        _without_links(column)
        for column in table.columns
        if column.ref.column in keep or not suspects_of(column)
    )
    fine = [
        each for each in table.neighbours if not (_named(each.ref) or is_suspect(each.description))
    ]
    return dataclasses.replace(
        table,
        columns=columns,
        references=tuple(ref for ref in table.references if not _named(ref)),
        referenced_by=tuple(ref for ref in table.referenced_by if not _named(ref)),
        sources=tuple(ref for ref in table.sources if not _named(ref)),
        neighbours=tuple(fine),
        comment=None if is_suspect(table.comment or "") else table.comment,
        description=None if is_suspect(table.description or "") else table.description,
        definition=None if _orders(table.definition) else table.definition,
        docs=_plain(table.docs),
        code=_plain(table.code),
    )


def _plain(passages: Iterable[Cited]) -> tuple[Cited, ...]:
    """Leave out passages that speak to a model; links and statements are usual in documents."""
    return tuple(each for each in passages if "instruction" not in suspects(each.text))


def _without_links(column: ColumnEvidence) -> ColumnEvidence:
    target = column.references
    return dataclasses.replace(
        column,
        references=None if target is not None and _named(target) else target,
        referenced_by=tuple(ref for ref in column.referenced_by if not _named(ref)),
        sources=tuple(each for each in column.sources if not _named(each.ref)),
        docs=_plain(column.docs),
        code=_plain(column.code),
    )


def _named(ref: ObjectRef) -> bool:
    return any(is_suspect(part) for part in (ref.schema, ref.table, ref.column) if part)


def _orders(definition: str | None) -> bool:
    """Whether the SQL of a view holds comments or literals that read like orders."""
    texts = re.findall(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'", definition or "", re.DOTALL)
    return any(is_suspect(text.strip("-/*' \n")) for text in texts)
