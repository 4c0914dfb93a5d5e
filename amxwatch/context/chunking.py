"""Cuts documents into passages: each under its heading, none too long."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise

MAX_PASSAGE = 900
"""Characters; longer stretches under one heading are cut between paragraphs."""

MAX_PASSAGES = 2_000
"""Of one file."""

MAX_HEADING = 160


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Text as it stands in a document under its headings, outermost first. `line` is from 1."""

    headings: tuple[str, ...]
    text: str
    line: int = 0


@dataclass(frozen=True, kw_only=True)
class Passage:
    """What is indexed: a text of bounded length, and where it stands."""

    heading: str
    text: str
    line: int


def passages(pieces: Iterable[Piece]) -> tuple[Passage, ...]:
    """Cut pieces to a bounded length, at paragraphs where there are any."""
    found: list[Passage] = []
    for piece in pieces:
        heading = " > ".join(_plain(each)[:MAX_HEADING] for each in piece.headings if each.strip())
        for text in _cut(piece.text):
            found.append(Passage(heading=heading, text=text, line=piece.line))
            if len(found) == MAX_PASSAGES:
                return tuple(found)
    return tuple(found)


def _cut(text: str) -> Iterator[str]:
    held = ""
    for paragraph in re.split(r"\n\s*\n", text):
        plain = _plain(paragraph)
        while len(plain) > MAX_PASSAGE:
            if held:
                yield held
                held = ""
            at = plain.rfind(" ", MAX_PASSAGE // 2, MAX_PASSAGE)
            at = at if at > 0 else MAX_PASSAGE
            yield plain[:at]
            plain = plain[at:].strip()
        if held and len(held) + len(plain) + 1 > MAX_PASSAGE:
            yield held
            held = ""
        held = f"{held} {plain}".strip()
    if held:
        yield held


def _plain(text: str) -> str:
    """Write text on one line, without what cannot be printed."""
    kept = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(kept.split())


_HEADING = re.compile(r"(#{1,6})[ \t]+(.*?)[ \t]*#*$")
_FENCE = re.compile(r" {0,3}(```+|~~~+)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")


def markdown(text: str) -> Iterator[Piece]:
    """Yield the text under each heading. What stands in a fence is text, whatever it looks like."""
    path: list[tuple[int, str]] = []
    held: list[str] = []
    begin, fence = 1, ""

    def piece() -> Piece:
        return Piece(headings=tuple(name for _, name in path), text="\n".join(held), line=begin)

    lines = [*text.splitlines(), ""]
    skip = False
    for number, (line, after) in enumerate(pairwise(lines), 1):
        if skip:
            skip = False
            continue
        opened = _FENCE.match(line)
        if opened and (not fence or line.strip().startswith(fence)):
            fence = "" if fence else opened.group(1)
        level, name = (0, "") if fence else _heading(line, after)
        if not level:
            held.append(line)
            continue
        skip = not line.startswith("#")
        yield piece()
        path = [each for each in path if each[0] < level]
        path.append((level, name))
        held, begin = [], number
    yield piece()


def _heading(line: str, after: str) -> tuple[int, str]:
    found = _HEADING.match(line)
    if found:
        return len(found.group(1)), found.group(2)
    under = _UNDERLINE.match(after)
    if under and line.strip() and not line.lstrip().startswith(("-", "*", "|", ">")):
        return (1 if "=" in under.group(1) else 2), line.strip()
    return 0, ""


def plain_text(text: str) -> Iterator[Piece]:
    """Yield a text as one piece, under no heading."""
    yield Piece(headings=(), text=text, line=1)


def html(text: str) -> Iterator[Piece]:
    """Yield the visible text under each heading; scripts and styles are left out."""
    reader = _Html()
    reader.feed(text)
    reader.close()
    yield from reader.pieces()


_HIDDEN = frozenset({"script", "style", "template", "noscript", "svg", "head"})
_BREAKING = frozenset({"p", "div", "li", "tr", "table", "ul", "ol", "section", "article", "br"})
_LEVELS = {f"h{level}": level for level in range(1, 7)}


@dataclass
class _Section:
    headings: tuple[str, ...]
    line: int
    parts: list[str] = field(default_factory=list)


class _Html(HTMLParser):
    """Gathers text by heading; tolerates whatever is put into it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._hidden = 0
        self._path: list[tuple[int, str]] = []
        self._heading: list[str] | None = None
        self._sections = [_Section((), 1)]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _HIDDEN:
            self._hidden += 1
        elif tag in _LEVELS:
            self._heading = []
        elif tag in _BREAKING:
            self._sections[-1].parts.append("\n\n")
        elif tag in {"td", "th"}:
            self._sections[-1].parts.append(" | ")

    def handle_endtag(self, tag: str) -> None:
        if tag in _HIDDEN:
            self._hidden = max(0, self._hidden - 1)
        elif tag in _LEVELS and self._heading is not None:
            level, name = _LEVELS[tag], "".join(self._heading)
            self._heading = None
            self._path = [each for each in self._path if each[0] < level] + [(level, name)]
            names = tuple(each for _, each in self._path)
            self._sections.append(_Section(names, self.getpos()[0]))

    def handle_data(self, data: str) -> None:
        if self._hidden:
            return
        if self._heading is not None:
            self._heading.append(data)
        else:
            self._sections[-1].parts.append(data)

    def pieces(self) -> Iterator[Piece]:
        for section in self._sections:
            yield Piece(headings=section.headings, text="".join(section.parts), line=section.line)
