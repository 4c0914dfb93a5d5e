"""What a request costs: the profile's own price, the price table, or what the endpoint reports.

The table is that of `genai-prices`, as installed; nothing is downloaded. A price that nobody
knows is None and never 0.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal

import genai_prices

from amxwatch.providers import ProviderSpec

MILLION = Decimal(1_000_000)
OWN = "llm profile"
REPORTED = "reported by the endpoint"
TABLE = f"genai-prices {genai_prices.__version__}"

BATCHED = {"processing": "batch"}
"""How the table names its prices for batches."""

HALF = Decimal("0.5")
"""What a batch costs at OpenAI and Anthropic, where the table has no price of its own for it.

See: https://platform.openai.com/docs/guides/batch,
https://platform.claude.com/docs/en/build-with-claude/batch-processing
"""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens of one request. What was read from or written to a cache is part of the input.

    None of them is negative.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reported_usd: Decimal | None = None

    def __add__(self, other: Usage) -> Usage:
        counts = [name.name for name in fields(self) if name.name != "reported_usd"]
        both = {name: operator.add(getattr(self, name), getattr(other, name)) for name in counts}
        told = [each for each in (self.reported_usd, other.reported_usd) if each is not None]
        return Usage(**both, reported_usd=sum(told, Decimal(0)) if told else None)


@dataclass(frozen=True, kw_only=True)
class Price:
    """What was paid, and by which table at which rates; both None where nobody knows."""

    cost_usd: Decimal | None = None
    version: str | None = None


def prices_of(spec: ProviderSpec, maker: str) -> Prices:
    """Return the prices of a profile; `maker` is whose table counts without a base_url."""
    return Prices(
        model=spec.model,
        maker=maker,
        base_url=spec.base_url,
        input_usd_per_mtok=spec.input_usd_per_mtok,
        output_usd_per_mtok=spec.output_usd_per_mtok,
        cached_input_usd_per_mtok=spec.cached_input_usd_per_mtok,
    )


@dataclass(frozen=True, kw_only=True)
class Prices:
    """The prices of one model at one endpoint. `base_url` None is the maker's own."""

    model: str
    maker: str = "openai"
    base_url: str | None = None
    input_usd_per_mtok: Decimal | None = None
    output_usd_per_mtok: Decimal | None = None
    cached_input_usd_per_mtok: Decimal | None = None

    @property
    def is_own(self) -> bool:
        """Whether the profile says its prices itself."""
        return self.input_usd_per_mtok is not None and self.output_usd_per_mtok is not None

    @property
    def is_known(self) -> bool:
        """Whether a price is known before the request."""
        return self.cost(Usage(input_tokens=1, output_tokens=1)).cost_usd is not None

    def cost(self, usage: Usage, *, at: datetime | None = None, batch: bool = False) -> Price:
        """Return what a request costs at the prices of that moment (None: the present ones)."""
        found = self._own(usage) if self.is_own else self._tabled(usage, at, batch)
        if found is None:
            told = usage.reported_usd
            return Price() if told is None else Price(cost_usd=told, version=REPORTED)
        cost, version = found
        if not batch:
            return Price(cost_usd=cost, version=version)
        whole = None if self.is_own else self._tabled(usage, at, batch=False)
        if self.is_own or (whole and whole[0] == cost):
            cost *= HALF
        return Price(cost_usd=cost, version=f"{version}, as a batch")

    def _own(self, usage: Usage) -> tuple[Decimal, str] | None:
        read, said = self.input_usd_per_mtok, self.output_usd_per_mtok
        if read is None or said is None:
            return None
        again = self.cached_input_usd_per_mtok
        again = read if again is None else again
        cached = min(usage.cached_tokens, usage.input_tokens)
        paid = (usage.input_tokens - cached) * read + cached * again + usage.output_tokens * said
        return paid / MILLION, f"{OWN}: {read} in, {said} out"

    def _tabled(self, usage: Usage, at: datetime | None, batch: bool) -> tuple[Decimal, str] | None:
        cached = min(usage.cached_tokens, usage.input_tokens)
        tokens = genai_prices.Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=cached,
            cache_write_tokens=min(usage.cache_write_tokens, usage.input_tokens - cached),
        )
        try:
            cost = self._reckoned(tokens, at, batch)
            read = self._reckoned(genai_prices.Usage(input_tokens=1000), at) * 1000
            said = self._reckoned(genai_prices.Usage(output_tokens=1000), at) * 1000
        except (LookupError, ValueError):  # unknown model or endpoint; a price without this unit
            return None
        return cost, f"{TABLE}: {read.normalize():f} in, {said.normalize():f} out"

    def _reckoned(
        self, tokens: genai_prices.Usage, at: datetime | None, batch: bool = False
    ) -> Decimal:
        """Look a cost up. Raises: LookupError, ValueError."""
        context = BATCHED if batch else None
        if self.base_url is None:
            return genai_prices.calc_price(
                tokens,
                self.model,
                provider_id=self.maker,
                genai_request_timestamp=at,
                price_context=context,
            ).total_price
        return genai_prices.calc_price(
            tokens,
            self.model,
            provider_api_url=self.base_url,
            genai_request_timestamp=at,
            price_context=context,
        ).total_price
