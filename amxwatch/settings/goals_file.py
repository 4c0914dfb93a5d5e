"""Reading a goals file, of which a person may have written anything."""

from __future__ import annotations

from pathlib import Path

from amxwatch.core.errors import UsageError

MAX_BYTES = 256 * 1024
"""A larger file is no list of goals."""


def read_goals(folder: Path, file: str) -> str:
    """Return the text of a goals file; a relative path starts at `folder`. Raises: UsageError."""
    path = folder / Path(file).expanduser()
    try:
        with path.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise UsageError(f"the goals file {path} cannot be read: {why}") from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"the goals file {path} has more than {MAX_BYTES // 1024} KiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(
            f"the goals file {path} is not UTF-8: byte {error.start}; save it as UTF-8"
        ) from None
