"""Any endpoint that speaks OpenAI's chat completions: OpenAI, Azure, OpenRouter, vLLM, llama.cpp.

Azure is told by its address: `https://NAME.openai.azure.com` is asked on its present address
(`/openai/v1`), `…/openai/deployments/DEPLOYMENT?api-version=…` on the older one.
See: https://platform.openai.com/docs/api-reference/chat
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
    Reply,
    codes_of,
    count,
    document_of,
    dollars,
    fault_of,
    no_answer,
    retry_after,
    text_of,
    tokens_of,
)
from amxwatch.providers.dialect import Dialect, Form
from amxwatch.providers.endpoint import Endpoint
from amxwatch.providers.line import address_of
from amxwatch.providers.pricing import Usage, prices_of

OPENAI_URL = "https://api.openai.com/v1"
API_VERSION = "2024-10-21"
"""Of Azure's older address, where the base_url names none."""

_AZURE_HOSTS = (".azure.com", ".azure-api.net", ".azure.us", ".azure.cn")
_LEAF = "/chat/completions"


def open_openai(spec: ProviderSpec, *, clock: Clock) -> Endpoint:
    """Return a provider, not yet connected. Raises: UsageError for a spec that cannot be used."""
    base = address_of(spec, OPENAI_URL, example="https://HOST/v1")
    wire = OpenAIWire(spec=spec, base=_without_leaf(base))
    return OpenAIEndpoint(spec, wire, prices_of(spec, "openai"), clock)


class OpenAIEndpoint(Endpoint):
    """An endpoint that may also answer later, at half the price."""

    wire: OpenAIWire

    @property
    def batches(self) -> Batches:
        from amxwatch.providers.openai_batches import OpenAIBatches

        return OpenAIBatches(endpoint=self, wire=self.wire)


def _without_leaf(base: httpx.URL) -> httpx.URL:
    """Return the address that others are beside; on a bare Azure host it is filled in."""
    path = base.path.rstrip("/").removesuffix(_LEAF)
    if not path and base.host.endswith(_AZURE_HOSTS):
        path = "/openai/v1"
    if "/openai/deployments/" in path and "api-version" not in base.params:
        base = base.copy_merge_params({"api-version": API_VERSION})
    return base.copy_with(path=path or "/")


