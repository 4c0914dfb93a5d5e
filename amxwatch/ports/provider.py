"""A language model."""

from __future__ import annotations

from decimal import Decimal
from typing import Protocol

from amxwatch.core.completion import Completion, CompletionRequest


class Provider(Protocol):
    """Answers one request. Keeps no conversation."""

    @property
    def name(self) -> str:
        """The provider and model, for people and for the hash of a request."""

    @property
    def priced(self) -> bool:
        """Whether what a request costs is known beforehand (0 counts as known)."""

    @property
    def is_free(self) -> bool:
        """Whether words come from rules, cost nothing, and need no budget."""

    def cost_of(self, *, input_tokens: int, output_tokens: int) -> Decimal | None:
        """Return what so many tokens would cost now, in USD; None where no price is known."""

    async def complete(self, request: CompletionRequest) -> Completion:
        """Return one answer; retries of transient failures are made here, a bounded number.

        A request with `local_only` is sent nowhere but to this machine. Raises:
        ProviderUnavailableError, ProviderRefusedError; of these RequestRefusedError where only
        this request cannot be answered. Messages hold no key. A
        cancelled call may have been paid for; the caller records that it was in flight.
        """

    async def aclose(self) -> None:
        """Close every connection. May be called twice."""
