"""Names as people write them in scopes: dotted, perhaps quoted, perhaps globs.

The letters here; what a scope says with them is in `core.scope`.
"""

from __future__ import annotations

import fnmatch
import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from amxwatch.core.catalog import ObjectRef, quote_name
from amxwatch.core.errors import ScopeError

ALLOWED: Final = "all, schema:a,b, table:s.t1,s.t2, column:s.t.c1, or such forms joined by ';'"
"""What may be written where a scope is meant, for messages."""

# A bracket class is taken whole, so that it may hold separators. It must be closed: a lone "["
# would swallow whatever is written after it up to the next "]".
_TOKEN = re.compile(
    r"""\s*(?: "(?P<quoted>(?:[^"]|"")*)"\s*
             | (?P<mark>[.,:;])
             | (?P<plain>(?:\[!?+\]?+[^\]]*+\]|[^.,:;"\[])+) )""",
    re.VERBOSE,
)


@functools.lru_cache(maxsize=1024)
def _matcher(glob: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(glob))


@dataclass(frozen=True, kw_only=True)
class Name:
    """One part of a name as a person wrote it: literal, or a glob."""

    text: str
    is_glob: bool = False

    def matches(self, name: str) -> bool:
        """Claim that `name` is meant; case counts."""
        return bool(_matcher(self.text).match(name)) if self.is_glob else self.text == name

    def __str__(self) -> str:
        return self.text if self.is_glob else quote_name(self.text)


Selector = tuple[Name, ...]
"""One to three names: a schema, a table, a column; none at all means everything."""


def parts_of(ref: ObjectRef) -> tuple[str, ...]:
    """Return the one to three names of an object."""
    if ref.column:
        return (ref.schema, ref.table, ref.column)
    return (ref.schema, ref.table) if ref.table else (ref.schema,)


def agrees(selector: Selector, parts: tuple[str, ...]) -> bool:
    """Claim that the names agree as far as both go."""
    return all(name.matches(part) for name, part in zip(selector, parts, strict=False))


def dotted(names: Selector) -> str:
    """Write names so that they read back."""
    return ".".join(str(name) for name in names)


@dataclass(frozen=True)
class Token:
    """A name, quoted or plain, or one of the marks `.` `,` `:` `;`."""

    kind: Literal["quoted", "mark", "plain"]
    text: str

    def is_mark(self, mark: str) -> bool:
        return self.kind == "mark" and self.text == mark

    @property
    def name(self) -> Name:
        is_glob = self.kind == "plain" and bool(set(self.text) & set("*?["))
        return Name(text=self.text, is_glob=is_glob)


ALL: Final = Token("plain", "all")
"""The word for everything; in quotes it is a name."""


def tokens_of(text: str) -> list[Token]:
    """Cut text into tokens, without the white space around them. Raises: ScopeError."""
    found = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            mark = text[place:].lstrip()[0]
            raise ScopeError(
                f"{shown(text)}: a {mark} is opened and never closed;"
                " put a name that holds such a sign in double quotes, a quote in it doubled"
            )
        place = match.end()
        if match["quoted"] is not None:
            found.append(Token("quoted", match["quoted"].replace('""', '"')))
        elif match["mark"]:
            found.append(Token("mark", match["mark"]))
        elif match["plain"].strip():
            found.append(Token("plain", match["plain"].strip()))
    return found


def split(tokens: Sequence[Token], mark: str) -> Iterator[list[Token]]:
    """Yield the runs of tokens between marks; empty runs too."""
    piece: list[Token] = []
    for token in tokens:
        if token.is_mark(mark):
            yield piece
            piece = []
        else:
            piece.append(token)
    yield piece


def parse_parts(text: str) -> list[Name]:
    """Read one dotted name of any number of parts; undoes `core.catalog.quote_name`.

    Raises: ScopeError.
    """
    return list(names_of(tokens_of(text), text))


def names_of(tokens: Sequence[Token], text: str) -> Selector:
    """Read name, dot, name, ... to the last token of `text`. Raises: ScopeError."""
    for place, token in enumerate(tokens):
        fits = token.is_mark(".") if place % 2 else token.kind != "mark"
        if not fits:
            raise ScopeError(_misplaced(token, text))
    if len(tokens) % 2 == 0:
        raise ScopeError(f"{shown(text)}: a name is missing; allowed: {ALLOWED}")
    return tuple(token.name for token in tokens[::2])


def _misplaced(token: Token, text: str) -> str:
    if token.kind == "mark":
        return (
            f"{shown(text)}: found {token.text!r} out of place;"
            " put a name that holds . , : or ; in double quotes"
        )
    return (
        f"{shown(text)}: found {shown(token.text)} right after a name;"
        ' put the whole name in double quotes, with "" for a quote inside'
    )


def require_text(selector: Selector, text: str) -> None:
    """Refuse an empty name: no object has one. Raises: ScopeError."""
    if not all(name.text for name in selector):
        raise ScopeError(f"{shown(text)}: a name is empty; every part needs at least one letter")


def shown(value: object) -> str:
    """Return what was found, for a message: on one line, and not without end."""
    text = repr(value)
    return text if len(text) <= 120 else text[:117] + "...'"
