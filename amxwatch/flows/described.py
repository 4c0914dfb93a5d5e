"""What is described already, by whom, and whether it still holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from amxwatch.core.catalog import Catalog, ObjectRef, SnapshotNumber, Table
from amxwatch.core.coverage import Author, Coverage, Description, Stale, find_stale, measure
from amxwatch.core.draft import Draft, DraftStatus
from amxwatch.core.errors import NotFoundError
from amxwatch.core.glossary import Told, learn
from amxwatch.core.life import Lives
from amxwatch.core.run import Run, RunId
from amxwatch.core.scope import Scope
from amxwatch.flows.source import Source
from amxwatch.ports.ledger import DraftFilter, Tx

DESCRIBED = frozenset(
    {DraftStatus.ACCEPTED, DraftStatus.EDITED, DraftStatus.WRITING, DraftStatus.WRITTEN}
)
"""A draft in one of these holds a description that somebody accepted."""


def commented(catalog: Catalog) -> dict[ObjectRef, str]:
    """Return the comment of each table and column that has one."""
    found = {}
    for table in catalog.tables:
        if table.comment:
            found[table.ref] = table.comment
        for column in table.columns:
            if column.comment:
                found[table.column_ref(column.name)] = column.comment
    return found


async def accepted_descriptions(source: Source, catalog: Catalog, run: Run) -> dict[ObjectRef, str]:
    """Return what people hold true: comments, and texts accepted before the run started.

    Later ones are left out, so that a recovered run builds the same requests again.
    """
    found = commented(catalog)
    which = DraftFilter(statuses=DESCRIBED, db_profile=source.profile)
    for draft in await source.ledger.read(lambda tx: tx.drafts.list(which)):
        if draft.text and _is_early(draft, run):
            found[draft.ref] = draft.text
    return found


async def house_glossary(source: Source, run: Run) -> dict[str, str]:
    """Return the abbreviations that reviewers taught before the run started."""
    return learn(
        Told(
            name=draft.ref.column or draft.ref.table,
            text=draft.text,
            is_own=author_of(draft) is Author.PEOPLE,
        )
        for draft in await _drafts(source)
        if draft.text and _is_early(draft, run)
    )


def _is_early(draft: Draft, run: Run) -> bool:
    """Claim that a draft was answered before the run started, so that a recovery sees the same."""
    if run.started_at is None:
        return True
    return draft.reviewed_at is not None and draft.reviewed_at < run.started_at


async def our_texts(source: Source) -> dict[ObjectRef, set[str]]:
    """Return, for each object, the comment that is ours, as far as it still stands.

    What a reviewer put in their own words is a person's, even though we wrote it.
    """
    written = _last_written(await _drafts(source))
    return {
        ref: {draft.written_text}
        for ref, draft in written.items()
        if draft.written_text and author_of(draft) is Author.AMXWATCH
    }


def author_of(draft: Draft) -> Author:
    """Say whose words a described object's draft holds: a reviewer's own text has no choice."""
    return Author.PEOPLE if draft.choice is None else Author.AMXWATCH


@dataclass(frozen=True, kw_only=True)
class Words:
    """What drafts say of the descriptions in one catalog, by object.

    `written` are comments that stand as we last wrote them, a reviewer's own words among them;
    every other comment is a person's. `waiting` are texts that were accepted and are not in the
    database, be it that they were not written yet, that they cannot be, or that somebody took
    them out again. One object may have both.
    """

    written: dict[ObjectRef, Description]
    waiting: dict[ObjectRef, Description]

    @property
    def ours(self) -> frozenset[ObjectRef]:
        """The objects whose comment is ours, and no person's."""
        return frozenset(
            ref for ref, words in self.written.items() if words.author is Author.AMXWATCH
        )

    def standing(self, table: Table) -> Iterator[Description]:
        """Yield the comments of a table and its columns."""
        for ref, text in _comments_of(table):
            if text:
                yield self.written.get(ref) or Description(ref=ref, author=Author.PEOPLE, text=text)


