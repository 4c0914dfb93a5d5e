"""Anthropic's Messages API.

JSON is asked for by `output_config.format`, on models that do not know it by a tool that must be
used, else by the prompt. The API has no log-probabilities and one sample a request; its newer
models take no temperature. The rules are marked for the prompt cache.
See: https://platform.claude.com/docs/en/api/messages
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from amxwatch.core.completion import CompletionRequest
from amxwatch.ports.batches import Batches
from amxwatch.ports.clock import Clock
from amxwatch.providers import ProviderSpec
from amxwatch.providers.answer import (
    Failure,
    Fault,
    Reply,
    codes_of,
    count,
    document_of,
    fault_of,
    no_answer,
    retry_after,
    text_of,
)
from amxwatch.providers.dialect import Dialect, Form
from amxwatch.providers.endpoint import Endpoint
from amxwatch.providers.line import address_of
from amxwatch.providers.openai import system_of
from amxwatch.providers.pricing import Usage, prices_of

ANTHROPIC_URL = "https://api.anthropic.com/v1"
VERSION = "2023-06-01"
TOOL = "describe"
_LEAF = "/messages"


def open_anthropic(spec: ProviderSpec, *, clock: Clock) -> Endpoint:
    """Return a provider, not yet connected. Raises: UsageError for a spec that cannot be used."""
    base = address_of(spec, ANTHROPIC_URL, example="https://HOST/v1")
    path = base.path.rstrip("/").removesuffix(_LEAF)
    wire = AnthropicWire(spec=spec, base=base.copy_with(path=path or "/v1"))
    return AnthropicEndpoint(spec, wire, prices_of(spec, "anthropic"), clock)


class AnthropicEndpoint(Endpoint):
    """An endpoint that may also answer later, at half the price."""

    wire: AnthropicWire

    @property
    def batches(self) -> Batches:
        from amxwatch.providers.anthropic_batches import AnthropicBatches

        return AnthropicBatches(endpoint=self, wire=self.wire)


@dataclass(frozen=True, kw_only=True)
class AnthropicWire:
    """Implements `endpoint.Wire`. `base` is the address without its last part."""

    spec: ProviderSpec
    base: httpx.URL

    @property
    def url(self) -> httpx.URL:
        return self.beside(_LEAF)

    def beside(self, leaf: str) -> httpx.URL:
        """Return another address of the same endpoint."""
        return self.base.copy_with(path=self.base.path.rstrip("/") + leaf)

    @property
    def dialect(self) -> Dialect:
        return Dialect(forms=(Form.SCHEMA, Form.TOOL, Form.PROMPT))

    def headers(self) -> dict[str, str]:
        key = self.spec.api_key
        return {"anthropic-version": VERSION} | ({"x-api-key": key} if key else {})

    def body(
        self, request: CompletionRequest, dialect: Dialect, *, temperature: float | None
    ) -> dict[str, Any]:
        rules = {"type": "text", "text": system_of(request, dialect)}
        body: dict[str, Any] = {
            "model": self.spec.model,
            "max_tokens": dialect.most(request.max_output_tokens),
            # All requests of a run begin alike up to here; a mark on less than the API's least
            # (1,024 tokens and more) costs nothing and is passed over.
            "system": [{**rules, "cache_control": {"type": "ephemeral"}}],
            "messages": [{"role": "user", "content": request.prompt}],
        }
        if dialect.form is Form.SCHEMA:
            schema = {"type": "json_schema", "schema": request.schema}
            body["output_config"] = {"format": schema}
        elif dialect.form is Form.TOOL:
            told = "Give the descriptions."
            tool = {"name": TOOL, "description": told, "input_schema": request.schema}
            body["tools"] = [tool]
            body["tool_choice"] = {"type": "tool", "name": TOOL}
        if dialect.temperature and temperature is not None:
            body["temperature"] = min(temperature, 1.0)  # the API's highest
        return body

    def read(
        self, status: int, headers: Mapping[str, str], content: bytes, *, now: datetime
    ) -> Reply | Failure:
        return read_answer(status, headers, content, now=now)


_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
"""What each type of error means, where it comes without a status: in a batch, or behind a 200."""


def read_answer(
    status: int, headers: Mapping[str, str], content: bytes, *, now: datetime
) -> Reply | Failure:
    """Read an HTTP answer. Never raises, whatever the bytes are."""
    document = document_of(content)
    error = document.get("error") if isinstance(document, dict) else None
    if status < 300 and not error:
        return read_message(document) or no_answer(content, document, status, "message")
    code, text = codes_of(error), text_of(error)
    if status < 400:
        status = next((_STATUS[each] for each in code if each in _STATUS), 500)
    fault = fault_of(status, code, text)
    if "billing_error" in code or "credit balance" in text.casefold():
        fault, status = Fault.FINAL, 402
    return Failure(
        fault=fault,
        status=status,
        text=text or f"status {status}",
        retry_after=retry_after(headers, now=now),
    )


_FINISH = {
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "refusal": "refusal",
}


def read_message(document: object) -> Reply | None:
    """Read a message of the API; None where it is none."""
    if not isinstance(document, dict) or not isinstance(document.get("content"), list):
        return None
    if document.get("type", "message") != "message":
        return None
    blocks = [block for block in document["content"] if isinstance(block, dict)]
    used = [block for block in blocks if block.get("type") == "tool_use"]
    text = "".join(str(b.get("text", "")) for b in blocks if b.get("type") == "text")
    if used and used[0].get("name") == TOOL:
        text = json.dumps(used[0].get("input"), ensure_ascii=False)
    model = document.get("model")
    return Reply(
        text=text,
        finish=_FINISH.get(str(document.get("stop_reason")), "stop"),
        model=model if isinstance(model, str) else "",
        usage=_usage(document.get("usage")),
    )


def _usage(usage: object) -> Usage | None:
    """Return what was used. The API counts what was cached beside the input, we within it."""
    if not isinstance(usage, dict):
        return None
    read = count(usage.get("cache_read_input_tokens"))
    written = count(usage.get("cache_creation_input_tokens"))
    return Usage(
        input_tokens=count(usage.get("input_tokens")) + read + written,
        output_tokens=count(usage.get("output_tokens")),
        cached_tokens=read,
        cache_write_tokens=written,
    )
