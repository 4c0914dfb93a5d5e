"""Any endpoint that speaks OpenAI's chat completions: OpenAI, Azure, vLLM, llama.cpp, Ollama."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import anyio
import httpx

from amxwatch.core.completion import Completion, CompletionRequest
from amxwatch.core.errors import (
    KeyRefusedError,
    ProviderRefusedError,
    ProviderUnavailableError,
    UsageError,
)
from amxwatch.core.retry import backoff
from amxwatch.ports.clock import Clock
from amxwatch.providers import ProviderSpec
from amxwatch.providers.pricing import Price, Prices
from amxwatch.providers.wire import (
    Dialect,
    Failure,
    Fault,
    Reply,
    read_answer,
    redact,
    request_body,
)

OPENAI_URL = "https://api.openai.com/v1"
CONNECT_SECONDS = 5.0
MAX_TRIES = 5
PATIENCE = timedelta(minutes=5)
"""How long a request is tried again, all waits and answers together."""

FIRST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(seconds=30)
MAX_ANSWER_BYTES = 16_000_000


def open_openai(spec: ProviderSpec, *, clock: Clock) -> OpenAIProvider:
    """Return a provider, not yet connected. Raises: UsageError for a spec that cannot be used."""
    key = spec.api_key
    if key is not None and not (key.isascii() and key.isprintable() and key == key.strip()):
        raise UsageError("the api_key holds spaces or characters that no HTTP header can carry")
    try:
        url = httpx.URL(spec.base_url or OPENAI_URL)
    except httpx.InvalidURL:
        raise UsageError("the base_url is no URL; write it like https://HOST/v1") from None
    if url.scheme not in {"http", "https"} or not url.host or "%" in url.host:
        raise UsageError("the base_url is no web address; write it like https://HOST/v1")
    if not url.path.rstrip("/").endswith("/chat/completions"):
        url = url.copy_with(path=url.path.rstrip("/") + "/chat/completions")
    return OpenAIProvider(spec, url, clock)


@dataclass
class _Tries:
    """One request's tries so far: how they were asked, and when they began."""

    dialect: Dialect
    began: float
    failures: int = 0


