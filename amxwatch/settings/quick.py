"""One drop-in read and checked quickly, where it is plain and nothing is wrong with it."""

from __future__ import annotations

import hashlib
import os
import re
import stat as modes

from pydantic import ValidationError

from amxwatch.settings.folder import Folder
from amxwatch.settings.plain import read_plain
from amxwatch.settings.plans import Shelved, Stat
from amxwatch.settings.schema import Schedule, Settings
from amxwatch.settings.shelf import is_sure, mark_of
from amxwatch.settings.source import MAX_BYTES
from amxwatch.settings.unbuilt import unheeded
from amxwatch.settings.value import is_name

_START = "\n[schedules."

_HEAD = re.compile(
    r"(?:[ \t]*(?:#[^\n]*)?\n)*"
    r"\[schedules\.([A-Za-z0-9_-]+|\"[^\"\\\x00-\x1f\x7f]*\"|'[^'\x00-\x1f\x7f]*')[].]"
)
"""What may stand before a schedule's first header, and its name as it is written."""

REMEMBERED = 20_000
"""How many different tables are known to be right: schedules are often alike but in name."""

# A FIFO would block for ever on open.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


class Quick:
    """Checks drop-ins, one at a time; `bodies` are the tables that it found to be right.

    `settings` name the profiles that there are; None where that is not known, as the main file
    is wrong. `sure` is when a file must have moved last to be believed by its stat.
    """

    def __init__(self, folder: Folder, settings: Settings | None, sure: int) -> None:
        self.bodies: dict[bytes, str] = {}
        self._schedules = f"{folder.schedules}{os.sep}"
        self._settings = settings
        self._sure = sure
        self._known: dict[str, Shelved] = {}

    def row(self, file: str, stat: Stat) -> Shelved | None:
        """Return the row of a drop-in; None where it is to be looked at closely."""
        data = _read(self._schedules + file) if stat else None
        if data is None:
            return None
        try:
            text = data.decode().replace("\r\n", "\n")
            file.encode()
        except UnicodeError:
            return None
        head = _HEAD.match(text)
        if head is None or "\0" in text:
            return None
        name = head[1][1:-1] if head[1][0] in "\"'" else head[1]
        row = self._judge(text, head[1]) if is_name(name) else None
        if row is None:
            return None
        kept = stat if is_sure(stat, self._sure) else ()
        return Shelved(file, kept, digest_of(file, data), name, *row[4:])

    def _judge(self, text: str, written: str) -> Shelved | None:
        """Return a row, whose file and name are another's, for a text that is right; else None.

        Texts that differ in nothing but the name in their headers are judged once.
        """
        shape = f"\n{text}".replace(f"{_START}{written}", f"{_START}\0")
        if shape.count(f"{_START}\0") != shape.count("[schedules."):
            return self._checked(text)  # it may hold something that only looks like a header
        known = self._known.get(shape)
        if known is None:
            known = self._checked(text)
            if known is not None:
                if len(self._known) >= REMEMBERED:
                    self._known.clear()
                self._known[shape] = known
        return known

    def _checked(self, text: str) -> Shelved | None:
        found = read_plain(text)
        if found is None or "name" in found[1] or any(unheeded({"schedules": {"x": found[1]}})):
            return None
        try:
            plan = Schedule.model_validate({"name": found[0], **found[1]})
        except (ValidationError, RecursionError):
            return None
        if not self._is_there(plan):
            return None
        body, row = checked_row("", b"", plan)
        self.bodies[row.mark] = body
        return row

    def _is_there(self, plan: Schedule) -> bool:
        """Say whether the profiles that a schedule names exist, as far as that can be known."""
        if self._settings is None:
            return True
        llm = plan.llm_profile
        return plan.db_profile in self._settings.db_profiles and (
            llm is None or llm in self._settings.llm_profiles
        )


def checked_row(file: str, data: bytes, plan: Schedule) -> tuple[str, Shelved]:
    """Return the table of a schedule as JSON, and a row that names it, without a stat."""
    body = plan.model_dump_json(exclude_unset=True, exclude={"name"})
    return body, Shelved(
        file,
        (),
        digest_of(file, data),
        plan.name,
        plan.db_profile,
        plan.llm_profile,
        plan.trigger.type,
        plan.max_concurrent,
        "",
        mark_of(body),
    )


def digest_of(file: str, data: bytes) -> bytes:
    """Return a hash that moves when the file reads differently, or is called otherwise."""
    total = hashlib.blake2b(os.fsencode(file), digest_size=16)
    total.update(b"\0")
    total.update(data)
    return total.digest()


def _read(path: str) -> bytes | None:
    """Return a regular file's bytes; None where there is anything to be told about it."""
    try:
        handle = os.open(path, _FLAGS)
    except OSError:
        return None
    try:
        state = os.fstat(handle)
        if not modes.S_ISREG(state.st_mode) or state.st_size > MAX_BYTES:
            return None
        data = os.read(handle, MAX_BYTES + 1)
        return data if len(data) == state.st_size else None
    except OSError:
        return None
    finally:
        os.close(handle)
