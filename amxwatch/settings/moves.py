"""What moved among very many drop-ins since they were last looked at."""

from __future__ import annotations

from collections.abc import Mapping

from amxwatch.settings.file import Loaded, load
from amxwatch.settings.folder import Folder
from amxwatch.settings.large import listing_of, load_seen, main_hash, stat_of, stats
from amxwatch.settings.plans import Plans, Shelved, Stat
from amxwatch.settings.quick import digest_of
from amxwatch.settings.source import read_some

FEW = 200
"""How many files are read again only because stat may have missed an edit of them."""


class Moves:
    """Looks at all files when told to, else only at those that stat may be wrong about."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._main: Stat = ()
        self._main_hash = ""
        self._listing: Stat = ()
        self._seen: Mapping[str, Stat] | None = None
        self._unsure: list[Shelved] | None = None

    def look(self) -> bool:
        """Ask stat about every file, and say whether one moved."""
        main, listing = stat_of(self._folder.config_file), listing_of(self._folder)
        seen = stats(self._folder)
        moved = seen is None or main != self._main or seen != self._seen
        self._main, self._listing, self._seen = main, listing, seen
        return moved

    def may_be_missed(self) -> bool:
        """Read the files that moved lately, and say whether one is not as it was."""
        if self._unsure is None or len(self._unsure) > FEW:
            return True
        files = {row.file: row.digest for row in self._unsure}
        sources = read_some(self._folder, files)
        here = {s.path.name: digest_of(s.path.name, s.data) for s in sources if s.drop_in}
        return here != files or main_hash(sources) != self._main_hash

    def load(self) -> Loaded:
        """Read and check what moved. Raises: ConfigError."""
        self._unsure = None
        main = main_hash(read_some(self._folder, ()))
        if self._seen is None:
            return load(self._folder.path)
        loaded = load_seen(self._folder, self._seen, listing=self._listing)
        plans = loaded.settings.schedules
        if isinstance(plans, Plans):
            self._unsure = [row for row in plans.rows.values() if not row.stat]
            self._main_hash = main
        return loaded
