"""Take descriptions along lineage: a view's column that only passes another one on is described.

No model is asked. Only a column that a view hands through unchanged inherits, from exactly one
source, whose words somebody accepted or wrote.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from amxwatch.core.catalog import Catalog, ObjectRef, ObjectType
from amxwatch.core.draft import Band, DraftSource, NewDraft
from amxwatch.core.evidence import Derived
from amxwatch.core.selection import TableWork, structure_hash
from amxwatch.flows.described import accepted_descriptions
from amxwatch.flows.job import Job
from amxwatch.flows.origins import Origins

CONFIDENCE = 0.95
"""A view may show a part of the rows only, so that it is never quite certain."""

FURTHEST = 20
"""How many views may hand a column on, one to the next."""


async def inherited(
    job: Job, catalog: Catalog, work: Sequence[TableWork]
) -> tuple[tuple[TableWork, ...], list[NewDraft]]:
    """Return the work that is left to a model, and the drafts of what inherits its words.

    A rerun inherits nothing: it was asked for other words.
    """
    wanted = any(one.table.definition and one.columns for one in work)
    if not wanted or not job.db_profile.inherit_descriptions or job.run.manner.rerun_of:
        return tuple(work), []
    words = await accepted_descriptions(job.source, catalog, job.run)
    origins = _Handed(catalog, Origins(catalog, job.source.database.capabilities.dialect))
    left: list[TableWork] = []
    drafts: list[NewDraft] = []
    for one in work:
        found = await _of_table(one, origins, words) if one.table.definition else {}
        drafts += found.values()
        columns = tuple(name for name in one.columns if name not in found)
        left.append(replace(one, columns=columns))
    return tuple(one for one in left if one.refs or one.carried), drafts


async def _of_table(
    work: TableWork, origins: _Handed, words: Mapping[ObjectRef, str]
) -> dict[str, NewDraft]:
    found = {}
    for name in work.columns:
        ref = work.table.column_ref(name)
        text = await origins.words(ref, words)
        if text:
            comment = next(each.comment for each in work.table.columns if each.name == name)
            found[name] = NewDraft(
                object_type=ObjectType.COLUMN,
                ref=ref,
                source=DraftSource.INHERITED,
                alternatives=(text,),
                confidence=CONFIDENCE,
                band=Band.HIGH,
                base_comment=comment,
                input_hash=structure_hash(work.table, name),
            )
    return found


class _Handed:
    """Where a column comes from that views hand through."""

    def __init__(self, catalog: Catalog, origins: Origins) -> None:
        self._tables = {table.ref: table for table in catalog.tables}
        self._origins = origins
        self._derived: dict[ObjectRef, Mapping[str, Derived]] = {}

    async def words(self, ref: ObjectRef, words: Mapping[ObjectRef, str]) -> str | None:
        """Return the words of the nearest column behind this one that has any."""
        for _ in range(FURTHEST):
            source = await self._behind(ref)
            if source is None:
                return None
            if source in words:
                return words[source]
            ref = source
        return None

    async def _behind(self, ref: ObjectRef) -> ObjectRef | None:
        """Return the one column that this one is the same as; None where it is more than that."""
        table = self._tables.get(ref.owner)
        if table is None or not table.definition:
            return None
        if table.ref not in self._derived:
            self._derived[table.ref] = await self._origins.of(table)
        derived = self._derived[table.ref].get(ref.column)
        if derived is None or derived.expression is not None or len(derived.sources) != 1:
            return None
        return derived.sources[0]
