"""Batches at their endpoints, and what the ledger keeps of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from amxwatch.clocks.manual import ManualClock
from amxwatch.core.batch import BatchEnd, BatchJob
from amxwatch.core.errors import NotFoundError, ProviderRefusedError, ProviderUnavailableError
from amxwatch.core.prompt import narrow, request_key
from amxwatch.core.reply import read_reply
from amxwatch.core.run import RunId
from amxwatch.ports.batches import Batches, OffersBatches
from amxwatch.providers import ProviderSpec, make
from amxwatch.stores.ledger import open_ledger
from tests.contracts.ledgers import NOW as LEDGER_NOW
from tests.contracts.ledgers import a_run
from tests.contracts.test_provider import KEY, NOW, HastyClock, request
from tests.plugins.model_server import ModelServer

pytestmark = pytest.mark.anyio

WANTED = {
    request_key(one, "m"): one
    for one in (narrow(request(), {subject.key}) for subject in request().subjects)
}


@pytest.fixture(params=["openai", "anthropic"])
def maker(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def opened(server: ModelServer, maker: str) -> AsyncIterator[Batches]:
    spec = ProviderSpec(
        provider=maker,
        model="m-1",
        base_url=server.url,
        api_key=KEY,
        input_usd_per_mtok=Decimal(2),
        output_usd_per_mtok=Decimal(8),
    )
    provider = make(spec, clock=HastyClock())
    assert isinstance(provider, OffersBatches)
    try:
        yield provider.batches
    finally:
        await provider.aclose()


def a_job(**values: object) -> BatchJob:
    made = {
        "tag": "amxwatch-1",
        "run_id": RunId("run-1"),
        "llm_profile": "m",
        "keys": tuple(WANTED),
        "at": NOW,
        **values,
    }
    return BatchJob(**made)  # type: ignore[arg-type]  # each is given in its type


async def test_answers_come_by_their_keys_at_half_the_price(
    maker: str, model_server: ModelServer
) -> None:
    model_server.desk.after_polls = 2
    async with opened(model_server, maker) as batches:
        name = await batches.submit("amxwatch-1", WANTED)
        looks = [await batches.look(name) for _ in range(2)]
        answers = await batches.answers(name)
    assert [look.is_over for look in looks if look] == [False, True]
    assert looks[1] is not None
    assert (looks[1].done, looks[1].total) == (len(WANTED), len(WANTED))
    assert set(answers) == set(WANTED)
    for key, answer in answers.items():
        assert answer.completion is not None
        subjects = WANTED[key].subjects
        assert read_reply(answer.completion.text, subjects, 3).missing == ()
        assert answer.completion.cost_usd == Decimal("0.0014"), "0.0028 when asked singly"
        assert answer.completion.price_version == "llm profile: 2 in, 8 out, as a batch"
    assert model_server.count == 0, "nothing was asked by itself"


async def test_what_failed_or_ran_out_of_time_is_told_and_the_rest_is_there(
    maker: str, model_server: ModelServer
) -> None:
    model_server.desk.fails, model_server.desk.expires = {0}, {1}
    async with opened(model_server, maker) as batches:
        name = await batches.submit("amxwatch-1", WANTED)
        await batches.look(name)
        answers = await batches.answers(name)
    first, second, *rest = WANTED
    assert answers[first].completion is None
    assert answers[first].error == "The server had an error"
    assert answers[second].completion is None
    assert answers[second].error in {"expired", "This request could not be executed"}
    assert all(answers[key].completion for key in rest)


async def test_a_batch_whose_answer_was_lost_is_found_again(
    maker: str, model_server: ModelServer
) -> None:
    async with opened(model_server, maker) as batches:
        other = await batches.submit("amxwatch-0", dict(list(WANTED.items())[:2]))
        assert len(model_server.desk.jobs) == 1
        assert other
        model_server.desk.loses_answer = True
        with pytest.raises(ProviderUnavailableError):
            await batches.submit("amxwatch-1", WANTED)
        assert len(model_server.desk.jobs) == 2, "it is not sent a second time"
        found = await batches.find(a_job(), {other})
        assert found is not None
        assert found != other
        assert await batches.find(a_job(tag="amxwatch-9"), {other, found}) is None
        assert set(await _answered(batches, found)) == set(WANTED)


async def _answered(batches: Batches, name: str) -> list[str]:
    await batches.look(name)
    return list(await batches.answers(name))


async def test_a_batch_that_nobody_knows_is_none(maker: str, model_server: ModelServer) -> None:
    async with opened(model_server, maker) as batches:
        assert await batches.look("batch_gone") is None


async def test_a_server_without_batches_refuses(maker: str, model_server: ModelServer) -> None:
    model_server.desk.is_there = False
    async with opened(model_server, maker) as batches:
        with pytest.raises(ProviderRefusedError, match="404") as caught:
            await batches.submit("amxwatch-1", WANTED)
    assert KEY not in str(caught.value)


async def test_what_must_stay_is_in_no_batch_elsewhere(maker: str) -> None:
    spec = ProviderSpec(provider=maker, model="m", base_url="http://192.0.2.1/v1")
    provider = make(spec, clock=HastyClock())
    assert isinstance(provider, OffersBatches)
    staying = {key: replace(one, local_only=True) for key, one in WANTED.items()}
    with pytest.raises(ProviderRefusedError, match="local_only"):
        await provider.batches.submit("amxwatch-1", staying)
    await provider.aclose()


# The ledger


async def test_the_ledger_keeps_batches_until_they_end(tmp_path: Path) -> None:
    ledger = open_ledger(tmp_path / "state.db", ManualClock(LEDGER_NOW))
    run = a_run()
    await ledger.write(lambda tx: tx.runs.put(run))
    first = a_job(run_id=run.id, at=LEDGER_NOW)
    second = replace(first, tag="amxwatch-2", at=LEDGER_NOW + timedelta(seconds=1))
    await ledger.write(lambda tx: tx.batches.put(second))
    await ledger.write(lambda tx: tx.batches.put(first))
    assert await ledger.read(lambda tx: tx.batches.waiting("m")) == [first, second]
    assert await ledger.read(lambda tx: tx.batches.waiting("another")) == []
    await ledger.write(lambda tx: tx.batches.sent(first.tag, "batch_7"))
    seen = await ledger.write(lambda tx: tx.batches.looked(first.tag))
    assert (seen.job, seen.looks) == ("batch_7", 1)
    await ledger.write(lambda tx: tx.batches.end(first.tag, BatchEnd.ANSWERED))
    assert await ledger.read(lambda tx: tx.batches.waiting("m")) == [second]
    told = await ledger.read(lambda tx: tx.batches.of_run(run.id))
    assert [one.ended for one in told] == [BatchEnd.ANSWERED, None]
    with pytest.raises(NotFoundError):
        await ledger.write(lambda tx: tx.batches.looked("amxwatch-9"))
    await ledger.aclose()
