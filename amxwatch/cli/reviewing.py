"""The review queue: by flags, by a strategy, or one by one in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial

import click

from amxwatch.cli.documents import draft_document
from amxwatch.cli.output import Column, Output, cut, shown
from amxwatch.cli.session import Desk, db_words, is_json, writing
from amxwatch.cli.terminal import confirm, pick, require
from amxwatch.cli.walking import bands, flags_of, present, walk
from amxwatch.core.draft import Draft, DraftId
from amxwatch.core.errors import TransitionError, UsageError
from amxwatch.flows import manual, review
from amxwatch.flows.review import Strategy

FLAGS = "--list, --strategy, --accept ID, --reject ID, --skip ID, --reopen ID or --show ID"


@dataclass(frozen=True, kw_only=True)
class Which:
    """Which drafts of the queue are meant. `table` is a name or glob, with or without schema."""

    db: str | None = None
    run_id: str | None = None
    table: str | None = None
    band: str | None = None

    def means(self, draft: Draft) -> bool:
        """Claim that a draft is among them."""
        if self.band is not None and draft.band != self.band:
            return False
        ref = draft.ref
        names = (ref.table, f"{ref.schema}.{ref.table}", str(ref.owner))
        return self.table is None or any(fnmatchcase(name, self.table) for name in names)


async def _waiting(which: Which, desk: Desk) -> list[Draft]:
    install = desk.install
    profile = install.settings.db_profile(which.db).name if which.db else None
    run_id = await manual.find(install.ledger, which.run_id) if which.run_id else None
    waiting = await review.queue(install.ledger, profile=profile, run_id=run_id)
    return [draft for draft in waiting if which.means(draft)]


async def list_waiting(which: Which, desk: Desk) -> None:
    """Print the queue."""
    waiting = await _waiting(which, desk)
    desk.out.document({"pending": [draft_document(draft) for draft in waiting]})
    if not waiting:
        desk.out.say("Nothing waits for review.")
        return
    desk.out.table(
        [Column("id", right=True), "object", "band", "flags", "first alternative"],
        [
            [
                draft.id,
                draft.ref,
                draft.band,
                ", ".join(flags_of(draft)),
                cut(draft.alternatives[0] if draft.alternatives else None, 60),
            ]
            for draft in waiting
        ],
    )


async def by_strategy(which: Which, strategy: str, desk: Desk) -> None:
    """Answer the queue by a rule."""
    waiting = await _waiting(which, desk)
    tally = await review.by_strategy(
        desk.install.ledger, desk.install.clock, Strategy(strategy), waiting
    )
    _tell(desk, tally, waiting)


def _tell(desk: Desk, tally: review.Tally, waiting: Sequence[Draft]) -> None:
    out = desk.out
    out.document({"accepted": tally.accepted, "rejected": tally.rejected, "left": tally.left})
    out.say(f"{tally.accepted} accepted, {tally.rejected} rejected, {tally.left} left.")
    if tally.left:
        out.say("What is left is not sure enough, or flagged: answer it with amxwatch review.")
    if tally.accepted:
        _next(desk, waiting)


def _next(desk: Desk, waiting: Sequence[Draft]) -> None:
    for profile in sorted({draft.db_profile for draft in waiting}):
        desk.out.say(f"Next: amxwatch apply{db_words(desk, profile)}")


async def accept_one(number: int, choice: int, text: str | None, desk: Desk) -> None:
    """Accept one draft: an alternative, or the reviewer's own text."""
    install, draft_id = desk.install, DraftId(number)
    with _still_open(number):
        if text is not None:
            draft = await review.edit(install.ledger, install.clock, draft_id, text)
        else:
            draft = await review.accept(install.ledger, install.clock, draft_id, choice=choice)
    desk.out.document(draft_document(draft))
    desk.out.say(f"✓ {draft.status}: {shown(draft.ref)}: {shown(draft.text)}")


@contextmanager
def _still_open(number: int) -> Iterator[None]:
    """Say plainly that a draft was answered before. Raises: UsageError."""
    try:
        yield
    except TransitionError:
        raise UsageError(
            f"draft {number} does not wait for review any more; see: amxwatch review --list"
        ) from None


async def reject_one(number: int, desk: Desk) -> None:
    """Turn one draft down."""
    with _still_open(number):
        draft = await review.reject(desk.install.ledger, desk.install.clock, DraftId(number))
    desk.out.document(draft_document(draft))
    desk.out.say(f"✗ rejected: {shown(draft.ref)}")


async def skip_one(number: int, desk: Desk) -> None:
    """Leave one draft for later."""
    install, draft_id = desk.install, DraftId(number)
    await review.skip(install.ledger, install.clock, draft_id)
    draft = await install.ledger.read(lambda tx: tx.drafts.get(draft_id))
    desk.out.document(draft_document(draft))
    desk.out.say(f"Left for later: {shown(draft.ref)}")


async def reopen_one(number: int, desk: Desk) -> None:
    """Put one answered draft back into the queue."""
    try:
        draft = await review.reopen(desk.install.ledger, desk.install.clock, DraftId(number))
    except TransitionError:
        raise UsageError(
            f"draft {number} has no answer that could be taken back; what was written is put back"
            " with: amxwatch apply --undo RUN"
        ) from None
    desk.out.document(draft_document(draft))
    desk.out.say(f"Back in the queue: {shown(draft.ref)}")


async def show_one(number: int, desk: Desk) -> None:
    """Print one draft with its alternatives, and the evidence behind it."""
    from amxwatch.cli.evidence import evidence_lines, evidence_of

    draft = await desk.install.ledger.read(lambda tx: tx.drafts.get(DraftId(number)))
    if desk.out.as_json:
        desk.out.document({**draft_document(draft), "evidence": await evidence_of(draft, desk)})
        return
    present(draft, f"Draft {draft.id}", desk.out)
    for line in await evidence_lines(draft, desk):
        desk.out.say(f"  {line}")


# -- in a terminal ---------------------------------------------------------------------------


def in_terminal(which: Which) -> int:
    """Ask for a strategy, then go through the queue. Raises: click.UsageError."""
    require(FLAGS, "what to do")
    if is_json():
        raise click.UsageError(f"with --json nothing is asked: give {FLAGS}")
    return writing(partial(_reviewed, which))


def ask_strategy(out: Output, *, one_by_one: bool = False) -> Strategy:
    """Ask how the queue is to be answered. Raises: click.UsageError without a terminal."""
    require("--strategy", "a review strategy")
    if out.as_json:
        raise click.UsageError("with --json nothing is asked: give --strategy")
    options = [str(s) for s in Strategy if one_by_one or s is not Strategy.ONE_BY_ONE]
    return Strategy(pick("Review strategy", options, default=options[0]))


async def _reviewed(which: Which, desk: Desk) -> int:
    waiting = await _waiting(which, desk)
    if not waiting:
        desk.out.say("Nothing waits for review.")
        return 0
    desk.out.say(f"{len(waiting)} drafts · {bands(waiting)}")
    strategy = ask_strategy(desk.out, one_by_one=True)
    if strategy is Strategy.REJECT_ALL and not confirm(
        f"Turn down all {len(waiting)} drafts?", yes=False
    ):
        desk.out.say("Nothing was turned down.")
        return 0
    if strategy is not Strategy.ONE_BY_ONE:
        tally = await review.by_strategy(desk.install.ledger, desk.install.clock, strategy, waiting)
        _tell(desk, tally, waiting)
        return 0
    if await walk(waiting, desk):
        _next(desk, waiting)
    return 0
