"""HTTP to one endpoint: bounded answers in bounded time, errors in our words, no key in them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpx

from amxwatch.core.errors import ProviderRefusedError, ProviderUnavailableError, UsageError
from amxwatch.providers import ProviderSpec
from amxwatch.providers.loopback import is_own_host, loopback_of, refuse_passed_on

CONNECT_SECONDS = 5.0
WRITE_SECONDS = 30.0
MAX_ANSWER_BYTES = 16_000_000
MAX_FILE_BYTES = 512_000_000
"""The results of a whole batch; more than any endpoint gives."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """An HTTP answer, read to its end. A body beyond the bound is empty."""

    status: int
    headers: Mapping[str, str]
    content: bytes


def address_of(spec: ProviderSpec, default: str, *, example: str) -> httpx.URL:
    """Return the profile's base_url, or the provider's own. Raises: UsageError.

    The key is looked at as well: one that no header can carry is refused before it is sent.
    """
    key = spec.api_key
    if key is not None and not (key.isascii() and key.isprintable() and key == key.strip()):
        raise UsageError("the api_key holds spaces or characters that no HTTP header can carry")
    try:
        url = httpx.URL(spec.base_url or default)
    except httpx.InvalidURL:
        raise UsageError(f"the base_url is no URL; write it like {example}") from None
    if url.scheme not in {"http", "https"} or not url.host or "%" in url.host:
        raise UsageError(f"the base_url is no web address; write it like {example}")
    return url


class Line:
    """Sends requests with one set of headers. Opens its connections when first used."""

    def __init__(self, spec: ProviderSpec, *, name: str, headers: Mapping[str, str]) -> None:
        self._spec = spec
        self._name = name
        self._headers = dict(headers)
        self._clients: dict[bool, httpx.AsyncClient] = {}

    async def send(
        self,
        method: str,
        url: httpx.URL,
        *,
        json: object = None,
        files: Mapping[str, Any] | None = None,
        data: Mapping[str, str] | None = None,
        local_only: bool = False,
        most_bytes: int = MAX_ANSWER_BYTES,
    ) -> Answered:
        """Send one request and read its answer, all within the profile's time.

        `local_only` refuses an address that is not on this machine, and connects to no other.
        Raises: ProviderUnavailableError, ProviderRefusedError.
        """
        headers: dict[str, str] = {}
        extensions: dict[str, Any] = {}
        if local_only:
            refuse_passed_on(self._spec.model, self._name)
            address = await loopback_of(url, self._name)
            headers["host"] = url.netloc.decode("ascii")
            extensions["sni_hostname"] = url.host
            url = url.copy_with(host=address)
        with self._translated():
            request = self._client(local_only or is_own_host(url.host)).build_request(
                method, url, json=json, files=files, data=data, headers=headers,
                extensions=extensions,
            )  # fmt: skip
            with anyio.fail_after(self._spec.timeout):
                return await self._read(request, local_only, most_bytes)

    async def aclose(self) -> None:
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()

    async def _read(self, request: httpx.Request, local_only: bool, most_bytes: int) -> Answered:
        client = self._client(local_only or is_own_host(request.url.host))
        response = await client.send(request, stream=True)
        try:
            content = await _content(response, most_bytes)
        finally:
            await response.aclose()
        return Answered(status=response.status_code, headers=response.headers, content=content)

    def _client(self, is_own: bool) -> httpx.AsyncClient:
        """Return a client; the one for this machine goes through no proxy of the environment."""
        if is_own not in self._clients:
            self._clients[is_own] = httpx.AsyncClient(
                headers={"accept-encoding": "gzip", **self._headers},
                timeout=httpx.Timeout(
                    self._spec.timeout, connect=CONNECT_SECONDS, write=WRITE_SECONDS, pool=None
                ),
                trust_env=not is_own,
            )
        return self._clients[is_own]

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn the client's exceptions into ours; their texts may hold the URL, so none is kept."""
        try:
            yield
        except httpx.ConnectTimeout:
            raise ProviderUnavailableError("no connection within 5 s") from None
        except httpx.ConnectError:
            raise ProviderUnavailableError("cannot connect; is the server running?") from None
        except (httpx.TimeoutException, TimeoutError):
            raise ProviderUnavailableError(f"no answer within {self._spec.timeout:g} s") from None
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, httpx.LocalProtocolError) as error:
            raise ProviderRefusedError(
                f"{self._name}: the request cannot be sent ({type(error).__name__});"
                " check base_url and api_key"
            ) from None
        except (httpx.HTTPError, zlib.error) as error:
            raise ProviderUnavailableError(
                f"the connection broke ({type(error).__name__})"
            ) from None


async def _content(response: httpx.Response, most_bytes: int) -> bytes:
    """Read a body up to a bound: no honest answer is longer, and memory is not endless.

    It is unpacked here and never beyond the bound: a few kilobytes may hold gigabytes.
    """
    packed = response.headers.get("content-encoding", "identity").casefold()
    unpack = zlib.decompressobj(wbits=47) if packed in {"gzip", "deflate", "x-gzip"} else None
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += unpack.decompress(chunk, most_bytes + 1) if unpack else chunk
        if len(content) > most_bytes or (unpack and unpack.unconsumed_tail):
            return b""
    return bytes(content)
