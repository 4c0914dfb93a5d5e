"""A config of very many drop-ins: only those that moved are read and checked.

What is plain is read and checked quickly, one by one. Anything else goes the way that a small
config goes, some at a time, so that what is wrong is told in the same words.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from amxwatch.core.errors import ConfigError, ConfigProblem, TriggerError
from amxwatch.settings.file import MAX_PROBLEMS, Loaded, examine, refused
from amxwatch.settings.folder import Folder
from amxwatch.settings.plans import Plans, Shelved, Stat, built
from amxwatch.settings.quick import Quick, checked_row, digest_of
from amxwatch.settings.schema import Schedule, Settings
from amxwatch.settings.shelf import Judged, Shelf, is_sure, shelf_of
from amxwatch.settings.source import SourceFile, is_drop_in, read_some

Instead = Mapping[Path, bytes | None]

CHUNK = 1000
"""How many files are checked together."""

MOST_WRONG = 50
"""How many files with the same kind of mistake are looked at closely enough to tell it."""


def load_large(folder: Folder, instead: Instead | None = None) -> Loaded | None:
    """Read and check a config of very many drop-ins; None where they cannot even be listed.

    Raises: ConfigError.
    """
    listing = listing_of(folder)
    seen = stats(folder)
    return None if seen is None else load_seen(folder, seen, instead, listing=listing)


def listing_of(folder: Folder) -> Stat:
    """Return what stat says of the folder of drop-ins; nothing where it cannot be asked."""
    found = stat_of(folder.schedules)
    return (found[0], 0, *found[2:]) if found else ()


def stats(folder: Folder) -> dict[str, Stat] | None:
    """Return what stat says of each drop-in; None where they cannot be listed."""
    found: dict[str, Stat] = {}
    try:
        with os.scandir(folder.schedules) as entries:
            for entry in entries:
                if is_drop_in(entry.name):
                    found[entry.name] = stat_of(entry)
    except OSError:
        return None
    return found


def stat_of(entry: os.DirEntry[str] | Path) -> Stat:
    """Return what stat says of a file; nothing where it cannot be asked."""
    try:
        state = entry.stat()
    except OSError:  # told when it is read
        return ()
    return (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns)


def load_seen(
    folder: Folder,
    seen: Mapping[str, Stat],
    instead: Instead | None = None,
    *,
    listing: Stat = (),
) -> Loaded:
    """Check what moved since it was shelved, and shelve it. Raises: ConfigError."""
    shelf = shelf_of(folder)
    changed = {path.name for path in instead or () if path != folder.config_file}
    known = shelf.rows
    # In order, as that is how a database takes very many rows quickly.
    moved = sorted(
        file
        for file, stat in seen.items()
        if (row := known.get(file)) is None or row.stat != stat or not stat
    )
    gone = known.keys() - seen.keys()
    checked = Checked(folder, instead)
    checked.add(())
    rows = known
    if moved or gone or changed:
        rows = dict(known)
        for file in {*moved, *gone, *changed}:
            rows.pop(file, None)
        _check_moved(checked, {file: seen[file] for file in moved}, rows, changed, shelf)
    _settle(checked, rows)
    if checked.is_wrong and instead is None:
        shelf.doubt()
    checked.refuse()
    shelf.hold(checked.bodies)
    if instead is None:
        fresh = [row for file in moved if (row := rows.get(file)) is not None]
        shelf.keep(fresh, gone, _judged(checked, rows, seen, shelf, listing))
    return _whole(folder, checked, rows, shelf)


def _check_moved(
    checked: Checked,
    moved: Mapping[str, Stat],
    rows: dict[str, Shelved],
    changed: set[str],
    shelf: Shelf,
) -> None:
    """Read and check what moved: quickly what is plain, the rest as in a small config."""
    checked.sure = shelf.sure_before() if moved else 0
    quick = Quick(checked.folder, checked.settings if not checked.is_wrong else None, checked.sure)
    others = set(changed)
    for file, stat in moved.items():
        row = None if file in changed else quick.row(file, stat)
        if row is None:
            others.add(file)
        else:
            rows[file] = row
    checked.bodies.update(quick.bodies)
    names = sorted(others)
    for start in range(0, len(names), CHUNK):
        checked.add(names[start : start + CHUNK])
        if checked.tells_enough:
            return
    checked.fill(rows, moved)


def _settle(checked: Checked, rows: dict[str, Shelved]) -> None:
    """Look closely at what does not go with the rest, until it is told or has moved."""
    while not checked.is_wrong and (wrong := _misfits(checked, rows)):
        for file in wrong:
            del rows[file]
        checked.add(wrong)
        checked.fill(rows, {})


def _misfits(checked: Checked, rows: Mapping[str, Shelved]) -> list[str]:
    """Return files that do not go with the rest: a name given twice, a profile gone."""
    settings, held = checked.settings, checked.held
    wrong: list[str] = []
    pairs = {(row.db_profile, row.llm_profile) for row in rows.values()}
    astray = {
        (db, llm)
        for db, llm in pairs
        if db not in settings.db_profiles or (llm is not None and llm not in settings.llm_profiles)
    }
    if astray:
        files = (f for f, row in rows.items() if (row.db_profile, row.llm_profile) in astray)
        wrong += sorted(files)[:MOST_WRONG]
    by_name = {row.name: file for file, row in rows.items()}
    if len(by_name) < len(rows) or not held.keys().isdisjoint(by_name):
        wrong += _twice(rows, by_name, held)
    return list(dict.fromkeys(wrong))


def _twice(
    rows: Mapping[str, Shelved], last: Mapping[str, str], held: Mapping[str, Schedule]
) -> list[str]:
    """Return the files of names that are given twice, those of one name together."""
    twice = {row.name for file, row in rows.items() if last[row.name] != file}
    few = set(sorted(twice | (held.keys() & last.keys()))[:MOST_WRONG])
    return [file for file, row in rows.items() if row.name in few]


class Checked:
    """What was read and checked in this load: the main file, and drop-ins the long way."""

    def __init__(self, folder: Folder, instead: Instead | None) -> None:
        self.folder = folder
        self.sure = 0
        self._instead = instead
        self._problems: dict[ConfigProblem, None] = {}
        self.settings = Settings()
        self.main = ""
        self.held: dict[str, Schedule] = {}
        self.held_files: dict[str, Path] = {}
        self.held_digests: dict[str, bytes] = {}
        self.warnings: dict[str, None] = {}
        self.bodies: dict[bytes, str] = {}
        self._found: dict[str, tuple[SourceFile, Schedule]] = {}

    def add(self, names: Iterable[str]) -> None:
        """Read and check these drop-ins, together with the main file."""
        sources = read_some(self.folder, names, self._instead)
        try:
            loaded = examine(self.folder.path, sources)
        except ConfigError as error:
            self._problems.update(dict.fromkeys(error.problems))
            return
        by_path = {source.path: source for source in sources}
        self.main = main_hash(sources)
        self.settings = loaded.settings
        self.warnings.update(dict.fromkeys(loaded.warnings))
        for name, plan in loaded.settings.schedules.items():
            source = by_path[loaded.schedule_files[name]]
            if source.drop_in and _is_text(source.path.name):
                self._found[source.path.name] = (source, plan)
                continue
            if self.held_files.get(name, source.path) != source.path:
                self.add([self.held_files[name].name, source.path.name])  # refused: given twice
                return
            self.held[name], self.held_files[name] = plan, source.path
            if source.drop_in:
                self.held_digests[source.path.name] = digest_of(source.path.name, source.data)

    def fill(self, rows: dict[str, Shelved], seen: Mapping[str, Stat]) -> None:
        """Make rows of the drop-ins that were found to be right."""
        for file, (source, plan) in self._found.items():
            body, row = checked_row(file, source.data, plan)
            told = [line for line in self.warnings if line.startswith(f"{source.name}:")]
            stat = seen.get(file, ())
            rows[file] = row._replace(
                stat=stat if is_sure(stat, self.sure) else (), warnings="\n".join(told)
            )
            self.bodies[row.mark] = body
        self._found.clear()

    @property
    def is_wrong(self) -> bool:
        return bool(self._problems)

    @property
    def tells_enough(self) -> bool:
        """What more is found wrong would not be shown."""
        return len(self._problems) > MAX_PROBLEMS

    def refuse(self) -> None:
        """Raises: ConfigError, with what was found wrong in any part."""
        if self._problems:
            raise refused(list(self._problems))


def main_hash(sources: Iterable[SourceFile]) -> str:
    """Return the hash of the main file, whether there is one or not."""
    main = (source.data for source in sources if not source.drop_in)
    return hashlib.sha256(b"".join(main)).hexdigest()


def _is_text(name: str) -> bool:
    """Say whether a database takes the name; files may be called by any bytes."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _judged(
    checked: Checked,
    rows: Mapping[str, Shelved],
    seen: Mapping[str, Stat],
    shelf: Shelf,
    listing: Stat,
) -> Judged:
    """Return what is to be known of a config that holds as a whole."""
    if len(rows) < len(seen) or not all(row.stat for row in rows.values()):
        return Judged(main=checked.main)
    now = Judged(main=checked.main, listing=" ".join(map(str, listing)))
    if now == shelf.judged() or is_sure(listing, checked.sure or shelf.sure_before()):
        return now
    return Judged(main=checked.main)


