"""Answers that were paid for once serve every later request that would show a model the same.

Each object's answer is kept under what the model would see of it alone, and under what decides
how sure it is; a rerun keeps its own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from amxwatch.core.completion import CompletionRequest
from amxwatch.core.evidence import Basis
from amxwatch.core.prompt import part, request_key
from amxwatch.core.reply import Answer
from amxwatch.core.run import RunId
from amxwatch.ports.clock import Clock
from amxwatch.ports.engine import RunContext
from amxwatch.ports.ledger import Ledger, Tx
from amxwatch.ports.provider import Provider
from amxwatch.settings.schema import LlmProfile


@dataclass(frozen=True, kw_only=True)
class Settled:
    """One object's answer, weighed. `run_id` is the run that paid for it."""

    run_id: RunId
    answer: Answer
    finish: str
    signal: float

    def dump(self) -> str:
        """Return it as text, for the ledger."""
        answer = self.answer
        return json.dumps(
            {
                "run_id": self.run_id,
                "alternatives": answer.alternatives,
                "evidence": answer.evidence,
                "unsure": answer.unsure,
                "flags": answer.flags,
                "finish": self.finish,
                "signal": self.signal,
            },
            ensure_ascii=False,
        )

    @classmethod
    def restore(cls, text: str) -> Settled:
        """Return what `dump` wrote."""
        document = json.loads(text)
        return cls(
            run_id=RunId(document["run_id"]),
            answer=Answer(
                alternatives=tuple(document["alternatives"]),
                evidence=Basis(document["evidence"]),
                unsure=document["unsure"],
                flags=tuple(document["flags"]),
            ),
            finish=document["finish"],
            signal=document["signal"],
        )


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The answers that are kept for a run's model. `rerun` names a run that takes only its own."""

    context: RunContext
    ledger: Ledger
    clock: Clock
    provider: Provider
    llm_profile: LlmProfile
    rerun: str | None = None

    def names(self, request: CompletionRequest) -> Mapping[str, str]:
        """Return the name under which each object's answer is kept, by the object's key.

        Words from rules cost nothing and are not kept.
        """
        if self.provider.is_free:
            return {}
        profile = self.llm_profile
        who = (
            f"{self.provider.name} weighed by {profile.confidence_signal}"
            f" of {profile.confidence_samples}"
        )
        return {
            subject.key: "object:"
            + request_key(part(request, {subject.key}), who, rerun=self.rerun)
            for subject in request.subjects
        }

    async def known(self, names: Mapping[str, str]) -> dict[str, Settled]:
        """Return the answers that are there, by the object's key."""

        def work(tx: Tx) -> list[tuple[str, str | None]]:
            return [(key, tx.steps.recorded(name)) for key, name in names.items()]

        found = await self.ledger.read(work) if names else []
        return {key: Settled.restore(text) for key, text in found if text is not None}

    async def keep(self, names: Mapping[str, str], answered: Mapping[str, Settled]) -> None:
        """Keep answers for later runs. Raises: FencedError."""
        run_id, now = self.context.run.id, self.clock.now()
        texts = [(names[key], one.dump()) for key, one in answered.items() if key in names]

        def work(tx: Tx) -> None:
            for name, text in texts:
                tx.steps.keep(name, run_id, text, now)

        if texts:
            await self.context.write(work)
