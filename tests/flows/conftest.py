"""A small world for flows: a manual clock, a real ledger and cache, a database in memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from amxwatch.clocks.manual import ManualClock
from amxwatch.core.catalog import Catalog, Column, Key, KeyKind, Schema, Table
from amxwatch.core.completion import Completion, CompletionRequest
from amxwatch.core.draft import Draft
from amxwatch.core.run import Run, RunId, Slots
from amxwatch.databases.memory import MemoryDatabase
from amxwatch.engines.execute import Executor
from amxwatch.flows.dispatch import dispatch
from amxwatch.flows.firing import Dispatched, Firing
from amxwatch.flows.job import Drafting
from amxwatch.flows.settling import settled
from amxwatch.flows.source import Source
from amxwatch.flows.watch import Look, look
from amxwatch.flows.work import work
from amxwatch.ports.ledger import DraftFilter, RunFilter
from amxwatch.settings.schema import Schedule, Settings
from amxwatch.stores.ledger import SqlLedger, open_ledger
from amxwatch.stores.snapshots import SnapshotCache

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def column(name: str, type_: str = "integer", **values: Any) -> Column:
    return Column(name=name, type=type_, ordinal=values.pop("ordinal", 1), **values)


def table(name: str, *columns: str | Column, schema: str = "shop", **values: Any) -> Table:
    """Make a table; a bare name is an integer column."""
    made = [column(each) if isinstance(each, str) else each for each in columns]
    numbered = tuple(replace(each, ordinal=at) for at, each in enumerate(made, 1))
    return Table(schema=schema, name=name, columns=numbered, **values)


def catalog(*tables: Table) -> Catalog:
    return Catalog(
        reader="memory/1",
        source="memory",
        schemas=tuple(Schema(name=name) for name in sorted({t.schema for t in tables})),
        tables=tuple(sorted(tables, key=lambda t: (t.schema, t.name))),
    )


def primary_key(*columns: str) -> Key:
    return Key(kind=KeyKind.PRIMARY, columns=columns)


class ScriptedProvider:
    """Answers every key that it is asked about; `script` may answer otherwise."""

    name = "scripted"
    priced = True
    is_free = False

    def __init__(self) -> None:
        self.requests: list[CompletionRequest] = []
        self.script: Callable[[CompletionRequest], Completion] = self.sensible
        self.logprob: float | None = -0.05

    def cost_of(self, *, input_tokens: int, output_tokens: int) -> Decimal:
        return Decimal(input_tokens + output_tokens) / 10_000

    async def complete(self, request: CompletionRequest) -> Completion:
        self.requests.append(request)
        return self.script(request)

    def sensible(self, request: CompletionRequest, keys: list[str] | None = None) -> Completion:
        objects = [
            {
                "key": key,
                "alternatives": [f"What {key} means.", f"The meaning of {key}."],
                "evidence": "key",
                "unsure": False,
            }
            for key in keys or [subject.key for subject in request.subjects]
        ]
        return self.text(json.dumps({"objects": objects}))

    def text(self, text: str, finish: str = "stop") -> Completion:
        return Completion(
            text=text,
            finish=finish,
            model="scripted",
            input_tokens=100,
            output_tokens=50,
            cost_usd=Decimal("0.01"),
            logprob=self.logprob,
        )

    @property
    def asked(self) -> list[str]:
        return [subject.key for request in self.requests for subject in request.subjects]

    async def aclose(self) -> None:
        """Nothing is open."""


@dataclass
class World:
    """Everything that a flow needs, and shorthands that tests read well with."""

    clock: ManualClock
    ledger: SqlLedger
    database: MemoryDatabase
    source: Source
    provider: ScriptedProvider
    settings: Settings
    plans: dict[str, Schedule] = field(default_factory=dict)

    def plan(self, **values: Any) -> Schedule:
        """Put a schedule in the config."""
        values = {"name": "watch", "db_profile": "shop", "llm_profile": "model", **values}
        made = Schedule.model_validate(values)
        self.plans[made.name] = made
        self.settings = self.settings.model_copy(update={"schedules": dict(self.plans)})
        return made

    def on_change(self, *, cap: float = 0, settle: float = 0, **values: Any) -> Schedule:
        trigger = {
            "type": "change",
            "cadence_cap_hours": cap,
            "settle_seconds": settle,
            **values.pop("trigger", {}),
        }
        return self.plan(trigger=trigger, **values)

    async def turn(self, plan: Schedule, *, files_mark: str | None = None) -> Dispatched:
        """Look at the source, then evaluate the schedule, as the daemon does."""
        await look(self.source)
        return await self.evaluate(plan, files_mark=files_mark)

    async def evaluate(self, plan: Schedule, *, files_mark: str | None = None) -> Dispatched:
        firing = Firing(
            schedule=plan, source=self.source, llm_profile="model", now=self.clock.now()
        )
        return await dispatch(firing, files_mark=files_mark)

    async def look(self) -> Look:
        return await look(self.source, exact=True)

    def drafting(self, **values: Any) -> Drafting:
        return Drafting(
            settings=lambda: self.settings,
            source=lambda _: self.source,
            provider=lambda _: self.provider,
            ledger=self.ledger,
            clock=self.clock,
            owner="test",
            is_dead=lambda _: False,
            **values,
        )

    async def execute(self, run_id: str | None = None) -> Run:
        """Claim the next run and execute it to its settlement."""
        executor = Executor(ledger=self.ledger, clock=self.clock, owner="test", settled=settled)
        slots = Slots(profiles={}, schedules={}, total=99, each_profile=99, each_schedule=99)
        run = await executor.claim(slots, only=RunId(run_id) if run_id else None)
        assert run is not None, "no run is queued"
        drafting = self.drafting()
        return await executor.execute(run, lambda ctx: work(ctx, drafting), lambda: False)

    async def runs(self) -> list[Run]:
        return await self.ledger.read(lambda tx: tx.runs.list(RunFilter()))

    async def drafts(self, **values: Any) -> list[Draft]:
        return await self.ledger.read(lambda tx: tx.drafts.list(DraftFilter(**values)))

    async def actions(self) -> list[str]:
        return [e.action for e in await self.ledger.read(lambda tx: tx.events.recent(1000))]

    def pass_time(self, seconds: float) -> None:
        self.clock.advance(timedelta(seconds=seconds))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    clock = ManualClock(NOON)
    ledger = open_ledger(tmp_path / "state.db", clock)
    database = MemoryDatabase()
    settings = Settings.model_validate(
        {
            "db_profiles": {"shop": {"url": "postgresql://nowhere/shop"}},
            "llm_profiles": {
                "model": {
                    "provider": "openai",
                    "model": "scripted",
                    "confidence_signal": "logprobs",
                }
            },
        }
    )
    source = Source(
        profile="shop",
        database=database,
        snapshots=SnapshotCache(tmp_path / "shop.duckdb"),
        ledger=ledger,
        clock=clock,
    )
    yield World(clock, ledger, database, source, ScriptedProvider(), settings)
    await ledger.aclose()
