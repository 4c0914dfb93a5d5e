"""Read what the goals files ask for, and see how far each goal is."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import anyio.to_thread

from amxwatch.core.catalog import Catalog, ObjectRef
from amxwatch.core.draft import APPLICABLE, REVIEWABLE, Draft, DraftStatus
from amxwatch.core.errors import UsageError
from amxwatch.core.goal import Goal, Standing, is_met, stand
from amxwatch.core.scope import Scope
from amxwatch.core.selection import objects_in_scope
from amxwatch.core.vision import Unread, Vision, read_vision
from amxwatch.flows.described import Words, commented, stale_standing, words_of
from amxwatch.flows.source import Source
from amxwatch.flows.targets import hashes_of, workable
from amxwatch.ports.ledger import DraftFilter

ReadText = Callable[[str], Awaitable[str]]
"""Reads a goals file, by the path in the settings. Raises: UsageError, in one line."""

HELD = REVIEWABLE | APPLICABLE | {DraftStatus.WRITING}
"""A draft in one of these waits to be answered or written."""


MAX_KEPT = 100
"""Of so many sessions a process keeps the last measure."""


@dataclass(frozen=True, kw_only=True)
class Aims:
    """What the files ask for, in their order. `problems` says of files why they cannot be read."""

    goals: tuple[Goal, ...] = ()
    unread: tuple[Unread, ...] = ()
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Assessed:
    """One goal as it stands now.

    `missing` says what its scope names and the catalog lacks. Of a goal that is not met,
    `work` are the objects that a run could draft now, `mark` stands for them as they are, and
    `scope` is what such a run would be given; `held` counts drafts that wait for a person.
    """

    goal: Goal
    standing: Standing
    met: bool
    missing: tuple[str, ...] = ()
    work: tuple[ObjectRef, ...] = ()
    mark: str = ""
    scope: str = ""
    held: int = 0


async def read_aims(files: Sequence[str], read: ReadText) -> Aims:
    """Read goals files; a goal that stands twice counts once."""
    goals: dict[str, Goal] = {}
    unread: list[Unread] = []
    problems = []
    for file in files:
        try:
            vision = _understood(await read(file), file)
        except UsageError as error:
            problems.append(str(error))
            continue
        for goal in vision.goals:
            goals.setdefault(goal.key, goal)
        unread += vision.unread
    return Aims(goals=tuple(goals.values()), unread=tuple(unread), problems=tuple(problems))


@functools.lru_cache(maxsize=16)
def _understood(text: str, file: str) -> Vision:
    """Each poll reads the same text again."""
    return read_vision(text, file)


@dataclass(frozen=True, kw_only=True)
class _Ground:
    """What all goals of one profile are measured against."""

    source: Source
    catalog: Catalog
    limit: Scope
    everything: tuple[ObjectRef, ...]
    comments: frozenset[ObjectRef]
    stale: frozenset[ObjectRef]
    drafts: tuple[Draft, ...]
    words: Words

    def refs(self, scope: Scope) -> Sequence[ObjectRef]:
        found = self.in_scope(scope)
        return found if self.limit.is_all else [ref for ref in found if self.limit.covers(ref)]

    def in_scope(self, scope: Scope) -> Sequence[ObjectRef]:
        if scope.is_all:
            return self.everything
        return [ref for ref in self.everything if scope.covers(ref)]


async def assess(
    source: Source,
    goals: Iterable[Goal],
    *,
    limit: Scope,
    is_new: Callable[[Assessed], bool],
    every: bool = False,
) -> tuple[Assessed, ...]:
    """Measure goals against the newest snapshot, as far as they lie within `limit`.

    Work is looked for until one unmet goal has some that is new, or for `every` one; a goal
    whose work is not new has none. Before the first snapshot nothing is known, and none is met.
    What grows with the catalog is done in a thread: it may take seconds, and others go on.
    """
    wanted = list(goals)
    newest = await source.newest()
    if newest is None or not wanted:
        nothing = Standing(objects=0, described=0, stale=0)
        return tuple(Assessed(goal=goal, standing=nothing, met=False) for goal in wanted)
    ground = await _ground(source, await source.as_of(newest.number), limit)
    found = await anyio.to_thread.run_sync(lambda: [_measured(ground, goal) for goal in wanted])
    open_ones = [one for one in found if not one.met and not one.missing]
    work = await _work(ground, [one.goal.scope for one in open_ones])

    def look() -> tuple[Assessed, ...]:
        looking = bool(work)
        for place, one in enumerate(found):
            if looking and not one.met and not one.missing:
                with_work = _with_work(ground, one, work)
                if with_work.work and is_new(with_work):
                    found[place], looking = with_work, every
        return tuple(found)

    return await anyio.to_thread.run_sync(look)


async def _ground(source: Source, catalog: Catalog, limit: Scope) -> _Ground:
    words = await words_of(source, catalog)
    which = DraftFilter(statuses=HELD | {DraftStatus.WRITTEN}, db_profile=source.profile)

    def seen() -> tuple[tuple[ObjectRef, ...], frozenset[ObjectRef]]:
        return tuple(objects_in_scope(catalog, Scope.all())), frozenset(commented(catalog))

    everything, comments = await anyio.to_thread.run_sync(seen)
    return _Ground(
        source=source,
        catalog=catalog,
        limit=limit,
        everything=everything,
        comments=comments,
        stale=frozenset(each.ref for each in await stale_standing(source, catalog, words)),
        drafts=tuple(await source.ledger.read(lambda tx: tx.drafts.list(which))),
        words=words,
    )


def _measured(ground: _Ground, goal: Goal) -> Assessed:
    refs = ground.refs(goal.scope)
    standing = stand(refs, ground.comments - _too_low(ground, goal), ground.stale)
    inside = set(refs)
    missing = tuple(goal.scope.missing(ground.catalog))
    return Assessed(
        goal=goal,
        standing=standing,
        met=not missing and is_met(goal.measure, standing),
        missing=missing,
        held=len({d.ref for d in ground.drafts if d.status in HELD and d.ref in inside}),
    )


def _too_low(ground: _Ground, goal: Goal) -> set[ObjectRef]:
    """Return what we described in a band that does not count for this goal."""
    if goal.measure.band is None:
        return set()
    last: dict[ObjectRef, Draft] = {}
    for draft in sorted(ground.drafts, key=lambda draft: draft.id):
        if draft.status is DraftStatus.WRITTEN and draft.ref in ground.words.ours:
            last[draft.ref] = draft
    return {ref for ref, draft in last.items() if not goal.measure.counts(draft.band)}


async def _work(ground: _Ground, scopes: Sequence[Scope]) -> dict[ObjectRef, str]:
    """Return what a run over these scopes could draft, each with its structure as a hash.

    Asked once for all goals: what waits for a person already, or was rejected, is left out.
    """
    if not scopes:
        return {}
    union = Scope(selectors=tuple(each for scope in scopes for each in scope.selectors))
    found = await workable(ground.source, ground.catalog, union)

    def hashed() -> dict[ObjectRef, str]:
        refs = [ref for table in found for ref in table.refs]
        if not ground.limit.is_all:
            refs = [ref for ref in refs if ground.limit.covers(ref)]
        return hashes_of(ground.catalog, refs)

    return await anyio.to_thread.run_sync(hashed)


def _with_work(ground: _Ground, one: Assessed, work: Mapping[ObjectRef, str]) -> Assessed:
    scope = one.goal.scope
    refs = [ref for ref in work if scope.is_all or scope.covers(ref)]
    is_inside = ground.limit.is_all or len(ground.refs(scope)) == len(ground.in_scope(scope))
    return replace(
        one,
        work=tuple(refs),
        mark=_mark(refs, work),
        scope=str(scope) if is_inside or not refs else str(Scope.of(refs)),
    )


def _mark(refs: Sequence[ObjectRef], structures: Mapping[ObjectRef, str]) -> str:
    """Return a digest of objects as they are now: it moves when one is done, or changes."""
    digest = hashlib.sha256()
    for ref in sorted(refs):
        text = f"{ref.schema}\0{ref.table}\0{ref.column}\0{structures[ref]}\0"
        digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:32]


@dataclass
class Measures:
    """The last measure for each session, kept by the process that takes its steps.

    A poll at which nothing moved then costs one look at the ledger. What a measure depends on is
    the caller's to name: everything that `assess` reads.
    """

    _kept: dict[str, tuple[object, tuple[Assessed, ...]]] = field(default_factory=dict)

    async def get(
        self, name: str, depends: object, measure: Callable[[], Awaitable[tuple[Assessed, ...]]]
    ) -> tuple[Assessed, ...]:
        """Return the kept measure where it depends on the very same, else a new one."""
        known = self._kept.get(name)
        if known is not None and known[0] == depends:
            return known[1]
        found = await measure()
        self._kept = {name: (depends, found)} if len(self._kept) > MAX_KEPT else self._kept
        self._kept[name] = (depends, found)
        return found
