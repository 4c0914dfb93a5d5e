"""Notices that the config moved, and keeps the last good one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
from pydantic import ValidationError

from amxwatch.core.errors import ConfigError, ConfigProblem
from amxwatch.ports.clock import Clock
from amxwatch.settings.file import Loaded, examine
from amxwatch.settings.folder import Folder
from amxwatch.settings.schema import Settings
from amxwatch.settings.secrets import NOT_STORED, is_plain
from amxwatch.settings.source import SourceFile, digest, read_sources

FRESH_SECONDS = 2.0
"""After files moved, contents are compared for this long: stat alone may miss a second edit
within one tick of the file system's clock."""

SETTLE_SECONDS = 0.1
"""How long a file that looks half-written must stand still before it is believed."""

Stamp = tuple[tuple[str, int, int, int, int], ...]


class Reloader:
    """Looks at the config files when asked; who asks when is the caller's matter.

    `current` is the last good config, or None before the first. `is_settling` says that a file
    looked half-written: ask again within a tenth of a second or so. Not for two tasks at once.
    """

    def __init__(self, config_dir: Path, clock: Clock, current: Loaded | None = None) -> None:
        self.current = current
        self._folder = Folder(path=config_dir)
        self._clock = clock
        self._told = current.digest if current else ""
        self._known: dict[Path, bytes] | None = None
        self._stamp: Stamp | None = None
        self._stamp_since = 0.0
        self._doubtful: tuple[str, float] | None = None

    @property
    def is_settling(self) -> bool:
        return self._doubtful is not None

    @property
    def is_fresh(self) -> bool:
        """Claim that files moved so lately that `stamp` may miss a further edit."""
        return self._clock.monotonic() - self._stamp_since <= FRESH_SECONDS

    async def check(self) -> Loaded | ConfigError | None:
        """Return the new config, or what is wrong with it; None where nothing moved.

        Each content is told once. A file that vanished, is empty or ends without a line break
        may be half-written: it is told once it has stood still for SETTLE_SECONDS.
        """
        sources = await anyio.to_thread.run_sync(self._read)
        if sources is None:
            return None
        seen = digest(sources)
        if seen == self._told:
            self._doubtful = None
            self._known = _contents(sources)
            return None
        if self._looks_unfinished(sources) and not self._stood_still(seen):
            return None
        self._doubtful = None
        self._told = seen
        self._known = _contents(sources)
        try:
            self.current = await anyio.to_thread.run_sync(
                partial(examine, self._folder.path, sources)
            )
        except ConfigError as error:
            return error
        return self.current

    def _read(self) -> tuple[SourceFile, ...] | None:
        """Read the files, or return None where stat says that nothing can have moved."""
        stamp, now = self.stamp(), self._clock.monotonic()
        if stamp != self._stamp:
            self._stamp, self._stamp_since = stamp, now
        elif now - self._stamp_since > FRESH_SECONDS and self._doubtful is None:
            return None
        return read_sources(self._folder)

    def stamp(self) -> Stamp:
        """Return what stat says of every file, symlinks followed. Blocking; from any thread."""
        stamp = [_mark(str(self._folder.config_file), self._folder.config_file.stat)]
        try:
            # Not pathlib: there may be thousands, twice a second.
            with os.scandir(self._folder.schedules) as entries:
                stamp += [_mark(entry.name, entry.stat) for entry in entries]
        except OSError as error:
            stamp.append((str(self._folder.schedules), -1, error.errno or 0, 0, 0))
        return tuple(sorted(stamp))

    def _looks_unfinished(self, sources: tuple[SourceFile, ...]) -> bool:
        if self._known is None:
            return False
        known = self._known
        gone = known.keys() - {source.path for source in sources}
        moved = [s for s in sources if not s.problem and known.get(s.path) != s.data]
        return bool(gone) or any(not source.data.endswith(b"\n") for source in moved)

    def _stood_still(self, seen: str) -> bool:
        now = self._clock.monotonic()
        if self._doubtful is None or self._doubtful[0] != seen:
            self._doubtful = (seen, now)
        return now - self._doubtful[1] >= SETTLE_SECONDS


def _mark(name: str, look: Callable[[], os.stat_result]) -> tuple[str, int, int, int, int]:
    try:
        found = look()
    except OSError as error:
        return (name, -1, error.errno or 0, 0, 0)
    return (name, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _contents(sources: tuple[SourceFile, ...]) -> dict[Path, bytes]:
    return {source.path: source.data for source in sources}


def dump(settings: Settings) -> str:
    """Return the settings as JSON for the ledger: references are kept, plain secrets are not."""
    tree: dict[str, Any] = settings.model_dump(mode="json")
    for kind, key in (("db_profiles", "url"), ("llm_profiles", "base_url")):
        for name, profile in tree[kind].items():
            if profile[key] and is_plain(profile[key]):
                profile[key] = f"{NOT_STORED}{kind}.{name}.{key}"
    for name, profile in tree["llm_profiles"].items():
        if profile["api_key"] and is_plain(profile["api_key"]):
            profile["api_key"] = f"{NOT_STORED}llm_profiles.{name}.api_key"
    return json.dumps(tree, ensure_ascii=False, sort_keys=True)


def restore(text: str) -> Settings:
    """Return the settings that `dump` wrote.

    A secret that was not kept cannot be resolved. Raises: ConfigError, where another version
    wrote what this one does not know.
    """
    try:
        return Settings.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        problem = ConfigProblem(
            file="the stored copy of the last good config",
            line=0,
            key=".".join(str(part) for part in first["loc"]),
            found="what this version of amxwatch does not know",
            allowed="a config of this version; mend amxwatch.toml and it is stored anew",
        )
        raise ConfigError((problem,)) from None
