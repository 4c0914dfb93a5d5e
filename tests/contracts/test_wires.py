"""What holds on every wire alike: OpenAI's, Anthropic's, Ollama's, against a real HTTP server."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import anyio
import pytest

from amxwatch.core.completion import Completion, CompletionRequest
from amxwatch.core.errors import (
    KeyRefusedError,
    ProviderError,
    ProviderRefusedError,
    ProviderUnavailableError,
    RequestRefusedError,
)
from amxwatch.core.reply import read_reply
from amxwatch.ports.batches import OffersBatches
from amxwatch.ports.provider import Provider
from amxwatch.providers import ProviderSpec, make
from amxwatch.providers.loopback import is_loopback
from tests.contracts.test_provider import KEY, HastyClock, request
from tests.plugins import wires
from tests.plugins.model_server import Answer, ModelServer, usual

WIRES = ("openai", "anthropic", "ollama")
Speak = Callable[..., ProviderSpec]


@pytest.fixture(params=WIRES)
def wire(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def speak(wire: str, model_server: ModelServer) -> Speak:
    """Return what makes a spec for this wire and server."""

    def made(**more: Any) -> ProviderSpec:
        url = model_server.root if wire == "ollama" else model_server.url
        values = {"provider": wire, "model": "m-1", "base_url": url, "api_key": KEY, **more}
        return ProviderSpec(**values)

    return made


@asynccontextmanager
async def opened(spec: ProviderSpec, clock: HastyClock | None = None) -> AsyncIterator[Provider]:
    provider = make(spec, clock=clock or HastyClock())
    try:
        yield provider
    finally:
        await provider.aclose()


async def ask(spec: ProviderSpec, wanted: CompletionRequest | None = None) -> Completion:
    async with opened(spec) as provider:
        return await provider.complete(wanted or request())


def holds_no_key(text: str) -> None:
    assert not any(KEY[at : at + 6] in text for at in range(len(KEY) - 5)), text


# What is sent, and what it took


async def test_what_is_sent_on_each_wire(
    speak: Speak, wire: str, model_server: ModelServer
) -> None:
    prices = {"input_usd_per_mtok": Decimal(2), "output_usd_per_mtok": Decimal(8)}
    completion = await ask(speak(**prices))
    sent, headers = model_server.requests[0], model_server.headers[0]
    assert sent["model"] == "m-1"
    assert sent["messages"][-1] == {"role": "user", "content": request().prompt}
    assert wires.form_of(sent) == "json_schema"
    assert wires.settings(sent)["temperature"] == 0.2
    assert (completion.input_tokens, completion.output_tokens) == (1000, 100)
    assert completion.cost_usd == Decimal("0.0028")
    assert (completion.model, completion.form) == ("test-model-2026", "json_schema")
    name = {"anthropic": "x-api-key"}.get(wire, "authorization")
    assert headers[name].endswith(KEY)
    assert model_server.paths == [
        {"openai": "/v1/chat/completions", "anthropic": "/v1/messages", "ollama": "/api/chat"}[wire]
    ]


async def test_the_rules_of_a_run_are_marked_for_the_cache_of_anthropic(
    model_server: ModelServer,
) -> None:
    spec = ProviderSpec(provider="anthropic", model="m-1", base_url=model_server.url, api_key=KEY)
    completion = await ask(spec)
    [block] = model_server.requests[0]["system"]
    assert block == {
        "type": "text",
        "text": request().system,
        "cache_control": {"type": "ephemeral"},
    }
    assert model_server.headers[0]["anthropic-version"] == "2023-06-01"
    assert (completion.cached_tokens, completion.logprob) == (400, None)


async def test_what_anthropic_cached_is_part_of_the_input_and_priced_as_such(
    model_server: ModelServer,
) -> None:
    usage = {
        "input_tokens": 100,
        "cache_read_input_tokens": 800,
        "cache_creation_input_tokens": 100,
        "output_tokens": 10,
    }
    body = {**wires.anthropic_message(usual_body()), "usage": usage}
    model_server.raw(json.dumps(body))
    spec = ProviderSpec(
        provider="anthropic",
        model="m-1",
        base_url=model_server.url,
        input_usd_per_mtok=Decimal(10),
        output_usd_per_mtok=Decimal(10),
        cached_input_usd_per_mtok=Decimal(1),
    )
    completion = await ask(spec)
    counted = (completion.input_tokens, completion.cached_tokens, completion.cache_write_tokens)
    assert counted == (1000, 800, 100)
    assert completion.cost_usd == Decimal("0.0029")


def usual_body() -> dict[str, Any]:
    return usual({"messages": [{"content": request().prompt}]})


async def test_a_local_ollama_costs_nothing_and_one_in_the_cloud_is_unpriced(
    model_server: ModelServer,
) -> None:
    local = ProviderSpec(provider="ollama", model="qwen3", base_url=model_server.root)
    assert (await ask(local)).cost_usd == Decimal(0)
    for model, url in (("gpt-oss:120b-cloud", model_server.root), ("qwen3", "https://192.0.2.1")):
        cloud = make(ProviderSpec(provider="ollama", model=model, base_url=url), clock=HastyClock())
        assert cloud.priced is False
        assert cloud.cost_of(input_tokens=1, output_tokens=1) is None


# The form of an answer


FORMS = {
    "openai": [({"json_object", "plain"}, "json_object"), ({"plain"}, "prompt")],
    "anthropic": [({"tool", "plain"}, "tool"), ({"plain"}, "prompt")],
    "ollama": [({"json_object", "plain"}, "json_object"), ({"plain"}, "prompt")],
}


@pytest.mark.parametrize(
    ("wire", "formats", "form"), [(w, *one) for w in WIRES for one in FORMS[w]]
)
async def test_each_endpoint_is_asked_in_the_best_form_that_it_knows(
    wire: str, formats: set[str], form: str, speak: Speak, model_server: ModelServer
) -> None:
    model_server.formats = formats
    model_server.takes_temperature = False
    async with opened(speak()) as provider:
        first = await provider.complete(request())
        tries = model_server.count
        await provider.complete(request())
    assert model_server.count == tries + 1, "what was learned is remembered"
    assert read_reply(first.text, request().subjects, 3).missing == ()
    assert first.form == form
    last = model_server.requests[-1]
    assert "temperature" not in wires.settings(last)
    if form != "tool":
        assert '"additionalProperties"' in str(last.get("system", "")) + str(last["messages"][0])


async def test_an_answer_by_a_tool_is_read(model_server: ModelServer) -> None:
    model_server.formats = {"tool"}
    message = wires.as_tool(wires.anthropic_message(usual_body()))
    spec = ProviderSpec(provider="anthropic", model="m-1", base_url=model_server.url)
    async with opened(spec) as provider:
        await provider.complete(request())
        model_server.raw(json.dumps(message))
        completion = await provider.complete(request())
    assert read_reply(completion.text, request().subjects, 3).missing == ()
    assert completion.finish == "stop"


async def test_the_token_limit_of_a_model_is_learned(model_server: ModelServer) -> None:
    said = "max_tokens: 5000 > 4096, which is the maximum allowed number of output tokens"
    model_server.answer(400, {"error": {"message": said}})
    spec = ProviderSpec(provider="anthropic", model="m-1", base_url=model_server.url)
    await ask(spec, replace(request(), max_output_tokens=5000))
    assert [sent["max_tokens"] for sent in model_server.requests] == [5000, 4096]


async def test_an_answer_that_was_counted_into_a_small_context_is_asked_without_a_limit(
    model_server: ModelServer,
) -> None:
    said = (
        "This model's maximum context length is 4097 tokens. However, you requested 6000 tokens "
        "(1904 in the messages, 4096 in the completion). Please reduce the length."
    )
    model_server.answer(400, {"error": {"message": said}})
    await ask(ProviderSpec(provider="openai", model="m-1", base_url=model_server.url))
    assert "max_completion_tokens" not in model_server.requests[-1]


async def test_a_prompt_that_never_fits_is_refused_by_itself(
    speak: Speak, model_server: ModelServer
) -> None:
    for _ in range(9):
        model_server.answer(400, {"error": {"message": "prompt is too long: 9 tokens > 8 maximum"}})
    with pytest.raises(RequestRefusedError, match="too long"):
        await ask(speak())


async def test_ollama_is_given_a_context_for_the_prompt_and_more_where_it_is_short(
    model_server: ModelServer,
) -> None:
    model_server.least_context = 16_384
    spec = ProviderSpec(provider="ollama", model="m-1", base_url=model_server.root)
    long = replace(request(), prompt=request().prompt + " " * 30_000)
    async with opened(spec) as provider:
        await provider.complete(request())
        await provider.complete(long)
    contexts = [sent["options"]["num_ctx"] for sent in model_server.requests]
    assert contexts == sorted(contexts)
    assert contexts[-1] > contexts[-2] >= model_server.least_context
    assert all(context % 4096 == 0 for context in contexts)
    assert {sent["truncate"] for sent in model_server.requests} == {False}
    assert model_server.requests[0]["options"]["num_predict"] == request().max_output_tokens


# Log-probabilities and samples


@pytest.mark.parametrize("wire", ["openai", "ollama"])
async def test_each_object_has_the_probability_of_its_own_tokens(
    wire: str, speak: Speak, model_server: ModelServer
) -> None:
    model_server.takes_logprobs = True
    completion = await ask(speak(logprobs=True))
    keys = [subject.key for subject in request().subjects]
    assert list(completion.object_logprobs) == keys
    values = list(completion.object_logprobs.values())
    assert values == sorted(values, reverse=True), "the tokens grow less likely as they go on"
    assert completion.logprob is not None
    assert values[-1] < completion.logprob < values[0]


@pytest.mark.parametrize("wire", ["openai", "ollama"])
async def test_an_endpoint_that_keeps_no_probabilities_is_asked_without(
    wire: str, speak: Speak, model_server: ModelServer
) -> None:
    model_server.takes_logprobs = False
    async with opened(speak(logprobs=True)) as provider:
        first = await provider.complete(request())
        await provider.complete(request())
    assert ["logprobs" in sent for sent in model_server.requests] == [True, False, False]
    assert (first.logprob, first.object_logprobs) == (None, {})


async def test_a_refusal_of_probabilities_under_any_status_is_understood(
    model_server: ModelServer,
) -> None:
    for status in (403, 500):
        said = "logprobs is not supported for models created with logits_all=False"
        model_server.answer(status, {"error": {"message": said}})
        spec = ProviderSpec(
            provider="openai", model="m-1", base_url=model_server.url, logprobs=True
        )
        assert (await ask(spec)).finish == "stop"
    assert model_server.count == 4


@pytest.mark.parametrize("gives", [True, False, None])
async def test_several_samples_come_from_any_endpoint(
    speak: Speak, wire: str, model_server: ModelServer, gives: bool | None
) -> None:
    model_server.takes_several = gives
    completion = await ask(speak(), replace(request(), samples=3))
    assert len(completion.samples) == 2
    answered = [sent for sent in model_server.requests if sent.get("n", 1) == 1 or gives]
    if wire == "openai" and gives:
        assert (len(answered), completion.output_tokens) == (1, 100)
    else:
        assert completion.output_tokens == 300, "the tokens of every answer are counted"


# Failures


async def test_waits_are_as_long_as_the_server_says(
    speak: Speak, model_server: ModelServer
) -> None:
    clock = HastyClock()
    model_server.rate_limit(retry_after="7")
    model_server.rate_limit(retry_after_ms="1500")
    model_server.fail(529)
    async with opened(speak(), clock) as provider:
        await provider.complete(request())
    assert clock.waits[:2] == [7, 1.5]
    assert len(clock.waits) == 3


async def test_a_spent_account_is_final(speak: Speak, wire: str, model_server: ModelServer) -> None:
    said = (
        "Your credit balance is too low" if wire == "anthropic" else "exceeded your current quota"
    )
    model_server.answer(
        400 if wire == "anthropic" else 429,
        {"error": {"message": f"You {said}", "code": "insufficient_quota"}},
    )
    with pytest.raises(ProviderRefusedError, match="credit"):
        await ask(speak())
    assert model_server.count == 1


async def test_a_refused_key_is_told_and_never_shown(
    speak: Speak, model_server: ModelServer
) -> None:
    model_server.answer(401, {"error": {"message": f"Bad key {KEY} ({KEY[:9]}***{KEY[-5:]})"}})
    with pytest.raises(KeyRefusedError, match="check api_key") as caught:
        await ask(speak())
    holds_no_key(str(caught.value))


async def test_cuts_refusals_and_garbage_are_told_apart(
    speak: Speak, wire: str, model_server: ModelServer
) -> None:
    model_server.cut()
    model_server.garbage()
    finishes = [(await ask(speak())).finish for _ in range(2)]
    assert finishes == ["length", "stop"]
    if wire != "ollama":  # which knows of no refusal
        model_server.refuse()
        assert (await ask(speak())).finish == "refusal"


MISBEHAVIOUR: dict[str, tuple[Answer, type[ProviderError], str]] = {
    "half JSON": (
        Answer(body='{"choices": [{"mess', raw=True), ProviderUnavailableError, "cut on its way"),
    "a web page": (
        Answer(body="<html>Sign in</html>", headers={"content-type": "text/html"}, raw=True),
        ProviderRefusedError, "the answer is no"),
    "another wire": (
        Answer(body='{"hello": "world"}', raw=True), ProviderRefusedError, "the answer is no"),
    "a body cut short": (
        Answer(body="{" + " " * 5000 + "}", raw=True, short=3000),
        ProviderUnavailableError, "the connection broke"),
    "17 MB": (Answer(body=b" " * 17_000_000, raw=True), ProviderRefusedError, "the answer is no"),
    "10 MB of text": (Answer(body=b"x" * 10_000_000, raw=True), ProviderRefusedError, "no"),
    "a gzip bomb": (
        Answer(body=gzip.compress(bytes(400_000_000), 1), headers={"content-encoding": "gzip"},
               raw=True), ProviderRefusedError, "the answer is no"),
    "no gzip at all": (
        Answer(body="{}", headers={"content-encoding": "gzip"}, raw=True),
        ProviderUnavailableError, "the connection broke"),
    "a slow drip": (
        Answer(body=" " * 4000, raw=True, drip=0.05), ProviderUnavailableError, "no answer within"),
    "an empty body": (Answer(body="", raw=True), ProviderRefusedError, "the answer is no"),
    "a list": (Answer(body="[1]", raw=True), ProviderRefusedError, "the answer is no"),
    "an HTML 502": (
        Answer(status=502, body="<h1>Bad gateway</h1>", raw=True),
        ProviderUnavailableError, "502"),
}  # fmt: skip


@pytest.mark.parametrize("name", MISBEHAVIOUR)
async def test_whatever_comes_ends_in_an_error_of_ours(
    name: str, speak: Speak, model_server: ModelServer
) -> None:
    answer, kind, said = MISBEHAVIOUR[name]
    model_server.script = [answer] * 9
    with pytest.raises(kind, match=said) as caught:
        await ask(speak(timeout=0.5 if answer.drip else 10.0))
    assert "\n" not in str(caught.value)
    assert model_server.count == (5 if kind is ProviderUnavailableError else 1)


async def test_a_packed_answer_is_unpacked(speak: Speak, model_server: ModelServer) -> None:
    def packed(asked: dict[str, Any]) -> Answer:
        said = wires.said(Answer(body=usual(asked)), model_server.paths[-1])
        content = gzip.compress(json.dumps(said.body).encode())
        return Answer(body=content, headers={"content-encoding": "gzip"}, raw=True)

    model_server.script.append(packed)
    completion = await ask(speak())
    assert read_reply(completion.text, request().subjects, 3).missing == ()


async def test_a_hanging_server_and_a_broken_line_are_tried_again(
    speak: Speak, model_server: ModelServer
) -> None:
    model_server.hang()
    model_server.drop()
    assert (await ask(speak(timeout=0.2))).finish == "stop"
    assert model_server.count == 3


async def test_a_cancelled_request_ends_at_once(speak: Speak, model_server: ModelServer) -> None:
    model_server.hang()
    async with opened(speak()) as provider:
        with anyio.move_on_after(0.2) as scope:
            await provider.complete(request())
        assert scope.cancelled_caught
        await provider.complete(request())


async def test_no_more_requests_at_once_than_allowed(
    speak: Speak, model_server: ModelServer
) -> None:
    model_server.latency = 0.02
    async with opened(speak(max_concurrency=3)) as provider, anyio.create_task_group() as group:
        for _ in range(9):
            group.start_soon(provider.complete, request())
    assert (model_server.count, model_server.most_in_flight) == (9, 3)


async def test_recorded_bodies_of_every_maker_end_in_an_answer_or_an_error(
    cases: Path, speak: Speak, model_server: ModelServer
) -> None:
    path = cases / "h_llm" / "responses.json"
    outcomes = set()
    async with opened(speak()) as provider:
        for case in json.loads(path.read_text(encoding="utf-8"))["responses"]:
            headers = {
                name: value for name, value in case["headers"].items() if name != "retry-after"
            }
            answer = Answer(status=case["status"], body=case["body"], headers=headers, raw=True)
            model_server.script = [answer] * 9
            outcome = await _outcome(provider)
            holds_no_key(outcome)
            assert "\n" not in outcome
            outcomes.add(outcome.partition(" ")[0])
    assert "refused" in outcomes


async def test_anthropics_recorded_messages_are_read_as_they_are_classed(
    cases: Path, model_server: ModelServer
) -> None:
    path = cases / "h_llm" / "responses.json"
    found = json.loads(path.read_text(encoding="utf-8"))["responses"]
    seen = set()
    spec = ProviderSpec(provider="anthropic", model="m-1", base_url=model_server.url)
    async with opened(spec) as provider:
        for case in (each for each in found if each["provider"] == "anthropic"):
            model_server.script = [Answer(status=case["status"], body=case["body"], raw=True)] * 9
            outcome = await _outcome(provider)
            for kind in case["classes"]:
                seen.add(kind)
                assert outcome.partition(" ")[0] in _CLASSES[kind], (case["id"], kind, outcome)
    assert seen == set(_CLASSES)


_CLASSES = {
    "plain": {"stop"},
    "json-content": {"stop"},
    "markdown-fence": {"stop"},
    "thinking": {"stop", "length"},
    "stop-stop_sequence": {"stop"},
    "tool-calls": {"stop"},
    "error-400": {"refused"},
    "error-404": {"refused"},
    "sse": {"refused"},
    "sse-tool": {"refused"},
}


async def _outcome(provider: Provider) -> str:
    try:
        return (await provider.complete(request())).finish
    except ProviderRefusedError as error:
        return f"refused {error}"
    except ProviderUnavailableError as error:
        return f"unavailable {error}"


# What must not leave the machine


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.1/v1",
        "http://3232235777/v1",  # a name that resolves to 192.168.1.1
        "http://[2001:db8::1]/v1",
        "http://0.0.0.0:1/v1",
        "http://127.0.0.1.nip.invalid/v1",
        f"http://{socket.gethostname()}.invalid/v1",
    ],
)
async def test_what_must_stay_is_sent_nowhere_else(url: str, wire: str) -> None:
    spec = ProviderSpec(provider=wire, model="m-1", base_url=url, api_key=KEY)
    with pytest.raises(ProviderRefusedError, match="local_only") as caught:
        await ask(spec, replace(request(), local_only=True))
    holds_no_key(str(caught.value))


async def test_a_name_of_this_machine_that_leads_to_its_network_is_refused(
    speak: Speak, model_server: ModelServer
) -> None:
    addresses = {str(i[4][0]) for i in socket.getaddrinfo(socket.gethostname(), 80)}
    if all(is_loopback(address) for address in addresses):
        pytest.skip("the name of this machine leads to itself only")
    url = f"http://{socket.gethostname()}:{model_server.root.rpartition(':')[2]}"
    with pytest.raises(ProviderRefusedError, match="is not on this machine"):
        await ask(speak(base_url=url), replace(request(), local_only=True))
    assert model_server.count == 0


async def test_what_must_stay_is_answered_by_a_model_on_this_machine(
    speak: Speak, model_server: ModelServer
) -> None:
    wanted = replace(request(), local_only=True)
    assert (await ask(speak(), wanted)).finish == "stop"
    named = model_server.root.replace("127.0.0.1", "localhost")
    assert (await ask(speak(base_url=named), wanted)).finish == "stop"
    assert model_server.headers[-1]["host"] == named.removeprefix("http://")


async def test_a_local_server_that_passes_on_to_the_cloud_is_refused(
    speak: Speak, model_server: ModelServer
) -> None:
    with pytest.raises(ProviderRefusedError, match="runs in the cloud"):
        await ask(speak(model="gpt-oss:120b-cloud"), replace(request(), local_only=True))
    assert model_server.count == 0


@pytest.mark.parametrize(
    ("address", "is_it"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("::ffff:8.8.8.8", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("localhost", False),
    ],
)
def test_loopback_addresses_are_known(address: str, is_it: bool) -> None:
    assert is_loopback(address) is is_it


# Azure and OpenRouter


AZURE = "https://x.openai.azure.com"
DEPLOYED = f"{AZURE}/openai/deployments/d"
LEAF = "/chat/completions"


@pytest.mark.parametrize(
    ("base", "asked"),
    [
        (AZURE, f"{AZURE}/openai/v1{LEAF}"),
        (DEPLOYED, f"{DEPLOYED}{LEAF}?api-version=2024-10-21"),
        (f"{DEPLOYED}{LEAF}?api-version=2025-1", f"{DEPLOYED}{LEAF}?api-version=2025-1"),
        ("https://openrouter.ai/api/v1", "https://openrouter.ai/api/v1/chat/completions"),
    ],
)
def test_where_requests_go(base: str, asked: str) -> None:
    provider = make(
        ProviderSpec(provider="openai", model="d", base_url=base, api_key=KEY), clock=HastyClock()
    )
    assert str(provider.wire.url) == asked  # type: ignore[attr-defined]  # of what is made here
    assert ("api-key" in provider.wire.headers()) == ("azure" in base)  # type: ignore[attr-defined]  # as above


async def test_a_deployment_of_azure_is_asked_with_its_key_and_version(
    model_server: ModelServer,
) -> None:
    url = f"{model_server.root}/openai/deployments/d"
    error = {"error": {"code": "429", "message": "over the token rate"}}
    model_server.raw(json.dumps(error), 200)
    filtered = {"error": {"message": "", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}
    model_server.raw(json.dumps(filtered), 400)
    completion = await ask(ProviderSpec(provider="openai", model="d", base_url=url, api_key=KEY))
    assert completion.finish == "filtered"
    assert (
        model_server.paths == ["/openai/deployments/d/chat/completions?api-version=2024-10-21"] * 2
    )
    assert model_server.headers[0]["api-key"] == KEY


async def test_what_openrouter_says_and_what_it_reports_to_cost(model_server: ModelServer) -> None:
    raw = {"message": "Provider returned error", "code": 502, "metadata": {"raw": "upstream down"}}
    body = usual_body()
    body["usage"]["cost"] = 0.0123
    spec = ProviderSpec(provider="openai", model="a/b", base_url=model_server.url)
    model_server.script = [Answer(body={"error": raw})] * 5
    with pytest.raises(ProviderUnavailableError, match="upstream down"):
        await ask(spec)
    # Comments keep the line open while the answer is made: blanks before the JSON.
    model_server.raw("\n\n   " + json.dumps(body))
    completion = await ask(spec)
    assert completion.cost_usd == Decimal("0.0123")
    assert completion.price_version == "reported by the endpoint"


@pytest.mark.parametrize(
    ("wire", "has"), [("openai", True), ("anthropic", True), ("ollama", False)]
)
def test_who_offers_batches(speak: Speak, has: bool) -> None:
    assert isinstance(make(speak(), clock=HastyClock()), OffersBatches) is has
