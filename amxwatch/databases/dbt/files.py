"""The two files of a dbt target folder, read only when they have moved."""

from __future__ import annotations

import hashlib
import stat
from dataclasses import dataclass
from pathlib import Path

from amxwatch.core.errors import DatabaseUnavailableError

MANIFEST = "manifest.json"
CATALOG = "catalog.json"

Stamp = tuple[int, int, int]
"""mtime in nanoseconds, size, inode."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a file holds. `digest` is empty where there is no file."""

    digest: str = ""
    data: bytes = b""


@dataclass(kw_only=True)
class _Seen:
    stamp: Stamp
    digest: str
    settled: bool
    """Looked at twice under one stamp: two writes may fall within one tick of the clock."""


class TargetFolder:
    """Finds out whether the files moved. Used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._seen: dict[str, _Seen] = {}

    def digests(self) -> tuple[str, str]:
        """Return a hash of the content of either file; the second is empty where it is absent.

        Raises: DatabaseUnavailableError when there is no manifest.
        """
        return self._digest(MANIFEST), self._digest(CATALOG)

    def read(self, name: str) -> Content:
        """Return a file's content. Raises: DatabaseUnavailableError."""
        stamp = self._stamp(name)
        if stamp is None:
            return Content()
        try:
            data = (self.folder / name).read_bytes()
        except OSError as error:
            raise DatabaseUnavailableError(
                f"{self.folder / name} cannot be read ({error.strerror}); check its rights"
            ) from error
        digest = hashlib.blake2b(data, digest_size=16).hexdigest()
        known = self._seen.get(name)
        settled = known is not None and known.stamp == stamp
        self._seen[name] = _Seen(stamp=stamp, digest=digest, settled=settled)
        return Content(digest=digest, data=data)

    def _digest(self, name: str) -> str:
        known = self._seen.get(name)
        if known is not None and known.settled and known.stamp == self._stamp(name):
            return known.digest
        return self.read(name).digest

    def _stamp(self, name: str) -> Stamp | None:
        path = self.folder / name
        try:
            found = path.stat()
        except FileNotFoundError:
            if name == CATALOG and self.folder.is_dir():
                return None
            raise DatabaseUnavailableError(
                f"there is no {path}; run `dbt parse` in the project, or name the folder that "
                "dbt writes to with ?target=DIR"
            ) from None
        except OSError as error:
            raise DatabaseUnavailableError(
                f"{path} cannot be looked at ({error.strerror}); check its rights"
            ) from error
        if not stat.S_ISREG(found.st_mode):
            raise DatabaseUnavailableError(f"{path} is no file; run `dbt parse` to make it")
        return found.st_mtime_ns, found.st_size, found.st_ino
