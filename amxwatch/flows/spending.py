"""What may be spent: a run's limits, and the day that they count in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from amxwatch.core import budget as budgets
from amxwatch.core.completion import CompletionRequest
from amxwatch.core.continuous import session_of
from amxwatch.core.errors import NotFoundError, RunBlockedError, RunReleasedError
from amxwatch.core.prompt import estimate_tokens
from amxwatch.core.run import Run
from amxwatch.ports.clock import Clock
from amxwatch.ports.engine import RunContext
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


TOKENS_AN_OBJECT = 40
"""About what an answer says of an object besides its alternatives, and in each of those."""


@dataclass(frozen=True, kw_only=True)
class Purse:
    """What a run may still spend. `warned` are the limits that it was told of already."""

    context: RunContext
    provider: Provider
    ledger: Ledger
    clock: Clock
    budget: Budget
    plan: Schedule | None
    warned: set[str] = field(default_factory=set)

    async def holds_more(self, *, in_flight: int = 1) -> bool:
        """Say whether one more request may be paid; False where a session has spent its budget.

        `in_flight` counts the requests under way, this one among them. Raises: RunBlockedError.
        """
        session = await session_budget(self.context.run, self.ledger)
        if session is not None and session.is_spent and not self.provider.is_free:
            return False
        verdict = budgets.check(
            await self._spent(in_flight),
            limits_of(self.budget, self.plan).narrowed(
                per_run_usd=session.max_usd if session else None
            ),
            next_cost_known=self.provider.priced,
            is_free=self.provider.is_free,
        )
        if verdict.is_block:
            raise RunBlockedError(
                f"{verdict.text}; {verdict.recovery}",
                category=verdict.category or "budget",
                recovery_action="amxwatch unblock RUN",
            )
        if verdict.decision is budgets.Decision.WARN and verdict.text not in self.warned:
            self.warned.add(verdict.text)
            await self._warn(verdict)
        return True

    async def affordable(
        self, requests: Mapping[str, CompletionRequest]
    ) -> dict[str, CompletionRequest]:
        """Return the first of these requests that the limits hold when all are made at once.

        Each is reckoned at what it would cost by itself, so that a batch stays well within.
        """
        spent, limits = await self._spent(1), limits_of(self.budget, self.plan)
        hard = limits.on_limit != "warn"
        dollars = [
            most - used
            for most, used in (
                (limits.per_run_usd, spent.run_usd),
                (limits.per_day_usd, spent.day_usd),
            )
            if most is not None and hard
        ]
        count = len(requests) if limits.max_requests is None else limits.max_requests
        count = max(0, count - (spent.requests if limits.max_requests is not None else 0))
        chosen: dict[str, CompletionRequest] = {}
        planned = Decimal(0)
        for key, request in list(requests.items())[:count]:
            planned += self.reckoned(request) or Decimal(0)
            if dollars and planned > min(dollars):
                break
            chosen[key] = request
        return chosen

    def reckoned(self, request: CompletionRequest) -> Decimal | None:
        """Return about what a request will cost; None where no price is known."""
        said = len(request.subjects) * TOKENS_AN_OBJECT * (1 + request.n_alternatives)
        return self.provider.cost_of(
            input_tokens=estimate_tokens(request), output_tokens=said * request.samples
        )

    async def _spent(self, in_flight: int) -> budgets.Spent:
        run = self.context.run
        since = day_start(self.clock.now(), self.budget.timezone)
        day = await self.ledger.read(lambda tx: tx.installation.spent_since(since))
        return budgets.Spent(
            run_usd=run.cost_usd or Decimal(0),
            day_usd=Decimal(day),
            requests=run.requests + in_flight - 1,
        )

    async def _warn(self, verdict: budgets.Verdict) -> None:
        run = self.context.run
        await self.context.write(
            lambda tx: tx.events.add(
                "budget_warning",
                at=self.clock.now(),
                run_id=run.id,
                schedule=run.schedule,
                db_profile=run.db_profile,
                limit=verdict.limit,
                reason=verdict.text,
            )
        )
