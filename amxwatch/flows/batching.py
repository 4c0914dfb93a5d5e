"""Send what can wait as batches, at half the price, and take their answers in when they are there.

A run does not sit and wait: once its batches are sent it gives itself back to the queue until
the next look, so that no worker is held and a restart loses nothing. A batch is written down
before it is sent; one that may or may not have been taken is looked for at the endpoint before
anything is sent again. What a batch did not answer is asked one by one, in the usual way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

from amxwatch.core.batch import (
    FIRST_LOOK,
    LONGEST_PAUSE,
    MOST,
    BatchAnswer,
    BatchEnd,
    BatchJob,
    BatchState,
)
from amxwatch.core.completion import Completion, CompletionRequest
from amxwatch.core.errors import ProviderRefusedError, ProviderUnavailableError, RunReleasedError
from amxwatch.core.retry import backoff
from amxwatch.core.run import Paid, RunTrigger
from amxwatch.flows.asking import Asker, Asking, paid_for
from amxwatch.flows.disclosing import disclose
from amxwatch.flows.job import Job
from amxwatch.ports.batches import Batches, OffersBatches
from amxwatch.ports.ledger import Tx

WAITING_TRIGGERS = frozenset({RunTrigger.SCHEDULE, RunTrigger.CHANGE, RunTrigger.FILES})
"""Runs that nobody sits before."""

LEAST = 3
"""Requests that are worth a batch; one of them is asked by itself."""

UNSURE = timedelta(minutes=10)
"""How long another run may take to send a batch that it has written down."""


def desk_for(job: Job, asker: Asker) -> Desk | None:
    """Return the desk that a run sends its batches from; None where it asks one by one."""
    if not job.llm_profile.batch or job.run.trigger not in WAITING_TRIGGERS:
        return None
    if not isinstance(job.provider, OffersBatches):
        return None
    return Desk(job=job, batches=job.provider.batches, asker=replace(asker, waits=True))


@dataclass(kw_only=True)
class Desk:
    """One run at its batches: `look`, then ask through `noting`, then `send` what it noted.

    `asker` asks what no batch answered. `pauses` are how long each batch that goes on is left
    alone.
    """

    job: Job
    batches: Batches
    asker: Asker
    noted: dict[str, CompletionRequest] = field(default_factory=dict)
    pauses: list[timedelta] = field(default_factory=list)

    @property
    def noting(self) -> Asker:
        """The asker that pays for nothing and notes what it would have asked."""
        return replace(self.asker, later=self.noted, tally=Asking())

    async def look(self) -> None:
        """Take in what was answered since. Raises: RunReleasedError while a batch goes on."""
        profile, mine = self.job.llm_profile.name, self.job.run.id
        waiting = await self.job.drafting.ledger.read(lambda tx: tx.batches.waiting(profile))
        named = {each.job for each in waiting if each.job}
        for one in waiting:
            if one.run_id == mine:
                await self._look(one, but=named)
        self._leave_if_waiting()

    async def send(self) -> None:
        """Send what was noted and was in no batch of this run yet, as far as the budget goes.

        What another run sent is waited for and not sent again. Returns where nothing is to wait
        for. Raises: RunReleasedError.
        """
        sent = await self.job.drafting.ledger.read(lambda tx: tx.batches.of_run(self.job.run.id))
        tried = {key for one in sent for key in one.keys}
        await self._look_at_others(set(self.noted) - tried)
        left = {key: each for key, each in self.noted.items() if key not in tried}
        if len(left) >= LEAST and not self.pauses and not self.job.context.stopping:
            # The first is asked by itself: what the endpoint does not take is learned from it,
            # and not from a batch of refusals.
            first = next(iter(left))
            if await self.asker.record(first, left.pop(first)):
                rest = list((await self.asker.purse.affordable(left)).items())
                for at in range(0, len(rest), MOST):
                    await self._send(rest[at : at + MOST])
        self._leave_if_waiting()

    def _leave_if_waiting(self) -> None:
        if self.pauses:
            raise RunReleasedError(
                "its batches are under way; the run goes on when they are answered",
                not_before=self.job.drafting.clock.now() + min(self.pauses),
            )

    async def _look_at_others(self, wanted: set[str]) -> None:
        """Look at the batches of other runs, ended ones among them, that hold what we want.

        So what a cancelled run has sent, and pays for, is not lost.
        """
        profile, mine = self.job.llm_profile.name, self.job.run.id
        waiting = await self.job.drafting.ledger.read(lambda tx: tx.batches.waiting(profile))
        named = {each.job for each in waiting if each.job}
        for one in waiting:
            if one.run_id != mine and wanted & set(one.keys):
                await self._look(one, but=named)
        recorded = await self.job.drafting.ledger.read(
            lambda tx: [key for key in self.noted if tx.steps.recorded(key) is not None]
        )
        for key in recorded:
            del self.noted[key]

    async def _look(self, one: BatchJob, *, but: set[str]) -> None:
        """Look at one batch: take its answers in, wait on, or give it up."""
        now = self.job.drafting.clock.now()
        one = await self.job.context.write(lambda tx: tx.batches.looked(one.tag))
        try:
            state = await self._state(one, but)
            if state is not None and state.is_over:
                await self._take_in(one, state)
            elif state is None and (one.run_id == self.job.run.id or now > one.at + UNSURE):
                await self._end(one, BatchEnd.LOST, "the endpoint does not know it")
            elif one.is_beyond(now):
                await self._end(one, BatchEnd.LOST, "it was not answered within its time")
            else:
                self._wait(one, state)
        except ProviderUnavailableError as error:
            if one.is_beyond(now):
                await self._end(one, BatchEnd.LOST, str(error))
            else:
                self._wait(one, text=str(error))

    async def _state(self, one: BatchJob, but: set[str]) -> BatchState | None:
        """Return how a batch stands; None where the endpoint knows of none."""
        name = one.job or await self._found(one, but)
        return None if name is None else await self.batches.look(name)

    async def _found(self, one: BatchJob, but: set[str]) -> str | None:
        """Look for a batch that was written down, and maybe sent, by what it holds."""
        name = await self.batches.find(one, but)
        if name is not None:
            await self.job.context.write(lambda tx: self._note_sent(tx, one, name))
        return name

    async def _take_in(self, one: BatchJob, state: BatchState) -> None:
        """Record each answer once; what it cost is counted with it."""
        name = (await self._named(one.tag)) or ""
        answers = await self.batches.answers(name)
        missed: dict[str, str] = {}
        for key in one.keys:
            answer = answers.get(key, BatchAnswer(error=state.text or "no answer"))
            if answer.completion is None:
                missed[key] = answer.error
            else:
                await self._record(key, answer.completion)
        await self._end(
            one,
            BatchEnd.ANSWERED,
            next(iter(missed.values()), ""),
            answered=len(one.keys) - len(missed),
            missed=len(missed),
        )

    async def _record(self, key: str, completion: Completion) -> None:
        async def pay() -> Paid:
            return paid_for(completion)

        await self.job.context.once(key, pay)

    async def _named(self, tag: str) -> str | None:
        """Return what the endpoint calls a batch, which may just have been found out."""
        profile = self.job.llm_profile.name
        waiting = await self.job.drafting.ledger.read(lambda tx: tx.batches.waiting(profile))
        return next((each.job for each in waiting if each.tag == tag), None)

    def _wait(self, one: BatchJob, state: BatchState | None = None, text: str = "") -> None:
        """Leave a batch alone for a while, for longer each time."""
        self.pauses.append(backoff(one.looks + 1, first=FIRST_LOOK, cap=LONGEST_PAUSE, key=one.tag))
        self.job.say(
            "batch",
            object=one.job or "",
            done=state.done + state.failed if state else 0,
            total=len(one.keys),
            detail=text or "is under way at half the price",
        )

    async def _send(self, part: Sequence[tuple[str, CompletionRequest]]) -> None:
        clock = self.job.drafting.clock
        one = BatchJob(
            tag=f"amxwatch-{uuid4().hex}",
            run_id=self.job.run.id,
            llm_profile=self.job.llm_profile.name,
            keys=tuple(key for key, _ in part),
            at=clock.now(),
        )
        await self.job.context.write(lambda tx: tx.batches.put(one))
        sent = [request for _, request in part]
        await disclose(self.job.context, clock, self.job.provider, sent)
        try:
            name = await self.batches.submit(one.tag, dict(part))
        except ProviderUnavailableError as error:
            self._wait(one, text=str(error))  # it may have been taken: the next look finds out
        except ProviderRefusedError as error:
            await self._end(one, BatchEnd.LOST, f"{error}; asked one by one instead")
        else:
            await self.job.context.write(lambda tx: self._note_sent(tx, one, name))
            self._wait(replace(one, job=name))

    def _note_sent(self, tx: Tx, one: BatchJob, name: str) -> None:
        tx.batches.sent(one.tag, name)
        self._event(tx, "batch_sent", batch=name, requests=len(one.keys))

    async def _end(
        self, one: BatchJob, how: BatchEnd, reason: str, *, answered: int = 0, missed: int = 0
    ) -> None:
        def work(tx: Tx) -> None:
            tx.batches.end(one.tag, how)
            self._event(
                tx,
                "batch_ended",
                batch=one.job,
                how=how,
                requests=len(one.keys),
                answered=answered,
                missed=missed if how is BatchEnd.ANSWERED else len(one.keys),
                reason=reason,
            )

        await self.job.context.write(work)
        self.job.say(
            "batch",
            object=one.job or "",
            done=answered,
            total=len(one.keys),
            detail=how,
            error=reason or None,
        )

    def _event(self, tx: Tx, action: str, **detail: Any) -> None:
        run = self.job.run
        tx.events.add(
            action,
            at=self.job.drafting.clock.now(),
            run_id=run.id,
            schedule=run.schedule,
            db_profile=run.db_profile,
            **detail,
        )
