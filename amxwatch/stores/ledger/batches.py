"""Batches that were sent to an endpoint and are waited for."""

from __future__ import annotations

import builtins

from sqlalchemy import Column, ColumnElement, Connection, insert, select, update

from amxwatch.core.batch import BatchEnd, BatchJob
from amxwatch.core.errors import NotFoundError
from amxwatch.stores.ledger.rows import values_of
from amxwatch.stores.ledger.tables import batch


class SqlBatchJobs:
    """Implements `ports.batches.BatchJobs`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, job: BatchJob) -> None:
        self._connection.execute(insert(batch), values_of(job) | {"keys": list(job.keys)})

    def sent(self, tag: str, job: str) -> None:
        self._set(tag, {batch.c.job: job})

    def looked(self, tag: str) -> BatchJob:
        self._set(tag, {batch.c.looks: batch.c.looks + 1})
        found = self._jobs(batch.c.tag == tag)
        if not found:
            raise NotFoundError(f"there is no batch {tag}")
        return found[0]

    def end(self, tag: str, how: BatchEnd) -> None:
        self._set(tag, {batch.c.ended: how})

    def waiting(self, llm_profile: str) -> builtins.list[BatchJob]:
        return self._jobs(batch.c.llm_profile == llm_profile, batch.c.ended.is_(None))

    def of_run(self, run_id: str) -> builtins.list[BatchJob]:
        return self._jobs(batch.c.run_id == run_id)

    def _set(self, tag: str, values: dict[Column[object], object]) -> None:
        self._connection.execute(update(batch).where(batch.c.tag == tag).values(values))

    def _jobs(self, *where: ColumnElement[bool]) -> builtins.list[BatchJob]:
        rows = self._connection.execute(
            select(batch).where(*where).order_by(batch.c.at, batch.c.tag)
        ).mappings()
        return [BatchJob(**{**row, "keys": tuple(row["keys"])}) for row in rows]
