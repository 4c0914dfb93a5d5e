"""What may be spent: a run's limits, and the day that they count in."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from amxwatch.core import budget as budgets
from amxwatch.core.errors import RunReleasedError
from amxwatch.core.run import Run
from amxwatch.ports.clock import Clock
from amxwatch.ports.ledger import Ledger
from amxwatch.ports.provider import Provider
from amxwatch.settings.schema import Budget, Schedule


def limits_of(budget: Budget, plan: Schedule | None) -> budgets.Limits:
    """Return the install's limits, narrowed by the schedule's own."""
    limits = budgets.Limits(
        per_run_usd=budget.per_run_usd,
        per_day_usd=budget.per_day_usd,
        on_limit=budget.on_limit,
    )
    if plan is None:
        return limits
    return limits.narrowed(per_run_usd=plan.budget.per_run_usd, max_requests=plan.max_requests)


def day_start(now: datetime, timezone: str) -> datetime:
    """Return when the day of `now` began in a zone."""
    local = now.astimezone(ZoneInfo(timezone))
    return local.replace(hour=0, minute=0, second=0, microsecond=0).astimezone(now.tzinfo)


async def wait_for_the_day(
    run: Run, ledger: Ledger, clock: Clock, budget: Budget, provider: Provider
) -> None:
    """Put a run that has not started off to the next day when this day's budget is spent.

    Raises: RunReleasedError.
    """
    if budget.per_day_usd is None or budget.on_limit == "warn":
        return
    if provider.is_free or run.requests:
        return
    now = clock.now()
    today = day_start(now, budget.timezone)
    spent = Decimal(await ledger.read(lambda tx: tx.installation.spent_since(today)))
    if spent >= budget.per_day_usd:
        tomorrow = day_start(today + timedelta(hours=36), budget.timezone)
        raise RunReleasedError(
            f"the day's budget of ${budget.per_day_usd} is spent; the run waits for the next day",
            not_before=tomorrow,
        )
