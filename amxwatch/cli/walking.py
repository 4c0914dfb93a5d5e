"""Going through the review queue at a terminal, one draft after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import click

from amxwatch.cli.output import Output, shown
from amxwatch.cli.session import Desk
from amxwatch.cli.terminal import ask, asking, confirm
from amxwatch.core.catalog import ObjectRef
from amxwatch.core.draft import Band, Draft, DraftId, DraftStatus
from amxwatch.core.errors import AmxwatchError, UsageError
from amxwatch.flows import review
from amxwatch.flows.review import Strategy

KEYS = (
    ("1, 2, 3", "accept that alternative"),
    ("o", "type your own text"),
    ("e", "edit an alternative in $EDITOR: e, or e2 for the second"),
    ("s", "skip: it stays in the queue"),
    ("r", "reject: it is not drafted again until the object changes"),
    ("w", "show why: what the draft rests on"),
    ("t", "accept the rest of this table, but for what is flagged"),
    ("h", "accept all of high confidence from here on, but for what is flagged"),
    ("a", "accept all from here on, but for what is flagged"),
    ("x", "reject the rest of this table"),
    ("u", "undo the last answer"),
    ("q", "quit; what is left waits"),
)
"""What may be answered, and what it does."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """One answer: where it was given, and the drafts that it moved, by what became of them."""

    position: int
    moved: dict[DraftId, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class Walk:
    """How far a person came: each answer in turn, so that each can be undone."""

    waiting: Sequence[Draft]
    position: int = 0
    answers: list[Answered] = field(default_factory=list)

    @property
    def settled(self) -> dict[DraftId, str]:
        """Every draft that was answered, with the word for it."""
        return {i: word for answer in self.answers for i, word in answer.moved.items()}

    def take(self, moved: dict[DraftId, str]) -> None:
        """Note an answer and go on to the next draft that has none."""
        self.answers.append(Answered(position=self.position, moved=moved))
        if not moved:  # skipped
            self.position += 1
        settled = self.settled
        while self.position < len(self.waiting) and self.waiting[self.position].id in settled:
            self.position += 1

    def rest(self, *, table: bool = False) -> list[Draft]:
        """Return what has no answer from here on, or of that what is in the same table."""
        here, settled = _place(self.waiting[self.position]), self.settled
        return [
            draft
            for draft in self.waiting[self.position :]
            if draft.id not in settled and (not table or _place(draft) == here)
        ]


def _place(draft: Draft) -> tuple[str, ObjectRef]:
    return draft.db_profile, draft.ref.owner


async def walk(waiting: Sequence[Draft], desk: Desk) -> int:
    """Ask about each draft; return how many were accepted. Each answer is kept at once."""
    state = Walk(waiting=waiting)
    while state.position < len(waiting):
        head = f"Review row {state.position + 1}/{len(waiting)}"
        present(waiting[state.position], head, desk.out)
        if not await _row(state, desk):
            break
    accepted = sum(word == "accepted" for word in state.settled.values())
    left = len(waiting) - len(state.settled)
    desk.out.say(f"{accepted} accepted; {left} left in the queue.")
    return accepted


async def _row(state: Walk, desk: Desk) -> bool:
    """Ask until an answer is understood; False where the person leaves."""
    last = len(state.waiting[state.position].alternatives)
    while True:
        answer = ask(
            f'Pick a description (1-{last}), "s" to skip, "o" for your own text, "?" for more'
        )
        word = answer.strip().lower()
        if word == "q":
            return False
        try:
            if await _carried_out(word, state, desk):
                return True
        except (AmxwatchError, click.ClickException) as error:  # said, and asked again
            desk.out.say(str(error), colour="red")
            continue
        if word not in ("?", "w"):
            desk.out.say(f'"{shown(answer)}" is none of them; "?" lists them.')


async def _carried_out(word: str, state: Walk, desk: Desk) -> bool:
    """Do what was answered; False where the same draft is asked about again."""
    if word == "?":
        for key, meaning in KEYS:
            desk.out.say(f"  {key:>7}  {meaning}")
        return False
    if word == "w":
        await _why(state.waiting[state.position], desk)
        return False
    if word == "u":
        await _undo(state, desk)
        return True
    moved = await _moved(word, state, desk)
    if moved is not None:
        state.take(moved)
    return moved is not None


async def _moved(word: str, state: Walk, desk: Desk) -> dict[DraftId, str] | None:
    """Return the drafts that an answer moved; none where it skips, None where it is no answer."""
    draft, ledger, clock = state.waiting[state.position], desk.install.ledger, desk.install.clock
    if word in ("t", "h", "a", "x"):
        return await _many(word, state, desk)
    if word == "s":
        await review.skip(ledger, clock, draft.id)
        return {}
    if word == "r":
        await review.reject(ledger, clock, draft.id)
        desk.out.say(f"✗ Rejected {shown(draft.ref)}")
        return {draft.id: "rejected"}
    if word == "o" or (word[:1] == "e" and (word[1:] or "1").isdecimal()):
        text = ask("Your text") if word == "o" else edited(draft, int(word[1:4] or 1))
        await review.edit(ledger, clock, draft.id, text)
        desk.out.say(f"✓ Accepted your text for {shown(draft.ref)}", colour="green")
        return {draft.id: "accepted"}
    if word.isdecimal():
        choice = int(word[:9])
        await review.accept(ledger, clock, draft.id, choice=choice)
        desk.out.say(f"✓ Accepted alternative {choice} for {shown(draft.ref)}", colour="green")
        return {draft.id: "accepted"}
    return None


async def _many(word: str, state: Walk, desk: Desk) -> dict[DraftId, str] | None:
    """Answer several drafts at once; None where there is nothing to answer so."""
    meant = state.rest(table=word in ("t", "x"))
    strategy = {"x": Strategy.REJECT_ALL, "h": Strategy.ACCEPT_ALL_HIGH}.get(
        word, Strategy.ACCEPT_ALL
    )
    if word == "x" and not confirm(f"Turn down {len(meant)} draft(s)?", yes=False):
        return None
    tally = await review.by_strategy(desk.install.ledger, desk.install.clock, strategy, meant)
    verb = "rejected" if word == "x" else "accepted"
    desk.out.say(
        f"{len(tally.moved)} {verb}, {tally.left} left"
        + (" (flagged, or not sure enough)." if tally.left else "."),
        colour="green" if tally.moved else None,
    )
    if not tally.moved:
        raise UsageError("none of them can be answered so: answer them one by one")
    return dict.fromkeys(tally.moved, verb)


def edited(draft: Draft, choice: int) -> str:
    """Return an alternative as it was left in $EDITOR. Raises: UsageError."""
    last = len(draft.alternatives)
    if not 1 <= choice <= last:
        raise UsageError(f"there is no alternative {choice}; choose 1 to {last}")
    with asking():
        text = click.edit(draft.alternatives[choice - 1] + "\n", extension=".txt")
    if text is None:
        raise UsageError("the editor left without saving: nothing was answered")
    return " ".join(text.split())


async def _undo(state: Walk, desk: Desk) -> None:
    """Go back one answer, and take back what can be taken back."""
    if not state.answers:
        raise UsageError("there is no answer to undo")
    last = state.answers.pop()
    state.position = last.position
    if not last.moved:
        return
    back = await review.take_back(desk.install.ledger, desk.install.clock, list(last.moved))
    desk.out.say(
        f"Back in the queue: {shown(back[0].ref)}"
        if len(back) == 1
        else f"Back in the queue: {len(back)} draft(s)"
    )
    if len(back) < len(last.moved):
        desk.out.say("What was written meanwhile stays: amxwatch apply --undo RUN puts it back.")


async def _why(draft: Draft, desk: Desk) -> None:
    from amxwatch.cli.evidence import evidence_lines

    for line in await evidence_lines(draft, desk):
        desk.out.say(f"    {line}")


def present(draft: Draft, head: str, out: Output) -> None:
    """Show one draft: what stands there, how sure it is, and its alternatives."""
    out.say()
    out.say(f"{head}: {shown(draft.ref)}", colour="cyan")
    current = shown(draft.base_comment) if draft.base_comment else "(no comment)"
    out.say(f"  current: {current}")
    words = [f"{draft.band} ({draft.confidence:.2f})", ", ".join(flags_of(draft))]
    out.say("  " + " · ".join(word for word in words if word))
    for at, text in enumerate(draft.alternatives, start=1):
        out.say(f"  [{at}] {shown(text)}")


def flags_of(draft: Draft) -> list[str]:
    """Return what stands against accepting a draft in bulk."""
    conflict = ["conflict"] if draft.status is DraftStatus.CONFLICT else []
    return [*conflict, *(flag for flag in draft.flags if flag not in conflict)]


def bands(drafts: Sequence[Draft]) -> str:
    """Return how many drafts each band has."""
    return " · ".join(f"{band}: {sum(draft.band is band for draft in drafts)}" for band in Band)
