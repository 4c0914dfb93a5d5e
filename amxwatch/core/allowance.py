"""How many tokens each piece of the evidence may take in a prompt, and the cutting to fit."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping

from amxwatch.core.evidence import Cited

CHARACTERS = 4
"""Of a token, as models count ordinary text."""


class Detail(enum.StrEnum):
    """How much of the evidence goes into a prompt; the spelling is the one of TOML."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"


class Piece(enum.StrEnum):
    """A piece of the evidence about a table, or about one column."""

    DEFINITION = "definition"
    NEIGHBOURS = "neighbours"
    GLOSSARY = "glossary"
    TABLE_DOCS = "table_docs"
    TABLE_CODE = "table_code"
    COLUMN_DOCS = "column_docs"
    COLUMN_CODE = "column_code"


TOKENS: Mapping[Piece, Mapping[Detail, int]] = {
    piece: dict(zip(Detail, each, strict=True))
    for piece, each in {
        Piece.DEFINITION: (0, 200, 600),
        Piece.NEIGHBOURS: (0, 400, 800),
        Piece.GLOSSARY: (40, 80, 160),
        Piece.TABLE_DOCS: (0, 250, 600),
        Piece.TABLE_CODE: (0, 100, 250),
        Piece.COLUMN_DOCS: (0, 80, 160),
        Piece.COLUMN_CODE: (0, 60, 120),
    }.items()
}
"""Tokens of each piece, at low, medium and high detail."""


def room(piece: Piece, detail: Detail) -> int:
    """Return how many characters a piece may take."""
    return TOKENS[piece][detail] * CHARACTERS


def cited_facts(passages: Iterable[Cited], piece: Piece, detail: Detail) -> list[dict[str, str]]:
    """Return passages, the best first, until the room is taken; the last may be cut."""
    left = room(piece, detail)
    found = []
    for passage in passages:
        where = shortened(passage.where, 200)
        left -= len(where)
        if left < 40:  # too little to tell anything
            break
        text = shortened(passage.text, left)
        left -= len(text)
        found.append({"from": where, "text": text})
    return found


def glossary_facts(glossary: Mapping[str, str], detail: Detail) -> dict[str, str]:
    """Return what abbreviations stand for, as far as there is room."""
    left = room(Piece.GLOSSARY, detail)
    found = {}
    for token, meaning in glossary.items():
        left -= len(token) + len(meaning)
        if left < 0:
            break
        found[token] = shortened(meaning, 80)
    return found


def neighbour_facts(neighbours: Iterable[tuple[str, str]], detail: Detail) -> list[dict[str, str]]:
    """Return names and descriptions of objects nearby, as far as there is room."""
    left = room(Piece.NEIGHBOURS, detail)
    found = []
    for name, description in neighbours:
        left -= len(name) + len(description)
        if left < 0:
            break
        found.append({"object": name, "description": description})
    return found


def shortened(text: str, most: int) -> str:
    """Return a text of at most so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"
