"""`amxwatch costs`: what the runs cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from zoneinfo import ZoneInfo

import click

from amxwatch.cli.documents import Document
from amxwatch.cli.output import Column, dollars
from amxwatch.cli.session import Desk, reading
from amxwatch.core.run import Run

GROUPS: dict[str, Callable[[Run], str]] = {
    "day": lambda run: f"{(run.started_at or run.queued_at):%Y-%m-%d}",
    "schedule": lambda run: run.schedule or "(by hand)",
    "db": lambda run: run.db_profile,
    "llm": lambda run: run.llm_profile or "(none)",
}


@click.command()
@click.option(
    "--by",
    type=click.Choice(list(GROUPS)),
    default="day",
    show_default=True,
    help="What the sums are for; days are in UTC.",
)
@click.option(
    "--days", type=click.IntRange(1, 36_500), metavar="N", help="Only runs of the last N days."
)
def costs(by: str, days: int | None) -> None:
    """Show what the runs cost.

    A request whose price is not known is unpriced: it is counted, and never taken for free.
    """
    reading(partial(_costs, by, days))


@dataclass
class _Sum:
    runs: int = 0
    requests: int = 0
    unpriced_runs: int = 0
    unpriced_requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = Decimal(0)

    def add(self, run: Run) -> None:
        self.runs += 1
        self.requests += run.requests
        self.input_tokens += run.input_tokens
        self.output_tokens += run.output_tokens
        self.cost += run.cost_usd or 0
        self.unpriced_runs += run.unpriced > 0
        self.unpriced_requests += run.unpriced

    def document(self) -> Document:
        return {
            "runs": self.runs,
            "requests": self.requests,
            "unpriced_runs": self.unpriced_runs,
            "unpriced_requests": self.unpriced_requests,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "cost_usd": float(self.cost),
        }


async def _costs(by: str, days: int | None, desk: Desk) -> None:
    from amxwatch.cli.health import ALL_RUNS
    from amxwatch.ports.ledger import RunFilter

    install = desk.install
    now = install.clock.now()
    budget = install.settings.budget
    midnight = _midnight(now, budget.timezone)
    runs = await install.ledger.read(lambda tx: tx.runs.list(RunFilter(limit=ALL_RUNS)))
    today = await install.ledger.read(lambda tx: tx.installation.spent_since(midnight))
    if days is not None:
        runs = [run for run in runs if run.queued_at >= now - timedelta(days=days)]
    total, groups = _summed(runs, GROUPS[by])
    limit = budget.per_day_usd
    desk.out.document(
        {
            "total": total.document(),
            "today_usd": float(today),
            "per_day_limit_usd": None if limit is None else float(limit),
            "by": by,
            "groups": [{by: name, **found.document()} for name, found in groups.items()],
        }
    )
    desk.out.table(
        [by, *(Column(title, right=True) for title in ("runs", "tokens in", "tokens out", "cost"))],
        [_row(name, found) for name, found in [*groups.items(), ("total", total)]],
    )
    capped = "" if limit is None else f" of {dollars(limit)} a day"
    desk.out.say(f"today: {dollars(Decimal(today))}{capped}")


def _midnight(now: datetime, zone: str) -> datetime:
    here = now.astimezone(ZoneInfo(zone))
    return here.replace(hour=0, minute=0, second=0, microsecond=0)


def _summed(runs: Iterable[Run], key: Callable[[Run], str]) -> tuple[_Sum, dict[str, _Sum]]:
    total, groups = _Sum(), dict[str, _Sum]()
    for run in sorted(runs, key=lambda run: run.queued_at):
        total.add(run)
        groups.setdefault(key(run), _Sum()).add(run)
    return total, dict(sorted(groups.items()))


def _row(name: str, found: _Sum) -> list[object]:
    count = found.unpriced_requests
    unpriced = f" + {count} unpriced request{'' if count == 1 else 's'}" if count else ""
    return [
        name,
        found.runs,
        found.input_tokens,
        found.output_tokens,
        dollars(found.cost) + unpriced,
    ]
