"""Every provider, and what the one over HTTP does when the endpoint misbehaves."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import anyio
import pytest

from amxwatch.clocks.system import SystemClock
from amxwatch.core.completion import Completion, CompletionRequest
from amxwatch.core.errors import ProviderRefusedError, ProviderUnavailableError, UsageError
from amxwatch.core.prompt import TABLE_KEY, build, narrow
from amxwatch.core.reply import read_reply
from amxwatch.ports.provider import Provider
from amxwatch.providers import BACK_ENDS, ProviderSpec, make
from tests.core.drafting import open_orders, orders
from tests.plugins.model_server import Answer, ModelServer

KEY = "sk-proj-Zx81qWv77LmN2pTr05KdYb"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class HastyClock:
    """A clock on which every sleep is over at once; it remembers how long they were."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> datetime:
        return NOW + timedelta(seconds=sum(self.waits))

    def monotonic(self) -> float:
        return sum(self.waits)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await anyio.lowlevel.checkpoint()


def request() -> CompletionRequest:
    table = orders()
    return build(table, table.columns, with_table=True, temperature=0.2)


def spec_of(server: ModelServer, **more: object) -> ProviderSpec:
    values = {"provider": "openai", "model": "m-1", "base_url": server.url, "api_key": KEY}
    return ProviderSpec(**{**values, **more})


@asynccontextmanager
async def opened(spec: ProviderSpec, clock: HastyClock | None = None) -> AsyncIterator[Provider]:
    provider = make(spec, clock=clock or HastyClock())
    try:
        yield provider
    finally:
        await provider.aclose()


async def ask(server: ModelServer, **more: object) -> Completion:
    async with opened(spec_of(server, **more)) as provider:
        return await provider.complete(request())


MAKERS: dict[str, Callable[[ModelServer], ProviderSpec]] = {
    "builtin": lambda _: ProviderSpec(provider="builtin", model="rules"),
    "openai": spec_of,
    "anthropic": lambda server: spec_of(server, provider="anthropic"),
    "ollama": lambda server: spec_of(server, provider="ollama", base_url=server.root),
}


def test_every_back_end_is_under_contract() -> None:
    assert set(MAKERS) == set(BACK_ENDS)


@pytest.fixture(params=sorted(MAKERS))
def spec(request: pytest.FixtureRequest, model_server: ModelServer) -> ProviderSpec:
    return MAKERS[request.param](model_server)


async def test_every_asked_key_gets_its_alternatives(spec: ProviderSpec) -> None:
    for table in (orders(), open_orders()):
        asked = build(table, table.columns, with_table=True)
        async with opened(spec) as provider:
            completion = await provider.complete(asked)
        reading = read_reply(completion.text, asked.subjects, asked.n_alternatives)
        assert (completion.finish, reading.missing, reading.problems) == ("stop", (), ())
        for answer in reading.good.values():
            assert len(set(answer.alternatives)) >= 2


async def test_a_narrowed_request_is_answered_too(spec: ProviderSpec) -> None:
    asked = narrow(request(), {"stts", TABLE_KEY})
    async with opened(spec) as provider:
        completion = await provider.complete(asked)
    assert set(read_reply(completion.text, asked.subjects, 3).good) == {"stts", TABLE_KEY}


async def test_a_provider_has_a_name_and_closes_twice(spec: ProviderSpec) -> None:
    async with opened(spec) as provider:
        assert provider.name.startswith(f"{spec.provider}/")
        await provider.complete(request())
        await provider.aclose()
        await provider.complete(request())


async def test_the_rules_are_free_and_say_the_same_twice() -> None:
    async with opened(MAKERS["builtin"](None)) as provider:
        first, second = await provider.complete(request()), await provider.complete(request())
    assert first == second
    assert (provider.priced, first.cost_usd, first.input_tokens) == (True, Decimal(0), 0)
    said = {key: a.alternatives[0] for key, a in read_reply(
        first.text, request().subjects, 3).good.items()}  # fmt: skip
    assert said["order_id"] == "Unique identifier of the order."
    assert said["customer_id"] == "Customer of the order; refers to customer.customer_id."
    assert said["stts"] == "Status of the order: new, paid or sent; new by default."
    assert said["shpd_at"] == "Date and time when the order was shipped; empty until then."


