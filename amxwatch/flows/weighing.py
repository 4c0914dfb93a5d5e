"""How sure each answer of a batch is: the signal that the llm profile asks for, paid once.

Where a signal cannot be had (no log-probabilities, no budget, a model that does not answer), the
support of the material stands in for it, and an event says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from amxwatch.core.catalog import ObjectRef
from amxwatch.core.certainty import Signal, probability, self_consistency, stated, supported
from amxwatch.core.completion import Completion, CompletionRequest
from amxwatch.core.language import scripts
from amxwatch.core.prompt import LONGEST, Verbosity, part
from amxwatch.core.reply import ANYTHING, Answer, Expected
from amxwatch.core.second_look import judge_request, meaning_request, read_meanings, read_scores
from amxwatch.ports.clock import Clock
from amxwatch.ports.engine import RunContext
from amxwatch.ports.provider import Provider
from amxwatch.settings.schema import LlmProfile, Schedule

Ask = Callable[[CompletionRequest], Awaitable[Completion | None]]
"""Asks a further request about a batch; None where no answer could be had."""


@dataclass(frozen=True, kw_only=True)
class Weighed:
    """How sure each answer is, by key. `missing` answers were weighed by the material alone."""

    signals: Mapping[str, float]
    missing: tuple[str, ...] = ()
    reason: str = ""


async def weigh(
    signal: Signal,
    request: CompletionRequest,
    answers: Mapping[str, Answer],
    completion: Completion,
    ask: Ask,
    *,
    samples: int,
) -> Weighed:
    """Weigh every answer; what is flagged is low anyway, and nothing more is paid for it."""
    facts = {subject.key: subject.facts for subject in request.subjects}
    worth = {key: answer for key, answer in answers.items() if not answer.flags}
    found, reason = await _found(signal, request, worth, completion, ask, samples)
    by_material = {
        key: supported(answer.alternatives[0], facts[key])
        for key, answer in answers.items()
        if found.get(key) is None
    }
    missing = tuple(key for key in worth if key in by_material)
    if signal is Signal.EVIDENCE:
        missing, reason = (), ""
    sure = {key: value for key, value in found.items() if value is not None}
    return Weighed(signals=sure | by_material, missing=missing, reason=reason)


async def _found(
    signal: Signal,
    request: CompletionRequest,
    answers: Mapping[str, Answer],
    completion: Completion,
    ask: Ask,
    samples: int,
) -> tuple[Mapping[str, float | None], str]:
    """Return what the signal says of each answer, and why it may say nothing."""
    if not answers or signal is Signal.EVIDENCE:
        return {}, ""
    if signal is Signal.LOGPROBS:
        found = {key: probability(logprob_of(completion, key)) for key in answers}
        return found, "the endpoint gives no log-probabilities"
    if signal is Signal.VERBALIZED:
        said = {key: stated(answer.certainty) for key, answer in answers.items()}
        return said, "the reply does not say how sure it is"
    about = part(request, answers)
    first = {key: answer.alternatives[0] for key, answer in answers.items()}
    if signal is Signal.JUDGE:
        judged = await ask(judge_request(about, first))
        scores = read_scores(about, judged.text) if judged else {}
        return {key: stated(score) for key, score in scores.items()}, "the judge gave no score"
    if samples < 1:
        return {}, "confidence_samples = 0"
    drawn = await ask(meaning_request(about, samples))
    texts = (drawn.text, *drawn.samples) if drawn else ()
    meanings = read_meanings(about, texts)
    return {
        key: self_consistency(text, meanings.get(key, ()), logprob_of(completion, key))
        for key, text in first.items()
    }, "no sample of its meaning could be had"


def logprob_of(completion: Completion, key: str) -> float | None:
    """Return the mean log-probability of one object's answer, else of the whole reply."""
    return completion.object_logprobs.get(key, completion.logprob)


async def say_fallback(
    context: RunContext, clock: Clock, wanted: Signal, refs: Sequence[ObjectRef], reason: str
) -> None:
    """Put it in the audit trail that the evidence stood in for the signal that was asked for."""
    run, now = context.run, clock.now()
    await context.write(
        lambda tx: tx.events.add(
            "confidence_fallback",
            at=now,
            run_id=run.id,
            schedule=run.schedule,
            db_profile=run.db_profile,
            signal=wanted,
            used=Signal.EVIDENCE,
            reason=reason,
            objects=[str(ref) for ref in refs[:50]],
            count=len(refs),
        )
    )


def expected(
    request: CompletionRequest, profile: LlmProfile, plan: Schedule | None, provider: Provider
) -> Expected:
    """Return what an honest answer to a request keeps to; rules always do."""
    if provider.is_free:
        return ANYTHING
    return Expected(
        most_words=LONGEST[Verbosity(profile.verbosity)],
        scripts=scripts(request.prompt, fewest=0.0),
        # Whoever owns the prompt may ask for another language in it.
        is_english=plan is None or not plan.input_template,
    )
