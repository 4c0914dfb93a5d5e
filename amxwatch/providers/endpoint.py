"""Any model behind HTTP: asks on one wire, again after what passes, in the form it understands.

A wire is a file of its own (`openai`, `anthropic`, `ollama`): how a request is written and an
answer is read. Everything else is here and the same for all.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol, TypeVar

import anyio
import httpx

from amxwatch.core.completion import Completion, CompletionRequest
from amxwatch.core.errors import (
    KeyRefusedError,
    ProviderRefusedError,
    ProviderUnavailableError,
    RequestRefusedError,
)
from amxwatch.core.retry import backoff
from amxwatch.ports.clock import Clock
from amxwatch.providers import ProviderSpec
from amxwatch.providers.answer import Failure, Fault, Reply
from amxwatch.providers.dialect import Dialect
from amxwatch.providers.line import Answered, Line
from amxwatch.providers.pricing import Prices, Usage
from amxwatch.providers.secrecy import redact
from amxwatch.providers.spans import by_object

MAX_TRIES = 5
PATIENCE = timedelta(minutes=5)
"""How long a request is tried again, all waits and answers together."""

FIRST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(seconds=30)

T = TypeVar("T")


class Wire(Protocol):
    """How one kind of endpoint is spoken to. Pure."""

    @property
    def url(self) -> httpx.URL:
        """Where requests go."""

    @property
    def dialect(self) -> Dialect:
        """What an endpoint is taken to understand until it says otherwise."""

    def headers(self) -> dict[str, str]: ...

    def body(
        self, request: CompletionRequest, dialect: Dialect, *, temperature: float | None
    ) -> dict[str, Any]:
        """Write a request in the form that the endpoint understands."""

    def read(
        self, status: int, headers: Mapping[str, str], content: bytes, *, now: datetime
    ) -> Reply | Failure:
        """Read an HTTP answer. Never raises, whatever the bytes are."""


@dataclass
class _Tries:
    """One request's tries so far: how they were asked, and when they began."""

    dialect: Dialect
    began: float
    failures: int = 0


