"""A real HTTP server on the loopback that speaks the wires of OpenAI, Anthropic and Ollama.

What a test scripts is said once, as a chat completion or an error of OpenAI's; it is put into
the words of the wire that a request came on (`tests.plugins.wires`). Files and batches are there
for the first two (`tests.plugins.batch_server`). By default it answers each request with a
sensible description of every key that the prompt asks about. A test may queue other answers
(`server.script`), which are used up one a request, or set limits of the endpoint
(`server.formats`, `server.takes_temperature`, …).
`python -m tests.plugins.model_server 8099` runs it by itself.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from tests.plugins import wires
from tests.plugins.batch_server import BatchDesk

Body = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One HTTP response. `hang` holds it back until the server is released or stopped.

    `raw` is sent as it is, in no wire's words. `short` leaves so many bytes of the body out,
    `drip` sends it a byte at a time with so many seconds between.
    """

    status: int = 200
    body: Body | str | bytes = ""
    headers: dict[str, str] = field(default_factory=dict)
    hang: bool = False
    drop: bool = False
    raw: bool = False
    short: int = 0
    drip: float = 0.0


Scripted = Callable[[Body], Answer]


def material(request: Body) -> Body:
    """Return the JSON block of a prompt."""
    text = wires.prompt_of(request)
    start = text.index("<material>") + len("<material>")
    return dict(json.loads(text[start : text.index("</material>")]))


def asked(request: Body) -> list[str]:
    """Return the keys that a request asks about; `llm test` asks about "ok"."""
    if "<material>" not in wires.prompt_of(request):
        return ["ok"]
    return [entry["key"] for entry in material(request)["ask"]]


def described(key: str, n: int = 3) -> Body:
    """Return what a well-behaved model says of one key."""
    words = key.replace("_", " ").strip("#")
    alternatives = [
        f"The {words} of the record.",
        f"Holds the {words} of the record.",
        f"The record's {words}.",
    ]
    return {
        "key": key,
        "alternatives": alternatives[:n],
        "evidence": "name",
        "unsure": False,
    }


def reply(keys: list[str]) -> str:
    """Return the JSON text of a reply about `keys`."""
    return json.dumps({"objects": [described(key) for key in keys]})


def completion(text: str | None, *, finish: str = "stop", **message: Any) -> Body:
    """Return the body of a chat completion."""
    return {
        "id": "chatcmpl-test",
        "object": "chat.completion",
        "model": "test-model-2026",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": text, **message},
            }
        ],
        "usage": {
            "prompt_tokens": 1000,
            "completion_tokens": 100,
            "prompt_tokens_details": {"cached_tokens": 400},
        },
    }


