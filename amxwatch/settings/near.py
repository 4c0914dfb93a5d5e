"""A few of very many schedules, judged by themselves: the others need not be looked at.

What is kept of the drop-ins says which file a schedule stands in, so one command reads the main
file and that one. Wherever something is not as it was kept, the whole config is judged instead.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from amxwatch.core.errors import ConfigError
from amxwatch.settings.file import Loaded, load
from amxwatch.settings.folder import Folder
from amxwatch.settings.large import Checked, Instead, builder, listing_of, main_hash, stat_of
from amxwatch.settings.plans import Outline, Outlined, Shelved, outlines
from amxwatch.settings.schema import Schedule
from amxwatch.settings.shelf import Judged, Shelf, is_sure, shelf_of
from amxwatch.settings.source import is_drop_in, read_some

FEW = 200
"""How many files that were never judged are looked at beside the kept ones."""


class _DoubtError(Exception):
    """Something is not as it was kept."""


def load_near(folder: Folder, about: Sequence[str], instead: Instead | None) -> Loaded | None:
    """Judge these schedules; None where the whole config has to be judged."""
    near = Near(folder, shelf_of(folder), instead)
    try:
        near.begin()
        if not all(near.find(name) for name in about):
            return None
    except (_DoubtError, ConfigError):
        return None
    settings = near.checked.settings.model_copy(update={"schedules": near})
    return Loaded(
        settings=settings,
        warnings=tuple(near.checked.warnings),
        files=(folder.config_file, folder.schedules),
        schedule_files=_Files(near),
        whole=False,
    )


class Near(Mapping[str, Schedule]):
    """Schedules by name, each judged when it is asked for; all of them where all are wanted."""

    def __init__(self, folder: Folder, shelf: Shelf, instead: Instead | None) -> None:
        self.checked = Checked(folder, instead)
        self._folder = folder
        self._shelf = shelf
        self._instead = instead
        self._build = builder(folder, shelf)
        self._looked: set[str] = set()
        self._found: dict[str, Shelved] = {}
        self._whole: Loaded | None = None

    # -- the few -----------------------------------------------------------------------------

    def begin(self) -> None:
        """Look at what was never judged. Raises: _DoubtError, ConfigError."""
        judged, listing = self._shelf.judged(), listing_of(self._folder)
        main = main_hash(read_some(self._folder, (), self._instead))
        if not judged.main or main != judged.main:
            raise _DoubtError
        changed = {path.name for path in self._instead or () if path != self._folder.config_file}
        told = " ".join(map(str, listing))
        new, gone = (set(), set()) if judged.listing == told else self._unlisted()
        self._looked |= gone
        self._look({*new, *changed})
        if self._instead is None and judged.listing != told:
            self._keep(new, gone, Judged(main=main, listing=told))

    def _unlisted(self) -> tuple[set[str], set[str]]:
        """Return the files of which nothing is kept, and those that are kept and gone."""
        try:
            there = {n for n in os.listdir(self._folder.schedules) if is_drop_in(n)}  # noqa: PTH208  # quicker, for many
        except OSError:
            raise _DoubtError from None
        kept = self._shelf.files()
        new, gone = there - kept, kept - there
        if len(new) + len(gone) > FEW:
            raise _DoubtError
        return new, gone

    def _look(self, files: Iterable[str]) -> None:
        """Read and check these, with the main file. Raises: _DoubtError, ConfigError."""
        names = sorted(files)
        stats = {name: stat_of(self._folder.schedules / name) for name in names}
        self.checked.sure = self._shelf.sure_before() if names else 0
        self.checked.add(names)
        self.checked.refuse()
        self._looked.update(names)
        rows: dict[str, Shelved] = {}
        self.checked.fill(rows, stats)
        self._shelf.hold(self.checked.bodies)
        for row in rows.values():
            if row.name in self._found or row.name in self.checked.held or self._kept(row.name):
                raise _DoubtError  # a name given twice
            self._found[row.name] = row

    def _kept(self, name: str) -> Shelved | None:
        """Return the row of a schedule whose file was not looked at here. Raises: _DoubtError."""
        rows = [r for r in self._shelf.select("WHERE name = ?", (name,)) if self._is_kept(r)]
        if len(rows) > 1:
            raise _DoubtError
        return rows[0] if rows else None

    def _is_kept(self, row: Shelved) -> bool:
        return row.file not in self._looked

    def find(self, name: str) -> Schedule | Shelved | None:
        """Return what is known of a schedule, as its file is now. Raises as `_look` does."""
        known = self.checked.held.get(name) or self._found.get(name)
        if known is not None:
            return known
        row = self._kept(name)
        if row is not None and stat_of(self._folder.schedules / row.file) != row.stat:
            self._look([row.file])
            return self._found.get(name)
        return row

    def _keep(self, new: set[str], gone: set[str], judged: Judged) -> None:
        """Keep what was judged here, as far as it can be believed from now on."""
        rows = [row for row in self._found.values() if row.file in new]
        sure = all(row.stat for row in rows) and len(rows) == len(new)
        stat = listing_of(self._folder)
        if not sure or not is_sure(stat, self._shelf.sure_before()):
            judged = Judged(main=judged.main)
        if any(row.stat for row in rows) or gone or judged.listing:
            self._shelf.keep([row for row in rows if row.stat], gone, judged)

    def names_after(self, name: str, count: int) -> list[str]:
        """Return the next few names in order."""
        if self._whole is None:
            try:
                return self._names_after(name, count)
            except (_DoubtError, ConfigError):
                self._all()
        assert isinstance(self._whole, Loaded)
        plans = self._whole.settings.schedules
        assert isinstance(plans, Outlined)
        return plans.names_after(name, count)

    def _names_after(self, name: str, count: int) -> list[str]:
        rows = self._shelf.select(
            "WHERE name > ? ORDER BY name LIMIT ?", (name, count + len(self._looked))
        )
        kept = [row.name for row in rows if self._is_kept(row)]
        here = [each for each in (*self.checked.held, *self._found) if each > name]
        names = sorted({*kept, *here})[:count]
        if not all(self.find(each) for each in names):
            raise _DoubtError
        return names

    def file_of(self, name: str) -> Path:
        """Return the file that a schedule stands in. Raises: KeyError, ConfigError."""
        if self._whole is None:
            known = self._try(name)
            if isinstance(known, Shelved):
                return self._folder.schedules / known.file
            if known is not None:
                return self.checked.held_files[name]
        return self._all().schedule_files[name]

    def __getitem__(self, name: str) -> Schedule:
        if self._whole is None:
            known = self._try(name)
            if known is None:
                raise KeyError(name)
            return self._build(known) if isinstance(known, Shelved) else known
        return self._whole.settings.schedules[name]

    def _try(self, name: str) -> Schedule | Shelved | None:
        try:
            return self.find(name)
        except (_DoubtError, ConfigError):
            return self._all().settings.schedules.get(name)

    def of_trigger(self, trigger: str) -> list[str]:
        """Return the names of those with this type of trigger, as they were kept."""
        rows = self._shelf.select("WHERE trigger = ?", (trigger,))
        kept = [row.name for row in rows if self._is_kept(row)]
        found = [row.name for row in self._found.values() if row.trigger == trigger]
        held = [name for name, plan in self.checked.held.items() if plan.trigger.type == trigger]
        return [*held, *found, *kept]

    def limits(self) -> dict[str, int]:
        """Return how many runs at once each may have, but for those that may have one."""
        rows = [
            row for row in self._shelf.select("WHERE max_concurrent != 1") if self._is_kept(row)
        ]
        found = {row.name: row.max_concurrent for row in (*rows, *self._found.values())}
        return {**found, **{name: p.max_concurrent for name, p in self.checked.held.items()}}

    def unkept(self) -> dict[str, Schedule]:
        """Build those that were judged here."""
        return {name: self[name] for name in (*self.checked.held, *self._found)}

    # -- all of them -------------------------------------------------------------------------

    def _all(self) -> Loaded:
        """Judge the whole config. Raises: ConfigError."""
        if self._whole is None:
            self._whole = load(self._folder.path, instead=self._instead)
        return self._whole

    def __iter__(self) -> Iterator[str]:
        return iter(self._all().settings.schedules)

    def __len__(self) -> int:
        if self._whole is not None:
            return len(self._whole.settings.schedules)
        hidden = len(self._shelf.files() & self._looked)
        return self._shelf.count() - hidden + len(self.checked.held) + len(self._found)

    def outlines(self) -> Iterator[tuple[str, Outline]]:
        """Yield what can be told of each."""
        return outlines(self._all().settings.schedules)


class _Files(Mapping[str, Path]):
    """Which file each schedule stands in."""

    def __init__(self, near: Near) -> None:
        self._near = near

    def __getitem__(self, name: str) -> Path:
        if name not in self._near:
            raise KeyError(name)
        return self._near.file_of(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._near)

    def __len__(self) -> int:
        return len(self._near)
