"""A script of statements, with remarks between them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

CANNOT = "cannot be written: "


@dataclass(frozen=True, kw_only=True)
class Line:
    """One statement without its semicolon, or with `is_note` a remark about them."""

    text: str
    is_note: bool = False


def statement(text: str) -> Line:
    """Say what is to be run."""
    return Line(text=text)


def note(text: str) -> Line:
    """Say what a statement loses, or what must stand before it runs."""
    return Line(text=text, is_note=True)


def cannot(text: str) -> Line:
    """Say what the dialect has no statement for."""
    return Line(text=CANNOT + text, is_note=True)


@dataclass(frozen=True, kw_only=True)
class Script:
    """Statements in the order in which they run, and what is to be known about them."""

    lines: tuple[Line, ...] = ()

    @property
    def statements(self) -> list[str]:
        return [line.text for line in self.lines if not line.is_note]

    @property
    def notes(self) -> list[str]:
        return [line.text for line in self.lines if line.is_note]

    @property
    def unwritten(self) -> int:
        """How many changes have no statement."""
        return sum(text.startswith(CANNOT) for text in self.notes)

    def __str__(self) -> str:
        return "".join(f"{text}\n" for text in self._written())

    def _written(self) -> Iterator[str]:
        for line in self.lines:
            # A remark must stay one: a name may hold a line break.
            yield f"-- {' '.join(line.text.split())}" if line.is_note else f"{line.text};"


def without_doubles(lines: Iterable[Line]) -> list[Line]:
    """Leave out a remark that was made before."""
    seen: set[str] = set()
    found = []
    for line in lines:
        if not (line.is_note and line.text in seen):
            found.append(line)
        if line.is_note:
            seen.add(line.text)
    return found
