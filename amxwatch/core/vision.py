"""The goals file: Markdown in which headings and checklist items state goals.

    ## schema:sales coverage ≥ 90%      a heading may be a goal,
    ## schema:finance                   or name the scope for what stands under it:
    - [ ] coverage 80%, fresh
    - [ ] staging: described            an item with a scope of its own
    - [x] crm: coverage 95%             ticked by a person: done, whatever is measured

Code blocks and comments say nothing. What is neither a goal nor a title is kept as not
understood, with the reason, and is never an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from amxwatch.core.goal import Goal, read_goal, read_heading, read_measure
from amxwatch.core.scope import Scope

if TYPE_CHECKING:
    from markdown_it.token import Token

_BOX = re.compile(r"^\[(?P<tick>[ xX])\]\s+")
_BOLD = re.compile(r"\*\*(.+?)\*\*|__(.+?)__")

NO_SCOPE = "it names no scope; begin it with one, such as `sales:`"
NO_GOAL = "it names no scope and what is to be true of it, such as `sales: coverage 95%`"
NO_BOX = "it has no box; begin it with `[ ]` to make it a goal"


@dataclass(frozen=True, kw_only=True)
class Unread:
    """A piece of the file that states no goal, its line (from 1), and why."""

    file: str
    line: int
    text: str
    why: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: not understood: {self.text!r}: {self.why}"


@dataclass(frozen=True, kw_only=True)
class Vision:
    """What one file says. `ticked` counts the items that a person calls done."""

    goals: tuple[Goal, ...] = ()
    unread: tuple[Unread, ...] = ()
    ticked: int = 0


@dataclass(frozen=True, kw_only=True)
class _Piece:
    """A heading (its level), a list item (level 0) or a paragraph (level -1)."""

    level: int
    line: int
    text: str


def read_vision(text: str, file: str) -> Vision:
    """Read a goals file. Never raises: what is no goal is in `unread`."""
    goals: dict[str, Goal] = {}
    unread: list[Unread] = []
    ticked = 0
    above: dict[int, Scope | None] = {}
    for piece in _pieces(text):
        box = _BOX.match(piece.text)
        words = _BOX.sub("", piece.text)
        if piece.level > 0:
            above = {level: scope for level, scope in above.items() if level < piece.level}
            above[piece.level] = read_heading(words)
        within = None if piece.level > 0 else _nearest(above)
        if box is not None and box["tick"] != " ":
            ticked += 1
            continue
        goal = read_goal(words, file=file, line=piece.line, within=within)
        if goal is not None and (piece.level > 0 or box is not None):
            if piece.level > 0:
                above[piece.level] = goal.scope
            goals.setdefault(goal.key, goal)
        elif why := _why(piece, words, goal, is_box=box is not None):
            unread.append(Unread(file=file, line=piece.line, text=words, why=why))
    return Vision(goals=tuple(goals.values()), unread=tuple(unread), ticked=ticked)


def _nearest(above: dict[int, Scope | None]) -> Scope | None:
    scopes = [above[level] for level in sorted(above, reverse=True)]
    return next((scope for scope in scopes if scope is not None), None)


def _why(piece: _Piece, words: str, goal: Goal | None, *, is_box: bool) -> str:
    """Say why a piece is no goal; nothing of a heading that only gives a title or a scope."""
    says_measure = read_measure(words) is not None
    if piece.level > 0:
        return NO_SCOPE if says_measure else ""
    if piece.level == 0 and goal is not None and not is_box:
        return NO_BOX
    return NO_SCOPE if says_measure and is_box else NO_GOAL


def _pieces(text: str) -> Iterator[_Piece]:
    """Yield headings, list items and paragraphs, in the order of the file."""
    from markdown_it import MarkdownIt

    # A `*` in a scope is a glob, not the beginning of italics.
    tokens = MarkdownIt("commonmark").disable("emphasis").parse(text)
    level, is_new_item = -1, False
    for token in tokens:
        if token.type == "heading_open":
            level = int(token.tag.removeprefix("h"))
        elif token.type == "list_item_open":
            is_new_item = True
        elif token.type == "paragraph_open":
            level, is_new_item = (0 if is_new_item else -1), False
        elif token.type == "inline" and (words := _words(token)):
            yield _Piece(level=level, line=(token.map or [0])[0] + 1, text=words)


def _words(token: Token) -> str:
    """Return the text of a piece without its marks: code and links as they read."""
    kinds = ("text", "code_inline", "text_special")
    parts = [
        " " if child.type in ("softbreak", "hardbreak") else child.content
        for child in token.children or ()
        if child.type in (*kinds, "softbreak", "hardbreak")
    ]
    return _BOLD.sub(lambda found: found[1] or found[2], "".join(parts)).strip()