@dataclass(frozen=True, kw_only=True)
class OpenAIWire:
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
        return Dialect(
            forms=(Form.SCHEMA, Form.OBJECT_WITH_SCHEMA, Form.OBJECT, Form.PROMPT),
            logprobs=self.spec.logprobs,
            several=True,
            limit="max_completion_tokens",
        )

    @property
    def is_azure(self) -> bool:
        return self.base.host.endswith(_AZURE_HOSTS) or "/openai/deployments/" in self.base.path

    def headers(self) -> dict[str, str]:
        key = self.spec.api_key
        if not key:
            return {}
        return {"authorization": f"Bearer {key}"} | ({"api-key": key} if self.is_azure else {})

    def body(
        self, request: CompletionRequest, dialect: Dialect, *, temperature: float | None
    ) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.spec.model,
            "messages": [
                {"role": "system", "content": system_of(request, dialect)},
                {"role": "user", "content": request.prompt},
            ],
        }
        if dialect.form is Form.SCHEMA:
            strict = {"name": "descriptions", "strict": True, "schema": request.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": strict}
        elif dialect.form is Form.OBJECT_WITH_SCHEMA:
            body["response_format"] = {"type": "json_object", "schema": request.schema}
        elif dialect.form is Form.OBJECT:
            body["response_format"] = {"type": "json_object"}
        if dialect.temperature and temperature is not None:
            body["temperature"] = temperature
        if dialect.limit:
            body[dialect.limit] = dialect.most(request.max_output_tokens)
        if dialect.logprobs:
            body["logprobs"] = True
        if dialect.several and request.samples > 1:
            body["n"] = request.samples
        return body

    def read(
        self, status: int, headers: Mapping[str, str], content: bytes, *, now: datetime
    ) -> Reply | Failure:
        return read_answer(status, headers, content, now=now)


def system_of(request: CompletionRequest, dialect: Dialect) -> str:
    """Return the rules, with the schema behind them where nothing else carries it whole."""
    if dialect.form in (Form.SCHEMA, Form.TOOL):
        return request.system
    schema = json.dumps(request.schema)
    return f"{request.system}\nThe JSON object must follow this schema:\n{schema}"


_CALLERS = frozenset({"invalid_request_error", "authentication_error", "not_found_error"})
_FILTERED = frozenset(
    {"content_filter", "content_policy_violation", "responsibleaipolicyviolation"}
)


def read_answer(
    status: int, headers: Mapping[str, str], content: bytes, *, now: datetime
) -> Reply | Failure:
    """Read an HTTP answer. Never raises, whatever the bytes are."""
    document = document_of(content)
    error = _error(document, status)
    if status < 300 and not error:
        return _reply(document) or no_answer(content, document, status, "chat completion")
    code, text = codes_of(error), text_of(error)
    if code & _FILTERED:
        return Reply(text="", finish="filtered")
    if status < 400:
        status = _true_status(status, code)
    return Failure(
        fault=fault_of(status, code, text),
        status=status,
        text=text or f"status {status}",
        retry_after=retry_after(headers, now=now),
    )


def _true_status(status: int, code: frozenset[str]) -> int:
    """Return the status that a gateway means which answers 200 and puts an error in the body."""
    told = [int(each) for each in code if each.isascii() and each.isdigit() and len(each) == 3]
    if told:
        return told[0]
    return 404 if status >= 300 or code & _CALLERS else 500


def _error(document: object, status: int) -> object:
    """Return the error that a body holds, wherever gateways put it; None where there is none."""
    if isinstance(document, list) and len(document) == 1:  # Google's route wraps it in a list
        document = document[0]
    if not isinstance(document, dict):
        return None
    error = document.get("error")
    if not error:
        choices = document.get("choices")
        first = choices[0] if isinstance(choices, list) and choices else None
        error = first.get("error") if isinstance(first, dict) else None
    if not error and status >= 300:
        error = document.get("detail") or document.get("message")
    return error


_FINISH = {
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",
    "content_filter": "filtered",
    "safety": "filtered",
    "refusal": "refusal",
}


def _reply(document: object) -> Reply | None:
    if not isinstance(document, dict) or not isinstance(document.get("choices"), list):
        return None
    model = document.get("model")
    named = model if isinstance(model, str) else ""
    usage = _usage(document.get("usage"))
    if not document["choices"]:
        finish = "filtered" if document.get("prompt_filter_results") else "stop"
        return Reply(text="", finish=finish, model=named, usage=usage)
    choice, *others = document["choices"]
    message = _message(choice)
    if message is None:
        return None
    finish = _FINISH.get(str(choice.get("finish_reason")).casefold(), "stop")
    kept = choice.get("logprobs")
    return Reply(
        text=_content(message.get("content")),
        finish="refusal" if message.get("refusal") else finish,
        model=named,
        usage=usage,
        tokens=tokens_of(kept.get("content") if isinstance(kept, dict) else None),
        others=tuple(_content(each.get("content")) for c in others if (each := _message(c))),
    )


def _message(choice: object) -> dict[str, Any] | None:
    message = choice.get("message") if isinstance(choice, dict) else None
    return message if isinstance(message, dict) else None


def _content(content: object) -> str:
    """Return the text of a message; of several parts, the text parts (thoughts are left out)."""
    if isinstance(content, list):
        parts = [part for part in content if isinstance(part, dict) and part.get("type") == "text"]
        return "".join(str(part.get("text", "")) for part in parts)
    return content if isinstance(content, str) else ""


def _usage(usage: object) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    cached = details.get("cached_tokens")
    cached = cached or usage.get("prompt_cache_hit_tokens") or usage.get("num_cached_tokens")
    return Usage(
        input_tokens=count(usage.get("prompt_tokens")),
        output_tokens=count(usage.get("completion_tokens")),
        cached_tokens=count(cached),
        cache_write_tokens=count(details.get("cache_write_tokens")),
        reported_usd=dollars(usage.get("cost")),
    )
