"""The files and batches of OpenAI, and the message batches of Anthropic, as a local server."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass, field
from email.message import Message
from typing import TYPE_CHECKING, Any

from tests.plugins import wires

if TYPE_CHECKING:
    from tests.plugins.model_server import Answer, ModelServer

Body = dict[str, Any]


@dataclass(kw_only=True)
class Job:
    """One batch. `polls` counts how often it was asked after."""

    id: str
    kind: str
    requests: dict[str, Body]
    metadata: Body = field(default_factory=dict)
    polls: int = 0
    is_over: bool = False


class BatchDesk:
    """Takes batches and answers them after `after_polls` looks.

    `fails` are numbers of requests (in their order, from 0) that end in an error, `expires` in
    none at all. `loses_answer` breaks the connection once a batch was taken. `is_there` False
    is a server that has no batches.
    """

    def __init__(self, server: ModelServer) -> None:
        self._server = server
        self._numbers = itertools.count(1)
        self.files: dict[str, str] = {}
        self.jobs: dict[str, Job] = {}
        self.after_polls = 1
        self.fails: set[int] = set()
        self.expires: set[int] = set()
        self.loses_answer = False
        self.is_there = True

    def post(self, path: str, headers: Message, content: bytes) -> Answer | None:
        """Answer a request for files or batches; None for any other."""
        if not re.search(r"/(files|batches)$", path):
            return None
        if not self.is_there:
            return self._no_such(path)
        if path.endswith("/files"):
            name = f"file-{next(self._numbers)}"
            self.files[name] = _part(headers["content-type"], content)
            return self._json({"id": name, "object": "file"})
        asked = json.loads(content)
        job = self._of_messages(asked) if "/messages/" in path else self._of_file(asked)
        self.jobs[job.id] = job
        if self.loses_answer:
            self.loses_answer = False
            return self._answer(drop=True)
        return self._json(self._told(job))

    def get(self, path: str) -> Answer:
        """Answer a look at a batch, a list of them, or a file of results."""
        bare = path.partition("?")[0]
        if not self.is_there:
            return self._no_such(path)
        if re.search(r"/batches$", bare):
            kind = "anthropic" if "/messages/" in bare else "openai"
            jobs = [self._told(job) for job in self.jobs.values() if job.kind == kind]
            return self._json({"data": jobs[::-1], "has_more": False})
        if bare.endswith("/content"):
            return self._answer(body=self.files[bare.split("/")[-2]], raw=True)
        if bare.endswith("/results"):
            return self._answer(body=self._results(self.jobs[bare.split("/")[-2]]), raw=True)
        job = self.jobs.get(bare.rpartition("/")[2])
        if job is None:
            return self._no_such(path)
        job.polls += 1
        job.is_over = job.polls >= self.after_polls
        return self._json(self._told(job))

    def _of_file(self, asked: Body) -> Job:
        lines = [json.loads(line) for line in self.files[asked["input_file_id"]].splitlines()]
        requests = {line["custom_id"]: line["body"] for line in lines}
        name, told = f"batch_{next(self._numbers)}", asked.get("metadata") or {}
        return Job(id=name, kind="openai", requests=requests, metadata=told)

    def _of_messages(self, asked: Body) -> Job:
        requests = {each["custom_id"]: each["params"] for each in asked["requests"]}
        assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in requests)
        return Job(id=f"msgbatch_{next(self._numbers)}", kind="anthropic", requests=requests)

    def _told(self, job: Job) -> Body:
        missed = len((self.fails | self.expires) & set(range(len(job.requests))))
        done = len(job.requests) - missed
        if job.kind == "anthropic":
            counts = {"processing": 0, "succeeded": done, "errored": missed, "expired": 0}
            if not job.is_over:
                counts = {"processing": len(job.requests), "succeeded": 0, "errored": 0}
            return {
                "id": job.id,
                "type": "message_batch",
                "processing_status": "ended" if job.is_over else "in_progress",
                "request_counts": counts,
                "created_at": "2026-11-21T12:00:00Z",
                "results_url": f"{self._server.url}/messages/batches/{job.id}/results",
            }
        told: Body = {
            "id": job.id,
            "object": "batch",
            "status": "in_progress",
            "metadata": job.metadata,
            "request_counts": {"total": len(job.requests), "completed": 0, "failed": 0},
        }
        if not job.is_over:
            return told
        self.files[f"{job.id}-out"], self.files[f"{job.id}-bad"] = self._files(job)
        over = "expired" if self.expires else "completed"
        counts = {"total": len(job.requests), "completed": done, "failed": missed}
        named = {"output_file_id": f"{job.id}-out", "error_file_id": f"{job.id}-bad"}
        return {**told, "status": over, "request_counts": counts, **named}

    def _files(self, job: Job) -> tuple[str, str]:
        good: list[Body] = []
        bad: list[Body] = []
        for number, (name, request) in enumerate(job.requests.items()):
            if number in self.expires:
                error = {"code": "batch_expired", "message": "This request could not be executed"}
                bad.append({"custom_id": name, "response": None, "error": error})
            elif number in self.fails:
                body: Body = {
                    "error": {"message": "The server had an error", "type": "server_error"}
                }
                answer: Body = {"status_code": 500, "body": body}
                bad.append({"custom_id": name, "response": answer})
            else:
                answer = {"status_code": 200, "body": self._server.usual(request)}
                good.append({"custom_id": name, "response": answer, "error": None})
        # Results come in any order.
        return _lines(good[::-1]), _lines(bad)

    def _results(self, job: Job) -> str:
        lines = []
        for number, (name, request) in enumerate(job.requests.items()):
            result: Body = {"type": "succeeded"}
            if number in self.expires:
                result = {"type": "expired"}
            elif number in self.fails:
                error = {"type": "api_error", "message": "The server had an error"}
                result = {"type": "errored", "error": {"type": "error", "error": error}}
            else:
                result["message"] = wires.anthropic_message(self._server.usual(request))
            lines.append({"custom_id": name, "result": result})
        return _lines(lines[::-1])

    def _json(self, body: Body) -> Answer:
        return self._answer(body=body, raw=True)

    def _no_such(self, path: str) -> Answer:
        error = {"message": f"no such address: {path}", "type": "not_found_error"}
        return self._answer(status=404, body={"error": error}, raw=True)

    def _answer(self, **values: Any) -> Answer:
        from tests.plugins.model_server import Answer

        return Answer(**values)


def _part(kind: str, content: bytes) -> str:
    """Return the file of a multipart form."""
    boundary = kind.partition("boundary=")[2].encode()
    for part in content.split(b"--" + boundary):
        head, _, body = part.partition(b"\r\n\r\n")
        if b"filename=" in head:
            return body.removesuffix(b"\r\n").decode()
    raise AssertionError("the form holds no file")


def _lines(documents: list[Body]) -> str:
    return "".join(json.dumps(document) + "\n" for document in documents)
