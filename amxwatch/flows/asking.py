"""Ask a model about a batch: within the budget, paid once, the missing part asked once more."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal

import anyio

from amxwatch.core.certainty import Signal
from amxwatch.core.completion import Completion, CompletionRequest
from amxwatch.core.confidence import confidence
from amxwatch.core.draft import DraftSource, NewDraft
from amxwatch.core.errors import ProviderError, RequestRefusedError, RunBlockedError
from amxwatch.core.prompt import names_known, narrow, part, request_key
from amxwatch.core.reply import Answer, read_reply
from amxwatch.core.run import Paid
from amxwatch.core.suspicion import HOSTILE
from amxwatch.flows.disclosing import disclose
from amxwatch.flows.evidence import Asked, Batch
from amxwatch.flows.reuse import Kept, Settled
from amxwatch.flows.spending import Purse
from amxwatch.flows.weighing import expected, say_fallback, weigh
from amxwatch.ports.clock import Clock
from amxwatch.ports.engine import RunContext
from amxwatch.ports.ledger import Ledger, Tx
from amxwatch.ports.provider import Provider
from amxwatch.settings.schema import Budget, LlmProfile, Schedule

Say = Callable[..., None]

MOST_REFUSED = 5
"""Requests refused one after the other, with none answered between, after which a run stops."""


class DeferredError(Exception):
    """The answer is to come with a batch; the request was noted."""


@dataclass(kw_only=True)
class Asking:
    """What came of a run's questions.

    `failed` objects got no usable words, even when asked again; `held_back` batches were not
    asked because the worker is leaving. `refused` counts the requests that were turned down since
    the last that was answered. `stopped` is why nothing more was asked: a limit, or a model that
    does not deliver.
    """

    requests: int = 0
    in_flight: int = 0
    answered: int = 0
    reused: int = 0
    """Of the answered ones, those that an earlier run had paid for."""
    failed: int = 0
    held_back: int = 0
    refused: int = 0
    spent: bool = False
    """Nothing more was asked because the continuous session has spent its budget."""
    stopped: RunBlockedError | ProviderError | None = None
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Asks in the name of one run, at most `max_concurrency` requests at a time.

    `total` is how many requests the run plans, for its progress; one may be asked again. With
    `local_only` no request leaves this machine. `waits` says that answers come by
    batches. Where `later` is given, nothing is paid for: a request without a recorded answer is
    noted there, by the name of its answer.
    """

    context: RunContext
    provider: Provider
    llm_profile: LlmProfile
    ledger: Ledger
    clock: Clock
    budget: Budget
    plan: Schedule | None
    total: int
    local_only: bool = False
    waits: bool = False
    later: dict[str, CompletionRequest] | None = None
    tally: Asking = field(default_factory=Asking)
    limiter: anyio.CapacityLimiter = field(init=False)
    purse: Purse = field(init=False)

    def __post_init__(self) -> None:
        limiter = anyio.CapacityLimiter(self.llm_profile.max_concurrency)
        object.__setattr__(self, "limiter", limiter)
        purse = Purse(
            context=self.context,
            provider=self.provider,
            ledger=self.ledger,
            clock=self.clock,
            budget=self.budget,
            plan=self.plan,
        )
        object.__setattr__(self, "purse", purse)

    @property
    def source(self) -> DraftSource:
        return DraftSource.RULES if self.provider.is_free else DraftSource.MODEL

    async def ask(self, batch: Batch, *, report: Say) -> list[NewDraft]:
        """Return drafts for what the model could answer; what it could not is in the tally.

        Raises: RunCancelledError, FencedError; DeferredError with `later`.
        """
        names = self._kept.names(batch.request)
        known = await self._kept.known(names)
        rest = await self._rest(batch, [key for key in batch.asked if key not in known])
        known = {key: one for key, one in known.items() if key not in rest}
        drafts = [self._draft(batch, key, settled) for key, settled in known.items()]
        self.tally.answered += len(drafts)
        self.tally.reused += sum(one.run_id != self.context.run.id for one in known.values())
        if not rest:
            report(
                "draft",
                done=self._step(),
                total=self.total,
                object=str(batch.table),
                objects=len(known),
                recorded=True,
            )
            return drafts
        request = part(batch.request, rest) if known else batch.request
        problems: list[str] = []
        missing: tuple[str, ...] = ()
        answered: dict[str, Settled] = {}
        for again in (False, True):
            asked = narrow(request, missing) if again else request
            try:
                completion = await self._complete(batch, asked, report)
            except RequestRefusedError as error:
                problems.append(str(error))
                missing = missing or tuple(rest)
                break
            if completion is None:
                break
            reading = read_reply(
                completion.text,
                asked.subjects,
                asked.n_alternatives,
                expected(asked, self.llm_profile, self.plan, self.provider),
            )
            answered |= await self._weighed(batch, asked, reading.good, completion, report)
            problems += reading.problems
            missing = reading.missing
            if not missing:
                break
        await self._kept.keep(names, answered)
        drafts += [self._draft(batch, key, settled) for key, settled in answered.items()]
        self.tally.answered += len(answered)
        self.tally.failed += len(missing)
        if problems or missing:
            await self._tell(batch, problems, missing)
        return drafts

    async def _rest(self, batch: Batch, rest: list[str]) -> list[str]:
        """Return what is to be asked about; the same as at first where answers come later."""
        if not self.waits:
            return rest

        async def make() -> str:
            return json.dumps(rest)

        name = f"rest:{self.context.run.id}:{self.key_of(batch.request)}"
        found: list[str] = json.loads(await self.context.remember(name, make))
        return found

    def key_of(self, request: CompletionRequest) -> str:
        """Return the name under which the answer to a request is recorded."""
        return request_key(request, self.provider.name, rerun=self._rerun)

    async def record(self, key: str, request: CompletionRequest) -> bool:
        """Ask one request and record its answer for later; False where it came to none.

        Raises: RunCancelledError, FencedError.
        """
        try:
            return await self._answer(key, request, is_further=False) is not None
        except RequestRefusedError:
            return False

    @property
    def _rerun(self) -> str | None:
        """A rerun asks what was asked before once more, and once only."""
        run = self.context.run
        return run.id if run.manner.rerun_of else None

    @property
    def _kept(self) -> Kept:
        return Kept(
            context=self.context,
            ledger=self.ledger,
            clock=self.clock,
            provider=self.provider,
            llm_profile=self.llm_profile,
            rerun=self._rerun,
        )

    async def _weighed(
        self,
        batch: Batch,
        request: CompletionRequest,
        good: Mapping[str, Answer],
        completion: Completion,
        report: Say,
    ) -> dict[str, Settled]:
        """Say how sure each answer is, by the signal that the profile asks for."""

        async def ask(further: CompletionRequest) -> Completion | None:
            return await self._complete(batch, further, report, is_further=True)

        signal = Signal(self.llm_profile.confidence_signal)
        samples = self.llm_profile.confidence_samples
        used = Signal.EVIDENCE if self.provider.is_free else signal
        found = await weigh(used, request, good, completion, ask, samples=samples)
        if found.missing:
            refs = [batch.asked[key].ref for key in found.missing]
            await say_fallback(self.context, self.clock, signal, refs, found.reason)
        return {
            key: Settled(
                run_id=self.context.run.id,
                answer=answer,
                finish=completion.finish,
                signal=found.signals[key],
            )
            for key, answer in good.items()
        }

    def _step(self) -> int:
        self.tally.requests += 1
        return min(self.tally.requests, self.total)

    async def _complete(
        self, batch: Batch, request: CompletionRequest, report: Say, *, is_further: bool = False
    ) -> Completion | None:
        """Ask, or take the recorded reply; None where nothing can be asked.

        A further request is for a signal: without it the drafts stand, and the run goes on.
        """
        answer = await self._answer(self.key_of(request), request, is_further=is_further)
        if answer is None:
            return None
        completion, recorded = answer
        self.tally.refused = 0
        report(
            "confidence" if is_further else "draft",
            done=0 if is_further else self._step(),
            total=0 if is_further else self.total,
            object=str(batch.table),
            objects=len(request.subjects),
            seconds=0.0 if recorded else completion.seconds,
            input_tokens=0 if recorded else completion.input_tokens,
            output_tokens=0 if recorded else completion.output_tokens,
            cost_usd=Decimal(0) if recorded else completion.cost_usd,
            recorded=recorded,
        )
        return completion

    async def _answer(
        self, key: str, request: CompletionRequest, *, is_further: bool
    ) -> tuple[Completion, bool] | None:
        """Return the answer to a request and whether it was recorded already; None for none."""
        recorded = True

        async def pay() -> Paid:
            nonlocal recorded
            recorded = False
            sent = replace(request, local_only=self.local_only)
            await disclose(self.context, self.clock, self.provider, [sent])
            return paid_for(await self.provider.complete(sent))

        async with self.limiter:
            self.tally.in_flight += 1
            try:
                if not await self._may_ask(key, request):
                    self.tally.held_back += not is_further
                    return None
                return _load(await self.context.once(key, pay)), recorded
            except (RunBlockedError, ProviderError) as error:
                if not is_further:
                    self._note(error)
                return None
            finally:
                self.tally.in_flight -= 1

    def _note(self, error: RunBlockedError | ProviderError) -> None:
        """Stop asking, unless it is one request alone that was turned down.

        What is in flight beside it is paid for: that comes in first. Raises: RequestRefusedError.
        """
        if isinstance(error, RequestRefusedError):
            self.tally.refused += 1
            if self.tally.refused < MOST_REFUSED:
                raise error
        self.tally.stopped = self.tally.stopped or error
        if isinstance(error, RequestRefusedError):
            raise error

    async def _may_ask(self, key: str, request: CompletionRequest) -> bool:
        """Say whether a request may be made that would be paid; a recorded one is always free.

        False while the worker is leaving: nothing new is begun then. Raises: RunBlockedError
        where a budget is spent, DeferredError.
        """
        if await self.ledger.read(lambda tx: tx.steps.recorded(key)) is not None:
            return True
        if self.later is not None:
            self.later[key] = request
            raise DeferredError
        if self.context.stopping or self.tally.stopped is not None:
            return False
        if await self.purse.holds_more(in_flight=self.tally.in_flight):
            return True
        self.tally.spent = True
        return False

    async def _tell(self, batch: Batch, problems: list[str], missing: tuple[str, ...]) -> None:
        self.tally.problems += problems or [f"no words for {len(missing)} objects"]
        run, now = self.context.run, self.clock.now()

        def work(tx: Tx) -> None:
            tx.events.add(
                "reply_problem",
                at=now,
                run_id=run.id,
                schedule=run.schedule,
                db_profile=run.db_profile,
                object=str(batch.table),
                problems=problems[:20],
                missing=[str(batch.asked[key].ref) for key in missing],
            )

        await self.context.write(work)

    def _draft(self, batch: Batch, key: str, settled: Settled) -> NewDraft:
        asked: Asked = batch.asked[key]
        answer = settled.answer
        subject = next(each for each in batch.request.subjects if each.key == key)
        flags = tuple(sorted({*answer.flags, *asked.flags}))
        score, band = confidence(
            settled.signal,
            evidence=answer.evidence,
            has_key=asked.has_key,
            statistics=asked.statistics,
            has_neighbours=asked.has_neighbours,
            has_documents=asked.has_documents,
            names_known=names_known(subject),
            finish=settled.finish,
            unsure=answer.unsure,
            flags=(*answer.flags, *(flag for flag in asked.flags if flag == HOSTILE)),
            source=self.source,
            logprob_high=self.llm_profile.logprob_high,
            logprob_medium=self.llm_profile.logprob_medium,
        )
        return NewDraft(
            object_type=asked.object_type,
            ref=asked.ref,
            source=self.source,
            alternatives=answer.alternatives,
            confidence=score,
            band=band,
            flags=flags,
            base_comment=asked.comment,
            input_hash=asked.input_hash,
        )


def paid_for(completion: Completion) -> Paid:
    """Return an answer as the ledger records it."""
    return Paid(
        reply=_dump(completion),
        cost_usd=completion.cost_usd,
        price_version=completion.price_version,
        calls=completion.calls,
        input_tokens=completion.input_tokens,
        output_tokens=completion.output_tokens,
    )


def _dump(completion: Completion) -> str:
    document = asdict(completion)
    document["cost_usd"] = None if completion.cost_usd is None else str(completion.cost_usd)
    return json.dumps(document, ensure_ascii=False)


def _load(text: str) -> Completion:
    document = json.loads(text)
    cost = document.pop("cost_usd")
    samples = tuple(document.pop("samples", ()))
    price = None if cost is None else Decimal(cost)
    return Completion(**document, cost_usd=price, samples=samples)
