"""Where certainty comes from: what is asked for it, what it costs, and what stands in for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from amxwatch.core.completion import Completion, CompletionRequest
from amxwatch.core.draft import Band, Draft
from amxwatch.core.errors import ProviderUnavailableError
from amxwatch.core.event import Event
from amxwatch.core.run import Run, RunStatus
from amxwatch.settings.schema import Settings
from tests.flows.conftest import World, catalog, column, primary_key, table
from tests.flows.test_analyze import by_hand

pytestmark = pytest.mark.anyio

Script = Callable[[CompletionRequest], Completion]


def profiled(world: World, **values: Any) -> None:
    """Give the model of this world other settings, and no log-probabilities."""
    world.provider.logprob = None
    world.settings = Settings.model_validate(
        {
            "db_profiles": {"shop": {"url": "postgresql://nowhere/shop"}},
            "llm_profiles": {"model": {"provider": "openai", "model": "scripted", **values}},
        }
    )


async def drafted(world: World) -> tuple[Run, Draft]:
    world.database.catalog = catalog(
        table("orders", column("order_id", nullable=False), keys=(primary_key("order_id"),))
    )
    await by_hand(world, "column:shop.orders.order_id")
    run = await world.execute()
    [draft] = await world.drafts(run_id=run.id)
    return run, draft


async def events(world: World, action: str) -> list[Event]:
    found = await world.ledger.read(lambda tx: tx.events.recent(1000))
    return [event for event in found if event.action == action]


def meant(world: World, *meanings: str, logprob: float | None = None) -> Script:
    """Answer the draft as usual, and the samples with these meanings."""

    def script(request: CompletionRequest) -> Completion:
        if request.samples == 1:
            return replace(world.provider.sensible(request), logprob=logprob)
        texts = [
            world.provider.text(
                json.dumps({"objects": [{"key": "order_id", "alternatives": [meaning]}]})
            ).text
            for meaning in meanings
        ]
        return replace(world.provider.text(texts[0]), samples=tuple(texts[1:]))

    return script


async def test_samples_that_agree_make_a_draft_high_and_others_do_not(world: World) -> None:
    profiled(world, confidence_signal="self_consistency", confidence_samples=3)
    world.provider.script = meant(world, "What order_id means.", "order_id means what", "means")
    run, draft = await drafted(world)
    assert (draft.band, run.requests) == (Band.HIGH, 2)
    further = world.provider.requests[-1]
    assert (further.samples, further.n_alternatives) == (3, 1)
    assert further.prompt.startswith(world.provider.requests[0].prompt), "the cache serves it"


async def test_samples_that_differ_make_a_draft_low(world: World) -> None:
    profiled(world, confidence_signal="self_consistency")
    world.provider.script = meant(world, "Weight of a parcel", "Colour of paint", "Who packed it")
    _, draft = await drafted(world)
    assert draft.band is Band.LOW


async def test_likelihood_lowers_what_samples_agree_on(world: World) -> None:
    profiled(world, confidence_signal="self_consistency")
    world.provider.script = meant(world, "What order_id means", logprob=-0.5)
    _, draft = await drafted(world)
    assert draft.band is Band.MEDIUM
    assert draft.confidence == pytest.approx(2.718281828**-0.5, abs=1e-3)


@pytest.mark.parametrize("other", ["What order_id means, again.", "Colour of paint on a parcel."])
async def test_no_alternative_is_compared_with_another(world: World, other: str) -> None:
    """Whether alternatives, worded differently on purpose, agree says nothing."""
    profiled(world, confidence_signal="self_consistency")
    samples = meant(world, "What order_id means")

    def script(request: CompletionRequest) -> Completion:
        if request.samples > 1:
            return samples(request)
        entry = {"key": "order_id", "alternatives": ["What order_id means.", other]}
        return world.provider.text(
            json.dumps({"objects": [{**entry, "evidence": "key", "unsure": False}]})
        )

    world.provider.script = script
    _, draft = await drafted(world)
    assert (draft.confidence, len(draft.alternatives)) == (1.0, 2)


async def test_log_probabilities_count_and_their_absence_is_told(world: World) -> None:
    profiled(world, confidence_signal="logprobs")
    run, draft = await drafted(world)
    [event] = await events(world, "confidence_fallback")
    assert (event.run_id, event.detail["signal"], event.detail["used"]) == (
        run.id,
        "logprobs",
        "evidence",
    )
    assert event.detail["objects"] == ["shop.orders.order_id"]
    assert "log-probabilities" in str(event.detail["reason"])
    assert run.requests == 1
    assert draft.band is not None


async def test_each_objects_own_log_probability_is_taken(world: World) -> None:
    profiled(world, confidence_signal="logprobs")
    world.provider.script = lambda request: replace(
        world.provider.sensible(request), logprob=-3.0, object_logprobs={"order_id": -0.01}
    )
    _, draft = await drafted(world)
    assert draft.confidence == pytest.approx(0.99, abs=0.001)
    assert await events(world, "confidence_fallback") == []


async def test_a_judge_is_asked_once_about_the_first_alternatives(world: World) -> None:
    profiled(world, confidence_signal="judge")

    def script(request: CompletionRequest) -> Completion:
        if "score" not in json.dumps(request.schema):
            return world.provider.sensible(request)
        assert "What order_id means." in request.prompt
        return world.provider.text('{"objects": [{"key": "order_id", "score": 70}]}')

    world.provider.script = script
    run, draft = await drafted(world)
    assert (draft.confidence, draft.band, run.requests) == (0.7, Band.MEDIUM, 2)


async def test_what_the_model_says_of_itself_is_taken_when_it_is_asked(world: World) -> None:
    profiled(world, confidence_signal="verbalized")

    def script(request: CompletionRequest) -> Completion:
        assert "certainty" in request.system
        entry = {"key": "order_id", "alternatives": ["An order."], "evidence": "key"}
        return world.provider.text(
            json.dumps({"objects": [{**entry, "unsure": False, "certainty": 60}]})
        )

    world.provider.script = script
    run, draft = await drafted(world)
    assert (draft.confidence, run.requests) == (0.6, 1)


async def test_evidence_asks_nothing_more(world: World) -> None:
    profiled(world, confidence_signal="evidence")
    run, _ = await drafted(world)
    assert run.requests == 1
    assert await events(world, "confidence_fallback") == []


async def test_a_signal_that_fails_leaves_the_drafts_and_says_so(world: World) -> None:
    profiled(world, confidence_signal="self_consistency")

    def script(request: CompletionRequest) -> Completion:
        if request.samples > 1:
            raise ProviderUnavailableError("the server is down")
        return world.provider.sensible(request)

    world.provider.script = script
    run, _ = await drafted(world)
    assert (run.status, run.drafted) == (RunStatus.COMPLETED, 1)
    [event] = await events(world, "confidence_fallback")
    assert event.detail["signal"] == "self_consistency"


async def test_a_kill_after_the_samples_pays_nothing_twice(world: World) -> None:
    profiled(world, confidence_signal="self_consistency")
    world.provider.script = meant(world, "What order_id means")
    run, _ = await drafted(world)
    assert (len(world.provider.requests), run.cost_usd) == (2, Decimal("0.02"))
    await world.ledger.write(lambda tx: _forget(tx, run))
    await by_hand(world, "column:shop.orders.order_id")
    again = await world.execute()
    assert len(world.provider.requests) == 2
    assert again.cost_usd in (None, 0)
    assert (again.drafted, again.reused) == (1, 1)


def _forget(tx: Any, run: Run) -> None:
    """Withdraw a run's drafts, as if their objects had gone and come back."""
    from amxwatch.core.draft import DraftEvent
    from amxwatch.ports.ledger import DraftFilter

    for draft in tx.drafts.list(DraftFilter(run_id=run.id)):
        tx.drafts.move(draft.id, DraftEvent.WITHDRAW)


async def test_candidate_meanings_are_asked_for_as_such(world: World) -> None:
    profiled(world, alternatives_mode="meanings", confidence_signal="evidence")
    await drafted(world)
    [request] = world.provider.requests
    assert "different meanings" in request.system
    assert "the same meaning in different words" not in request.system
