"""Passages of documents, indexed offline and found by the words of a name."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from amxwatch.context.chunking import Piece, html, markdown, passages, plain_text
from amxwatch.context.indexing import Index, Layout, Refreshed
from amxwatch.context.pdf import PdfProblem, pdf
from amxwatch.context.walking import Found, read_text
from amxwatch.core.catalog import Table
from amxwatch.core.evidence import Cited
from amxwatch.core.naming import read_name, singular

READERS: dict[str, Callable[[str], Iterator[Piece]]] = {
    ".md": markdown,
    ".markdown": markdown,
    ".txt": plain_text,
    ".rst": markdown,
    ".html": html,
    ".htm": html,
}
PDF = ".pdf"
ENDINGS = (*READERS, PDF)

_LAYOUT = Layout(
    version="docs/1",
    schema="""
CREATE VIRTUAL TABLE passage USING fts5 (
  heading, text, expanded, file UNINDEXED, line UNINDEXED, tokenize = 'porter unicode61'
)
""",
    tables=("passage",),
)

_RANK = "bm25(passage, 4.0, 1.0, 0.5)"
"""A word in a heading counts more, one that we read out of an abbreviation less."""

_TOLD_NOTHING = frozenset(
    {
        *("a", "an", "and", "at", "by", "for", "from", "in", "is", "of", "on", "or", "the", "to"),
        *("with", "id", "no", "number", "code", "name", "type", "value"),
    }
)
"""Words that alone lead to no passage."""


@dataclass(frozen=True, kw_only=True)
class DocIndex:
    """The documents of one doc profile. Blocks: call it in a worker thread."""

    name: str
    folder: Path
    path: Path

    def refresh(self) -> Refreshed:
        """Read what moved in the folder. Raises: StoreError."""
        return self._index.refresh(self.folder, ENDINGS, _keep, larger=(PDF,))

    def about_table(self, table: Table, *, most: int) -> list[Cited]:
        """Return the best passages about a table, best first. Raises: StoreError."""
        names = [_phrase(table.name), _every(_words(table.name))]
        with self._index.opened() as connection:
            return self._found(connection, filter(None, names), most)

    def about_columns(self, table: Table, columns: Iterable[str]) -> dict[str, Cited]:
        """Return, for each column, the passage that tells most of it. Raises: StoreError.

        It holds the column's own name, or all its words beside one of the table's.
        """
        found = {}
        near = _any(_words(table.name))
        with self._index.opened() as connection:
            for name in columns:
                words = _words(name)
                queries = [_phrase(name) if _is_telling(name) else "", _every(words)]
                if queries[1] and len(words) < 2 and near:
                    queries[1] = f"({queries[1]}) AND ({near})"
                passages_ = self._found(connection, filter(None, queries), 1)
                if passages_:
                    found[name] = passages_[0]
        return found

    @property
    def _index(self) -> Index:
        return Index(self.path, _LAYOUT)

    def _found(
        self, connection: sqlite3.Connection, queries: Iterable[str], most: int
    ) -> list[Cited]:
        """Return what the queries lead to; an earlier one goes before a later one."""
        found: dict[tuple[str, str], Cited] = {}
        for query in queries:
            rows = connection.execute(
                f"SELECT file, heading, text FROM passage WHERE passage MATCH ?"
                f" ORDER BY {_RANK}, file, line, rowid LIMIT ?",
                [query, most],
            )
            for file, heading, text in rows:
                where = f"{self.name}/{file}" + (f" > {heading}" if heading else "")
                found.setdefault((file, text), Cited(where=where, text=text))
        return list(found.values())[:most]


def _keep(connection: sqlite3.Connection, found: Found) -> str | None:
    ending = found.path.suffix.lower()
    try:
        pieces = list(pdf(found.path)) if ending == PDF else _pieces(found, READERS[ending])
    except PdfProblem as problem:
        return str(problem)
    if pieces is None:
        return "is no text"
    rows = [
        (passage.heading, passage.text, _expanded(passage.text), found.name, passage.line)
        for passage in passages(pieces)
    ]
    connection.executemany("INSERT INTO passage VALUES (?, ?, ?, ?, ?)", rows)
    return None


def _pieces(found: Found, reader: Callable[[str], Iterator[Piece]]) -> list[Piece] | None:
    text = read_text(found)
    return None if text is None else list(reader(text))


def _expanded(text: str) -> str:
    """Return the words that the names in a text stand for: of `cust_dlvrd_dt`, say."""
    names = dict.fromkeys(word for word in text.split() if "_" in word or not word.islower())
    read = (" ".join(read_name(name.strip(".,;:()`*\"'")[:80]).words) for name in names)
    return " ".join(filter(None, read))


def _words(name: str) -> list[str]:
    words = (word for part in read_name(name).words for word in part.lower().split())
    return list(dict.fromkeys(singular(word) for word in words if word not in _TOLD_NOTHING))


def _is_telling(name: str) -> bool:
    """Claim that a name is found in a text only where that object is meant."""
    return "_" in name.strip("_") or len(_words(name)) > 1


def _phrase(name: str) -> str:
    quoted = name.replace('"', " ").strip()
    return f'"{quoted}"' if any(char.isalnum() for char in quoted) else ""


def _every(words: Iterable[str]) -> str:
    return " AND ".join(filter(None, map(_phrase, words)))


def _any(words: Iterable[str]) -> str:
    return " OR ".join(filter(None, map(_phrase, words)))
