"""A port for a server of the tests."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

RANGE = range(15_000, 30_000)
"""Below the ports that systems lend to outgoing connections: one of those may be lent to another
process while a server is stopped, and it could then not come back on its port."""


def free_port() -> int:
    """Return a port that nobody listens on; chosen at random, as other sessions choose too."""
    chance = random.SystemRandom()
    for _ in range(100):
        port = chance.choice(RANGE)
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError(f"no port from {RANGE.start} to {RANGE.stop} is free")
