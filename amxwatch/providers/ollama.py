"""Ollama's own API: its OpenAI route knows no context size and cuts long prompts silently.

See: https://docs.ollama.com/api/chat
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx

from amxwatch.core.completion import CompletionRequest
from amxwatch.ports.clock import Clock
from amxwatch.providers import ProviderSpec
from amxwatch.providers.answer import (
    Failure,
    Reply,
    codes_of,
    count,
    document_of,
    fault_of,
    no_answer,
    retry_after,
    text_of,
    tokens_of,
)
from amxwatch.providers.dialect import Dialect, Form
from amxwatch.providers.endpoint import Endpoint
from amxwatch.providers.line import address_of
from amxwatch.providers.loopback import is_own_host
from amxwatch.providers.openai import system_of
from amxwatch.providers.pricing import Prices, Usage, prices_of

OLLAMA_URL = "http://127.0.0.1:11434"
_LEAF = "/api/chat"

CONTEXT_STEP = 4096
"""Contexts are whole multiples of it: a model is loaded anew for each size it is asked for."""

CHARACTERS_A_TOKEN = 3
"""Fewer than in English prose (4), for names and values; a context too small loses the prompt."""


def open_ollama(spec: ProviderSpec, *, clock: Clock) -> Endpoint:
    """Return a provider, not yet connected. Raises: UsageError for a spec that cannot be used."""
    base = address_of(spec, OLLAMA_URL, example="http://HOST:11434")
    path = base.path.rstrip("/")
    for end in (_LEAF, "/api", "/v1"):
        path = path.removesuffix(end)
    wire = OllamaWire(spec=spec, base=base.copy_with(path=path or "/"))
    return Endpoint(spec, wire, _prices(spec, base.host), clock)


def _prices(spec: ProviderSpec, host: str) -> Prices:
    """Return the profile's prices; a model on one's own machine costs nothing a token."""
    told = prices_of(spec, "ollama")
    is_cloud = spec.model.casefold().endswith(("-cloud", ":cloud"))
    if told.is_own or is_cloud or not is_own_host(host):
        return told
    return Prices(model=spec.model, input_usd_per_mtok=Decimal(0), output_usd_per_mtok=Decimal(0))


@dataclass(frozen=True, kw_only=True)
class OllamaWire:
    """Implements `endpoint.Wire`. `base` is the server's address."""

    spec: ProviderSpec
    base: httpx.URL

    @property
    def url(self) -> httpx.URL:
        return self.base.copy_with(path=self.base.path.rstrip("/") + _LEAF)

    @property
    def dialect(self) -> Dialect:
        return Dialect(
            forms=(Form.SCHEMA, Form.OBJECT, Form.PROMPT), logprobs=self.spec.logprobs, room=1
        )

    def headers(self) -> dict[str, str]:
        key = self.spec.api_key
        return {"authorization": f"Bearer {key}"} if key else {}

    def body(
        self, request: CompletionRequest, dialect: Dialect, *, temperature: float | None
    ) -> dict[str, Any]:
        system, most = system_of(request, dialect), dialect.most(request.max_output_tokens)
        characters = len(system) + len(request.prompt)
        options: dict[str, Any] = {
            "num_ctx": context_for(characters, most) * (dialect.room or 1),
            "num_predict": most,
        }
        if dialect.temperature and temperature is not None:
            options["temperature"] = temperature
        body: dict[str, Any] = {
            "model": self.spec.model,
            "stream": False,
            # A prompt that does not fit is an error then, and no longer cut without a word.
            "truncate": False,
            "shift": False,
            "options": options,
            "messages": [
                {"role": "system", "content": system},
                {"role": "user", "content": request.prompt},
            ],
        }
        if dialect.form is not Form.PROMPT:
            body["format"] = request.schema if dialect.form is Form.SCHEMA else "json"
        if dialect.logprobs:
            body["logprobs"] = True
        return body

    def read(
        self, status: int, headers: Mapping[str, str], content: bytes, *, now: datetime
    ) -> Reply | Failure:
        return read_answer(status, headers, content, now=now)


def context_for(characters: int, answer: int) -> int:
    """Return the context, in tokens, that a prompt of so many characters and its answer need."""
    needed = characters // CHARACTERS_A_TOKEN + 64 + answer
    return -(-needed // CONTEXT_STEP) * CONTEXT_STEP


def read_answer(
    status: int, headers: Mapping[str, str], content: bytes, *, now: datetime
) -> Reply | Failure:
    """Read an HTTP answer. Never raises, whatever the bytes are."""
    document = document_of(content)
    error = document.get("error") if isinstance(document, dict) else None
    if status < 300 and not error:
        return _reply(document) or no_answer(content, document, status, "chat answer")
    text = text_of(error)
    status = status if status >= 400 else 500
    return Failure(
        fault=fault_of(status, codes_of(error), text),
        status=status,
        text=text or f"status {status}",
        retry_after=retry_after(headers, now=now),
    )


def _reply(document: object) -> Reply | None:
    message = document.get("message") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(message, dict):
        return None
    content, model = message.get("content"), document.get("model")
    usage = Usage(
        input_tokens=count(document.get("prompt_eval_count")),
        output_tokens=count(document.get("eval_count")),
    )
    is_cut = document.get("done_reason") == "length" or document.get("done") is False
    return Reply(
        text=content if isinstance(content, str) else "",
        finish="length" if is_cut else "stop",
        model=model if isinstance(model, str) else "",
        usage=usage if "eval_count" in document or "prompt_eval_count" in document else None,
        tokens=tokens_of(document.get("logprobs")),
    )