async def words_of(source: Source, catalog: Catalog) -> Words:
    """Return what we described in a catalog, and what each description was made from."""
    drafts = await _drafts(source)
    last, newest = _last_written(drafts), {draft.ref: draft for draft in drafts}
    owners = {ref.owner for ref in last}
    texts = {
        ref: text
        for table in catalog.tables
        if table.ref in owners
        for ref, text in _comments_of(table)
    }
    written = {ref: d for ref, d in last.items() if texts.get(ref) == d.written_text}
    waiting = {ref: draft for ref, draft in newest.items() if written.get(ref) != draft}
    made = await _made_from(source, [*written.values(), *waiting.values()])
    return Words(
        written={ref: _description(d, d.written_text, made) for ref, d in written.items()},
        waiting={ref: _description(draft, None, made) for ref, draft in waiting.items()},
    )


def _comments_of(table: Table) -> Iterator[tuple[ObjectRef, str | None]]:
    yield table.ref, table.comment
    for column in table.columns:
        yield table.column_ref(column.name), column.comment


async def stale_of(source: Source, descriptions: Iterable[Description]) -> tuple[Stale, ...]:
    """Return which of these descriptions are stale; see `core.coverage` for what that means."""
    wanted = list(descriptions)
    if not wanted:
        return ()
    return _judge(source, wanted, await _lives(source))


async def stale_standing(source: Source, catalog: Catalog, words: Words) -> tuple[Stale, ...]:
    """Return which comments of the newest catalog are stale, whosever they are."""
    lives = await _lives(source)
    meant = (
        each
        for table in catalog.tables
        if (table.schema, table.name) in lives.versions
        for each in words.standing(table)
    )
    return _judge(source, meant, lives)


async def coverage(
    source: Source, number: SnapshotNumber, scope: Scope, catalog: Catalog
) -> tuple[Coverage, tuple[Stale, ...]]:
    """Measure one snapshot, whose catalog is given, and return what is stale in scope there."""
    words = await words_of(source, catalog)
    lives = (await _lives(source)).until(number)
    meant = (
        each
        for table in catalog.tables
        if (table.schema, table.name) in lives.versions
        for each in words.standing(table)
        if scope.is_all or scope.covers(each.ref)
    )
    stale = _judge(source, meant, lives)
    found = measure(catalog, scope, ours=words.ours, stale={each.ref for each in stale})
    return found, stale


async def _lives(source: Source) -> Lives:
    await source.catch_up()
    return await source.snapshots.lives()


def _judge(source: Source, descriptions: Iterable[Description], lives: Lives) -> tuple[Stale, ...]:
    able = source.database.capabilities
    return find_stale(descriptions, lives, native_ids=able.native_ids, dialect=able.dialect)


def _description(
    draft: Draft, text: str | None, made: Mapping[RunId, SnapshotNumber | None]
) -> Description:
    return Description(
        ref=draft.ref,
        author=author_of(draft),
        text=text,
        made_from=made[draft.run_id],
    )


async def _drafts(source: Source) -> list[Draft]:
    """Return the drafts that somebody accepted, oldest first."""
    which = DraftFilter(statuses=DESCRIBED, db_profile=source.profile)
    drafts = await source.ledger.read(lambda tx: tx.drafts.list(which))
    return sorted(drafts, key=lambda draft: draft.id)


def _last_written(drafts: Iterable[Draft]) -> dict[ObjectRef, Draft]:
    """Return the draft behind our last word on each object.

    Only the last: who puts an older text of ours back prefers it, and it is theirs then.
    """
    written = [draft for draft in drafts if draft.written_text and draft.written_at is not None]
    written.sort(key=lambda draft: (draft.written_at, draft.id))
    return {draft.ref: draft for draft in written}


async def _made_from(source: Source, drafts: Iterable[Draft]) -> dict[RunId, SnapshotNumber | None]:
    """Return the snapshot that each run drafted from; None where nobody knows."""
    wanted = {draft.run_id for draft in drafts}

    def work(tx: Tx) -> dict[RunId, SnapshotNumber | None]:
        return {run_id: _end_of(tx, run_id) for run_id in wanted}

    return await source.ledger.read(work)


def _end_of(tx: Tx, run_id: RunId) -> SnapshotNumber | None:
    try:
        return tx.runs.get(run_id).to_snapshot
    except NotFoundError:
        return None
