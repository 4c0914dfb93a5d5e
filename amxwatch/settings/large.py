"""A config of very many drop-ins: only those that moved are read and checked."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from amxwatch.core.errors import ConfigError, ConfigProblem
from amxwatch.settings.file import Loaded, examine, refused
from amxwatch.settings.folder import Folder
from amxwatch.settings.plans import Plans, Shelved
from amxwatch.settings.schema import Schedule, Settings
from amxwatch.settings.shelf import Shelf, shelf_of
from amxwatch.settings.source import SourceFile, is_drop_in, read_some

Stat = tuple[int, int, int, int]
"""Inode, size, last change of the content and of the entry, in nanoseconds."""

CHUNK = 1000
"""How many files are checked together."""

MOST_WRONG = 50
"""How many files with the same kind of mistake are looked at closely enough to tell it."""


def load_large(folder: Folder, instead: Mapping[Path, bytes | None] | None = None) -> Loaded | None:
    """Read and check a config of very many drop-ins; None where they cannot even be listed.

    Raises: ConfigError.
    """
    seen = stats(folder)
    return None if seen is None else load_seen(folder, seen, shelf_of(folder), instead)


def stats(folder: Folder) -> dict[str, Stat] | None:
    """Return what stat says of each drop-in; None where something cannot be listed or asked."""
    found: dict[str, Stat] = {}
    try:
        with os.scandir(folder.schedules) as entries:
            for entry in entries:
                if is_drop_in(entry.name):
                    state = entry.stat()
                    found[entry.name] = (
                        state.st_ino,
                        state.st_size,
                        state.st_mtime_ns,
                        state.st_ctime_ns,
                    )
    except OSError:
        return None
    return found


def load_seen(
    folder: Folder,
    seen: Mapping[str, Stat],
    shelf: Shelf,
    instead: Mapping[Path, bytes | None] | None = None,
) -> Loaded:
    """Check what moved since it was shelved, and shelve it. Raises: ConfigError."""
    changed = {
        path.name: data for path, data in (instead or {}).items() if path != folder.config_file
    }
    rows = {
        file: row
        for file, row in shelf.rows.items()
        if seen.get(file) == row[1:5] and file not in changed
    }
    moved = sorted((seen.keys() - rows.keys()) | changed.keys())
    sure = shelf.sure_before() if moved else 0
    checked = _Checked(folder, instead)
    for start in range(0, max(len(moved), 1), CHUNK):
        checked.add(moved[start : start + CHUNK])
    while not checked.is_wrong and (wrong := _misfits(checked, rows)):
        for file in wrong:
            del rows[file]
        checked.add(wrong)
    checked.refuse()
    fresh = [row for row in checked.rows(seen, sure) if row.file not in changed]
    if instead is None:
        shelf.keep(fresh, shelf.rows.keys() - rows.keys() - {row.file for row in fresh})
    return _whole(folder, checked, rows, fresh)


class _Checked:
    """What was read and checked in this load: the main file, and the drop-ins that moved."""

    def __init__(self, folder: Folder, instead: Mapping[Path, bytes | None] | None) -> None:
        self._folder = folder
        self._instead = instead
        self._problems: dict[ConfigProblem, None] = {}
        self._sources: dict[str, SourceFile] = {}
        self.settings = Settings()
        self.main = ""
        self.schedules: dict[str, Schedule] = {}
        self.files: dict[str, Path] = {}
        self.warnings: dict[str, None] = {}

    def add(self, names: Iterable[str]) -> None:
        """Read and check these drop-ins, together with the main file."""
        sources = read_some(self._folder, names, self._instead)
        try:
            loaded = examine(self._folder.path, sources)
        except ConfigError as error:
            self._problems.update(dict.fromkeys(error.problems))
            return
        self._sources.update((source.path.name, source) for source in sources if source.drop_in)
        self.main = hashlib.sha256(
            b"".join(source.data for source in sources if not source.drop_in)
        ).hexdigest()
        for name, plan in loaded.settings.schedules.items():
            file = loaded.schedule_files[name]
            if self.files.get(name, file) != file:
                self.add([self.files[name].name, file.name])  # refused: a name given twice
                return
            self.schedules[name], self.files[name] = plan, file
        self.settings = loaded.settings
        self.warnings.update(dict.fromkeys(loaded.warnings))

    @property
    def is_wrong(self) -> bool:
        return bool(self._problems)

    def refuse(self) -> None:
        """Raises: ConfigError, with what was found wrong in any part."""
        if self._problems:
            raise refused(list(self._problems))

    def rows(self, seen: Mapping[str, Stat], sure: int) -> Iterator[Shelved]:
        """Yield a row for each drop-in that can be believed from now on."""
        for name, path in self.files.items():
            source, stat = self._sources.get(path.name), seen.get(path.name)
            if source is None or stat is None or max(stat[2:]) >= sure or not _is_text(path.name):
                continue
            plan = self.schedules[name]
            told = [line for line in self.warnings if line.startswith(f"{source.name}:")]
            yield Shelved(
                path.name,
                *stat,
                hashlib.blake2b(source.data, digest_size=16).hexdigest(),
                name,
                plan.db_profile,
                plan.llm_profile,
                plan.trigger.type,
                plan.max_concurrent,
                "\n".join(told),
                plan.model_dump_json(exclude_unset=True),
            )

    def digests(self) -> dict[str, str]:
        return {
            name: hashlib.blake2b(source.data, digest_size=16).hexdigest()
            for name, source in self._sources.items()
        }


def _is_text(name: str) -> bool:
    """Say whether a database takes the name; files may be called by any bytes."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _misfits(checked: _Checked, rows: Mapping[str, Shelved]) -> list[str]:
    """Return shelved files that do not go with the rest: a name given twice, a profile gone."""
    settings = checked.settings
    wrong = [
        file
        for file, row in rows.items()
        if row.name in checked.schedules
        or row.db_profile not in settings.db_profiles
        or (row.llm_profile is not None and row.llm_profile not in settings.llm_profiles)
    ]
    return wrong[:MOST_WRONG]


