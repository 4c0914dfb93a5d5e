"""The review queue: by flags, by a strategy, or one by one in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import click

from amxwatch.cli.documents import draft_document
from amxwatch.cli.output import Column, Output, cut, shown
from amxwatch.cli.session import Desk, db_words, is_json, writing
from amxwatch.cli.terminal import ask, confirm, pick, require
from amxwatch.core.draft import Band, Draft, DraftId, DraftStatus
from amxwatch.core.errors import AmxwatchError, TransitionError, UsageError
from amxwatch.flows import manual, review
from amxwatch.flows.review import Strategy

FLAGS = "--list, --strategy, --accept ID, --reject ID or --skip ID"


@dataclass(frozen=True, kw_only=True)
class Which:
    """Which drafts of the queue are meant."""

    db: str | None = None
    run_id: str | None = None


async def _waiting(which: Which, desk: Desk) -> list[Draft]:
    install = desk.install
    profile = install.settings.db_profile(which.db).name if which.db else None
    run_id = await manual.find(install.ledger, which.run_id) if which.run_id else None
    return await review.queue(install.ledger, profile=profile, run_id=run_id)


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
                ", ".join(_flags(draft)),
                cut(draft.alternatives[0] if draft.alternatives else None, 60),
            ]
            for draft in waiting
        ],
    )


def _flags(draft: Draft) -> list[str]:
    conflict = ["conflict"] if draft.status is DraftStatus.CONFLICT else []
    return [*conflict, *(flag for flag in draft.flags if flag not in conflict)]


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


# -- in a terminal ---------------------------------------------------------------------------


def in_terminal(which: Which) -> int:
    """Ask for a strategy, then go through the queue. Raises: click.UsageError."""
    require(FLAGS, "what to do")
    if is_json():
        raise click.UsageError(f"with --json nothing is asked: give {FLAGS}")
    return writing(partial(_walk, which))


def ask_strategy(out: Output, *, one_by_one: bool = False) -> Strategy:
    """Ask how the queue is to be answered. Raises: click.UsageError without a terminal."""
    require("--strategy", "a review strategy")
    if out.as_json:
        raise click.UsageError("with --json nothing is asked: give --strategy")
    options = [str(s) for s in Strategy if one_by_one or s is not Strategy.ONE_BY_ONE]
    return Strategy(pick("Review strategy", options, default=options[0]))


async def _walk(which: Which, desk: Desk) -> int:
    waiting = await _waiting(which, desk)
    if not waiting:
        desk.out.say("Nothing waits for review.")
        return 0
    desk.out.say(f"{len(waiting)} drafts · {_bands(waiting)}")
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
    await _one_by_one(waiting, desk)
    return 0


def _bands(drafts: Sequence[Draft]) -> str:
    return " · ".join(f"{band}: {sum(draft.band is band for draft in drafts)}" for band in Band)


async def _one_by_one(waiting: Sequence[Draft], desk: Desk) -> None:
    """Go through the drafts; `u` goes back one, and takes back what can be taken back."""
    position = accepted = 0
    while position < len(waiting):
        answer = await _row(waiting[position], position + 1, len(waiting), desk)
        if answer == "q":
            break
        if answer == "u":
            accepted -= await _taken_back(waiting[position - 1], desk) if position else 0
            position = max(position - 1, 0)
            continue
        accepted += answer == "accepted"
        position += 1
    left = len(waiting) - position
    desk.out.say(f"{accepted} accepted; {left} not looked at.")
    if accepted:
        _next(desk, waiting)


async def _row(draft: Draft, number: int, total: int, desk: Desk) -> str:
    """Show one draft and carry out the answer; ask again where it was not understood."""
    _present(draft, number, total, desk.out)
    last = len(draft.alternatives)
    while True:
        answer = ask(
            f'Pick a description (1-{last}), "o" own text, "s" skip, "r" reject, "u" undo, "q" quit'
        )
        word = answer.strip().lower()
        if word in ("u", "q"):
            return word
        try:
            done = await _answered(draft, word, desk)
        except AmxwatchError as error:  # said, and asked again; the rest of the queue goes on
            desk.out.say(str(error), colour="red")
            continue
        if done is not None:
            return done
        desk.out.say(f'"{shown(answer)}" is none of them.')


async def _answered(draft: Draft, word: str, desk: Desk) -> str | None:
    ledger, clock = desk.install.ledger, desk.install.clock
    if word == "o":
        edited = await review.edit(ledger, clock, draft.id, ask("Your text"))
        desk.out.say(f"✓ Accepted your text for {shown(edited.ref)}", colour="green")
        return "accepted"
    if word == "s":
        await review.skip(ledger, clock, draft.id)
        return "skipped"
    if word == "r":
        await review.reject(ledger, clock, draft.id)
        desk.out.say(f"✗ Rejected {shown(draft.ref)}")
        return "rejected"
    if word.isdecimal():
        choice = int(word[:9])
        await review.accept(ledger, clock, draft.id, choice=choice)
        desk.out.say(f"✓ Accepted alternative {choice} for {shown(draft.ref)}", colour="green")
        return "accepted"
    return None


async def _taken_back(draft: Draft, desk: Desk) -> int:
    """Put an answered draft back into the queue; return how many that were."""
    now = await desk.install.ledger.read(lambda tx: tx.drafts.get(draft.id))
    if now.status not in (DraftStatus.ACCEPTED, DraftStatus.EDITED, DraftStatus.REJECTED):
        return 0
    await review.reopen(desk.install.ledger, desk.install.clock, draft.id)
    desk.out.say(f"Back in the queue: {shown(draft.ref)}")
    return 1


def _present(draft: Draft, number: int, total: int, out: Output) -> None:
    out.say()
    out.say(f"Review row {number}/{total}: {shown(draft.ref)}", colour="cyan")
    current = shown(draft.base_comment) if draft.base_comment else "(no comment)"
    out.say(f"  current: {current}")
    out.say(f"  {draft.band} ({draft.confidence:.2f})" + _flag_words(draft))
    for at, text in enumerate(draft.alternatives, start=1):
        out.say(f"  [{at}] {shown(text)}")


def _flag_words(draft: Draft) -> str:
    flags = _flags(draft)
    return f" · {', '.join(flags)}" if flags else ""