class Endpoint:
    """Implements `ports.provider.Provider` over HTTP."""

    def __init__(self, spec: ProviderSpec, wire: Wire, prices: Prices, clock: Clock) -> None:
        self.spec = spec
        self.wire = wire
        self.prices = prices
        self.clock = clock
        self.line = Line(spec, name=self.name, headers=wire.headers())
        self._slots = anyio.Semaphore(max(1, spec.max_concurrency))
        # What was learned of the endpoint; proven once an answer came in this dialect.
        self._dialect = wire.dialect
        self._is_proven = False

    @property
    def name(self) -> str:
        return f"{self.spec.provider}/{self.spec.model}"

    @property
    def is_free(self) -> bool:
        return False

    @property
    def priced(self) -> bool:
        return self.prices.is_known

    def cost_of(self, *, input_tokens: int, output_tokens: int) -> Decimal | None:
        usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        return self.prices.cost(usage, at=self.clock.now()).cost_usd

    async def complete(self, request: CompletionRequest) -> Completion:
        """Ask, and ask again after transient failures: at most five tries in five minutes."""
        async with self._slots:
            began = self.clock.monotonic()
            replies = [await self._reply(request)]
            texts = [replies[0].text, *replies[0].others]
            while len(texts) < request.samples:  # an endpoint that gives one at a time
                replies.append(await self._reply(request))
                texts += [replies[-1].text, *replies[-1].others]
            seconds = self.clock.monotonic() - began
            return self.completion(replies, texts[: request.samples], seconds=seconds)

    async def aclose(self) -> None:
        await self.line.aclose()

    async def _reply(self, request: CompletionRequest) -> Reply:
        tries = _Tries(dialect=self._dialect, began=self.clock.monotonic())
        while True:
            answer = await self._ask(request, tries.dialect)
            if isinstance(answer, Reply):
                self._dialect, self._is_proven = tries.dialect, True
                return answer
            await self._after(answer, tries, request)

    def body(self, request: CompletionRequest) -> dict[str, Any]:
        """Write a request in the dialect that is known by now."""
        return self._written(request, self._dialect)

    def _written(self, request: CompletionRequest, dialect: Dialect) -> dict[str, Any]:
        asked = request.temperature
        temperature = self.spec.temperature if asked is None else asked
        return self.wire.body(request, dialect, temperature=temperature)

    async def _ask(self, request: CompletionRequest, dialect: Dialect) -> Reply | Failure:
        body = self._written(request, dialect)

        async def send() -> Answered:
            return await self.line.send(
                "POST", self.wire.url, json=body, local_only=request.local_only
            )

        return await self.answered(send, self.wire.read)

    async def answered(
        self, send: Callable[[], Awaitable[Answered]], read: Callable[..., T | Failure]
    ) -> T | Failure:
        """Send once and read what comes; a broken connection is a failure that passes."""
        try:
            got = await send()
        except ProviderUnavailableError as error:
            return Failure(fault=Fault.TRANSIENT, status=0, text=str(error))
        return read(got.status, got.headers, got.content, now=self.clock.now())

    async def patiently(
        self, send: Callable[[], Awaitable[Answered]], read: Callable[..., T | Failure]
    ) -> T:
        """Send until something comes that can be read. Raises: ProviderError."""
        tries = _Tries(dialect=self._dialect, began=self.clock.monotonic())
        while True:
            answer = await self.answered(send, read)
            if not isinstance(answer, Failure):
                return answer
            if answer.fault is not Fault.TRANSIENT:
                raise self.error(answer)
            await self._wait(answer, tries, key=str(self.wire.url.path))

    async def _after(self, failure: Failure, tries: _Tries, request: CompletionRequest) -> None:
        """Prepare the next try, or raise where there is to be none."""
        if failure.fault is Fault.FORM:
            looser = tries.dialect.without(failure.text)
            if looser is None:
                raise RequestRefusedError(self.said(failure))
            tries.dialect = looser
            return
        if failure.fault is not Fault.TRANSIENT:
            raise self.error(failure)
        if failure.status == 500 and tries.failures >= 1 and not self._is_proven:
            # Some servers (llama.cpp among them) answer 500 to a schema that they cannot use.
            tries.dialect = tries.dialect.with_looser_form() or tries.dialect
        await self._wait(failure, tries, key=request.prompt)

    async def _wait(self, failure: Failure, tries: _Tries, *, key: str) -> None:
        """Wait before the next try. Raises: ProviderUnavailableError where it was the last."""
        tries.failures += 1
        wait = failure.retry_after
        if wait is None:
            wait = backoff(tries.failures, first=FIRST_WAIT, cap=LONGEST_WAIT, key=key)
        spent = timedelta(seconds=self.clock.monotonic() - tries.began)
        if tries.failures >= MAX_TRIES or spent + wait > PATIENCE:
            raise ProviderUnavailableError(self.said(failure), retry_after=failure.retry_after)
        await self.clock.sleep(wait.total_seconds())

    def completion(
        self, replies: list[Reply], texts: list[str], *, seconds: float, batch: bool = False
    ) -> Completion:
        """Put the replies to one request together, their tokens and costs summed."""
        first = replies[0]
        usage = _summed([reply.usage for reply in replies])
        price = None if usage is None else self.prices.cost(usage, at=self.clock.now(), batch=batch)
        return Completion(
            text=first.text,
            finish=first.finish,
            model=first.model or self.spec.model,
            input_tokens=usage.input_tokens if usage else 0,
            output_tokens=usage.output_tokens if usage else 0,
            cached_tokens=usage.cached_tokens if usage else 0,
            cache_write_tokens=usage.cache_write_tokens if usage else 0,
            cost_usd=price.cost_usd if price else None,
            price_version=price.version if price else None,
            logprob=first.logprob,
            object_logprobs=by_object(first.tokens),
            samples=tuple(texts[1:]),
            calls=len(replies),
            form=self._dialect.form,
            seconds=seconds,
        )

    def error(self, failure: Failure) -> ProviderRefusedError:
        """Return the error that a failure is for good."""
        if failure.fault in (Fault.REQUEST, Fault.FORM):
            return RequestRefusedError(self.said(failure))
        kind = KeyRefusedError if failure.status in (401, 403) else ProviderRefusedError
        return kind(self.said(failure))

    def said(self, failure: Failure) -> str:
        """Put a failure into one line: what, where, and how to mend it. Holds no key."""
        said = redact(failure.text, api_key=self.spec.api_key)
        status = f"{failure.status}: " if failure.status else ""
        mend = _MENDING.get(failure.status, "")
        if failure.fault is Fault.FINAL and failure.status == 429:
            mend = _MENDING[402]
        host = self.wire.url.host
        return f"{self.name} at {host}: {status}{said}" + (f"; {mend}" if mend else "")


def _summed(usages: list[Usage | None]) -> Usage | None:
    """Add up what several answers took; None where one of them did not say."""
    total = Usage()
    for usage in usages:
        if usage is None:
            return None
        total = total + usage
    return total


_MENDING = {
    401: "check api_key",
    402: "add credit to the account, or use another llm profile",
    403: "check that this key may use the model",
    404: "check model and base_url",
    413: "lower column_batch_size or prompt_detail",
    200: "check base_url (it usually ends in /v1)",
}
