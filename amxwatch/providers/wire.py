"""The OpenAI chat-completions wire: requests as JSON, answers and errors as values. No I/O."""

from __future__ import annotations

import dataclasses
import enum
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any

from amxwatch.core.completion import CompletionRequest
from amxwatch.providers.pricing import Usage


class Form(enum.IntEnum):
    """How an endpoint is asked for JSON, the strictest way first."""

    SCHEMA = 0
    OBJECT_WITH_SCHEMA = 1
    OBJECT = 2
    PROMPT = 3


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """What one endpoint understands, learned from its refusals. `limit` names its token limit."""

    form: Form = Form.SCHEMA
    temperature: bool = True
    logprobs: bool = False
    limit: str | None = "max_completion_tokens"

    def without(self, complaint: str) -> Dialect | None:
        """Return the dialect without what an endpoint complains of, or None: nothing is left.

        A complaint that names nothing we send is taken to be about the form of the answer.
        """
        said = complaint.casefold()
        if self.logprobs and "logprobs" in said:
            return dataclasses.replace(self, logprobs=False)
        if self.temperature and "temperature" in said:
            return dataclasses.replace(self, temperature=False)
        if self.limit and re.search(r"max_(?:completion_)?tokens", said):
            swapped = {"max_completion_tokens": "max_tokens"}.get(self.limit)
            return dataclasses.replace(self, limit=swapped)
        return self.with_looser_form()

    def with_looser_form(self) -> Dialect | None:
        if self.form is Form.PROMPT:
            return None
        return dataclasses.replace(self, form=Form(self.form + 1))


def request_body(
    request: CompletionRequest, dialect: Dialect, *, model: str, temperature: float | None
) -> dict[str, Any]:
    """Write a request in the form that an endpoint understands."""
    system = request.system
    if dialect.form is not Form.SCHEMA:
        system += f"\nThe JSON object must follow this schema:\n{json.dumps(request.schema)}"
    body: dict[str, Any] = {
        "model": model,
        "messages": [
            {"role": "system", "content": system},
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
        body[dialect.limit] = request.max_output_tokens
    if dialect.logprobs:
        body["logprobs"] = True
    return body


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A usable answer. `finish` is stop, length, refusal or filtered. `usage` None: not said."""

    text: str
    finish: str
    model: str = ""
    usage: Usage | None = None
    logprob: float | None = None


class Fault(enum.Enum):
    """What can be done about an answer that is none."""

    TRANSIENT = "try again"
    FINAL = "give up"
    FORM = "ask in another form"


@dataclass(frozen=True, kw_only=True)
class Failure:
    """An answer that is none. `text` is the endpoint's own, not yet redacted."""

    fault: Fault
    status: int
    text: str
    retry_after: timedelta | None = None


TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529, *range(520, 528)})
FORM = frozenset({400, 422})
_QUOTA = frozenset({"insufficient_quota", "billing_hard_limit_reached", "access_terminated"})
_CALLERS = frozenset({"invalid_request_error", "authentication_error", "not_found_error"})
_FILTERED = frozenset(
    {"content_filter", "content_policy_violation", "responsibleaipolicyviolation"}
)
# What no other form of the answer can mend.
_HOPELESS = re.compile(
    r"context.length|maximum context|too (?:long|many tokens)|api.?key|messages\["
    r"|not (?:exist|found)|web_search|billing|unsupported_country",
    re.IGNORECASE,
)


