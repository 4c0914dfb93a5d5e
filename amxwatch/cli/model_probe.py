"""One small question to a model: `llm test` and `doctor` ask it."""

from __future__ import annotations

import anyio

from amxwatch.core.completion import Completion, CompletionRequest, Subject
from amxwatch.core.errors import ProviderUnavailableError
from amxwatch.daemon.wiring import Install

PATIENCE_SECONDS = 60.0
"""A model that is being loaded may take this long for its first answer."""


async def ask_once(install: Install, name: str) -> Completion:
    """Ask for one small answer; it costs some dozens of tokens.

    Raises: UsageError, ProviderError.
    """
    profile = install.settings.llm_profile(name)
    request = CompletionRequest(
        system="You answer with one JSON object and nothing else.",
        prompt='Answer with {"ok": true}.',
        schema={
            "type": "object",
            "properties": {"ok": {"type": "boolean"}},
            "required": ["ok"],
            "additionalProperties": False,
        },
        subjects=(Subject(key="ok", facts={"name": "ok", "type": "boolean"}),),
        n_alternatives=1,
        temperature=profile.temperature,
        max_output_tokens=200,
    )
    try:
        with anyio.fail_after(PATIENCE_SECONDS):
            return await install.provider(profile.name).complete(request)
    except TimeoutError:
        raise ProviderUnavailableError(
            f"llm profile {profile.name}: no answer within {PATIENCE_SECONDS:g} s; "
            f"see that the model server is up and not overloaded"
        ) from None
