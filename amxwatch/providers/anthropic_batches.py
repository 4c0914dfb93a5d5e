"""Anthropic's message batches.

A batch bears no mark of ours: one whose name was lost is found by when it was made and how many
requests it holds, and known by the keys of its answers.
See: https://platform.claude.com/docs/en/build-with-claude/batch-processing
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import httpx

from amxwatch.core.batch import BatchAnswer, BatchJob, BatchState
from amxwatch.core.completion import CompletionRequest
from amxwatch.providers.answer import text_of
from amxwatch.providers.anthropic import AnthropicWire, read_message
from amxwatch.providers.endpoint import Endpoint
from amxwatch.providers.openai_batches import answer_of, lines, once, told
from amxwatch.providers.secrecy import redact

SKEW = timedelta(minutes=10)
"""How far the endpoint's clock may be from ours."""


@dataclass(frozen=True, kw_only=True)
class AnthropicBatches:
    """Implements `ports.batches.Batches`."""

    endpoint: Endpoint
    wire: AnthropicWire

    async def submit(self, tag: str, requests: Mapping[str, CompletionRequest]) -> str:
        wanted = [
            {"custom_id": key, "params": self.endpoint.body(each)} for key, each in requests.items()
        ]
        local = any(each.local_only for each in requests.values())
        # Sent once: after an answer that was lost on its way, `find` says whether it was taken.
        made = await once(
            self.endpoint,
            self.endpoint.line.send(
                "POST", self._url(""), json={"requests": wanted}, local_only=local
            ),
        )
        return str(made["id"])

    async def find(self, job: BatchJob, but: Collection[str]) -> str | None:
        found = await told(self.endpoint, "GET", self._url(""), query={"limit": "100"})
        listed = found.get("data")
        for each in listed if isinstance(listed, list) else []:
            if isinstance(each, dict) and each.get("id") not in but and _may_be(each, job):
                name = str(each["id"])
                if each.get("processing_status") != "ended":
                    return name
                if set(await self.answers(name)) <= set(job.keys):
                    return name
        return None

    async def look(self, job: str) -> BatchState | None:
        found = await told(self.endpoint, "GET", self._url(f"/{job}"), or_none=True)
        if not found:
            return None
        counts = _counts(found)
        done = counts.get("succeeded", 0)
        left = counts.get("processing", 0)
        total = sum(counts.values())
        return BatchState(
            is_over=found.get("processing_status") == "ended",
            done=done,
            failed=total - done - left,
            total=total,
        )

    async def answers(self, job: str) -> dict[str, BatchAnswer]:
        found = await told(self.endpoint, "GET", self._url(f"/{job}"))
        url = self._url(f"/{job}/results")
        named = httpx.URL(str(found.get("results_url") or url))
        if (named.scheme, named.netloc) == (url.scheme, url.netloc):  # the key goes nowhere else
            url = named
        return dict(self._read(line) for line in await lines(self.endpoint, url))

    def _read(self, line: dict[str, Any]) -> tuple[str, BatchAnswer]:
        key, result = str(line.get("custom_id")), line.get("result")
        result = result if isinstance(result, dict) else {}
        reply = read_message(result.get("message"))
        if result.get("type") == "succeeded" and reply is not None:
            return key, answer_of(self.endpoint, reply)
        error = result.get("error")
        inner = error.get("error", error) if isinstance(error, dict) else None
        said = text_of(inner) or str(result.get("type") or "no answer")
        return key, BatchAnswer(error=redact(said, api_key=self.endpoint.spec.api_key))

    def _url(self, leaf: str) -> httpx.URL:
        return self.wire.beside(f"/messages/batches{leaf}")


def _may_be(found: dict[str, Any], job: BatchJob) -> bool:
    """Whether a listed batch is as old and as large as one that was sent."""
    try:
        made = datetime.fromisoformat(str(found.get("created_at")))
    except ValueError:
        return False
    return made >= job.at - SKEW and sum(_counts(found).values()) == len(job.keys)


def _counts(found: dict[str, Any]) -> dict[str, int]:
    counts = found.get("request_counts")
    counts = counts if isinstance(counts, dict) else {}
    return {name: each for name, each in counts.items() if isinstance(each, int)}