def read_answer(
    status: int, headers: Mapping[str, str], content: bytes, *, now: datetime
) -> Reply | Failure:
    """Read an HTTP answer. Never raises, whatever the bytes are."""
    document = _document(content)
    error = _error(document, status)
    if status < 300 and not error:
        return _reply(document) or Failure(
            fault=Fault.FINAL, status=status, text="the answer is no chat completion"
        )
    code, text = _code(error), _text(error)
    if code & _FILTERED:
        return Reply(text="", finish="filtered")
    if status < 400:
        status = _true_status(status, code)
    return Failure(
        fault=_fault(status, code, text),
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


def _fault(status: int, code: frozenset[str], text: str) -> Fault:
    if status == 429 and (code & _QUOTA or "exceeded your current quota" in text):
        return Fault.FINAL
    if status in TRANSIENT:
        return Fault.TRANSIENT
    if status in FORM and not _HOPELESS.search(text):
        return Fault.FORM
    return Fault.FINAL


def retry_after(headers: Mapping[str, str], *, now: datetime) -> timedelta | None:
    """Return how long a server asks to wait; nonsense and the past are None.

    See: RFC 9110, section 10.2.3 (seconds or a date); `retry-after-ms` is OpenAI's and Azure's.
    """
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        seconds = _number(headers.get(name, ""))
        if seconds is not None and 0 <= seconds * unit < 1e9:
            return timedelta(seconds=seconds * unit)
    try:
        until = parsedate_to_datetime(headers.get("retry-after", ""))
    except (ValueError, IndexError):
        return None
    until = until if until.tzinfo else until.replace(tzinfo=UTC)
    return until - now if until > now else None


def _number(text: object) -> float | None:
    try:
        return float(str(text).strip())
    except ValueError:
        return None


def _document(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _error(document: object, status: int) -> object:
    """Return the error that a body holds, wherever gateways put it; None where there is none."""
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


def _code(error: object) -> frozenset[str]:
    if not isinstance(error, dict):
        return frozenset()
    inner = error.get("innererror")
    codes = [error.get("code"), error.get("type"), error.get("status")]
    codes += [inner.get("code")] if isinstance(inner, dict) else []
    return frozenset(str(code).casefold() for code in codes if code is not None)


def _text(error: object) -> str:
    said = error.get("message") if isinstance(error, dict) else error
    return " ".join(str(said).split())[:300] if said else ""


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
    choice = document["choices"][0]
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(message, dict):
        return None
    finish = _FINISH.get(str(choice.get("finish_reason")).casefold(), "stop")
    return Reply(
        text=_content(message.get("content")),
        finish="refusal" if message.get("refusal") else finish,
        model=named,
        usage=usage,
        logprob=_logprob(choice.get("logprobs")),
    )


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
    cached = details.get("cached_tokens") if isinstance(details, dict) else None
    cached = cached or usage.get("prompt_cache_hit_tokens") or usage.get("num_cached_tokens")
    return Usage(
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        cached_tokens=_count(cached),
        reported_usd=_dollars(usage.get("cost")),
    )


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def _dollars(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        dollars = Decimal(str(value))
    except InvalidOperation:
        return None
    return dollars if dollars.is_finite() and dollars >= 0 else None


def _logprob(logprobs: object) -> float | None:
    """Return the mean log-probability of a reply's tokens, where the endpoint gave any."""
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(tokens, list):
        return None
    values = [token.get("logprob") for token in tokens if isinstance(token, dict)]
    numbers = [float(value) for value in values if isinstance(value, int | float)]
    return sum(numbers) / len(numbers) if numbers else None


_KEY_LIKE = re.compile(
    r"\S*\*{3,}\S*"  # a key that the provider masked itself, parts of it in the clear
    r"|\b(?:sk|pk|rk|gsk|xai|key|kod|nvapi|hf|ghp)[-_][\w-]{6,}"
    r"|\bBearer\s+\S+"
    r"|\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{28,}",
    re.IGNORECASE,
)
_SECRET_PIECE = 6
"""Characters in a row of our key that must not be shown."""


def redact(text: str, *, api_key: str | None) -> str:
    """Take out whatever could be a key, or a piece of ours."""
    shown = _KEY_LIKE.sub("[redacted]", text)
    if not api_key or len(api_key) < _SECRET_PIECE:
        return shown
    last = len(api_key) - _SECRET_PIECE
    pieces = {api_key[at : at + _SECRET_PIECE] for at in range(last + 1)}
    words = re.split(r"(\s+)", shown)
    return "".join("[redacted]" if any(p in word for p in pieces) else word for word in words)
