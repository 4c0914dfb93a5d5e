"""Requests that may wait: what an endpoint offers for them, and what the ledger keeps of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol, runtime_checkable

from amxwatch.core.batch import BatchAnswer, BatchEnd, BatchJob, BatchState
from amxwatch.core.completion import CompletionRequest


class Batches(Protocol):
    """An endpoint's batches. Every method raises ProviderError; messages hold no key."""

    async def submit(self, tag: str, requests: Mapping[str, CompletionRequest]) -> str:
        """Send requests, named by their keys, and return what the endpoint calls the batch.

        A call that broke off may have been taken nevertheless: `find` tells.
        """

    async def find(self, job: BatchJob, but: Collection[str]) -> str | None:
        """Return the endpoint's name of a batch that was sent, or None: it never came there.

        `but` are names that belong to other batches of ours.
        """

    async def look(self, job: str) -> BatchState | None:
        """Return how a batch stands; None where the endpoint does not know it (any more)."""

    async def answers(self, job: str) -> dict[str, BatchAnswer]:
        """Return what became of each request of a batch that is over, by its key.

        A request that is not named got no answer and costs nothing.
        """


@runtime_checkable
class OffersBatches(Protocol):
    """A provider whose endpoint has batches."""

    @property
    def batches(self) -> Batches: ...


class BatchJobs(Protocol):
    """The batches that were sent, kept with their runs."""

    def put(self, job: BatchJob) -> None:
        """Write a batch down before it is sent."""

    def sent(self, tag: str, job: str) -> None:
        """Note what the endpoint calls it."""

    def looked(self, tag: str) -> BatchJob:
        """Count one look at it. Raises: NotFoundError."""

    def end(self, tag: str, how: BatchEnd) -> None: ...

    def waiting(self, llm_profile: str) -> Sequence[BatchJob]:
        """Return the batches of a profile that have not ended, oldest first."""

    def of_run(self, run_id: str) -> Sequence[BatchJob]:
        """Return every batch that a run sent, oldest first."""
