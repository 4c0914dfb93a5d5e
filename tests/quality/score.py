"""Drafts of a gold set, the way a run makes them, and how they score."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from amxwatch.core.catalog import ObjectRef, Table
from amxwatch.core.certainty import Signal
from amxwatch.core.completion import Completion, CompletionRequest
from amxwatch.core.confidence import confidence
from amxwatch.core.draft import Band, DraftSource
from amxwatch.core.evidence import TableEvidence, gather, surroundings
from amxwatch.core.naming import split_name
from amxwatch.core.prompt import build, key_of, names_known
from amxwatch.core.reply import Answer, read_reply
from amxwatch.flows.weighing import weigh
from amxwatch.ports.provider import Provider
from amxwatch.settings.schema import LlmProfile
from tests.quality.gold import GoldSet
from tests.quality.measures import chrf, expanded, likeness, short_forms, token_f1

MEASURES = {"chrF": chrf, "token F1": token_f1, "likeness": likeness}


@dataclass(frozen=True, kw_only=True)
class Drafted:
    """One draft: its words, and how far the drafter trusts them."""

    text: str
    confidence: float
    band: Band


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """What a drafter reached on one set. Scores are means from 0 to 1, of `objects` texts."""

    name: str
    drafter: str
    objects: int
    scores: Mapping[str, float]
    expansions: tuple[int, int]
    """Short forms that were written out as the person did, of how many."""
    bands: Mapping[Band, tuple[int, float]] = field(default_factory=dict)
    """Each band's drafts, and their mean chrF."""


def bare_names(gold: GoldSet) -> dict[ObjectRef, str]:
    """Return the baseline: each name, split into words, and nothing else."""
    return {ref: " ".join(split_name(ref.column or ref.table)) for ref in gold.wanted}


async def drafts(
    gold: GoldSet, provider: Provider, profile: LlmProfile, most_tables: int | None = None
) -> dict[ObjectRef, Drafted]:
    """Draft a set: prompts of `column_batch_size` columns, replies read and weighed."""
    around = surroundings(gold.catalog, {})
    made: dict[ObjectRef, Drafted] = {}
    for table in gold.catalog.tables[:most_tables]:
        made |= await _table(table, gather(table, around), provider, profile)
    return made


async def _table(
    table: Table, evidence: TableEvidence, provider: Provider, profile: LlmProfile
) -> dict[ObjectRef, Drafted]:
    size = profile.column_batch_size
    made: dict[ObjectRef, Drafted] = {}
    for at in range(0, max(1, len(evidence.columns)), size):
        columns = evidence.columns[at : at + size]
        request = build(
            evidence,
            columns,
            with_table=at == 0,
            n_alternatives=profile.n_alternatives,
            verbosity=profile.verbosity,
            prompt_detail=profile.prompt_detail,
            temperature=profile.temperature,
            asks_certainty=profile.confidence_signal == "verbalized",
        )
        refs = {key_of(column): column.ref for column in columns}
        refs |= {key_of(evidence): table.ref} if at == 0 else {}
        made |= await _asked(request, refs, provider, profile)
    return made


async def _asked(
    request: CompletionRequest,
    refs: Mapping[str, ObjectRef],
    provider: Provider,
    profile: LlmProfile,
) -> dict[ObjectRef, Drafted]:
    async def further(another: CompletionRequest) -> Completion | None:
        return await provider.complete(another)

    completion = await provider.complete(request)
    good = read_reply(completion.text, request.subjects, request.n_alternatives).good
    signal = Signal.EVIDENCE if provider.is_free else Signal(profile.confidence_signal)
    samples = profile.confidence_samples
    found = await weigh(signal, request, good, completion, further, samples=samples)
    known = {subject.key: names_known(subject) for subject in request.subjects}
    source = DraftSource.RULES if provider.is_free else DraftSource.MODEL
    return {
        refs[key]: _drafted(answer, found.signals[key], completion, source, profile, known[key])
        for key, answer in good.items()
    }


def _drafted(
    answer: Answer,
    signal: float,
    completion: Completion,
    source: DraftSource,
    profile: LlmProfile,
    names_known: bool,
) -> Drafted:
    score, band = confidence(
        signal,
        evidence=answer.evidence,
        names_known=names_known,
        finish=completion.finish,
        unsure=answer.unsure,
        flags=answer.flags,
        source=source,
        logprob_high=profile.logprob_high,
        logprob_medium=profile.logprob_medium,
    )
    return Drafted(text=answer.alternatives[0], confidence=score, band=band)


def sheet(
    gold: GoldSet,
    drafter: str,
    texts: Mapping[ObjectRef, str],
    bands: Mapping[ObjectRef, Band] | None = None,
    refs: Sequence[ObjectRef] | None = None,
) -> Sheet:
    """Score texts against the people's; an object without a text scores nothing."""
    refs = list(gold.wanted) if refs is None else refs
    pairs = [(texts.get(ref, ""), gold.wanted[ref]) for ref in refs]
    by_band: dict[Band, list[float]] = {band: [] for band in Band}
    for ref, band in (bands or {}).items():
        by_band[band].append(chrf(texts[ref], gold.wanted[ref]))
    return Sheet(
        name=gold.name,
        drafter=drafter,
        objects=len(pairs),
        scores={name: fmean(m(*pair) for pair in pairs) for name, m in MEASURES.items()},
        expansions=_expansions(gold, texts, refs),
        bands={band: (len(them), fmean(them)) for band, them in by_band.items() if them},
    )


def _expansions(
    gold: GoldSet, texts: Mapping[ObjectRef, str], refs: Sequence[ObjectRef]
) -> tuple[int, int]:
    vocabulary = {
        word for text in gold.wanted.values() for word in re.findall(r"[^\W\d_]+", text.casefold())
    }
    hits = total = 0
    for ref in refs:
        forms = short_forms(split_name(ref.column or ref.table), gold.wanted[ref], vocabulary)
        hits += expanded(texts.get(ref, ""), forms)
        total += len(forms)
    return hits, total
