"""Keeps what must not leave the machine on it: where a host name leads is looked up first."""

from __future__ import annotations

import ipaddress
import socket

import anyio
import httpx

from amxwatch.core.errors import ProviderRefusedError

_MEND = "choose a model on this machine (its address must be a loopback one), or builtin"


async def loopback_of(url: httpx.URL, name: str) -> str:
    """Return the loopback address that a URL's host stands for, to connect to just that one.

    A name counts by every address that it resolves to now, so one that leads elsewhere, or
    also elsewhere, is refused. Raises: ProviderRefusedError.
    """
    try:
        found = await anyio.getaddrinfo(url.host, url.port or 443, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise ProviderRefusedError(
            f"{name}: local_only = true, and the host {url.host} cannot be resolved; {_MEND}"
        ) from None
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not all(is_loopback(address) for address in addresses):
        raise ProviderRefusedError(
            f"{name}: local_only = true, and {url.host} is not on this machine; {_MEND}"
        )
    return addresses[0]


def is_loopback(address: str) -> bool:
    """Whether an IP address is of this machine only; anything that is no address is not."""
    try:
        read = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = read.ipv4_mapped if isinstance(read, ipaddress.IPv6Address) else None
    return (mapped or read).is_loopback


def is_own_host(host: str) -> bool:
    """Whether a host is named as this machine, without asking a resolver."""
    return host == "localhost" or is_loopback(host)


def refuse_passed_on(model: str, name: str) -> None:
    """Refuse a model that its server only passes on to the cloud (Ollama names them so)."""
    if model.casefold().endswith(("-cloud", ":cloud")):
        raise ProviderRefusedError(
            f"{name}: local_only = true, and {model} runs in the cloud; {_MEND}"
        )
