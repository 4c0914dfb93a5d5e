"""What is described already, and by whom."""

from __future__ import annotations

from amxwatch.core.catalog import Catalog, ObjectRef
from amxwatch.core.draft import DraftStatus
from amxwatch.core.run import Run
from amxwatch.flows.source import Source
from amxwatch.ports.ledger import DraftFilter

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
        early = run.started_at is None or (
            draft.reviewed_at is not None and draft.reviewed_at < run.started_at
        )
        if early and draft.text:
            found[draft.ref] = draft.text
    return found


async def our_texts(source: Source) -> dict[ObjectRef, set[str]]:
    """Return, for each object, the comments that we wrote ourselves."""
    which = DraftFilter(statuses=DESCRIBED, db_profile=source.profile)
    ours: dict[ObjectRef, set[str]] = {}
    for draft in await source.ledger.read(lambda tx: tx.drafts.list(which)):
        if draft.written_text:
            ours.setdefault(draft.ref, set()).add(draft.written_text)
    return ours