def _whole(
    folder: Folder, checked: _Checked, rows: dict[str, Shelved], fresh: list[Shelved]
) -> Loaded:
    """Join what was checked now with what was checked before."""
    known = {**rows, **{row.file: row for row in fresh}}
    shelved = {row.name: row for row in known.values()}
    built = {name: plan for name, plan in checked.schedules.items() if name not in shelved}
    digests = {**{file: row.digest for file, row in rows.items()}, **checked.digests()}
    told = "".join(f"{file}\0{digests[file]}\n" for file in sorted(digests))
    total = hashlib.sha256(f"{checked.main}\n{told}".encode("utf-8", "surrogateescape"))
    warnings = [*checked.warnings]
    warnings += [line for row in rows.values() if row.warnings for line in row.warnings.split("\n")]
    return Loaded(
        settings=checked.settings.model_copy(update={"schedules": Plans(built, shelved)}),
        warnings=tuple(warnings),
        files=(folder.config_file, folder.schedules),
        digest=total.hexdigest(),
        schedule_files=_Files(folder, checked.files, shelved),
    )


class _Files(Mapping[str, Path]):
    """Which file each schedule stands in."""

    def __init__(
        self, folder: Folder, known: Mapping[str, Path], shelved: Mapping[str, Shelved]
    ) -> None:
        self._folder = folder
        self._known = known
        self._shelved = shelved

    def __getitem__(self, name: str) -> Path:
        if name in self._known:
            return self._known[name]
        return self._folder.schedules / self._shelved[name].file

    def __iter__(self) -> Iterator[str]:
        yield from self._known
        yield from (name for name in self._shelved if name not in self._known)

    def __len__(self) -> int:
        return len(self._known.keys() | self._shelved.keys())
