"""What a provider writes down to be sent."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from amxwatch.core.completion import CompletionRequest


@runtime_checkable
class Written(Protocol):
    """A provider whose requests leave the process; the rules' do not."""

    def body(self, request: CompletionRequest) -> dict[str, Any]:
        """Return the whole document that `complete` would send now, before any answer came."""
