"""The embedded default: no key, no network, no model. Rules compose a sentence from the facts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from decimal import Decimal

import anyio.lowlevel

from amxwatch.core.completion import Completion, CompletionRequest, Subject
from amxwatch.core.prompt import TABLE_KEY
from amxwatch.ports.clock import Clock
from amxwatch.providers import ProviderSpec
from amxwatch.providers.column_words import describe_column
from amxwatch.providers.composed import Composed
from amxwatch.providers.table_words import describe_table

VERSION = "rules-2"
"""Moves when the rules word things differently, so that recorded replies are not mixed up."""


def open_builtin(spec: ProviderSpec, *, clock: Clock) -> Builtin:
    """Return the rules; a spec can change nothing about them."""
    del spec, clock
    return Builtin()


class Builtin:
    """Implements `ports.provider.Provider` without a model; every request is free."""

    @property
    def name(self) -> str:
        return f"builtin/{VERSION}"

    @property
    def is_free(self) -> bool:
        return True

    @property
    def priced(self) -> bool:
        return True

    def cost_of(self, *, input_tokens: int, output_tokens: int) -> Decimal | None:
        del input_tokens, output_tokens
        return Decimal(0)

    async def complete(self, request: CompletionRequest) -> Completion:
        """Answer as a model would, from the facts of each subject."""
        await anyio.lowlevel.checkpoint()
        objects = [_entry(subject, request.n_alternatives) for subject in request.subjects]
        return Completion(
            text=json.dumps({"objects": objects}),
            finish="stop",
            model=VERSION,
            input_tokens=0,
            output_tokens=0,
            cost_usd=Decimal(0),
            price_version=VERSION,
            form="rules",
        )

    async def aclose(self) -> None:
        """Nothing is open."""


def _entry(subject: Subject, n: int) -> dict[str, object]:
    composed = compose(subject.key, subject.facts)
    return {
        "key": subject.key,
        "alternatives": list(composed.alternatives[:n]),
        "evidence": composed.basis.value,
        "unsure": composed.unsure,
    }


def compose(key: str, facts: Mapping[str, object]) -> Composed:
    """Describe one subject of a request."""
    return describe_table(facts) if key == TABLE_KEY else describe_column(facts)
