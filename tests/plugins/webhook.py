"""A real HTTP server that takes webhooks, checked by the reference library of the standard."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from standardwebhooks import Webhook

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYqr"


@dataclass(frozen=True, kw_only=True)
class Posted:
    """One request that came, and whether its signature holds."""

    path: str
    headers: dict[str, str]
    document: dict[str, Any]

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Hook:
    """The server. `answers` are the statuses to give, in turn; the last one stays."""

    url: str
    posted: list[Posted] = field(default_factory=list)
    answers: list[int] = field(default_factory=lambda: [204])
    location: str | None = None
    hold: threading.Event = field(default_factory=threading.Event)
    """Set while no request is to be answered late."""

    def until(self, count: int, seconds: float = 90) -> list[Posted]:
        """Wait until so many requests came."""
        deadline = time.monotonic() + seconds
        while len(self.posted) < count:
            assert time.monotonic() < deadline, f"{len(self.posted)} of {count} requests came"
            time.sleep(0.05)
        return list(self.posted)


@pytest.fixture
def hook() -> Iterator[Hook]:
    """A webhook server on this machine; whatever is not signed rightly is answered 401."""
    made: Hook

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            try:
                Webhook(SECRET).verify(body, headers)
            except Exception:  # noqa: BLE001 whatever the library says, it is not signed rightly
                self.send_response(401)
                self.end_headers()
                return
            made.posted.append(Posted(path=self.path, headers=headers, document=json.loads(body)))
            status = made.answers.pop(0) if len(made.answers) > 1 else made.answers[0]
            made.hold.wait(20)
            self.send_response(status)
            if made.location:
                self.send_header("location", made.location)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 its own name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    made = Hook(url=f"http://127.0.0.1:{server.server_port}/hooks/T0KEN-in-the-path")
    made.hold.set()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield made
    made.hold.set()
    server.shutdown()
    server.server_close()
    thread.join()
