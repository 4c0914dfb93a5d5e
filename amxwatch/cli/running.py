"""Putting a run by hand, following it to its end, and saying what came of it."""

from __future__ import annotations

from amxwatch.cli.documents import run_document
from amxwatch.cli.output import Output, dollars, shown
from amxwatch.cli.progress import Ticker
from amxwatch.cli.scoping import Order, ordered_scope
from amxwatch.cli.session import Desk, db_words
from amxwatch.core.draft import Band, Draft
from amxwatch.core.run import Run, RunId, RunKind, RunStatus
from amxwatch.flows import manual, review
from amxwatch.ports.ledger import DraftFilter


async def order_run(order: Order, desk: Desk) -> int:
    """Run it here, and return the exit status."""
    run = await _ordered(order, desk)
    return await told(run, desk)


async def order_run_apply(
    order: Order, strategy: str | None, write_at_once: bool, desk: Desk
) -> int:
    """Run it, answer its drafts by a strategy, and apply what was accepted."""
    from amxwatch.cli.applying import Wish, apply_accepted
    from amxwatch.cli.reviewing import ask_strategy

    chosen = review.Strategy(strategy) if strategy else ask_strategy(desk.out)
    started = desk.install.clock.monotonic()
    run = await _ordered(order, desk)
    status = await told(run, desk, last=False)
    if status:
        desk.out.line(run_document(run))
        return status
    tally = await _answered(run, chosen, desk)
    status = await apply_accepted(
        desk,
        desk.install.source(run.db_profile),
        Wish(run_id=run.id, yes=write_at_once, is_brief=True),
        extra={"run": run_document(run), "accepted": tally.accepted, "left": tally.left},
    )
    seconds = desk.install.clock.monotonic() - started
    if not status:
        desk.out.say(
            f"✓ run-apply finished in {seconds:.1f} s. Audit trail: amxwatch history show {run.id}",
            colour="green",
        )
    if tally.left:
        desk.out.say(f"{tally.left} wait for a person: amxwatch review --run {run.id}")
    return status


async def _answered(run: Run, chosen: review.Strategy, desk: Desk) -> review.Tally:
    """Answer the drafts of a run by a strategy, and say how many of each band stay."""
    install = desk.install
    waiting = await review.queue(install.ledger, profile=run.db_profile, run_id=run.id)
    tally = await review.by_strategy(install.ledger, install.clock, chosen, waiting)
    left = [draft for draft in waiting if draft.id not in set(tally.moved)]
    bands = [f"{n} {band}" for band in Band if (n := sum(draft.band is band for draft in left))]
    said = [f"{tally.accepted:,} accepted"]
    said += [f"{tally.rejected:,} rejected"] if tally.rejected else []
    said += [f"{len(left):,} left in the queue ({', '.join(bands)})"] if left else []
    desk.out.say(f"[Review] {chosen}: {' · '.join(said)}")
    return tally


async def _ordered(order: Order, desk: Desk) -> Run:
    source, scope = await ordered_scope(order, desk)
    run = await manual.put(
        desk.install.ledger,
        desk.install.clock,
        kind=RunKind.ANALYZE,
        db_profile=source.profile,
        llm_profile=desk.install.settings.llm_profile(order.llm).name,
        scope=scope,
        review_strategy=order.strategy,
        reserved_for=desk.install.owner.name,
        manner=order.manner,
    )
    return await follow(run.id, desk)


async def follow(run_id: RunId, desk: Desk) -> Run:
    """Execute a queued run in this process, showing its steps, and return it settled.

    Interrupted from the keyboard, the run is cancelled: nobody else should go on with it.
    """
    import anyio

    install = desk.install
    with Ticker(desk.out) as ticker:
        try:
            return await install.engine.work_one(
                run_id, install.handler(ticker.report), install.slots
            )
        except anyio.get_cancelled_exc_class():
            with anyio.CancelScope(shield=True), anyio.move_on_after(3):
                run = await install.ledger.read(lambda tx: tx.runs.get(run_id))
                if run.is_open:
                    await manual.cancel(install.ledger, install.clock, run_id)
            raise


async def told(run: Run, desk: Desk, *, last: bool = True) -> int:
    """Say what came of a run; return the exit status that it means."""
    out = desk.out
    drafts = await desk.install.ledger.read(lambda tx: tx.drafts.list(DraftFilter(run_id=run.id)))
    bands = {band: sum(draft.band is band for draft in drafts) for band in Band}
    if last:
        out.line({**run_document(run), "bands": {str(band): n for band, n in bands.items()}})
    if run.status is not RunStatus.COMPLETED:
        out.warn(ended_badly(run))
        return 1
    _summary(out, run, bands, drafts)
    if last and run.drafted:
        there = db_words(desk, run.db_profile)
        out.say(f"  Next: amxwatch review{there}, then amxwatch apply{there}")
    return 0


def _summary(out: Output, run: Run, bands: dict[Band, int], drafts: list[Draft]) -> None:
    seconds = run_document(run)["duration_seconds"] or 0
    out.say(f"✓ {run.id} finished in {seconds:.1f} s. {run.drafted:,} drafted.", colour="green")
    # The first clause of a summary says once more what was drafted.
    besides = (run.summary or "").partition("; ")[2]
    if besides:
        out.say(f"  {shown(besides)}")
    if drafts:
        out.say("  Confidence: " + " · ".join(f"{band} {n:,}" for band, n in bands.items()))
    if run.requests:
        tokens = f"{run.input_tokens:,} in / {run.output_tokens:,} out"
        frozen = " (at the prices of the run)" if run.cost_usd else ""
        out.say(f"  Tokens: {tokens} · Cost: {dollars(run.cost_usd)}{frozen}")


def ended_badly(run: Run) -> str:
    """Say why a run did not complete, and what to do."""
    why = f": {run.error}" if run.error else ""
    mend = f"; mend with: {run.recovery_action}" if run.recovery_action else ""
    return f"{run.id} is {run.status}{why}{mend}"
