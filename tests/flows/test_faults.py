"""A model's server that misbehaves in every way: columns are drafted or reported, costs true."""

from __future__ import annotations

import gzip
import json
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from amxwatch.core.run import Run, RunStatus
from amxwatch.providers import ProviderSpec, make
from tests.contracts.test_provider import KEY, HastyClock
from tests.flows.conftest import World, catalog, table
from tests.flows.test_analyze import by_hand
from tests.flows.test_batching import use
from tests.plugins.model_server import Answer, ModelServer, Scripted, asked, completion, reply

pytestmark = pytest.mark.anyio

SINGLE = Decimal("0.0028")
COLUMNS = [f"c{number}" for number in range(12)]
OBJECTS = {"shop.wide", *(f"shop.wide.{name}" for name in COLUMNS)}
FAR = 40
"""More answers than a run ever asks for."""


WIRES = ("openai", "anthropic", "ollama")


@pytest.fixture
def wire() -> str:
    """The wire that a test speaks where it names none."""
    return "openai"


@pytest.fixture
async def faulty(wire: str, world: World, model_server: ModelServer) -> AsyncIterator[World]:
    """A world with one wide table, whose model is behind a real HTTP server."""
    is_own = wire == "ollama"
    made = make(
        ProviderSpec(
            provider=wire,
            model="m-1",
            base_url=model_server.root if is_own else model_server.url,
            api_key=KEY,
            timeout=0.5,
            input_usd_per_mtok=Decimal(2),
            output_usd_per_mtok=Decimal(8),
        ),
        clock=HastyClock(),
    )
    use(world, made, column_batch_size=4, max_concurrency=1)
    world.database.catalog = catalog(table("wide", *COLUMNS))
    yield world
    await made.aclose()


async def ran(world: World) -> Run:
    await by_hand(world)
    return await world.execute()


async def check(world: World, run: Run, every: set[str] = OBJECTS) -> set[str]:
    """Assert what must hold however it went; return what was drafted."""
    assert run.failure_category != "internal", run.error
    drafted = {str(draft.ref) for draft in await world.drafts(run_id=run.id)}
    events = await world.ledger.read(lambda tx: tx.events.recent(1000))
    problems = [event.detail for event in events if event.action == "reply_problem"]
    reported = {name for each in problems for name in each["missing"]}  # type: ignore[attr-defined]  # a list
    if run.status is RunStatus.COMPLETED:
        assert drafted | reported == every
    else:
        assert run.error, "a run that did not come to its end says why"
        assert "\n" not in run.error
        assert not any(KEY[at : at + 6] in run.error for at in range(len(KEY) - 5))
    assert drafted <= every
    told = json.dumps([event.detail for event in events], default=str)
    assert not any(KEY[at : at + 6] in told for at in range(len(KEY) - 5))
    return drafted


def invented(request: dict[str, Any]) -> Answer:
    return Answer(body=completion(reply(["nobody", "asked", *asked(request)])))


def wrong_columns(request: dict[str, Any]) -> Answer:
    del request
    return Answer(body=completion(reply(["other", "columns"])))


def twice(request: dict[str, Any]) -> Answer:
    return Answer(body=completion(reply(asked(request) * 2)))