def _whole(folder: Folder, checked: Checked, rows: Mapping[str, Shelved], shelf: Shelf) -> Loaded:
    """Join what was checked now with what was checked before."""
    by_name = {row.name: row for row in rows.values()}
    digests = sorted([*(row.digest for row in rows.values()), *checked.held_digests.values()])
    total = hashlib.sha256(b"".join([checked.main.encode(), *digests]))
    warnings = dict.fromkeys(checked.warnings)
    for told in [row.warnings for row in rows.values() if row.warnings]:
        warnings.update(dict.fromkeys(told.split("\n")))
    plans = Plans(checked.held, by_name, builder(folder, shelf))
    return Loaded(
        settings=checked.settings.model_copy(update={"schedules": plans}),
        warnings=tuple(warnings),
        files=(folder.config_file, folder.schedules),
        digest=total.hexdigest(),
        schedule_files=_Files(folder, checked.held_files, by_name),
    )


def builder(folder: Folder, shelf: Shelf) -> Callable[[Shelved], Schedule]:
    """Return what builds a schedule: from the shelf, or from its file where the shelf was lost."""

    def build(row: Shelved) -> Schedule:
        body = shelf.body(row.mark)
        if body is not None:
            return built(row, body)
        sources = read_some(folder, [row.file])
        data = next((source.data for source in sources if source.drop_in), b"")
        if digest_of(row.file, data) != row.digest:
            raise TriggerError(
                f"schedules.d/{row.file}: it was edited, and what it said before is lost;"
                " save a version that holds"
            )
        return examine(folder.path, sources).settings.schedules[row.name]

    return build


class _Files(Mapping[str, Path]):
    """Which file each schedule stands in."""

    def __init__(
        self, folder: Folder, held: Mapping[str, Path], rows: Mapping[str, Shelved]
    ) -> None:
        self._folder = folder
        self._held = held
        self._rows = rows

    def __getitem__(self, name: str) -> Path:
        held = self._held.get(name)
        return self._folder.schedules / self._rows[name].file if held is None else held

    def __iter__(self) -> Iterator[str]:
        yield from self._held
        yield from self._rows

    def __len__(self) -> int:
        return len(self._held) + len(self._rows)
