"""Notices that the config moved, and keeps the last good one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio.to_thread
from pydantic import ValidationError

from amxwatch.core.errors import ConfigError, ConfigProblem
from amxwatch.ports.clock import Clock
from amxwatch.settings.file import Loaded, examine
from amxwatch.settings.folder import Folder
from amxwatch.settings.plans import Outlined, Plans
from amxwatch.settings.schema import Settings
from amxwatch.settings.secrets import NOT_STORED, is_plain, is_reference
from amxwatch.settings.source import SourceFile, digest, is_large, read_sources

if TYPE_CHECKING:
    from amxwatch.settings.moves import Moves

FRESH_SECONDS = 2.0
"""After files moved, contents are compared for this long: stat alone may miss a second edit
within one tick of the file system's clock."""

SETTLE_SECONDS = 0.1
"""How long a file that looks half-written must stand still before it is believed."""

GLANCED = 250
"""For each so many files a look is left out."""

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
        self._moves: Moves | None = None
        self._glanced: Stamp = ()
        self._skipped = 0

    @property
    def is_settling(self) -> bool:
        return self._doubtful is not None

    @property
    def is_fresh(self) -> bool:
        """Claim that files moved so lately that `stamp` may miss a further edit."""
        return self._clock.monotonic() - self._stamp_since <= FRESH_SECONDS

    async def check(self, *, hinted: bool = True) -> Loaded | ConfigError | None:
        """Return the new config, or what is wrong with it; None where nothing moved.

        `hinted` says that something may have moved just now. Without that, of very many files
        only those are looked at that moved lately.

        Each content is told once. A file that vanished, is empty or ends without a line break
        may be half-written: it is told once it has stood still for SETTLE_SECONDS.
        """
        if await anyio.to_thread.run_sync(is_large, self._folder):
            return await anyio.to_thread.run_sync(self._check_large, hinted)
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

    def _check_large(self, hinted: bool) -> Loaded | ConfigError | None:
        """Check only the files that moved, of very many. What looks half-written has to stand."""
        from amxwatch.settings.moves import Moves

        if self._moves is None:
            self._moves, hinted = Moves(self._folder), True
        if hinted and self._moves.look():
            self._stamp_since = self._clock.monotonic()
        elif self._doubtful is None and not (self.is_fresh and self._moves.may_be_missed()):
            return None
        try:
            found: Loaded | ConfigError = self._moves.load()
        except ConfigError as error:
            found = error
        seen = found.digest if isinstance(found, Loaded) else str(found.problems)
        if seen == self._told:
            self._doubtful = None
            return None
        if isinstance(found, ConfigError) and not self._stood_still(seen):
            return None
        self._doubtful, self._told, self._known = None, seen, None
        if isinstance(found, Loaded):
            self.current = found
        return found

    def _read(self) -> tuple[SourceFile, ...] | None:
        """Read the files, or return None where stat says that nothing can have moved."""
        return read_sources(self._folder) if self._may_have_moved() else None

    def _may_have_moved(self) -> bool:
        stamp, now = self.stamp(), self._clock.monotonic()
        if stamp != self._stamp:
            self._stamp, self._stamp_since = stamp, now
            return True
        return now - self._stamp_since <= FRESH_SECONDS or self._doubtful is not None

    def glance(self) -> Stamp:
        """Return the stamp for a look twice a second; of very many files it is taken less often.

        Events tell at once what moved; this finds what they did not tell.
        """
        if self._skipped < len(self._glanced) // GLANCED:
            self._skipped += 1
        else:
            self._skipped, self._glanced = 0, self.stamp()
        return self._glanced

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
    plans = settings.schedules
    if isinstance(plans, Outlined):
        # The shelf keeps the others; it holds nothing but what was once good.
        settings = settings.model_copy(update={"schedules": plans.unkept()})
    tree: dict[str, Any] = settings.model_dump(mode="json")
    for kind, key in (("db_profiles", "url"), ("llm_profiles", "base_url")):
        for name, profile in tree[kind].items():
            if profile[key] and is_plain(profile[key]):
                profile[key] = f"{NOT_STORED}{kind}.{name}.{key}"
    for name, profile in tree["llm_profiles"].items():
        if profile["api_key"] and is_plain(profile["api_key"]):
            profile["api_key"] = f"{NOT_STORED}llm_profiles.{name}.api_key"
    for name, target in tree["alerts"]["targets"].items():
        for key in ("url", "secret", "password"):
            if target.get(key) and not is_reference(target[key]):
                target[key] = f"{NOT_STORED}alerts.targets.{name}.{key}"
    return json.dumps(tree, ensure_ascii=False, sort_keys=True)


def restore_large(text: str, folder: Folder) -> Settings:
    """Return what `restore` does, with the schedules that were shelved when they were good.

    Raises: ConfigError.
    """
    settings = restore(text)
    if not is_large(folder):
        return settings
    from amxwatch.settings.large import builder
    from amxwatch.settings.shelf import shelf_of

    shelf = shelf_of(folder)
    shelved = {
        row.name: row
        for row in shelf.rows.values()
        if row.db_profile in settings.db_profiles and row.name not in settings.schedules
    }
    plans = Plans(settings.schedules, shelved, builder(folder, shelf))
    return settings.model_copy(update={"schedules": plans})


def restore(text: str) -> Settings:
    """Return the settings that `dump` wrote.

    A secret that was not kept cannot be resolved. A schedule that cannot be read any more (its
    zone is not in the data of this machine) is left out, and the others go on. Raises:
    ConfigError, where another version wrote what this one does not know.
    """
    try:
        try:
            return Settings.model_validate_json(text)
        except ValidationError as error:
            return Settings.model_validate(_without_broken(text, error))
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


def _without_broken(text: str, error: ValidationError) -> dict[str, Any]:
    """Return the tree without the schedules that an error is about. Raises: the error, if none."""
    details = error.errors(include_input=False, include_url=False, include_context=False)
    broken = {loc[1] for loc in (each["loc"] for each in details) if loc[:1] == ("schedules",)}
    if not broken:
        raise error
    tree: dict[str, Any] = json.loads(text)
    plans = {name: plan for name, plan in tree["schedules"].items() if name not in broken}
    return {**tree, "schedules": plans}
