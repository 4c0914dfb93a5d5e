"""Add to a table's evidence what documents and code tell of it."""

from __future__ import annotations

from dataclasses import replace

from pydantic import TypeAdapter

from amxwatch.core.evidence import TableEvidence
from amxwatch.core.selection import TableWork
from amxwatch.flows.books import Quotes
from amxwatch.flows.job import Job

_QUOTES = TypeAdapter(Quotes)


async def with_context(job: Job, table: TableEvidence, work: TableWork) -> TableEvidence:
    """Return the evidence with its quotes, the same for the life of the run."""
    if job.books is None or job.books.is_empty:
        return table
    books = job.books

    async def look() -> str:
        found = await books.quotes(work.table, work.columns, job.say)
        return _QUOTES.dump_json(found).decode()

    key = f"context:{job.run.id}:{work.table.ref}"
    found = _QUOTES.validate_json(await job.context.remember(key, look))
    told = {each.text for each in found.docs}
    columns = tuple(
        replace(
            column,
            # What is quoted of the table is not said again of a column.
            docs=tuple(
                each
                for each in found.column_docs.get(column.ref.column, ())
                if each.text not in told
            ),
            code=found.column_code.get(column.ref.column, ()),
        )
        for column in table.columns
    )
    return replace(table, docs=found.docs, code=found.code, columns=columns)
