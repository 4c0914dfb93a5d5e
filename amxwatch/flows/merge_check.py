"""Compare models with a live database before they are merged. Writes nothing, keeps nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import anyio

from amxwatch.context.lineage import Lineage
from amxwatch.core.catalog import Catalog, ObjectRef, SnapshotNumber, SourceProblem
from amxwatch.core.change import Change, ChangeKind, former_ref
from amxwatch.core.coverage import share_of
from amxwatch.core.errors import AmxwatchError, ScopeError, UsageError
from amxwatch.core.lineage import Impact
from amxwatch.core.merge import Merge, Side, compare, matched_schemas, unknown_schemas
from amxwatch.core.scope import Scope, filter_catalog
from amxwatch.flows.source import Source

PROBLEMS = "problems"
NOT_IN_MODELS = "not_in_models"
FAIL_ON = (*(kind.value for kind in ChangeKind), PROBLEMS, NOT_IN_MODELS)
"""What `fail_on` may hold."""

BREAKING = frozenset(
    {
        ChangeKind.REMOVED,
        ChangeKind.RENAMED,
        ChangeKind.TYPE_CHANGED,
        ChangeKind.DEFINITION_CHANGED,
    }
)
"""Changes that whoever reads the object should know of."""


@dataclass(frozen=True, kw_only=True)
class Gates:
    """What fails a check. `least` is a percentage of what the merge adds or changes."""

    least: float | None = None
    max_undescribed: int | None = None
    fail_on: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What one gate found. `text` is a sentence that names the gate."""

    gate: str
    limit: float | str
    found: float
    ok: bool
    text: str


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What reads an object that the merge moves, by its present name."""

    ref: ObjectRef
    readers: tuple[Impact, ...]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The whole of a check. `snapshot` is set where the live side came out of the cache."""

    models: str
    live: str
    merge: Merge
    scope: Scope
    snapshot: SnapshotNumber | None = None
    problems: tuple[SourceProblem, ...] = ()
    readings: tuple[Reading, ...] = ()
    notes: tuple[str, ...] = ()
    verdicts: tuple[Verdict, ...] = field(default=())

    @property
    def percent(self) -> float:
        return share_of(self.merge.described, self.merge.touched)

    @property
    def ok(self) -> bool:
        return all(verdict.ok for verdict in self.verdicts)


@dataclass(frozen=True, kw_only=True)
class Question:
    """What is asked of a check. `schemas` map the models' names to the live ones."""

    scope: str | None = None
    schemas: Mapping[str, str] = field(default_factory=dict)
    cached: bool = False
    strict: bool = False
    gates: Gates = field(default_factory=Gates)


async def check(models: Source, live: Source, question: Question) -> Checked:
    """Read both sides and say what merging the models would come to.

    Raises: DatabaseUnavailableError, NotFoundError (no snapshot to be had from the cache),
    ScopeError and UsageError for names that exist on neither side.
    """
    if models.profile == live.profile:
        raise UsageError(f"{models.profile} is on both sides; --against takes another db profile")
    mine, theirs, number = await _read(models, live, cached=question.cached)
    for name in unknown_schemas(question.schemas, mine.catalog):
        raise UsageError(f"--map: there is no schema {name} in {models.profile}")
    schemas = matched_schemas(mine, theirs, question.schemas)
    scope = _scope(question.scope, mine.catalog, theirs.catalog, schemas)
    merge = compare(mine, theirs, schemas=schemas, scope=scope, strict=question.strict)
    found = Checked(
        models=models.profile,
        live=live.profile,
        merge=merge,
        scope=scope,
        snapshot=number,
        problems=mine.catalog.problems,
        readings=_readings(merge, theirs),
        notes=tuple(_notes(mine, theirs, schemas)),
    )
    return Checked(**{**vars(found), "verdicts": tuple(_judge(found, question.gates))})


