"""Puts one answer into the words of the wire that a request came on."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.plugins.model_server import Answer

Body = dict[str, Any]


def wire_of(request: Body) -> str:
    """Return which wire a request body is written for."""
    if "options" in request or "stream" in request:
        return "ollama"
    return "anthropic" if "system" in request else "openai"


def prompt_of(request: Body) -> str:
    """Return the text that a request asks with."""
    text: str = request["messages"][-1]["content"]
    return text


def settings(request: Body) -> Body:
    """Return where a request keeps its numbers."""
    found: Body = request.get("options", request)
    return found


def form_of(request: Body) -> str:
    """Return how a request asks for JSON: json_schema, json_object, tool or plain."""
    if wire_of(request) == "anthropic":
        if "output_config" in request:
            return "json_schema"
        return "tool" if "tools" in request else "plain"
    if wire_of(request) == "ollama":
        kind = request.get("format")
        return "plain" if kind is None else "json_object" if kind == "json" else "json_schema"
    form: str = request.get("response_format", {}).get("type", "plain")
    return form


def tokens(text: str) -> list[Body]:
    """Return the tokens of a text with log-probabilities that fall as it goes on."""
    pieces = re.findall(r"\w+|\W", text)
    return [{"token": piece, "logprob": -at / 1000} for at, piece in enumerate(pieces)]


def said(answer: Answer, path: str) -> Answer:
    """Return an answer in the words of the wire at `path`."""
    if answer.raw or not isinstance(answer.body, dict):
        return answer
    if path.endswith("/messages"):
        return dataclasses.replace(answer, body=_as_anthropic(answer.body))
    if path.endswith("/api/chat"):
        return dataclasses.replace(answer, body=_as_ollama(answer.body))
    return answer


_STOP = {"length": "max_tokens", "content_filter": "refusal"}
_KIND = {"insufficient_quota": "billing_error", "content_filter": "invalid_request_error"}


def _as_anthropic(body: Body) -> Body:
    if "error" in body:
        code = str(body["error"].get("code"))
        error = {"type": _KIND.get(code, "api_error"), "message": body["error"].get("message", "")}
        return {"type": "error", "error": error, "request_id": "req_test"}
    return anthropic_message(body)


def anthropic_message(body: Body) -> Body:
    """Return a chat completion as a message of Anthropic's."""
    if "choices" not in body:
        return body
    choice, usage = body["choices"][0], body.get("usage")
    stop = _STOP.get(choice["finish_reason"], "end_turn")
    if choice["message"].get("refusal"):
        stop = "refusal"
    message = {
        "type": "message",
        "role": "assistant",
        "model": body.get("model"),
        "content": [{"type": "text", "text": choice["message"].get("content") or ""}],
        "stop_reason": stop,
    }
    if usage is None:
        return message
    cached = usage["prompt_tokens_details"]["cached_tokens"]
    counts = {
        "input_tokens": usage["prompt_tokens"] - cached,
        "cache_read_input_tokens": cached,
        "cache_creation_input_tokens": 0,
        "output_tokens": usage["completion_tokens"],
    }
    return {**message, "usage": counts}


def as_tool(message: Body) -> Body:
    """Return a message of Anthropic's that answers by its tool."""
    given = json.loads(message["content"][0]["text"])
    block = {"type": "tool_use", "id": "toolu_test", "name": "describe", "input": given}
    return {**message, "content": [block], "stop_reason": "tool_use"}


def _as_ollama(body: Body) -> Body:
    if "error" in body:
        return {"error": body["error"].get("message", "")}
    if "choices" not in body:
        return body
    choice, usage = body["choices"][0], body.get("usage")
    answer = {
        "model": body.get("model"),
        "message": {"role": "assistant", "content": choice["message"].get("content") or ""},
        "done": True,
        "done_reason": "length" if choice["finish_reason"] == "length" else "stop",
    }
    kept = choice.get("logprobs")
    if kept:
        answer["logprobs"] = kept["content"]
    if usage is None:
        return answer
    counted = {
        "prompt_eval_count": usage["prompt_tokens"],
        "eval_count": usage["completion_tokens"],
    }
    return {**answer, **counted}
