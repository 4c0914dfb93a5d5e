"""The SQL of a node: compiled by dbt where that is steady, else its source with names put in."""

from __future__ import annotations

import re
from collections.abc import Callable

from amxwatch.databases.dbt.artifacts import Node

_VOLATILE = re.compile(r"\b(is_incremental|should_full_refresh|run_started_at|invocation_id)\b")
"""What makes a model compile differently from run to run, though nobody edited it."""

_NOTE = re.compile(r"\{#.*?#\}", re.DOTALL)
_CONFIG = re.compile(r"\{\{-?\s*config\s*\(.*?\)\s*-?\}\}", re.DOTALL)
_NAMED = re.compile(r"\{\{-?\s*((?:ref|source)\s*\([^(){}]*\))\s*-?\}\}")
_THIS = re.compile(r"\{\{-?\s*this\s*-?\}\}")
_JINJA = re.compile(r"\{[{%#]")
_CALL = re.compile(r"\b(?:ref|source)\s*\(([^()]*)\)")
_STRING = re.compile(r"""(?<![\w=])\s*(?:'([^']*)'|"([^"]*)")""")
_VERSION = re.compile(r"\b(?:v|version)\s*=\s*['\"]?([\w.]+)")

Resolve = Callable[[str], str]
"""From `ref('x')` to the relation's name, or nothing where it has none."""


def definition_of(node: Node, resolve: Resolve, before: str | None) -> str | None:
    """Return the SQL that a node's rows come from, or None where it has none (seeds, sources).

    dbt compiles only what a command selects. A node that is not compiled this time keeps its
    definition `before`, unless names alone complete its source.
    """
    if not node.raw.strip():
        return _plain(node.compiled)
    if node.compiled.strip() and not _VOLATILE.search(node.raw):
        return _plain(node.compiled)
    rendered = _CONFIG.sub("", _NOTE.sub("", node.raw))
    rendered = _NAMED.sub(lambda found: resolve(found[1]) or found[0], rendered)
    rendered = _THIS.sub(lambda found: node.relation_name or found[0], rendered)
    unfinished = _JINJA.search(rendered) and not _VOLATILE.search(node.raw)
    if unfinished and before is not None and not _JINJA.search(before):
        return before
    return _plain(rendered)


def named_in(call: str) -> tuple[tuple[str, ...], str] | None:
    """Return the words of the first `ref(…)` or `source(…)` in a text, and its version if any."""
    found = _CALL.search(call)
    if found is None:
        return None
    words = tuple(single or double for single, double in _STRING.findall(found[1]))
    version = _VERSION.search(found[1])
    return (words, version[1] if version else "") if words else None


def is_named(node: Node, words: tuple[str, ...], version: str) -> bool:
    """Claim that a call with these words may mean this node."""
    if node.source_name:
        return words == (node.source_name, node.name)
    return words[-1] == node.name and version in ("", str(node.version))


def _plain(code: str) -> str | None:
    return code.strip().removesuffix(";").rstrip() or None
