"""Look where signals come from by themselves: folders that files are dropped in, git refs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import anyio.to_thread

from amxwatch.core.errors import SignalError, UsageError
from amxwatch.core.intake import IntakeItem, IntakeSource, Priority
from amxwatch.core.report import file_signal
from amxwatch.core.signal import Signal, fingerprint
from amxwatch.flows.intake import IntakeDesk, add
from amxwatch.ports.ledger import Tx
from amxwatch.ports.signals import Drop, Drops, Repository, Touched
from amxwatch.settings.intake import GitWatch


@dataclass(kw_only=True)
class Found:
    """What looking came to. `look_at` is when a file that is still written will stand still."""

    items: list[IntakeItem] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    look_at: datetime | None = None


async def collect_folder(desk: IntakeDesk, drops: Drops, found: Found) -> None:
    """Make each file that stands still an item, and then move it to `taken/`.

    The item is committed first: a kill in between reads the file again and finds the item
    there. A file that cannot be used goes to `refused/`, beside a file that says why.
    """
    try:
        waiting = await drops.waiting(desk.clock.now())
        for name in waiting.names:
            drop = await drops.read(name)
            if drop is not None:
                await _collect_file(desk, drops, drop, found)
    except SignalError as error:
        found.errors.append(str(error))
        return
    times = [at for at in (found.look_at, waiting.settles_at) if at is not None]
    found.look_at = min(times, default=None)


async def _collect_file(desk: IntakeDesk, drops: Drops, drop: Drop, found: Found) -> None:
    try:
        if drop.fault is not None:
            raise SignalError(f"{drop.name}: {drop.fault}")
        read = partial(file_signal, drop.name, drop.content)
        signal = await anyio.to_thread.run_sync(read)
        # A report in which nothing failed is no work; it was read all the same.
        made = None if signal is None else await add(desk, _stamped(signal, drops, drop))
    except UsageError as error:
        await _refuse(desk, drops, drop, str(error))
        return
    if made is not None and made.is_new:
        found.items.append(made.item)
    await drops.take(drop)


def _stamped(signal: Signal, drops: Drops, drop: Drop) -> Signal:
    """Let the same file, read twice, be one signal; a report is one wherever it lies."""
    if signal.occurrence is not None:
        return signal
    content = hashlib.sha256(drop.content).hexdigest()
    marks = (drops.path, drop.name, str(drop.stamp.mtime_ns), content)
    return replace(signal, occurrence=f"file:{fingerprint(*marks)}")


async def _refuse(desk: IntakeDesk, drops: Drops, drop: Drop, reason: str) -> None:
    now = desk.clock.now()
    await drops.refuse(drop, reason)
    await desk.ledger.write(
        lambda tx: tx.events.add(
            "intake_refused", at=now, folder=drops.path, file=drop.name, reason=reason
        )
    )


# -- git refs --------------------------------------------------------------------------------


async def collect_ref(
    desk: IntakeDesk, repository: Repository, watch: GitWatch, where: str, found: Found
) -> None:
    """Make an item where the ref moved and files under `paths` with it.

    `where` is the repository's whole path. The first look only remembers the commit. Whatever
    happens between two looks is one signal: from the commit that was seen to the one there now.
    """
    key = _key(watch, where)
    try:
        commit = await repository.commit(watch.ref)
        known = await desk.ledger.read(lambda tx: tx.git_refs.get(key))
        if commit == known:
            return
        touched = None
        if known is not None:
            touched = await repository.touched(known, commit, watch.paths)
        await _pass(desk, watch, where, known, commit, touched, found)
    except UsageError as error:
        found.errors.append(str(error))


async def _pass(
    desk: IntakeDesk,
    watch: GitWatch,
    where: str,
    known: str | None,
    commit: str,
    touched: Touched | None,
    found: Found,
) -> None:
    """Go on to a commit, in one transaction with the item that it makes."""
    key = _key(watch, where)

    def advance(tx: Tx) -> bool:
        return tx.git_refs.advance(key, known, commit)

    if touched is None or not (touched.total or touched.lost):
        await desk.ledger.write(advance)
        return
    signal = Signal(
        source=IntakeSource.GIT,
        title=f"{watch.ref} moved to {commit[:12]}",
        detail=_detail(watch, where, known or "", commit, touched),
        db_profile=watch.db_profile,
        scope=watch.scope,
        priority=Priority(watch.priority),
        key=fingerprint(key, commit),
    )
    made = await add(desk, signal, guard=advance)
    if made is not None and made.is_new:
        found.items.append(made.item)


def _key(watch: GitWatch, where: str) -> str:
    """Return what a watch is known by; one that is edited looks for the first time again."""
    return fingerprint(where, watch.ref, *watch.paths, watch.db_profile or "", watch.scope or "")


def _detail(watch: GitWatch, where: str, known: str, commit: str, touched: Touched) -> str:
    head = f"{watch.ref} of {where} moved from {known[:12]} to {commit[:12]}."
    under = ", ".join(watch.paths)
    if touched.lost:
        return f"{head}\n{known[:12]} is not in the repository any more: any file may have moved."
    more = touched.total - len(touched.files)
    lines = [head, f"{touched.total} files moved under {under}:", *touched.files]
    return "\n".join([*lines, *([f"… and {more} more"] if more else [])])
