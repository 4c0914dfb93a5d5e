"""What may be spent: a run's limits, and the day that they count in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from amxwatch.core import budget as budgets
from amxwatch.core.continuous import session_of
from amxwatch.core.errors import NotFoundError, RunReleasedError
from amxwatch.core.run import Run
from amxwatch.ports.clock import Clock
from amxwatch.ports.ledger import Ledger, Tx
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


@dataclass(frozen=True, kw_only=True)
class SessionBudget:
    """What the runs of a continuous session may cost together, and have cost."""

    max_usd: Decimal
    spent: Decimal

    @property
    def is_spent(self) -> bool:
        return self.spent >= self.max_usd


async def session_budget(run: Run, ledger: Ledger) -> SessionBudget | None:
    """Return the budget of the session that put a run; None where there is none."""
    session_id = session_of(run)
    if session_id is None:
        return None

    def read(tx: Tx) -> SessionBudget | None:
        try:
            session = tx.sessions.get(session_id)
        except NotFoundError:
            return None
        if session.max_usd is None:
            return None
        return SessionBudget(max_usd=session.max_usd, spent=tx.sessions.spent(session))

    return await ledger.read(read)


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
