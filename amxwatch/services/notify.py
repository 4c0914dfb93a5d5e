"""Tell systemd how the daemon does. Elsewhere nobody listens, and nothing is sent.

See: sd_notify(3).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping


def is_supervised(environ: Mapping[str, str] = os.environ) -> bool:
    """Say whether a service manager started this process and wants to hear of it."""
    return bool(environ.get("NOTIFY_SOCKET"))


def notify(*lines: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Send assignments such as `READY=1`; say whether they were sent. Never raises.

    The socket is a file, or abstract where its name starts with @.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as connection:
            connection.connect(address.replace("@", "\0", 1) if address[0] == "@" else address)
            connection.sendall("\n".join(lines).encode())
    except OSError:  # the manager is gone: there is nobody to tell
        return False
    return True


def watchdog_seconds(environ: Mapping[str, str] = os.environ) -> float | None:
    """Return after how long a silence the manager kills this process; None: never."""
    try:
        seconds = int(environ.get("WATCHDOG_USEC", "")) / 1_000_000
        pid = int(environ.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        return None
    return seconds if seconds > 0 and pid == os.getpid() else None
