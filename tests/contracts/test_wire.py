"""The chat-completions wire without a network: answers and errors, keys taken out, prices."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amxwatch.providers.answer import Failure, Fault, Reply, retry_after
from amxwatch.providers.openai import read_answer
from amxwatch.providers.pricing import Prices, Usage
from amxwatch.providers.secrecy import redact

KEY = "sk-proj-Zx81qWv77LmN2pTr05KdYb"
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def test_recorded_bodies_are_classed_as_expected(cases: Path) -> None:
    seen = set()
    for case in json.loads((cases / "h_llm" / "responses.json").read_text(encoding="utf-8"))[
        "responses"
    ]:
        answer = read_answer(case["status"], case["headers"], case["body"].encode(), now=NOW)
        if not case["provider"].startswith("openai-chat"):
            continue
        for kind in case["classes"]:
            seen.add(kind)
            assert _CLASSES[kind](answer), (case["id"], kind, answer)
    assert seen == set(_CLASSES)


_CLASSES: dict[str, Callable[[Reply | Failure], bool]] = {
    "plain": lambda a: isinstance(a, Reply) and a.finish == "stop" and bool(a.text),
    "json-content": lambda a: isinstance(a, Reply) and a.text.strip().startswith("{"),
    "reasoning": lambda a: isinstance(a, Reply) and bool(a.text),
    "markdown-fence": lambda a: isinstance(a, Reply) and "```" in a.text,
    "logprobs": lambda a: isinstance(a, Reply) and a.logprob is None,
    "finish-length": lambda a: isinstance(a, Reply) and a.finish == "length",
    "tool-calls": lambda a: isinstance(a, Reply) and a.text == "" and a.usage is not None,
    "error-400": lambda a: isinstance(a, Failure) and a.fault in {Fault.FORM, Fault.FINAL},
    "error-404": lambda a: isinstance(a, Failure) and a.fault is Fault.FINAL,
    "error-429": lambda a: isinstance(a, Failure) and a.fault is Fault.TRANSIENT,
    "no-usage": lambda a: isinstance(a, Failure) and a.fault is Fault.FINAL,
    "not-json": lambda a: isinstance(a, Failure) and a.fault is Fault.FINAL,
    "sse": lambda a: isinstance(a, Failure) and a.fault is Fault.FINAL,
    "sse-length": lambda a: isinstance(a, Failure),
    "sse-tool": lambda a: isinstance(a, Failure),
}


def test_reported_error_bodies_are_retried_as_their_notes_say(cases: Path) -> None:
    found = json.loads((cases / "h_llm" / "error_bodies.json").read_text(encoding="utf-8"))
    for case in found["cases"]:
        answer = read_answer(case["status"], {}, case["body"].encode(), now=NOW)
        assert isinstance(answer, Failure)
        assert (answer.fault is Fault.TRANSIENT) == case["retryable"], case["note"]
        assert "460f" not in redact(answer.text, api_key=None)
        assert "2829" not in redact(answer.text, api_key=None)


@given(st.text(max_size=60), st.text(max_size=60), st.integers(0, 20), st.integers(8, 29))
def test_no_piece_of_the_key_survives(before: str, after: str, start: int, length: int) -> None:
    shown = redact(f"{before}{KEY[start : start + length]}{after}", api_key=KEY)
    assert not any(KEY[at : at + 6] in shown for at in range(len(KEY) - 5))


def test_redaction_leaves_ordinary_words() -> None:
    text = "The model `gpt-4o-mini-2024-07-18` does not exist; see https://host/docs/api-keys."
    assert redact(text, api_key=KEY) == text


@given(st.integers(100, 599), st.binary(max_size=200))
def test_any_bytes_are_an_answer(status: int, content: bytes) -> None:
    assert isinstance(read_answer(status, {}, content, now=NOW), Reply | Failure)


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"error": {"code": 502, "message": "Bad gateway upstream"}}, Fault.TRANSIENT),
        ({"error": {"message": "overloaded", "type": "server_error"}}, Fault.TRANSIENT),
        ({"error": {"code": "invalid_api_key", "type": "invalid_request_error"}}, Fault.FINAL),
        ({"choices": [{"error": {"code": 429, "message": "slow down"}}]}, Fault.TRANSIENT),
        ({"choices": [{}]}, Fault.FINAL),
        ({"choices": ["x"]}, Fault.FINAL),
        ({"message": {"content": "another wire"}}, Fault.FINAL),
        ([], Fault.FINAL),
    ],
)
def test_errors_that_come_with_200(body: object, fault: Fault) -> None:
    answer = read_answer(200, {}, json.dumps(body).encode(), now=NOW)
    assert isinstance(answer, Failure)
    assert answer.fault is fault


@pytest.mark.parametrize("value", ["", "soon", "-5", "nan", "inf", "Wed, 99 Nov", "0x10", "1e400"])
def test_nonsense_in_retry_after_is_none(value: str) -> None:
    assert retry_after({"retry-after": value}, now=NOW) is None


# Prices


def test_known_models_have_a_price_and_cached_tokens_cost_less() -> None:
    prices = Prices(model="gpt-4o-mini")
    full = prices.cost(Usage(input_tokens=1000, output_tokens=10))
    cached = prices.cost(Usage(input_tokens=1000, output_tokens=10, cached_tokens=900))
    assert prices.is_known
    assert full.cost_usd is not None
    assert cached.cost_usd is not None
    assert 0 < cached.cost_usd < full.cost_usd
    assert full.version is not None
    assert full.version.startswith("genai-prices ")


def test_unknown_models_have_none_unless_the_endpoint_says() -> None:
    prices = Prices(model="my-own", base_url="http://127.0.0.1:1/v1")
    assert not prices.is_known
    assert prices.cost(Usage(input_tokens=5)).cost_usd is None
    reported = prices.cost(Usage(input_tokens=5, reported_usd=Decimal("0.01")))
    assert (reported.cost_usd, reported.version) == (Decimal("0.01"), "reported by the endpoint")
    same_name_elsewhere = Prices(model="gpt-4o-mini", base_url="http://127.0.0.1:1/v1")
    assert not same_name_elsewhere.is_known
