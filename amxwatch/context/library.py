"""Where the indexes of documents and code lie, and where their folders are."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Library:
    """`indexes` is the folder of our index files; relative folders start at `relative_to`."""

    indexes: Path
    relative_to: Path

    def folder(self, path: str) -> Path:
        """Return the folder that a profile names."""
        return self.relative_to / Path(path).expanduser()

    def index(self, kind: str, name: str, folder: Path) -> Path:
        """Return the index file of one profile; another folder has another."""
        plain = re.sub(r"[^\w-]+", "-", name)[:40]
        mark = hashlib.sha256(f"{name}\0{folder}".encode("utf-8", "surrogatepass")).hexdigest()
        return self.indexes / f"{kind}-{plain}-{mark[:10]}.db"