async def _read(
    models: Source, live: Source, *, cached: bool
) -> tuple[Side, Side, SnapshotNumber | None]:
    """Read both sides at once; the models always fresh, and without what was known before."""
    sides: dict[str, Catalog] = {}
    number = None

    async def fresh(source: Source) -> None:
        sides[source.profile] = await source.database.reader.read()

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(fresh, models)
            if not cached:
                group.start_soon(fresh, live)
    except* AmxwatchError as errors:
        raise errors.exceptions[0] from None
    if cached:
        sides[live.profile] = await live.catalog()
        newest = await live.newest()
        number = newest.number if newest else None
    mine, theirs = sides[models.profile], sides[live.profile]
    # A dialect may be known only once the source was read (dbt).
    return _side(models, mine), _side(live, theirs), number


def _side(source: Source, catalog: Catalog) -> Side:
    return Side(
        catalog=filter_catalog(catalog, source.ignore),
        dialect=source.database.capabilities.dialect,
        says_structure=not catalog.reader.startswith("dbt"),
    )


def _scope(text: str | None, models: Catalog, live: Catalog, schemas: Mapping[str, str]) -> Scope:
    """Read a scope over the live names. Raises: ScopeError where neither side knows a name."""
    scope = Scope.parse_bare(text or "all")
    missing = scope.missing(live)
    if missing and scope.missing(models) and not schemas:
        raise ScopeError(f"scope: {'; '.join(missing)}")
    return scope


def _readings(merge: Merge, live: Side) -> tuple[Reading, ...]:
    """Return who reads what the merge moves, removed and renamed things first by name."""
    moved = dict.fromkeys(
        former_ref(c) for c in merge.changes if c.kind in BREAKING and c.ref.table
    )
    if not moved:
        return ()
    lineage = Lineage(live.catalog, live.dialect)
    found = (Reading(ref=ref, readers=lineage.impact(ref)) for ref in sorted(moved))
    return tuple(each for each in found if each.readers)


def _notes(models: Side, live: Side, schemas: Mapping[str, str]) -> list[str]:
    notes = [f"schema {name} of the models is {there} there" for name, there in schemas.items()]
    if models.dialect != live.dialect:
        notes.append(
            f"types are compared across dialects: {models.dialect} and {live.dialect}; what one"
            " of them cannot say is taken for its nearest type"
        )
    if not models.says_structure:
        notes.append("the models tell no keys, defaults and NOT NULL: those are not compared")
    return notes


def _judge(found: Checked, gates: Gates) -> list[Verdict]:
    verdicts = []
    if gates.least is not None:
        verdicts.append(
            Verdict(
                gate="min",
                limit=gates.least,
                found=round(found.percent, 2),
                ok=found.percent >= gates.least,
                text=f"--min {gates.least:g}: {found.percent:.1f}% of the"
                f" {found.merge.touched} objects that it adds or changes are described",
            )
        )
    if gates.max_undescribed is not None:
        count = len(found.merge.undescribed)
        verdicts.append(
            Verdict(
                gate="max_undescribed",
                limit=gates.max_undescribed,
                found=count,
                ok=count <= gates.max_undescribed,
                text=f"--max-undescribed {gates.max_undescribed}: {count} objects that it adds"
                " or changes have no description",
            )
        )
    return verdicts + [_fail_on(found, kind) for kind in gates.fail_on]


def _fail_on(found: Checked, kind: str) -> Verdict:
    count = _count(found, kind)
    return Verdict(
        gate="fail_on",
        limit=kind,
        found=count,
        ok=not count,
        text=f"--fail-on {kind}: {count} found",
    )


def _count(found: Checked, kind: str) -> int:
    if kind == PROBLEMS:
        return len(found.problems)
    if kind == NOT_IN_MODELS:
        return len(found.merge.not_in_models)
    return _of_kind(found.merge.changes, kind)


def _of_kind(changes: Sequence[Change], kind: str) -> int:
    return sum(change.kind.value == kind for change in changes)
