"""What each file of the folder says, parsed once for each of its versions."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from amxwatch.core.catalog import SourceProblem
from amxwatch.databases.sql_folder.asks import Text
from amxwatch.databases.sql_folder.edits import Again, Reading, Statement
from amxwatch.databases.sql_folder.files import Content, Files
from amxwatch.databases.sql_folder.footprint import Footprint, footprint_of
from amxwatch.databases.sql_folder.memory import Mended, mend
from amxwatch.databases.sql_folder.parser import Parser

_MOST_PROBLEMS = 100
"""Problems told of one file; who mends the first hundred sees the rest."""


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """One version of a file. `known` are its good statements by the marks of their texts."""

    digest: str
    mended: Mended
    footprint: Footprint
    problems: tuple[SourceProblem, ...] = ()
    known: dict[bytes, Statement] = field(default_factory=dict)


class Library:
    """The files as they were at the last look. Used by one thread at a time."""

    def __init__(self, folder: Path, default_schema: str, parser: Parser) -> None:
        self._folder = folder
        self._default = default_schema
        self._parser = parser
        self._files = Files(folder)
        self.parsed: dict[str, Parsed] = {}

    def look(self) -> list[tuple[str, Content]]:
        """Return every file, in the order they run. Raises: DatabaseUnavailableError."""
        return self._files.look()

    def take(self, contents: list[tuple[str, Content]]) -> dict[str, Parsed | None]:
        """Parse what moved; return the earlier version of each file that did.

        Raises: DatabaseUnavailableError, and nothing has been taken then.
        """
        moved = [
            (path, content)
            for path, content in contents
            if path not in self.parsed or self.parsed[path].digest != content.digest
        ]
        read = self._read(moved)
        paths = [path for path, _ in contents]
        gone = self.parsed.keys() - set(paths) if len(paths) != len(self.parsed) or moved else ()
        before = {path: self.parsed.get(path) for path in (*gone, *read)}
        if before:
            self.parsed = {path: read.get(path) or self.parsed[path] for path in paths}
        self._files.forget_texts()
        return before

    def _read(self, moved: list[tuple[str, Content]]) -> dict[str, Parsed]:
        texts = {
            path: text
            for path, content in moved
            if content.problem is None
            and (text := self._files.text(path, content.digest)) is not None
        }
        asks = [Text(text=text, known=self._marks(path)) for path, text in texts.items()]
        readings = self._parser.parse(asks)
        found = {}
        for path, content in moved:
            text = texts.pop(path, None)
            reading = next(readings) if text is not None else None
            found[path] = self._version(path, content, text, reading)
        for _ in readings:  # the end of the answer, without which the parser is not free
            raise AssertionError("more answers than texts")
        return found

    def _marks(self, path: str) -> frozenset[bytes]:
        known = self.parsed.get(path)
        return frozenset(known.known) if known is not None else frozenset()

    def _version(
        self, path: str, content: Content, text: str | None, reading: Reading | None
    ) -> Parsed:
        before = self.parsed.get(path)
        file = str(self._folder / path)
        if text is None or reading is None:
            return self._unread(file, content, before, was_parsed=text is not None)
        known = before.known if before is not None else {}
        found = [_resolved(each, known) for each in reading.statements]
        mended = mend(found, before.mended if before is not None else None)
        return Parsed(
            digest=content.digest,
            mended=mended,
            footprint=footprint_of(mended, self._default),
            problems=tuple(_problems(file, text, found)),
            known={mark: _resolved(each, known) for mark, each in reading.seen.items()},
        )

    def _unread(
        self, file: str, content: Content, before: Parsed | None, *, was_parsed: bool
    ) -> Parsed:
        message = content.problem
        digest = content.digest
        if was_parsed:
            message = "the parser ends over it: leave out what is nested deepest"
        elif message is None:  # it moved between the look and now; the next look sees it
            message, digest = "it is being written just now", ""
        mended = before.mended if before is not None else Mended(statements=(), loses=True)
        return Parsed(
            digest=digest,
            mended=mended,
            footprint=footprint_of(mended, self._default),
            problems=(SourceProblem(file=file, message=message),),
        )


def _resolved(each: Statement | Again, known: dict[bytes, Statement]) -> Statement:
    return known[each.mark] if isinstance(each, Again) else each


def _problems(file: str, text: str, found: list[Statement]) -> list[SourceProblem]:
    faults = sorted(
        (statement.fault for statement in found if statement.fault is not None),
        key=lambda fault: fault.offset,
    )
    problems = []
    line, at = 1, 0
    for fault in faults[:_MOST_PROBLEMS]:
        line += text.count("\n", at, fault.offset)
        at = fault.offset
        column = at - text.rfind("\n", 0, at)
        message = f"this statement cannot be read: {fault.message}"
        problems.append(SourceProblem(file=file, line=line, column=column, message=message))
    if len(faults) > _MOST_PROBLEMS:
        more = len(faults) - _MOST_PROBLEMS
        problems.append(SourceProblem(file=file, message=f"{more} more statements like these"))
    return problems
