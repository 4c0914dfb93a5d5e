"""Ask a model about a batch: within the budget, paid once, the missing part asked once more."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from decimal import Decimal

import anyio

from amxwatch.core import budget as budgets
from amxwatch.core.completion import Completion, CompletionRequest
from amxwatch.core.confidence import confidence
from amxwatch.core.draft import DraftSource, NewDraft
from amxwatch.core.errors import ProviderError, RunBlockedError
from amxwatch.core.prompt import names_known, narrow, request_key
from amxwatch.core.reply import Answer, ReplyReading, read_reply
from amxwatch.core.run import Paid
from amxwatch.flows.evidence import Asked, Batch
from amxwatch.flows.spending import day_start, limits_of, session_budget
from amxwatch.ports.clock import Clock
from amxwatch.ports.engine import RunContext
from amxwatch.ports.ledger import Ledger, Tx
from amxwatch.ports.provider import Provider
from amxwatch.settings.schema import Budget, LlmProfile, Schedule

Say = Callable[..., None]


@dataclass(kw_only=True)
class Asking:
    """What came of a run's questions.

    `failed` objects got no usable words, even when asked again; `held_back` batches were not
    asked because the worker is leaving. `stopped` is why nothing more was asked: a limit, or a
    model that does not deliver.
    """

    requests: int = 0
    in_flight: int = 0
    answered: int = 0
    failed: int = 0
    held_back: int = 0
    spent: bool = False
    """Nothing more was asked because the continuous session has spent its budget."""
    stopped: RunBlockedError | ProviderError | None = None
    problems: list[str] = field(default_factory=list)
    warned: set[str] = field(default_factory=set)


@dataclass(frozen=True, kw_only=True)
class Asker:
    """Asks in the name of one run, at most `max_concurrency` requests at a time.

    `total` is how many requests the run plans, for its progress; one may be asked again.
    """

    context: RunContext
    provider: Provider
    llm_profile: LlmProfile
    ledger: Ledger
    clock: Clock
    budget: Budget
    plan: Schedule | None
    total: int
    tally: Asking = field(default_factory=Asking)
    limiter: anyio.CapacityLimiter = field(init=False)

    def __post_init__(self) -> None:
        limiter = anyio.CapacityLimiter(self.llm_profile.max_concurrency)
        object.__setattr__(self, "limiter", limiter)

    @property
    def source(self) -> DraftSource:
        return DraftSource.RULES if self.provider.is_free else DraftSource.MODEL

    async def ask(self, batch: Batch, *, report: Say) -> list[NewDraft]:
        """Return drafts for what the model could answer; what it could not is in the tally.

        Raises: RunCancelledError, FencedError.
        """
        reading, completion = await self._once(batch, batch.request, report)
        if reading is None or completion is None:
            return []
        drafts = [
            self._draft(batch, key, answer, completion) for key, answer in reading.good.items()
        ]
        problems = list(reading.problems)
        missing = reading.missing
        if missing:
            again, completion = await self._once(batch, narrow(batch.request, missing), report)
            if again is not None and completion is not None:
                drafts += [
                    self._draft(batch, key, answer, completion)
                    for key, answer in again.good.items()
                ]
                problems += again.problems
                missing = again.missing
        self.tally.answered += len(drafts)
        self.tally.failed += len(missing)
        if problems or missing:
            await self._tell(batch, problems, missing)
        return drafts

    async def _once(
        self, batch: Batch, request: CompletionRequest, report: Say
    ) -> tuple[ReplyReading | None, Completion | None]:
        key = request_key(request, self.provider.name)
        recorded = True

        async def pay() -> Paid:
            nonlocal recorded
            recorded = False
            completion = await self.provider.complete(request)
            return Paid(
                reply=_dump(completion),
                cost_usd=completion.cost_usd,
                input_tokens=completion.input_tokens,
                output_tokens=completion.output_tokens,
            )

        async with self.limiter:
            self.tally.in_flight += 1
            try:
                if not await self._may_ask(key):
                    self.tally.held_back += 1
                    return None, None
                started = self.clock.monotonic()
                completion = _load(await self.context.once(key, pay))
            except (RunBlockedError, ProviderError) as error:
                # What is in flight beside this one is paid for: let it come in first.
                self.tally.stopped = self.tally.stopped or error
                return None, None
            finally:
                self.tally.in_flight -= 1
        self.tally.requests += 1
        report(
            "draft",
            done=min(self.tally.requests, self.total),
            total=self.total,
            object=str(batch.table),
            objects=len(request.subjects),
            seconds=self.clock.monotonic() - started,
            input_tokens=0 if recorded else completion.input_tokens,
            output_tokens=0 if recorded else completion.output_tokens,
            cost_usd=Decimal(0) if recorded else completion.cost_usd,
            recorded=recorded,
        )
        return read_reply(completion.text, request.subjects, request.n_alternatives), completion

    async def _may_ask(self, key: str) -> bool:
        """Check the budget before a request that would be paid; a recorded one is always free.

        False while the worker is leaving: nothing new is begun then.
        """
        if await self.ledger.read(lambda tx: tx.steps.recorded(key)) is not None:
            return True
        if self.context.stopping or self.tally.stopped is not None:
            return False
        session = await session_budget(self.context.run, self.ledger)
        if session is not None and session.is_spent and not self.provider.is_free:
            self.tally.spent = True
            return False
        verdict = budgets.check(
            await self._spent(),
            self._limits().narrowed(per_run_usd=session.max_usd if session else None),
            next_cost_known=self.provider.priced,
            is_free=self.provider.is_free,
        )
        if verdict.is_block:
            raise RunBlockedError(
                f"{verdict.text}; {verdict.recovery}",
                category=verdict.category or "budget",
                recovery_action="amxwatch unblock RUN",
            )
        if verdict.decision is budgets.Decision.WARN and verdict.text not in self.tally.warned:
            self.tally.warned.add(verdict.text)
            await self._warn(verdict)
        return True

    async def _spent(self) -> budgets.Spent:
        run = self.context.run
        since = day_start(self.clock.now(), self.budget.timezone)
        day = await self.ledger.read(lambda tx: tx.installation.spent_since(since))
        return budgets.Spent(
            run_usd=run.cost_usd or Decimal(0),
            day_usd=Decimal(day),
            requests=run.requests + self.tally.in_flight - 1,
        )

    def _limits(self) -> budgets.Limits:
        return limits_of(self.budget, self.plan)

    async def _warn(self, verdict: budgets.Verdict) -> None:
        run = self.context.run
        await self.context.write(
            lambda tx: tx.events.add(
                "budget_warning",
                at=self.clock.now(),
                run_id=run.id,
                schedule=run.schedule,
                db_profile=run.db_profile,
                limit=verdict.limit,
                reason=verdict.text,
            )
        )

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

    def _draft(self, batch: Batch, key: str, answer: Answer, completion: Completion) -> NewDraft:
        asked: Asked = batch.asked[key]
        subject = next(each for each in batch.request.subjects if each.key == key)
        score, band = confidence(
            answer.alternatives,
            evidence=answer.evidence,
            has_key=asked.has_key,
            statistics=asked.statistics,
            has_neighbours=asked.has_neighbours,
            names_known=names_known(subject),
            logprob=completion.logprob,
            finish=completion.finish,
            unsure=answer.unsure,
            flags=answer.flags,
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
            flags=tuple(sorted({*answer.flags, *asked.flags})),
            base_comment=asked.comment,
            input_hash=asked.input_hash,
        )


def _dump(completion: Completion) -> str:
    document = asdict(completion)
    document["cost_usd"] = None if completion.cost_usd is None else str(completion.cost_usd)
    return json.dumps(document, ensure_ascii=False)


def _load(text: str) -> Completion:
    document = json.loads(text)
    cost = document.pop("cost_usd")
    return Completion(**document, cost_usd=None if cost is None else Decimal(cost))
