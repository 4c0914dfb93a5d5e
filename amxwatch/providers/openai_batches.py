"""OpenAI's batches: a file of requests goes up, a file of answers comes down within a day.

See: https://platform.openai.com/docs/guides/batch
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from amxwatch.core.batch import BatchAnswer, BatchJob, BatchState
from amxwatch.core.completion import CompletionRequest
from amxwatch.core.errors import ProviderUnavailableError
from amxwatch.providers.answer import (
    Failure,
    Fault,
    Reply,
    codes_of,
    document_of,
    fault_of,
    text_of,
)
from amxwatch.providers.endpoint import Endpoint
from amxwatch.providers.line import MAX_FILE_BYTES, Answered
from amxwatch.providers.openai import OpenAIWire, read_answer
from amxwatch.providers.secrecy import redact

PATH = "/v1/chat/completions"
OURS = "amxwatch"
"""The key of a batch's metadata under which our tag stands."""

_OVER = frozenset({"completed", "failed", "expired", "cancelled"})


@dataclass(frozen=True, kw_only=True)
class OpenAIBatches:
    """Implements `ports.batches.Batches`."""

    endpoint: Endpoint
    wire: OpenAIWire

    async def submit(self, tag: str, requests: Mapping[str, CompletionRequest]) -> str:
        lines = [
            {"custom_id": key, "method": "POST", "url": PATH, "body": self.endpoint.body(each)}
            for key, each in requests.items()
        ]
        content = "".join(json.dumps(line) + "\n" for line in lines).encode()
        local = any(each.local_only for each in requests.values())
        files = {"file": ("requests.jsonl", content, "application/jsonl")}
        uploaded = await self._told(
            "POST", "/files", files=files, data={"purpose": "batch"}, local_only=local
        )
        wanted = {
            "input_file_id": uploaded["id"],
            "endpoint": PATH,
            "completion_window": "24h",
            "metadata": {OURS: tag},
        }
        # Sent once: after an answer that was lost on its way, `find` says whether it was taken.
        made = await once(
            self.endpoint,
            self.endpoint.line.send(
                "POST", self.wire.beside("/batches"), json=wanted, local_only=local
            ),
        )
        return str(made["id"])

    async def find(self, job: BatchJob, but: Collection[str]) -> str | None:
        listed = (await self._told("GET", "/batches", query={"limit": "100"})).get("data")
        for found in listed if isinstance(listed, list) else []:
            metadata = found.get("metadata") if isinstance(found, dict) else None
            if isinstance(metadata, dict) and metadata.get(OURS) == job.tag:
                name = str(found.get("id"))
                return None if name in but else name
        return None

    async def look(self, job: str) -> BatchState | None:
        found = await self._told("GET", f"/batches/{job}", or_none=True)
        if not found:
            return None
        counts = found.get("request_counts")
        counts = counts if isinstance(counts, dict) else {}
        errors = found.get("errors")
        told = errors.get("data") if isinstance(errors, dict) else None
        return BatchState(
            is_over=found.get("status") in _OVER,
            done=int(counts.get("completed") or 0),
            failed=int(counts.get("failed") or 0),
            total=int(counts.get("total") or 0),
            text=self._clean(text_of(told[0])) if isinstance(told, list) and told else "",
        )

    async def answers(self, job: str) -> dict[str, BatchAnswer]:
        found = await self._told("GET", f"/batches/{job}")
        answers: dict[str, BatchAnswer] = {}
        for name in ("error_file_id", "output_file_id"):
            if found.get(name):
                url = self.wire.beside(f"/files/{found[name]}/content")
                answers.update(self._read(line) for line in await lines(self.endpoint, url))
        return answers

    def _read(self, line: dict[str, Any]) -> tuple[str, BatchAnswer]:
        key, response = str(line.get("custom_id")), line.get("response")
        if not isinstance(response, dict):
            return key, BatchAnswer(error=self._clean(text_of(line.get("error")) or "no answer"))
        status = response.get("status_code")
        read = read_answer(
            status if isinstance(status, int) else 500,
            {},
            json.dumps(response.get("body")).encode(),
            now=self.endpoint.clock.now(),
        )
        return key, answer_of(self.endpoint, read)

    async def _told(
        self,
        method: str,
        leaf: str,
        *,
        query: Mapping[str, str] | None = None,
        or_none: bool = False,
        **sent: Any,
    ) -> dict[str, Any]:
        url = self.wire.beside(leaf)
        return await told(self.endpoint, method, url, query=query, or_none=or_none, **sent)

    def _clean(self, text: str) -> str:
        return redact(text, api_key=self.endpoint.spec.api_key)


async def told(
    endpoint: Endpoint,
    method: str,
    url: httpx.URL,
    *,
    query: Mapping[str, str] | None = None,
    or_none: bool = False,
    **sent: Any,
) -> dict[str, Any]:
    """Ask until a JSON object comes; empty for a 404 with `or_none`. Raises: ProviderError."""
    if query:
        url = url.copy_merge_params(dict(query))

    async def send() -> Answered:
        return await endpoint.line.send(method, url, **sent)

    def read(
        status: int, headers: Mapping[str, str], content: bytes, *, now: datetime
    ) -> dict[str, Any] | Failure:
        if status == 404 and or_none:
            return {}
        return _object(status, content)

    return await endpoint.patiently(send, read)


async def once(endpoint: Endpoint, sending: Any) -> dict[str, Any]:
    """Await one answer that is not asked for again. Raises: ProviderError."""
    got: Answered = await sending
    found = _object(got.status, got.content)
    if isinstance(found, Failure):
        if found.fault is Fault.TRANSIENT:
            raise ProviderUnavailableError(endpoint.said(found))
        raise endpoint.error(found)
    return found


def _object(status: int, content: bytes) -> dict[str, Any] | Failure:
    """Read a JSON object, or what is told instead of it."""
    document = document_of(content)
    if status < 300 and isinstance(document, dict):
        return document
    error = document.get("error") if isinstance(document, dict) else None
    text = text_of(error) or f"status {status}"
    return Failure(fault=fault_of(status, codes_of(error), text), status=status, text=text)


async def lines(endpoint: Endpoint, url: httpx.URL) -> list[dict[str, Any]]:
    """Return the JSON objects of a file, one a line. Raises: ProviderError."""

    async def send() -> Answered:
        return await endpoint.line.send("GET", url, most_bytes=MAX_FILE_BYTES)

    def read(
        status: int, headers: Mapping[str, str], content: bytes, *, now: datetime
    ) -> list[dict[str, Any]] | Failure:
        if status >= 300:
            found = _object(status, content)
            return found if isinstance(found, Failure) else []
        return list(_documents(content))

    return await endpoint.patiently(send, read)


def _documents(content: bytes) -> Iterator[dict[str, Any]]:
    for line in content.splitlines():
        document = document_of(line)
        if isinstance(document, dict):
            yield document


def answer_of(endpoint: Endpoint, read: Reply | Failure) -> BatchAnswer:
    """Return what a reply or a failure comes to as one of many."""
    if isinstance(read, Failure):
        return BatchAnswer(error=redact(read.text, api_key=endpoint.spec.api_key))
    texts = [read.text, *read.others]
    return BatchAnswer(completion=endpoint.completion([read], texts, seconds=0.0, batch=True))
