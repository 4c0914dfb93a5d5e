"""What comes back from an endpoint, as values: replies, failures, and how long to wait. No I/O."""

from __future__ import annotations

import enum
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime

from amxwatch.providers.pricing import Usage

Tokens = tuple[tuple[str, float], ...]
"""The tokens of a reply, each with its log-probability, in order."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A usable answer. `finish` is stop, length, refusal or filtered. `usage` None: not said.

    `others` are further samples of the same request, where the endpoint gives several at once.
    """

    text: str
    finish: str
    model: str = ""
    usage: Usage | None = None
    tokens: Tokens = ()
    others: tuple[str, ...] = ()

    @property
    def logprob(self) -> float | None:
        """The mean log-probability of the reply's tokens, where the endpoint gave any."""
        values = [value for _, value in self.tokens]
        return sum(values) / len(values) if values else None


class Fault(enum.Enum):
    """What can be done about an answer that is none."""

    TRANSIENT = "try again"
    FINAL = "give up"
    REQUEST = "give this request up; others may be answered"
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
_TIGHT = re.compile(
    r"context.(?:length|window|size)|maximum context|too (?:long|many tokens|large)|exceeds? the"
    r" (?:available )?context",
    re.IGNORECASE,
)
# What no other form of the answer can mend.
_HOPELESS = re.compile(
    r"api.?key|messages\[|not (?:exist|found)|web_search|billing|credit balance"
    r"|unsupported_country",
    re.IGNORECASE,
)


def is_tight(text: str) -> bool:
    """Whether an endpoint complains that prompt and answer do not fit into its context."""
    return _TIGHT.search(text) is not None


def fault_of(status: int, code: frozenset[str], text: str) -> Fault:
    """Return what can be done about an error by its status, its codes and its words."""
    if status == 429 and (code & _QUOTA or "exceeded your current quota" in text):
        return Fault.FINAL
    # Endpoints that keep no probabilities say so under several statuses (403, 500 among them).
    if "logprobs" in text.casefold() and status in {400, 403, 404, 422, 500, 501}:
        return Fault.FORM
    if status in TRANSIENT:
        return Fault.TRANSIENT
    if status == 413:
        return Fault.REQUEST
    if status in FORM:
        return Fault.FINAL if _HOPELESS.search(text) else Fault.FORM
    return Fault.FINAL


def no_answer(content: bytes, document: object, status: int, what: str) -> Failure:
    """Return the failure that a good status with an unusable body is.

    A document that begins and does not end was cut on its way: that passes.
    """
    begun = content.lstrip()[:1] in (b"{", b"[")
    if document is None and begun:
        return Failure(fault=Fault.TRANSIENT, status=status, text="the answer was cut on its way")
    return Failure(fault=Fault.FINAL, status=status, text=f"the answer is no {what}")


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


def document_of(content: bytes) -> object:
    """Return the JSON document of a body; None where it is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def codes_of(error: object) -> frozenset[str]:
    """Return every code, type and status that an error names, in lower case."""
    if not isinstance(error, dict):
        return frozenset()
    inner = error.get("innererror")
    codes = [error.get("code"), error.get("type"), error.get("status")]
    codes += [inner.get("code")] if isinstance(inner, dict) else []
    return frozenset(str(code).casefold() for code in codes if code is not None)


def text_of(error: object) -> str:
    """Return what an error says, in one line of bounded length."""
    said = error
    if isinstance(error, dict):
        # Gateways (OpenRouter) say little themselves and put the true words beside.
        beside = error.get("metadata")
        raw = beside.get("raw") if isinstance(beside, dict) else None
        said = " ".join(str(each) for each in (error.get("message"), raw) if each)
    return " ".join(str(said).split())[:300] if said else ""


def count(value: object) -> int:
    """Return a number of tokens; what is none counts as 0."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def dollars(value: object) -> Decimal | None:
    """Return an amount that an endpoint reports; None where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        return None
    return amount if amount.is_finite() and amount >= 0 else None


def tokens_of(entries: object) -> Tokens:
    """Return tokens with their log-probabilities from a list of `{"token", "logprob"}`."""
    if not isinstance(entries, list):
        return ()
    found = [entry for entry in entries if isinstance(entry, dict)]
    return tuple(
        (str(entry.get("token", "")), float(value))
        for entry in found
        if isinstance(value := entry.get("logprob"), int | float) and math.isfinite(value)
    )
