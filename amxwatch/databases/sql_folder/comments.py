"""Our own file in the folder: every comment that amxwatch wrote, one statement an object."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlglot import exp

from amxwatch.core.catalog import ObjectRef
from amxwatch.core.errors import DatabaseUnavailableError, StatementRefusedError
from amxwatch.databases.sampling import WORDS, refuse_unwritable
from amxwatch.databases.sql_folder.edits import SetComment, Statement
from amxwatch.databases.sql_folder.files import COMMENTS_FILE
from amxwatch.databases.sql_folder.grammar import dialect_named
from amxwatch.databases.sql_folder.pieces import Cutter
from amxwatch.databases.sql_folder.statements import read_statements
from amxwatch.ports.database import CommentTarget

FIRST_LINE = (
    "-- Descriptions written by amxwatch after review, applied after every other file here. "
    "amxwatch rewrites this file.\n"
)
_NO_NULL = frozenset({"snowflake", "oracle", "teradata", "exasol"})
"""Dialects in which an empty text removes a comment, and NULL is a mistake."""


def comment_statement(target: CommentTarget, text: str | None, name: str) -> str:
    """Return COMMENT ON in the dialect's quoting. Raises: StatementRefusedError."""
    dialect = dialect_named(name)
    parts = [part for part in (target.ref.schema, target.ref.table, target.ref.column) if part]
    for part in parts:
        refuse_unwritable(part, "a name")
    refuse_unwritable(text or "", "the text")
    named = ".".join(exp.to_identifier(part, quoted=True).sql(dialect=dialect) for part in parts)
    if text:
        value = exp.Literal.string(text).sql(dialect=dialect)
    else:
        value = "''" if name in _NO_NULL else "NULL"
    return f"COMMENT ON {WORDS[target.type]} {named} IS {value};"


class CommentsFile:
    """Reads and replaces the file. Two processes may write at once: they take turns."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._dialect = dialect_named(name)
        self._name = name

    @property
    def path(self) -> Path:
        return self._folder / COMMENTS_FILE

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Keep other writers out. The lock is on the folder itself and leaves nothing behind.

        On Windows, which locks no folder, it is a file beside ours.

        Raises: DatabaseUnavailableError when the folder is not there.
        """
        if sys.platform == "win32":
            from filelock import FileLock

            with FileLock(f"{self.path}.lock"):
                yield
            return
        import fcntl

        try:
            handle = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise DatabaseUnavailableError(
                f"SQL folder {self._folder} cannot be opened ({error.strerror})"
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def put(self, ref: ObjectRef, statement: str | None) -> None:
        """Set the statement of one object, or drop it (None), and replace the file whole.

        Raises: StatementRefusedError when the file holds what we did not write, or cannot be
        written.
        """
        try:
            entries = self._entries()
            if statement is None:
                entries.pop(ref, None)
            else:
                entries[ref] = statement
            lines = (entries[key] + "\n" for key in sorted(entries))
            self._replace((FIRST_LINE + "".join(lines)).encode())
        except OSError as error:
            raise StatementRefusedError(
                f"{self.path} cannot be written ({error.strerror}): check its rights"
            ) from error

    def _entries(self) -> dict[ObjectRef, str]:
        try:
            text = self.path.read_bytes().decode("utf-8-sig")
        except FileNotFoundError:
            return {}
        except UnicodeDecodeError as error:
            raise self._foreign(1) from error
        found: dict[ObjectRef, str] = {}
        cutter, at = Cutter(text, self._name), 0
        while (piece := cutter.take(at)) is not None:
            at = max(piece.end, piece.start + 1)
            ref = self._ref(piece.text)
            if ref is None:
                raise self._foreign(text.count("\n", 0, piece.start) + 1)
            found[ref] = piece.text.rstrip() + ";"
        return found

    def _ref(self, statement: str) -> ObjectRef | None:
        read = read_statements(statement, self._dialect, self._name).statements
        good = [each for each in read if isinstance(each, Statement) and each.fault is None]
        edits = [edit for each in good for edit in each.edits]
        if len(edits) != 1 or not isinstance(edits[0], SetComment):
            return None
        return ObjectRef(schema=edits[0].schema, table=edits[0].table, column=edits[0].column)

    def _foreign(self, line: int) -> StatementRefusedError:
        return StatementRefusedError(
            f"{self.path}:{line}: not a COMMENT ON statement, so amxwatch would lose it: "
            "move it to another file"
        )

    def _replace(self, data: bytes) -> None:
        target = self.path.resolve()
        part = target.with_name(f".{COMMENTS_FILE}.{os.getpid()}.part")
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        try:
            with os.fdopen(handle, "wb") as file:
                if target.exists() and sys.platform != "win32":
                    os.fchmod(file.fileno(), target.stat().st_mode & 0o7777)
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        except OSError:
            part.unlink(missing_ok=True)
            raise
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