def test_unknown_providers_and_bad_specs_are_usage_errors() -> None:
    for wrong in (
        {"provider": "gemini"},
        {"provider": "anthropic", "base_url": "ftp://host/v1"},
        {"provider": "ollama", "api_key": "key\nsk-with"},
        {"provider": "openai", "base_url": "not a url"},
        {"provider": "openai", "base_url": "ftp://host/v1"},
        {"provider": "openai", "base_url": "http://["},
        {"provider": "openai", "base_url": "http://:80:80/v1"},
        {"provider": "openai", "api_key": "sk-with\nnewline"},
        {"provider": "openai", "api_key": "schlüssel"},
    ):
        with pytest.raises(UsageError) as caught:
            make(ProviderSpec(**{"model": "m", **wrong}), clock=SystemClock())
        assert "sk-with" not in str(caught.value)
    assert KEY not in repr(ProviderSpec(provider="openai", model="m", api_key=KEY))


# Over HTTP


async def test_what_is_sent_and_what_comes_back(model_server: ModelServer) -> None:
    completion = await ask(
        model_server, input_usd_per_mtok=Decimal(2), output_usd_per_mtok=Decimal(8)
    )
    sent = model_server.requests[0]
    assert sent["model"] == "m-1"
    assert sent["temperature"] == 0.2
    assert sent["response_format"]["json_schema"]["strict"] is True
    assert [message["role"] for message in sent["messages"]] == ["system", "user"]
    assert model_server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert "logprobs" not in sent
    assert (completion.input_tokens, completion.output_tokens) == (1000, 100)
    assert (completion.cached_tokens, completion.model) == (400, "test-model-2026")
    assert completion.cost_usd == Decimal("0.0028")
    assert completion.price_version == "llm profile: 2 in, 8 out"
    assert completion.form == "json_schema"


async def test_a_model_without_a_price_is_unpriced_and_not_free(model_server: ModelServer) -> None:
    async with opened(spec_of(model_server)) as provider:
        assert provider.priced is False
        completion = await provider.complete(request())
    assert (completion.cost_usd, completion.price_version) == (None, None)


@pytest.mark.parametrize("formats", [{"json_object", "plain"}, {"plain"}])
async def test_an_endpoint_is_asked_in_the_form_that_it_knows_and_that_is_remembered(
    model_server: ModelServer, formats: set[str]
) -> None:
    model_server.formats = formats
    model_server.takes_temperature = False
    model_server.token_limit_key = "max_tokens"
    async with opened(spec_of(model_server)) as provider:
        first = await provider.complete(request())
        tries = model_server.count
        await provider.complete(request())
    assert tries > 1
    assert model_server.count == tries + 1
    assert read_reply(first.text, request().subjects, 3).missing == ()
    last = model_server.requests[-1]
    assert "temperature" not in last
    assert "max_tokens" in last
    assert '"additionalProperties"' in last["messages"][0]["content"]


async def test_a_server_that_fails_over_schemas_is_asked_without(model_server: ModelServer) -> None:
    for _ in range(2):
        model_server.fail(500)
    async with opened(spec_of(model_server)) as provider:
        model_server.formats = {"json_object", "plain"}
        await provider.complete(request())
    assert model_server.requests[-1]["response_format"] == {"type": "json_object"}


async def test_a_proven_form_survives_bad_moments(model_server: ModelServer) -> None:
    async with opened(spec_of(model_server)) as provider:
        await provider.complete(request())
        for _ in range(3):
            model_server.fail(500)
        await provider.complete(request())
    assert model_server.requests[-1]["response_format"]["type"] == "json_schema"


async def test_rate_limits_are_waited_for_as_long_as_the_server_says(
    model_server: ModelServer,
) -> None:
    clock = HastyClock()
    model_server.rate_limit(retry_after="7")
    model_server.rate_limit(retry_after_ms="1500")
    model_server.rate_limit(retry_after=format_datetime(NOW + timedelta(seconds=60), usegmt=True))
    async with opened(spec_of(model_server), clock) as provider:
        await provider.complete(request())
    assert clock.waits == [7, 1.5, pytest.approx(51.5)]


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
async def test_transient_failures_are_tried_a_bounded_number_of_times(
    model_server: ModelServer, status: int
) -> None:
    for _ in range(9):
        model_server.fail(status)
    clock = HastyClock()
    async with opened(spec_of(model_server), clock) as provider:
        with pytest.raises(ProviderUnavailableError, match=f"{status}: The server had an error"):
            await provider.complete(request())
    assert model_server.count == 5
    assert all(
        later > sooner / 2 for sooner, later in zip(clock.waits, clock.waits[1:], strict=False)
    )


async def test_a_wait_beyond_patience_is_handed_to_the_caller(model_server: ModelServer) -> None:
    model_server.rate_limit(retry_after="3600")
    with pytest.raises(ProviderUnavailableError) as caught:
        await ask(model_server)
    assert caught.value.retry_after == timedelta(hours=1)
    assert model_server.count == 1


