"""A web address that is posted to, signed as Standard Webhooks.

See: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import anyio
import httpx

from amxwatch import __version__
from amxwatch.core.errors import NotifyRefusedError, NotifyUnavailableError
from amxwatch.core.message import Message
from amxwatch.core.retry import backoff
from amxwatch.notify import WebhookSpec
from amxwatch.ports.clock import Clock

MAX_TRIES = 3
FIRST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(seconds=4)

PREFIX = "whsec_"
SECRET_BYTES = range(24, 65)
"""How long a secret is, as Standard Webhooks asks for."""

BUSY = frozenset({408, 425, 429})
"""Answers beside 5xx that may be different in a moment."""


def open_webhook(spec: WebhookSpec, *, clock: Clock) -> WebhookNotifier:
    """Return a notifier. Raises: NotifyRefusedError for an address or a secret of no use."""
    try:
        url = httpx.URL(spec.url)
    except (httpx.InvalidURL, ValueError):
        raise NotifyRefusedError("the webhook's url is no web address: https://HOST/…") from None
    if not url.host or url.scheme not in ("https", "http"):
        raise NotifyRefusedError("the webhook's url is no web address: https://HOST/…")
    if url.scheme == "http" and not _is_local(url.host):
        raise NotifyRefusedError(
            f"the webhook at {url.host} is plain http, which anybody on the way can read:"
            " use https (http is for localhost only)"
        )
    return WebhookNotifier(url, key_of(spec.secret), timeout=spec.timeout, clock=clock)


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def key_of(secret: str) -> bytes:
    """Return the bytes that sign. Raises: NotifyRefusedError, which does not name the secret."""
    text = secret.strip()
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(PREFIX) or len(key) not in SECRET_BYTES:
        raise NotifyRefusedError(
            "the webhook's secret is not one of Standard Webhooks: whsec_ and 24 to 64 bytes in"
            " base64; make one with: echo whsec_$(openssl rand -base64 32)"
        )
    return key


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the `webhook-signature` of a message."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


class WebhookNotifier:
    """Implements `ports.notifier.Notifier` over HTTP. Redirects are never followed."""

    def __init__(self, url: httpx.URL, key: bytes, *, timeout: float, clock: Clock) -> None:
        self._url = url
        self._key = key
        self._timeout = timeout
        self._clock = clock

    @property
    def _where(self) -> str:
        """The address as it may be shown: its path is often a secret."""
        port = f":{self._url.port}" if self._url.port else ""
        return f"the webhook at {self._url.scheme}://{self._url.host}{port}"

    async def send(self, message: Message) -> None:
        """Post it, at most three times within the time limit and a few seconds."""
        body = json.dumps(message.document(), separators=(",", ":")).encode()
        failures = 0
        client = httpx.AsyncClient(
            timeout=httpx.Timeout(self._timeout),
            follow_redirects=False,
            trust_env=not _is_local(self._url.host),  # no proxy for this machine itself
        )
        async with client:
            while True:
                try:
                    return await self._post(client, message.id, body)
                except NotifyUnavailableError:
                    failures += 1
                    if failures == MAX_TRIES:
                        raise
                wait = backoff(failures, first=FIRST_WAIT, cap=LONGEST_WAIT, key=message.id)
                await self._clock.sleep(wait.total_seconds())

    async def _post(self, client: httpx.AsyncClient, message_id: str, body: bytes) -> None:
        timestamp = int(self._clock.now().timestamp())
        headers = {
            "content-type": "application/json",
            "user-agent": f"amxwatch/{__version__}",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(self._key, message_id, timestamp, body),
        }
        with self._translated():
            # One limit for the whole of it: httpx bounds each read alone, and a server may drip.
            with anyio.fail_after(self._timeout):
                # The answer's body is not read: it is not trusted, and may be endless.
                async with client.stream(
                    "POST", self._url, content=body, headers=headers
                ) as response:
                    self._judge(response.status_code)

    def _judge(self, status: int) -> None:
        if 200 <= status < 300:
            return
        if 300 <= status < 400:
            raise NotifyRefusedError(
                f"{self._where} answered {status}, a redirect, and redirects are not followed:"
                " give the address that it leads to"
            )
        if status >= 500 or status in BUSY:
            raise NotifyUnavailableError(f"{self._where} answered {status}")
        raise NotifyRefusedError(f"{self._where} answered {status}: check its url and secret")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (TimeoutError, httpx.TimeoutException):
            raise NotifyUnavailableError(
                f"{self._where} did not answer within {self._timeout:g} s"
            ) from None
        except (httpx.TransportError, OSError) as error:
            # Only the kind of error: its text may hold the whole address.
            raise NotifyUnavailableError(
                f"{self._where} cannot be reached ({type(error).__name__})"
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise NotifyRefusedError(
                f"{self._where} cannot be posted to ({type(error).__name__})"
            ) from None