class OpenAIProvider:
    """Implements `ports.provider.Provider` over HTTP."""

    def __init__(self, spec: ProviderSpec, url: httpx.URL, clock: Clock) -> None:
        self._spec = spec
        self._url = url
        self._clock = clock
        self._client: httpx.AsyncClient | None = None
        self._slots = anyio.Semaphore(max(1, spec.max_concurrency))
        # What was learned of the endpoint; proven once an answer came in this dialect.
        self._dialect = Dialect(logprobs=spec.logprobs)
        self._is_proven = False
        self._prices = Prices(
            model=spec.model,
            base_url=spec.base_url,
            input_usd_per_mtok=spec.input_usd_per_mtok,
            output_usd_per_mtok=spec.output_usd_per_mtok,
        )

    @property
    def name(self) -> str:
        return f"{self._spec.provider}/{self._spec.model}"

    @property
    def is_free(self) -> bool:
        return False

    @property
    def priced(self) -> bool:
        return self._prices.is_known

    async def complete(self, request: CompletionRequest) -> Completion:
        """Ask, and ask again after transient failures: at most five tries in five minutes."""
        async with self._slots:
            began = self._clock.monotonic()
            tries = _Tries(dialect=self._dialect, began=began)
            while True:
                answer = await self._ask(request, tries.dialect)
                if isinstance(answer, Reply):
                    self._dialect, self._is_proven = tries.dialect, True
                    return self._completion(answer, seconds=self._clock.monotonic() - began)
                await self._after(answer, tries, request)

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _ask(self, request: CompletionRequest, dialect: Dialect) -> Reply | Failure:
        temperature = request.temperature
        body = request_body(
            request,
            dialect,
            model=self._spec.model,
            temperature=self._spec.temperature if temperature is None else temperature,
        )
        try:
            with self._translated():
                async with self._opened().stream("POST", self._url, json=body) as response:
                    content = await _read(response)
        except ProviderUnavailableError as error:
            return Failure(fault=Fault.TRANSIENT, status=0, text=str(error))
        return read_answer(response.status_code, response.headers, content, now=self._clock.now())

    async def _after(self, failure: Failure, tries: _Tries, request: CompletionRequest) -> None:
        """Prepare the next try, or raise where there is to be none."""
        if failure.fault is Fault.FORM:
            looser = tries.dialect.without(failure.text)
            if looser is None:
                raise ProviderRefusedError(self._said(failure))
            tries.dialect = looser
            return
        if failure.fault is Fault.FINAL:
            kind = KeyRefusedError if failure.status in (401, 403) else ProviderRefusedError
            raise kind(self._said(failure))
        tries.failures += 1
        if failure.status == 500 and tries.failures >= 2 and not self._is_proven:
            # Some servers (llama.cpp among them) answer 500 to a schema that they cannot use.
            tries.dialect = tries.dialect.with_looser_form() or tries.dialect
        wait = failure.retry_after
        if wait is None:
            wait = backoff(tries.failures, first=FIRST_WAIT, cap=LONGEST_WAIT, key=request.prompt)
        spent = timedelta(seconds=self._clock.monotonic() - tries.began)
        if tries.failures >= MAX_TRIES or spent + wait > PATIENCE:
            raise ProviderUnavailableError(self._said(failure), retry_after=failure.retry_after)
        await self._clock.sleep(wait.total_seconds())

    def _completion(self, reply: Reply, *, seconds: float) -> Completion:
        usage, price = reply.usage, Price()
        if usage is not None:
            price = self._prices.cost(usage, at=self._clock.now())
        return Completion(
            text=reply.text,
            finish=reply.finish,
            model=reply.model or self._spec.model,
            input_tokens=usage.input_tokens if usage else 0,
            output_tokens=usage.output_tokens if usage else 0,
            cached_tokens=usage.cached_tokens if usage else 0,
            cost_usd=price.cost_usd,
            price_version=price.version,
            logprob=reply.logprob,
            seconds=seconds,
        )

    def _said(self, failure: Failure) -> str:
        """Put a failure into one line: what, where, and how to mend it. Holds no key."""
        said = redact(failure.text, api_key=self._spec.api_key)
        status = f"{failure.status}: " if failure.status else ""
        mend = _MENDING.get(failure.status, "")
        if failure.fault is Fault.FINAL and failure.status == 429:
            mend = "add credit to the account, or use another llm profile"
        return f"{self.name} at {self._url.host}: {status}{said}" + (f"; {mend}" if mend else "")

    def _opened(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                headers=self._headers(),
                timeout=httpx.Timeout(
                    self._spec.timeout, connect=CONNECT_SECONDS, write=30.0, pool=None
                ),
            )
        return self._client

    def _headers(self) -> dict[str, str]:
        key = self._spec.api_key
        if not key:
            return {}
        azure = self._url.host.endswith((".azure.com", ".azure-api.net"))
        return {"authorization": f"Bearer {key}"} | ({"api-key": key} if azure else {})

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the client's exceptions into ours; their texts may hold the URL, so none is kept."""
        try:
            yield
        except httpx.ConnectTimeout:
            raise ProviderUnavailableError("no connection within 5 s") from None
        except httpx.ConnectError:
            raise ProviderUnavailableError("cannot connect; is the server running?") from None
        except httpx.TimeoutException:
            raise ProviderUnavailableError(f"no answer within {self._spec.timeout:g} s") from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError) as error:
            raise ProviderRefusedError(
                f"{self.name}: the request cannot be sent ({type(error).__name__});"
                " check base_url and api_key"
            ) from None
        except httpx.HTTPError as error:
            raise ProviderUnavailableError(
                f"the connection broke ({type(error).__name__})"
            ) from None


_MENDING = {
    401: "check api_key",
    402: "add credit to the account, or use another llm profile",
    403: "check that this key may use the model",
    404: "check model and base_url",
    200: "check base_url (it usually ends in /v1)",
}


async def _read(response: httpx.Response) -> bytes:
    """Read a body up to a bound: no honest answer is longer, and memory is not endless."""
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > MAX_ANSWER_BYTES:
            return b""
    return bytes(content)