@pytest.mark.parametrize(
    ("status", "hint"), [(401, "api_key"), (403, "key"), (404, "model"), (402, "credit")]
)
async def test_final_refusals_are_not_tried_again(
    model_server: ModelServer, status: int, hint: str
) -> None:
    model_server.answer(status, {"error": {"message": f"Wrong key {KEY[:9]}*****{KEY[-5:]}."}})
    with pytest.raises(ProviderRefusedError, match=hint) as caught:
        await ask(model_server)
    assert model_server.count == 1
    _holds_no_key(str(caught.value))


async def test_a_spent_quota_is_final_though_it_says_429(model_server: ModelServer) -> None:
    model_server.out_of_quota()
    with pytest.raises(ProviderRefusedError, match="credit"):
        await ask(model_server)
    assert model_server.count == 1


async def test_refusals_cuts_and_filters_are_told_apart(model_server: ModelServer) -> None:
    model_server.refuse()
    model_server.cut()
    model_server.say("half", finish="content_filter")
    model_server.answer(400, {"error": {"code": "content_filter", "message": "filtered"}})
    model_server.garbage()
    finishes = [(await ask(model_server)).finish for _ in range(5)]
    assert finishes == ["refusal", "length", "filtered", "filtered", "stop"]


async def test_a_dropped_connection_is_tried_again(model_server: ModelServer) -> None:
    model_server.drop()
    assert (await ask(model_server)).finish == "stop"
    assert model_server.count == 2


async def test_no_server_at_all_is_unavailable_and_says_where() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://user:pw@127.0.0.1:{taken.getsockname()[1]}/v1?key=hidden"
        spec = ProviderSpec(provider="openai", model="m", base_url=url)
        async with opened(spec) as provider:
            with pytest.raises(ProviderUnavailableError, match=r"m at 127\.0\.0\.1") as caught:
                await provider.complete(request())
    assert "pw" not in str(caught.value)
    assert "hidden" not in str(caught.value)


async def test_a_hanging_server_times_out(model_server: ModelServer) -> None:
    for _ in range(5):
        model_server.hang()
    with pytest.raises(ProviderUnavailableError, match=r"no answer within 0\.1 s"):
        await ask(model_server, timeout=0.1)
    assert model_server.count == 5


async def test_a_cancelled_request_ends_at_once(model_server: ModelServer) -> None:
    model_server.hang()
    async with opened(spec_of(model_server)) as provider:
        with anyio.move_on_after(0.2) as scope:
            await provider.complete(request())
        assert scope.cancelled_caught
        await provider.complete(request())


async def test_no_more_requests_at_once_than_allowed(model_server: ModelServer) -> None:
    model_server.latency = 0.03
    spec = spec_of(model_server, max_concurrency=3)
    async with opened(spec) as provider, anyio.create_task_group() as group:
        for _ in range(12):
            group.start_soon(provider.complete, request())
    assert model_server.count == 12
    assert model_server.most_in_flight == 3


async def test_an_endless_answer_is_refused(model_server: ModelServer) -> None:
    model_server.script.append(Answer(body=" " * 17_000_000))
    with pytest.raises(ProviderRefusedError, match="no chat completion"):
        await ask(model_server)


async def test_log_probabilities_come_where_they_are_asked_for(model_server: ModelServer) -> None:
    body = {
        "choices": [
            {
                "message": {"content": "{}"},
                "finish_reason": "stop",
                "logprobs": {"content": [{"logprob": -0.1}, {"logprob": -0.3}, {"logprob": None}]},
            }
        ]
    }
    model_server.answer(200, body)
    completion = await ask(model_server, logprobs=True)
    assert model_server.requests[0]["logprobs"] is True
    assert completion.logprob == pytest.approx(-0.2)
    assert completion.cost_usd is None


# Recorded bodies


async def test_recorded_bodies_over_the_wire(cases: Path, model_server: ModelServer) -> None:
    outcomes = set()
    async with opened(spec_of(model_server)) as provider:
        for case in _recorded(cases):
            model_server.script = [
                Answer(status=case["status"], body=case["body"], headers=case["headers"])
            ] * 9
            outcome = await _outcome(provider)
            _holds_no_key(outcome)
            assert "\n" not in outcome
            outcomes.add(outcome.partition(" ")[0])
    assert {"stop", "length", "refused", "unavailable"} <= outcomes


async def _outcome(provider: Provider) -> str:
    try:
        return (await provider.complete(request())).finish
    except ProviderRefusedError as error:
        return f"refused {error}"
    except ProviderUnavailableError as error:
        return f"unavailable {error}"


def _recorded(cases: Path) -> list[dict[str, Any]]:
    path = cases / "h_llm" / "responses.json"
    return list(json.loads(path.read_text(encoding="utf-8"))["responses"])


def _holds_no_key(text: str) -> None:
    for at in range(len(KEY) - 5):
        assert KEY[at : at + 6] not in text
