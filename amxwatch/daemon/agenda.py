"""When each schedule is to be evaluated next, so that a poll costs what is due.

Kept in memory by one process and made anew at its start, when everything is due once. What is
here are hints alone: evaluating a schedule that is not due does nothing, and a slow round over
all of them (`round`) finds what a lost hint would have told.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice

from amxwatch.core.catalog import SnapshotNumber
from amxwatch.settings.plans import Outline, outlines
from amxwatch.settings.schema import Schedule

SET_BACK = timedelta(seconds=30)
"""A clock that goes back by more was set: moments that were kept mean nothing any more."""

RECHECKED = 100
"""How many of those that wait for something (a person, a run) are looked at again at a poll."""

Paths = tuple[str, ...]


class Agenda:
    """Names by the moment of their next evaluation. Pure: what moved is told by the caller.

    `seen` is the number of the last change of any schedule's state that was told.
    """

    def __init__(self) -> None:
        self.seen = 0
        self.plans: Mapping[str, Schedule] = {}
        self._outlines: dict[str, Outline] = {}
        self._order: dict[str, int] = {}
        self._pending: set[str] = set()
        self._at: dict[str, datetime] = {}
        self._heap: list[tuple[datetime, str]] = []
        self._waiting: dict[str, None] = {}
        self._failed: set[str] = set()
        self._on_change: defaultdict[str, set[str]] = defaultdict(set)
        self._on_files: defaultdict[Paths, set[str]] = defaultdict(set)
        self._paths: dict[str, Paths] = {}
        self._newest: dict[str, SnapshotNumber | None] = {}
        self._marks: dict[Paths, str] = {}
        self._now: datetime | None = None
        self._round: Iterator[str] = iter(())
        self._round_at: datetime | None = None

    # -- what moved --------------------------------------------------------------------------

    def adopt(self, plans: Mapping[str, Schedule]) -> None:
        """Take the schedules of the config: what is new or edited is due, what is gone leaves."""
        if plans is self.plans:
            return
        self.plans = plans
        told = dict(outlines(plans))
        for name in self._outlines.keys() - told.keys():
            self._forget(name)
            self._pending.discard(name)
        for name, outline in told.items():
            if self._outlines.get(name) != outline:
                self._forget(name)
                self._file(name, outline)
                self._pending.add(name)
        self._outlines = told
        self._order = {name: place for place, name in enumerate(told)}

    def _file(self, name: str, outline: Outline) -> None:
        if outline.trigger == "change":
            self._on_change[outline.db_profile].add(name)
        elif outline.trigger == "files":
            paths = tuple(getattr(self.plans[name].trigger, "paths", ()))
            self._on_files[paths].add(name)
            self._paths[name] = paths

    def _forget(self, name: str) -> None:
        former = self._outlines.get(name)
        if former is not None and former.trigger == "change":
            self._on_change[former.db_profile].discard(name)
            if not self._on_change[former.db_profile]:
                del self._on_change[former.db_profile]
        paths = self._paths.pop(name, None)
        if paths is not None:
            self._on_files[paths].discard(name)
            if not self._on_files[paths]:
                del self._on_files[paths]
                self._marks.pop(paths, None)
        self._at.pop(name, None)
        self._waiting.pop(name, None)
        self._failed.discard(name)

    def tick(self, now: datetime) -> list[str]:
        """Take what came due by `now`, and return it; all of it where the clock was set back."""
        due = []
        if self._now is not None and now < self._now - SET_BACK:
            self._pending.update(self._outlines)
            self._round_at = None
        self._now = now
        while self._heap and self._heap[0][0] <= now:
            moment, name = heapq.heappop(self._heap)
            if self._at.get(name) == moment:
                del self._at[name]
                self._pending.add(name)
                due.append(name)
        return due

    def touch(self, names: Iterable[str]) -> None:
        """Take these: their state was changed, by whomever."""
        self._pending.update(name for name in names if name in self._outlines)

    def snapshot(self, profile: str, newest: SnapshotNumber | None) -> None:
        """Take the change schedules of a profile whose newest snapshot is another one now."""
        if profile not in self._newest or self._newest[profile] != newest:
            self._pending.update(self._on_change.get(profile, ()))
        self._newest[profile] = newest

    def files(self, paths: Paths, mark: str) -> None:
        """Take the files schedules whose files are others now."""
        if self._marks.get(paths) != mark:
            self._pending.update(self._on_files.get(paths, ()))
        self._marks[paths] = mark

    def recheck(self) -> None:
        """Take what failed, and a share of what waits: the poll's look at what stands still."""
        self._pending |= self._failed
        for name in list(self._waiting)[:RECHECKED]:
            del self._waiting[name]  # settled anew, it goes to the end
            self._pending.add(name)

    def round(self, count: int, pause: timedelta) -> list[str]:
        """Return the next few of all schedules, over and over, none within `pause` of the last."""
        if self._now is None or (self._round_at is not None and self._now < self._round_at + pause):
            return []
        names = [name for name in islice(self._round, count) if name in self._outlines]
        if not names:
            self._round = iter(list(self._outlines))
        self._round_at = self._now
        return [name for name in names if name not in self._pending]

    # -- what is asked -----------------------------------------------------------------------

    @property
    def profiles(self) -> list[str]:
        """The db profiles whose newest snapshot matters."""
        return sorted(self._on_change)

    def watched(self, profiles: Iterable[str] | None = None) -> list[Paths]:
        """Return what files schedules watch: those of the named profiles, or all."""
        wanted = None if profiles is None else set(profiles)
        return [
            paths
            for paths, names in self._on_files.items()
            if wanted is None or any(self._outlines[name].db_profile in wanted for name in names)
        ]

    def is_clocked(self, name: str) -> bool:
        """Say whether the clock alone makes a schedule due."""
        return self._outlines[name].trigger not in ("change", "files")

    def is_waiting(self, name: str) -> bool:
        return name in self._waiting

    def mark(self, name: str) -> str | None:
        """Return the digest of the files that a schedule watches; None for any other."""
        paths = self._paths.get(name)
        return None if paths is None else self._marks.get(paths)

    def newest(self, profile: str) -> SnapshotNumber | None:
        return self._newest.get(profile)

    def pending(self, limit: int) -> list[str]:
        """Return some of what is to be evaluated now, as the config has them in order."""
        if len(self._pending) <= limit:
            return sorted(self._pending, key=self._order.__getitem__)
        return heapq.nsmallest(limit, self._pending, key=self._order.__getitem__)

    @property
    def pending_count(self) -> int:
        return len(self._pending)

    @property
    def look_at(self) -> datetime | None:
        """When something is to be evaluated next, if nothing moves until then."""
        if self._pending:
            return self._now
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    # -- what came of it ---------------------------------------------------------------------

    def settle(self, name: str, look_at: datetime | None, *, waits: bool = False) -> None:
        """Note that a schedule was evaluated, and when to do so again if nothing moves.

        One that `waits` is looked at again at the polls to come, too.
        """
        self._pending.discard(name)
        self._failed.discard(name)
        self._waiting.pop(name, None)
        if waits:
            self._waiting[name] = None
        if look_at is None:
            self._at.pop(name, None)
        elif self._at.get(name) != look_at:
            self._at[name] = look_at
            heapq.heappush(self._heap, (look_at, name))

    def fail(self, name: str) -> None:
        """Note that it could not be evaluated: the next poll tries again."""
        self._pending.discard(name)
        self._failed.add(name)