def cut(request: dict[str, Any]) -> Answer:
    whole = reply(asked(request))
    return Answer(body=completion(whole[: len(whole) // 2], finish="length"))


ERROR = {"error": {"message": "The server had an error"}}
FAULTS: dict[str, Scripted | Answer] = {
    "hang": Answer(hang=True),
    "drop": Answer(drop=True),
    "cut by the limit": cut,
    "cut on the way": Answer(body="{" + " " * 5000 + "}", raw=True, short=3000),
    "half JSON": Answer(body='{"choices": [{"message": {"con', raw=True),
    "429": Answer(status=429, body=ERROR, headers={"retry-after": "2"}),
    "429 in milliseconds": Answer(status=429, body=ERROR, headers={"retry-after-ms": "20"}),
    "500": Answer(status=500, body=ERROR),
    "503 as a page": Answer(status=503, body="<h1>Busy</h1>", raw=True),
    "529": Answer(status=529, body=ERROR),
    "wrong columns": wrong_columns,
    "invented columns": invented,
    "every column twice": twice,
    "prose": Answer(body=completion("Sure! The id is the id.")),
    "nothing": Answer(body=completion(None)),
    "refusal": Answer(body=completion(None, finish="content_filter")),
    "10 MB": Answer(body=completion("x" * 10_000_000)),
    "10 MB of braces": Answer(body=completion('{"a":' * 2_000_000)),
    "17 MB": Answer(body=b" " * 17_000_000, raw=True),
    "slow drip": Answer(body=" " * 4000, raw=True, drip=0.05),
    "another content type": Answer(
        body="<html>Sign in</html>", headers={"content-type": "text/html"}, raw=True
    ),
    "gzip bomb": Answer(
        body=gzip.compress(bytes(200_000_000), 1), headers={"content-encoding": "gzip"}, raw=True
    ),
    "401": Answer(status=401, body={"error": {"message": f"bad key {KEY}"}}),
    "a spent account": Answer(
        status=429, body={"error": {"message": "exceeded your current quota"}}
    ),
    "400": Answer(status=400, body={"error": {"message": "the prompt is too long"}}),
    "a broken document": Answer(body={"choices": [{"message": 7}]}, raw=True),
}

PASSES = {
    *("hang", "drop", "cut by the limit", "cut on the way", "half JSON", "429", "500", "529"),
    *("429 in milliseconds", "503 as a page", "wrong columns", "invented columns", "prose"),
    *("every column twice", "nothing", "refusal", "10 MB", "10 MB of braces", "slow drip"),
}
"""Faults of one answer that a run gets over, with every object drafted."""


EACH = [(WIRES[at % 3], name) for at, name in enumerate(FAULTS)]
"""Every fault on one of the wires, in turn."""


@pytest.mark.parametrize("wire", WIRES)
async def test_one_fault_after_the_other_with_good_answers_between(
    faulty: World, model_server: ModelServer
) -> None:
    tables = [table(f"t{number}", "c1", "c2") for number in range(len(PASSES))]
    faulty.database.catalog = catalog(*tables)

    def good(request: dict[str, Any]) -> Answer:
        return Answer(body=model_server.usual(request))

    model_server.script = [each for name in sorted(PASSES) for each in (FAULTS[name], good)]
    run = await ran(faulty)
    assert run.status is RunStatus.COMPLETED, run.error
    every = {str(table.ref) for table in tables}
    every |= {f"{table.ref}.{column.name}" for table in tables for column in table.columns}
    drafted = await check(faulty, run, every)
    assert len(drafted) > 0.8 * len(every), "a second try may meet the next fault, no third one"
    assert run.cost_usd == run.requests * SINGLE


@pytest.mark.parametrize(("wire", "name"), EACH)
async def test_one_bad_answer_among_good_ones(
    name: str, faulty: World, model_server: ModelServer
) -> None:
    calls = iter(range(FAR))

    def second(request: dict[str, Any]) -> Answer:
        fault = FAULTS[name]
        if next(calls) != 1:
            return Answer(body=model_server.usual(request))
        return fault if isinstance(fault, Answer) else fault(request)

    model_server.script = [second] * FAR
    run = await ran(faulty)
    drafted = await check(faulty, run)
    assert drafted, "what was answered before is kept"
    if name in PASSES:
        assert (run.status, drafted) == (RunStatus.COMPLETED, OBJECTS)
    assert run.cost_usd == run.requests * SINGLE, "each answer is paid once"


@pytest.mark.parametrize(("wire", "name"), EACH)
async def test_nothing_but_bad_answers(name: str, faulty: World, model_server: ModelServer) -> None:
    model_server.script = [FAULTS[name]] * FAR
    run = await ran(faulty)
    drafted = await check(faulty, run)
    assert model_server.count < FAR
    if name not in {"invented columns", "every column twice", "cut by the limit"}:
        assert not drafted
    assert (run.cost_usd or 0) == run.requests * SINGLE


async def test_an_answer_that_was_paid_is_not_asked_for_by_the_next_run(
    faulty: World, model_server: ModelServer
) -> None:
    good: Callable[[dict[str, Any]], Answer] = lambda request: Answer(  # noqa: E731  (a script)
        body=model_server.usual(request)
    )
    model_server.script = [good, *[Answer(status=500, body=ERROR)] * 9]
    first = await ran(faulty)
    kept = await check(faulty, first)
    assert first.status is not RunStatus.COMPLETED
    model_server.script = []
    before = model_server.count
    faulty.pass_time(3600)
    run = await faulty.execute() if first.status is RunStatus.QUEUED else await ran(faulty)
    assert run.status is RunStatus.COMPLETED
    assert model_server.count - before == 2, "the third request was answered in the first run"
    assert len(kept) in (4, 5), "one batch of columns, the table's own words with the first"
    every = await faulty.drafts()
    assert {str(draft.ref) for draft in every} == OBJECTS


async def test_a_request_that_is_refused_by_itself_stops_no_other(
    faulty: World, model_server: ModelServer
) -> None:
    calls = iter(range(FAR))

    def second(request: dict[str, Any]) -> Answer:
        if next(calls) != 1:
            return Answer(body=model_server.usual(request))
        return Answer(status=413, body={"error": {"message": "the request is too large"}})

    model_server.script = [second] * FAR
    run = await ran(faulty)
    drafted = await check(faulty, run)
    assert run.status is RunStatus.COMPLETED
    assert len(drafted) == len(OBJECTS) - 4


@pytest.mark.parametrize(("wire", "maker"), [("openai", "openai-chat"), ("anthropic", "anthropic")])
async def test_recorded_bodies_as_answers(
    maker: str, cases: Path, faulty: World, model_server: ModelServer
) -> None:
    folder = cases / "h_llm"
    found = json.loads((folder / "responses.json").read_text(encoding="utf-8"))["responses"]
    errors = json.loads((folder / "error_bodies.json").read_text(encoding="utf-8"))["cases"]
    mine = {kind: each for each in found if each["provider"] == maker for kind in each["classes"]}
    every = [*mine.values(), *(each for each in errors if each["provider"] == maker)]
    left = [Answer(status=each["status"], body=each["body"], raw=True) for each in every]
    for number in range(len(left)):
        if not left:
            break
        # A new table makes the requests of each run new.
        faulty.database.catalog = catalog(table(f"t{number}", "c1", "c2"))
        model_server.script = list(left)
        run = await ran(faulty)
        assert run.failure_category != "internal", run.error
        assert run.status is RunStatus.COMPLETED or run.error
        assert len(model_server.script) < len(left)
        left = list(model_server.script)  # type: ignore[arg-type]  # only answers were queued
    assert not left
