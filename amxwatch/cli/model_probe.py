"""One small question to a model: `llm test` and `doctor` ask it."""

from __future__ import annotations

import json
from dataclasses import dataclass

import anyio

from amxwatch.core.completion import Completion, CompletionRequest, Subject
from amxwatch.core.errors import ProviderUnavailableError
from amxwatch.core.reply import read_reply
from amxwatch.daemon.wiring import Install

PATIENCE_SECONDS = 60.0
"""A model that is being loaded may take this long for its first answer."""


_SUBJECT = Subject(key="ok", facts={"name": "ok", "type": "boolean"})
_ANSWER = {"objects": [{"key": "ok", "alternatives": ["Whether it works."]}]}
_SCHEMA: dict[str, object] = {
    "type": "object",
    "properties": {
        "objects": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "key": {"type": "string", "enum": ["ok"]},
                    "alternatives": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["key", "alternatives"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["objects"],
    "additionalProperties": False,
}


@dataclass(frozen=True, kw_only=True)
class Probed:
    """What one call to a model showed. `is_structured`: the answer kept to the schema."""

    completion: Completion
    is_structured: bool

    @property
    def has_logprobs(self) -> bool:
        return self.completion.logprob is not None

    @property
    def is_ok(self) -> bool:
        return self.completion.finish == "stop" and self.is_structured


async def probe(install: Install, name: str) -> Probed:
    """Ask for one small answer and see what the endpoint can do.

    Raises: UsageError, ProviderError.
    """
    completion = await ask_once(install, name)
    reading = read_reply(completion.text, (_SUBJECT,), 1)
    return Probed(completion=completion, is_structured=not reading.missing)


async def ask_once(install: Install, name: str) -> Completion:
    """Ask for one small answer; it costs some hundreds of tokens at most.

    Raises: UsageError, ProviderError.
    """
    profile = install.settings.llm_profile(name)
    request = CompletionRequest(
        system="You answer with one JSON object and nothing else.",
        prompt=f"Answer with {json.dumps(_ANSWER)}.",
        schema=_SCHEMA,
        subjects=(_SUBJECT,),
        n_alternatives=1,
        temperature=profile.temperature,
        # Models that think need room for it, too.
        max_output_tokens=2000,
    )
    try:
        with anyio.fail_after(PATIENCE_SECONDS):
            return await install.provider(profile.name).complete(request)
    except TimeoutError:
        raise ProviderUnavailableError(
            f"llm profile {profile.name}: no answer within {PATIENCE_SECONDS:g} s; "
            f"see that the model server is up and not overloaded"
        ) from None
