"""What a request costs: the profile's own price, the price table, or what the endpoint reports.

The table is that of `genai-prices`, as installed; nothing is downloaded. A price that nobody
knows is None and never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import genai_prices

MILLION = Decimal(1_000_000)
OWN = "llm profile"
REPORTED = "reported by the endpoint"
TABLE = f"genai-prices {genai_prices.__version__}"


@dataclass(frozen=True, kw_only=True)
class Usage:
    """Tokens of one request. `cached_tokens` are part of the input. None of them is negative."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reported_usd: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Price:
    """What was paid, and by which table; both None where nobody knows."""

    cost_usd: Decimal | None = None
    version: str | None = None


@dataclass(frozen=True, kw_only=True)
class Prices:
    """The prices of one model at one endpoint. `base_url` None is OpenAI's own."""

    model: str
    base_url: str | None = None
    input_usd_per_mtok: Decimal | None = None
    output_usd_per_mtok: Decimal | None = None

    @property
    def is_known(self) -> bool:
        """Whether a price is known before the request."""
        return self.cost(Usage(input_tokens=1, output_tokens=1)).cost_usd is not None

    def cost(self, usage: Usage, *, at: datetime | None = None) -> Price:
        """Return what a request costs at the prices of that moment (None: the present ones)."""
        if self.input_usd_per_mtok is not None and self.output_usd_per_mtok is not None:
            paid = usage.input_tokens * self.input_usd_per_mtok
            paid += usage.output_tokens * self.output_usd_per_mtok
            return Price(cost_usd=paid / MILLION, version=OWN)
        tabled = self._tabled(usage, at)
        if tabled is not None:
            return Price(cost_usd=tabled, version=TABLE)
        if usage.reported_usd is not None:
            return Price(cost_usd=usage.reported_usd, version=REPORTED)
        return Price()

    def _tabled(self, usage: Usage, at: datetime | None) -> Decimal | None:
        tokens = genai_prices.Usage(
            input_tokens=usage.input_tokens,
            output_tokens=usage.output_tokens,
            cache_read_tokens=min(usage.cached_tokens, usage.input_tokens),
        )
        try:
            if self.base_url is None:
                found = genai_prices.calc_price(
                    tokens, self.model, provider_id="openai", genai_request_timestamp=at
                )
            else:
                found = genai_prices.calc_price(
                    tokens, self.model, provider_api_url=self.base_url, genai_request_timestamp=at
                )
        except (LookupError, ValueError):  # unknown model or endpoint; a price without this unit
            return None
        return found.total_price
