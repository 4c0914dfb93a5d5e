"""Language models: one module a wire, chosen by an llm profile's `provider`.

A provider implements `ports.provider.Provider`, translates its client's exceptions in one
context manager, lets no key into a message, and knows no store and no flow. To add one, write
`NAME.py` with a function `open_NAME(spec, *, clock) -> Provider` (over HTTP: a wire for
`endpoint.Endpoint`, which does the rest), add a line to `BACK_ENDS` and to the makers of
`tests/contracts/test_provider.py`. A module here is imported only when it is used.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from decimal import Decimal

from amxwatch.core.errors import UsageError
from amxwatch.ports.clock import Clock
from amxwatch.ports.provider import Provider

BACK_ENDS = {
    "anthropic": "anthropic:open_anthropic",
    "builtin": "builtin:open_builtin",
    "ollama": "ollama:open_ollama",
    "openai": "openai:open_openai",
}
"""Provider -> module and the function in it that makes one."""


@dataclass(frozen=True, kw_only=True)
class ProviderSpec:
    """What an llm profile says, secrets resolved. `timeout` is seconds for one answer.

    Prices are USD for a million tokens; given, they win over every price table. `logprobs`
    asks the endpoint for log-probabilities, until it refuses.
    """

    provider: str
    model: str
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    temperature: float | None = None
    timeout: float = 600.0
    max_concurrency: int = 4
    input_usd_per_mtok: Decimal | None = None
    output_usd_per_mtok: Decimal | None = None
    cached_input_usd_per_mtok: Decimal | None = None
    logprobs: bool = False


def make(spec: ProviderSpec, *, clock: Clock) -> Provider:
    """Return the provider that a spec names, not yet connected. Raises: UsageError."""
    if spec.provider not in BACK_ENDS:
        known = ", ".join(sorted(BACK_ENDS))
        raise UsageError(
            f'provider "{spec.provider}" is not built in (there are: {known}); where it has an'
            ' OpenAI-compatible address, use provider = "openai" with that base_url'
        )
    module_name, function = BACK_ENDS[spec.provider].split(":")
    module = importlib.import_module(f"{__name__}.{module_name}")
    made: Provider = getattr(module, function)(spec, clock=clock)
    return made