class ModelServer:
    """Starts at once; `stop` ends it. `requests` are the bodies received, oldest first.

    `latency` is how many seconds each default answer takes.
    """

    api_key: ClassVar[str] = "sk-local-0123456789abcdef"

    def __init__(self, port: int = 0) -> None:
        self.requests: list[Body] = []
        self.headers: list[dict[str, str]] = []
        self.script: list[Scripted | Answer] = []
        self.formats = {"json_schema", "json_object", "tool", "plain"}
        self.takes_temperature = True
        # True gives them, False refuses to, None passes the wish over, as many servers do.
        self.takes_logprobs: bool | None = None
        self.takes_several: bool | None = None
        self.token_limit_key = "max_completion_tokens"
        self.least_context = 0
        self.paths: list[str] = []
        self.desk = BatchDesk(self)
        self.latency = 0.0
        self.in_flight = 0
        self.most_in_flight = 0
        self._lock = threading.Lock()
        self._released = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers.get("content-length", 0)))
                found = server.desk.post(self.path, self.headers, content)
                if found is None:
                    server._serve(self, json.loads(content))
                else:
                    server._send(self, found)

            def do_GET(self) -> None:
                server._send(self, server.desk.get(self.path))

            def log_message(self, *args: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                # A client that was killed or gave up is what many tests are about.
                if not isinstance(sys.exception(), ConnectionError):
                    super().handle_error(request, client_address)

        self._server = Server(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.daemon = True
        self._thread.start()

    @property
    def url(self) -> str:
        """The `base_url` of an llm profile."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def root(self) -> str:
        """The server's own address: the `base_url` of Ollama."""
        return self.url.removesuffix("/v1")

    @property
    def count(self) -> int:
        return len(self.requests)

    def release(self) -> None:
        """Let every hanging answer go."""
        self._released.set()

    def stop(self) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    # What a test may queue; each call holds for one request.

    def answer(
        self, status: int = 200, body: Body | str = "", headers: dict[str, str] | None = None
    ) -> None:
        self.script.append(Answer(status=status, body=body, headers=headers or {}))

    def say(self, text: str | None, *, finish: str = "stop", **message: Any) -> None:
        self.script.append(Answer(body=completion(text, finish=finish, **message)))

    def rate_limit(self, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        error = {"message": "Rate limit reached", "type": "requests", "code": "rate_limit_exceeded"}
        self.answer(429, {"error": error}, named)

    def out_of_quota(self) -> None:
        error = {"message": "You exceeded your current quota", "type": "insufficient_quota"}
        self.answer(429, {"error": {**error, "code": "insufficient_quota"}})

    def fail(self, status: int = 500) -> None:
        self.answer(status, {"error": {"message": "The server had an error"}})

    def refuse(self) -> None:
        self.say(None, refusal="I cannot help with that.")

    def garbage(self) -> None:
        self.say("Sure! Here are some descriptions: id is the id, and so on.")

    def cut(self, share: float = 0.6) -> None:
        def cut_reply(request: Body) -> Answer:
            whole = reply(asked(request))
            return Answer(body=completion(whole[: int(len(whole) * share)], finish="length"))

        self.script.append(cut_reply)

    def leave_out(self, *keys: str) -> None:
        """Answer for all asked keys but these."""
        self.script.append(
            lambda request: Answer(
                body=completion(reply([key for key in asked(request) if key not in keys]))
            )
        )

    def invent(self, *keys: str) -> None:
        """Answer for all asked keys, and for these as well."""
        self.script.append(lambda request: Answer(body=completion(reply([*asked(request), *keys]))))

    def hang(self) -> None:
        self.script.append(lambda request: Answer(body=usual(request), hang=True))

    def raw(self, body: str | bytes, status: int = 200, **headers: str) -> None:
        """Answer with these very bytes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.script.append(Answer(status=status, body=body, headers=named, raw=True))

    def drop(self) -> None:
        """Close the connection without an answer."""
        self.script.append(Answer(drop=True))

    def _serve(self, handler: BaseHTTPRequestHandler, request: Body) -> None:
        with self._lock:
            self.requests.append(request)
            self.paths.append(handler.path)
            self.headers.append({name.lower(): value for name, value in handler.headers.items()})
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            scripted = self.script.pop(0) if self.script else None
        try:
            self._send(handler, wires.said(self._chosen(scripted, request), handler.path))
        finally:
            with self._lock:
                self.in_flight -= 1

    def _chosen(self, scripted: Scripted | Answer | None, request: Body) -> Answer:
        if isinstance(scripted, Answer):
            return scripted
        if scripted is not None:
            return scripted(request)
        refused = self.refused(request)
        if refused:
            return Answer(status=400, body={"error": {"message": refused, "code": None}})
        self._released.wait(self.latency)
        return Answer(body=self.usual(request))

    def usual(self, request: Body) -> Body:
        """Return the default answer to a request, in the words of OpenAI."""
        body = usual(request)
        first = body["choices"][0]
        if self.takes_logprobs and request.get("logprobs"):
            first["logprobs"] = {"content": wires.tokens(first["message"]["content"])}
        for index in range(1, request.get("n", 1) if self.takes_several else 1):
            body["choices"].append({**first, "index": index})
        return body

    def refused(self, request: Body) -> str | None:
        """Return what this endpoint has against a request."""
        kind = wires.form_of(request)
        if kind not in self.formats:
            return f"Invalid parameter: format of type '{kind}' is not supported"
        if kind == "json_object" and "schema" in request.get("response_format", {}):
            return "Unknown parameter: 'response_format.schema'."
        if "temperature" in wires.settings(request) and not self.takes_temperature:
            return "Unsupported value: 'temperature' does not support 0.2 with this model."
        if request.get("logprobs") and self.takes_logprobs is False:
            return "You are not allowed to request logprobs from this model."
        if request.get("n", 1) > 1 and self.takes_several is False:
            return "Invalid 'n': this model gives one choice."
        wire = wires.wire_of(request)
        if wire == "ollama" and request["options"]["num_ctx"] < self.least_context:
            return "the prompt exceeds the context length of the model"
        if wire != "openai":
            return None
        for name in {"max_tokens", "max_completion_tokens"} - {self.token_limit_key}:
            if name in request:
                return f"Unsupported parameter: '{name}'; use '{self.token_limit_key}' instead."
        return None

    def _send(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        if answer.hang:
            self._released.wait(60)
        if answer.drop:
            handler.close_connection = True
            handler.connection.close()
            return
        body = answer.body
        text = json.dumps(body) if isinstance(body, dict) else body
        content = text.encode() if isinstance(text, str) else text
        headers = {"content-type": "application/json", **answer.headers}
        headers = {k: v for k, v in headers.items() if k.lower() != "transfer-encoding"}
        try:
            handler.send_response(answer.status)
            for name, value in {**headers, "content-length": str(len(content))}.items():
                handler.send_header(name, value)
            handler.end_headers()
            self._write(handler, answer, content[: len(content) - answer.short])
        except (BrokenPipeError, ConnectionResetError):
            handler.close_connection = True

    def _write(self, handler: BaseHTTPRequestHandler, answer: Answer, content: bytes) -> None:
        if not answer.drip:
            handler.wfile.write(content)
        for at in range(len(content) if answer.drip else 0):
            handler.wfile.write(content[at : at + 1])
            if self._released.wait(answer.drip):
                break
        if answer.short or answer.drip:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)


def usual(request: Body) -> Body:
    """Return the default answer to a request."""
    return completion(reply(asked(request)))


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    """A server of this test's own."""
    server = ModelServer()
    try:
        yield server
    finally:
        server.stop()


if __name__ == "__main__":
    running = ModelServer(int(sys.argv[1]) if len(sys.argv) > 1 else 0)
    print(running.url, flush=True)
    threading.Event().wait()
