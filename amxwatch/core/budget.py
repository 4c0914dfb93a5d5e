"""Whether the next request may be made, by what was spent and what is allowed."""

from __future__ import annotations

import dataclasses
import enum
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

Amount = TypeVar("Amount", Decimal, int)


class Decision(enum.StrEnum):
    """What may happen next."""

    ALLOW = "allow"
    WARN = "warn"
    BLOCK = "block"


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a run may spend; None is no limit. `max_requests` counts requests of one run."""

    per_run_usd: Decimal | None = None
    per_day_usd: Decimal | None = None
    on_limit: str = "pause_and_escalate"
    max_requests: int | None = None

    @property
    def has_budget(self) -> bool:
        return self.per_run_usd is not None or self.per_day_usd is not None

    def narrowed(
        self, *, per_run_usd: Decimal | None = None, max_requests: int | None = None
    ) -> Limits:
        """Return these limits with a schedule's own: the lower of each pair holds."""
        return dataclasses.replace(
            self,
            per_run_usd=_lower(self.per_run_usd, per_run_usd),
            max_requests=_lower(self.max_requests, max_requests),
        )


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What the run and the day (in the budget's zone) have spent so far, where known."""

    run_usd: Decimal = Decimal(0)
    day_usd: Decimal = Decimal(0)
    requests: int = 0


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What to do, and why. `category` is `budget`, `limit`, `unpriced`, or None for nothing.

    `limit` names the setting that was reached, `recovery` what a person can do.
    """

    decision: Decision
    category: str | None = None
    limit: str | None = None
    text: str = ""
    recovery: str = ""

    @property
    def is_block(self) -> bool:
        return self.decision is Decision.BLOCK


ALLOWED = Verdict(decision=Decision.ALLOW)


def check(spent: Spent, limits: Limits, *, next_cost_known: bool, is_free: bool = False) -> Verdict:
    """Judge the next request. A limit counts as reached when it is spent to the cent.

    The request cap always blocks. A spent budget and a model without a known price block too,
    or warn under `on_limit = "warn"`. What is free (`builtin`) passes every budget.
    """
    if limits.max_requests is not None and spent.requests >= limits.max_requests:
        return Verdict(
            decision=Decision.BLOCK,
            category="limit",
            limit="max_requests",
            text=f"the run has made {spent.requests} model requests, which is its cap",
            recovery="raise max_requests, then unblock the run",
        )
    if is_free:
        return ALLOWED
    for name, used, most in (
        ("per_run_usd", spent.run_usd, limits.per_run_usd),
        ("per_day_usd", spent.day_usd, limits.per_day_usd),
    ):
        if most is not None and used >= most:
            whose = "run" if name == "per_run_usd" else "day"
            return _stop(
                limits,
                category="budget",
                limit=name,
                text=f"the {whose} has spent ${used} of its ${most} ({name})",
                recovery=f"raise {name}, then unblock the run",
            )
    if limits.has_budget and not next_cost_known:
        return _stop(
            limits,
            category="unpriced",
            limit="per_run_usd" if limits.per_run_usd is not None else "per_day_usd",
            text="there is a budget, but the price of this model is not known",
            recovery='choose a model with a known price, or set on_limit = "warn" under [budget]',
        )
    return ALLOWED


def _stop(limits: Limits, *, category: str, limit: str, text: str, recovery: str) -> Verdict:
    decision = Decision.WARN if limits.on_limit == "warn" else Decision.BLOCK
    return Verdict(decision=decision, category=category, limit=limit, text=text, recovery=recovery)


def _lower(first: Amount | None, second: Amount | None) -> Amount | None:
    given = [each for each in (first, second) if each is not None]
    return min(given) if given else None
