"""Requests that can wait go as batches: at half the price, through restarts, none paid twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from amxwatch.core.catalog import ObjectRef
from amxwatch.core.run import Run, RunStatus
from amxwatch.ports.provider import Provider
from amxwatch.providers import ProviderSpec, make
from amxwatch.settings.schema import LlmProfile
from tests.flows.conftest import World, catalog, table
from tests.flows.test_analyze import by_hand
from tests.plugins.model_server import ModelServer

pytestmark = pytest.mark.anyio

SINGLE = Decimal("0.0028")
TABLES = [table(f"t{number}", f"c{number}") for number in range(6)]
OBJECTS = {ref for each in TABLES for ref in (each.ref, ObjectRef(
    schema="shop", table=each.name, column=each.columns[0].name))}  # fmt: skip


@pytest.fixture(params=["openai", "anthropic"])
async def waiting(
    request: pytest.FixtureRequest, world: World, model_server: ModelServer
) -> AsyncIterator[World]:
    """A world whose model is asked by batches."""
    made = provider_of(world, model_server, request.param)
    use(world, made, batch=True)
    yield world
    await made.aclose()


def provider_of(world: World, server: ModelServer, maker: str) -> Provider:
    spec = ProviderSpec(
        provider=maker,
        model="m-1",
        base_url=server.url,
        input_usd_per_mtok=Decimal(2),
        output_usd_per_mtok=Decimal(8),
    )
    return make(spec, clock=world.clock)


def use(world: World, provider: Provider, **values: Any) -> None:
    told = {"provider": "openai", "model": "m-1", "confidence_signal": "evidence", **values}
    profile = LlmProfile.model_validate({"name": "model", **told})
    world.provider = provider  # type: ignore[assignment]  # a real one in the scripted one's place
    world.settings = world.settings.model_copy(update={"llm_profiles": {"model": profile}})


async def queue(world: World, **values: Any) -> None:
    world.database.catalog = catalog(*TABLES)
    plan = world.on_change(trigger={"initial_run": True}, **values)
    await world.turn(plan)


async def look_again(world: World, times: int = 1) -> Run:
    """Execute the run when it is due again."""
    for _ in range(times):
        world.pass_time(15 * 60)
        run = await world.execute()
    return run


async def drafted(world: World) -> Counter[ObjectRef]:
    return Counter(draft.ref for draft in await world.drafts())


async def test_a_run_gives_itself_back_while_its_batch_goes_on(
    waiting: World, model_server: ModelServer
) -> None:
    model_server.desk.after_polls = 2
    await queue(waiting)
    sent = await waiting.execute()
    assert (sent.status, sent.requests) == (RunStatus.QUEUED, 1)
    assert sent.not_before > waiting.clock.now()
    assert (await look_again(waiting)).status is RunStatus.QUEUED
    run = await look_again(waiting)
    assert (run.status, run.drafted, run.requests) == (RunStatus.COMPLETED, 12, 6)
    assert await drafted(waiting) == Counter(OBJECTS)
    # The first is asked by itself, to learn what the endpoint takes; five cost half.
    assert run.cost_usd == SINGLE + 5 * SINGLE / 2
    assert (run.unpriced, run.price_version) == (0, "llm profile: 2 in, 8 out")
    assert (model_server.count, len(model_server.desk.jobs)) == (1, 1)
    actions = Counter(await waiting.actions())
    assert (actions["batch_sent"], actions["batch_ended"]) == (1, 1)


async def test_pauses_between_looks_grow(waiting: World, model_server: ModelServer) -> None:
    model_server.desk.after_polls = 9
    await queue(waiting)
    run = await waiting.execute()
    pauses = []
    for _ in range(4):
        pauses.append(run.not_before - waiting.clock.now())
        waiting.pass_time(pauses[-1].total_seconds())
        run = await waiting.execute()
    assert pauses == sorted(pauses)
    assert pauses[0] <= timedelta(seconds=30)
    assert pauses[-1] >= timedelta(minutes=2)


async def test_a_batch_that_was_sent_and_never_noted_is_found_and_not_sent_again(
    waiting: World, model_server: ModelServer
) -> None:
    await queue(waiting)
    model_server.desk.loses_answer = True
    assert (await waiting.execute()).status is RunStatus.QUEUED
    run = await look_again(waiting)
    assert (run.status, run.drafted, run.requests) == (RunStatus.COMPLETED, 12, 6)
    assert (model_server.count, len(model_server.desk.jobs)) == (1, 1)
    assert run.cost_usd == SINGLE + 5 * SINGLE / 2


async def test_a_batch_that_never_came_there_is_asked_one_by_one(
    waiting: World, model_server: ModelServer
) -> None:
    await queue(waiting)
    model_server.desk.loses_answer = True
    await waiting.execute()
    model_server.desk.jobs.clear()
    run = await look_again(waiting)
    assert (run.status, run.drafted) == (RunStatus.COMPLETED, 12)
    assert run.cost_usd == 6 * SINGLE
    assert model_server.count == 6


async def test_what_a_batch_did_not_answer_is_asked_one_by_one_and_told(
    waiting: World, model_server: ModelServer
) -> None:
    model_server.desk.fails, model_server.desk.expires = {0}, {2}
    await queue(waiting)
    await waiting.execute()
    run = await look_again(waiting)
    assert (run.status, run.drafted, run.requests) == (RunStatus.COMPLETED, 12, 6)
    assert await drafted(waiting) == Counter(OBJECTS)
    assert run.cost_usd == SINGLE + 3 * SINGLE / 2 + 2 * SINGLE
    events = await waiting.ledger.read(lambda tx: tx.events.recent(1000))
    [ended] = [event.detail for event in events if event.action == "batch_ended"]
    assert (ended["answered"], ended["missed"], ended["how"]) == (3, 2, "answered")
    assert ended["reason"]


async def test_a_batch_beyond_its_time_is_given_up(
    waiting: World, model_server: ModelServer
) -> None:
    model_server.desk.after_polls = 10_000
    await queue(waiting)
    await waiting.execute()
    waiting.pass_time(27 * 3600)
    run = await waiting.execute()
    assert (run.status, run.drafted) == (RunStatus.COMPLETED, 12)
    assert model_server.count == 6


async def test_samples_for_the_confidence_go_in_a_second_batch(
    waiting: World, model_server: ModelServer
) -> None:
    use(waiting, waiting.provider, batch=True, confidence_signal="self_consistency")
    await queue(waiting)
    assert (await waiting.execute()).status is RunStatus.QUEUED
    for _ in range(3):
        run = await look_again(waiting)
        if run.status is not RunStatus.QUEUED:
            break
    assert (run.status, run.drafted) == (RunStatus.COMPLETED, 12)
    assert len(model_server.desk.jobs) == 2
    assert await drafted(waiting) == Counter(OBJECTS)


async def test_a_run_by_hand_does_not_wait(waiting: World, model_server: ModelServer) -> None:
    waiting.database.catalog = catalog(*TABLES)
    await by_hand(waiting)
    run = await waiting.execute()
    assert (run.status, run.cost_usd) == (RunStatus.COMPLETED, 6 * SINGLE)
    assert not model_server.desk.jobs


async def test_an_endpoint_without_batches_is_asked_one_by_one(
    waiting: World, model_server: ModelServer
) -> None:
    model_server.desk.is_there = False
    await queue(waiting)
    run = await waiting.execute()
    assert (run.status, run.drafted, run.cost_usd) == (RunStatus.COMPLETED, 12, 6 * SINGLE)
    events = await waiting.ledger.read(lambda tx: tx.events.recent(1000))
    [ended] = [event.detail for event in events if event.action == "batch_ended"]
    assert ended["how"] == "lost"


async def test_what_a_cancelled_run_has_sent_serves_the_next_one(
    waiting: World, model_server: ModelServer
) -> None:
    from amxwatch.core.run import RunEvent

    await queue(waiting)
    first = await waiting.execute()
    await waiting.ledger.write(lambda tx: tx.runs.move(first.id, RunEvent.CANCEL, token=None))
    waiting.plans.clear()
    plan = waiting.on_change(name="again", trigger={"initial_run": True})
    await waiting.turn(plan)
    waiting.pass_time(3600)
    run = await waiting.execute()
    if run.status is RunStatus.QUEUED:
        run = await look_again(waiting)
    assert (run.status, run.drafted) == (RunStatus.COMPLETED, 12)
    assert (model_server.count, len(model_server.desk.jobs)) == (1, 1)


async def test_no_more_is_sent_than_the_budget_surely_holds(
    waiting: World, model_server: ModelServer
) -> None:
    await queue(waiting, budget={"per_run_usd": 0.0150})
    await waiting.execute()
    [job] = model_server.desk.jobs.values()
    assert 0 < len(job.requests) < 5
