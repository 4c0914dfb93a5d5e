"""What is asked of a language model, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One object that a prompt asks about. `key` is what the reply must name it by.

    `facts` is everything known of it, in a fixed order; a drafter without a model composes
    its sentence from them.
    """

    key: str
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CompletionRequest:
    """One request to a model: a stable prefix first, so that prompt caches hit.

    `system` and `prompt` are text; the reply must be a JSON object that `schema` describes.
    `subjects` repeats in structure what `prompt` says in words. `samples` asks for several
    answers to the same text. With `local_only` a provider that is not on this machine refuses.
    """

    system: str
    prompt: str
    schema: dict[str, object]
    subjects: tuple[Subject, ...]
    n_alternatives: int
    temperature: float | None
    max_output_tokens: int
    samples: int = 1
    local_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Completion:
    """A model's answer, as it came. `text` should be JSON; nobody has checked it yet.

    `finish` is `stop`, `length` (cut), `refusal` or `filtered`. `cost_usd` is None where no
    price is known, and 0 only where it truly costs nothing; `price_version` names the table and
    its rates. `logprob` is the mean token log-probability, where the endpoint gives it, and
    `object_logprobs` the same of each answered object, by its key. `samples` are the further
    answers, where more than one was asked for; tokens and cost are of all together, and `calls`
    counts how many calls that took. `form` says how JSON was asked for. What was read from or
    written to a cache is part of the input.
    """

    text: str
    finish: str
    model: str
    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: Decimal | None = None
    price_version: str | None = None
    logprob: float | None = None
    object_logprobs: dict[str, float] = field(default_factory=dict)
    samples: tuple[str, ...] = ()
    calls: int = 1
    form: str = ""
    seconds: float = 0.0
