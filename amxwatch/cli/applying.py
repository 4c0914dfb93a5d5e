"""Showing a plan, asking, carrying it out row by row, and telling what failed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import anyio.to_thread
import click

from amxwatch.cli.documents import Document
from amxwatch.cli.output import Output, cut, shown
from amxwatch.cli.session import Desk
from amxwatch.cli.terminal import confirm, require
from amxwatch.core.draft import Draft, DraftStatus
from amxwatch.core.errors import StatementRefusedError
from amxwatch.core.run import RunId
from amxwatch.flows import apply, manual
from amxwatch.flows.apply import Applied
from amxwatch.flows.interrupted import settle_interrupted
from amxwatch.flows.plan import Planned, Verdict, Wanted, make_plan, targets_of, template
from amxwatch.flows.source import Source
from amxwatch.flows.undo import undo
from amxwatch.ports.export import Export, Exporter
from amxwatch.ports.ledger import DraftFilter

MOST_TABLES = 5
"""Tables that the heading of a plan names."""

SHOWN_ROWS = 20
"""How many rows of a plan are shown before the question; a dry run shows all."""


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What a person wants applied. `is_brief` shows only the rows that went wrong."""

    db: str | None = None
    run: str | None = None
    run_id: RunId | None = None
    dry_run: bool = False
    yes: bool = False
    force: bool = False
    restore: bool = False
    is_brief: bool = False


async def apply_command(wish: Wish, desk: Desk) -> int:
    """Apply what is accepted in one db profile; return the exit status."""
    source = desk.install.source(wish.db)
    run_id = await manual.find(desk.install.ledger, wish.run) if wish.run else None
    return await apply_accepted(desk, source, replace(wish, run_id=run_id))


async def apply_accepted(
    desk: Desk, source: Source, wish: Wish, *, extra: Mapping[str, object] | None = None
) -> int:
    """Plan, ask and write. `extra` is added to the JSON document."""
    owner = desk.install.owner
    await settle_interrupted(source, owner.is_dead, owner=owner.name)
    wanted = Wanted(run_id=wish.run_id, force=wish.force, restore=wish.restore)
    rows = await make_plan(source, wanted, owned=await source.owned())
    more = dict(extra or {})
    if wish.dry_run:
        _dry(desk.out, source, rows, more)
        return 0
    if not rows:
        desk.out.document({**Applied().document(), **more})
        desk.out.say(f"Nothing is accepted and unwritten for {shown(source.profile)}.")
        return 0
    to_write = sum(row.verdict in (Verdict.WRITE, Verdict.ALREADY) for row in rows)
    if to_write and not _agreed(desk.out, source, rows, to_write, wish):
        desk.out.say("Nothing was written; what is accepted stays accepted.")
        return 0
    applied = await apply.execute(
        source, rows, owner=owner.name, report=reporter(desk.out, is_brief=wish.is_brief)
    )
    exported = await _exported(desk, source, rows)
    return told(desk.out, applied, rows, exported, more)


def _agreed(out: Output, source: Source, rows: Sequence[Planned], count: int, wish: Wish) -> bool:
    _require_answer(out, wish.yes)
    if not wish.yes:
        _plan(out, source, rows[:SHOWN_ROWS], len(rows))
        if len(rows) > SHOWN_ROWS:
            out.say(f"… and {len(rows) - SHOWN_ROWS} more (all of them: amxwatch apply --dry-run)")
    elif wish.is_brief:
        out.say(
            f"[Apply] Write {count:,} comment(s) to {shown(source.profile)} (not asked: --apply)"
        )
    return confirm(f"Write {count} comment(s) to {shown(source.profile)}?", yes=wish.yes)


def _require_answer(out: Output, yes: bool) -> None:
    """Refuse before anything is shown, where nobody can answer. Raises: click.UsageError."""
    if not yes:
        require("-y", "a confirmation")
        if out.as_json:
            raise click.UsageError("with --json nothing is asked: give -y")


def _dry(out: Output, source: Source, rows: Sequence[Planned], more: Document) -> None:
    planned: Document = {
        "written": 0,
        "failed": [],
        "skipped": [
            {"object": str(row.target.ref), "reason": row.reason or row.verdict}
            for row in rows
            if row.verdict in (Verdict.GONE, Verdict.UNSUPPORTED, Verdict.KEPT)
        ],
        "conflicts": [
            {"object": str(row.target.ref), "expected": row.expected, "found": row.found}
            for row in rows
            if row.verdict is Verdict.CONFLICT
        ],
        "statements": [row.statement for row in rows if row.statement and _is_sent(row)],
        "rows": [
            {
                "object": str(row.target.ref),
                "verdict": row.verdict,
                "statement": template(source, row),
                "cmt": row.text,
                "reason": row.reason,
            }
            for row in rows
        ],
        "dry_run": True,
    }
    out.document({**planned, **more})
    if not rows:
        out.say(f"Nothing is accepted and unwritten for {shown(source.profile)}.")
        return
    _heading(out, source, rows)
    for number, row in enumerate(rows, start=1):
        out.say(f"[{number}/{len(rows)}] {_sentence(row, template(source, row))}")
        if _is_sent(row):
            out.say(f"    :cmt = {shown(row.text)}")
    out.say(f"Dry run: {len(rows)} row(s) shown, nothing written.")


def _is_sent(row: Planned) -> bool:
    """Claim that a row's statement would go to the database, or into its export."""
    return row.statement is not None and row.verdict in (Verdict.WRITE, Verdict.UNSUPPORTED)


def _heading(out: Output, source: Source, rows: Sequence[Planned]) -> None:
    """Say what is about to be applied, where, and how."""
    product = source.database.capabilities.product
    tables = list(dict.fromkeys(shown(row.target.ref.owner) for row in rows))
    columns = sum(row.target.ref.is_column for row in rows)
    how = next((row.statement.split(" IS ")[0] for row in rows if row.statement), "")
    out.say(f"Accepted for {shown(source.profile)} ({product}):")
    more = f" and {len(tables) - MOST_TABLES} more" if len(tables) > MOST_TABLES else ""
    out.say(f"  scope: {', '.join(tables[:MOST_TABLES])}{more}")
    out.say(f"  total: {columns} column and {len(rows) - columns} table description(s)")
    if how:
        out.say(f"  apply via: {' '.join(how.split()[:2])} …")


def _plan(out: Output, source: Source, rows: Sequence[Planned], total: int) -> None:
    _heading(out, source, rows)
    for number, row in enumerate(rows, start=1):
        out.say(f"[{number}/{total}] {_sentence(row, row.statement)}")


def _sentence(row: Planned, statement: str | None) -> str:
    """Return one row of a plan: the statement, or why there is none."""
    reason = shown(row.reason)
    match row.verdict:
        case Verdict.WRITE if statement:
            over = f"  -- {reason}: {cut(row.found)}" if row.reason else ""
            return f"{shown(statement)}{over}"
        case Verdict.WRITE:
            return f"{shown(row.target.ref)}: will be refused: {reason}"
        case Verdict.ALREADY:
            return f"{shown(row.target.ref)}: stands there already"
        case Verdict.CONFLICT:
            return f"{shown(row.target.ref)}: conflict: {reason}; found {cut(row.found)}"
        case Verdict.UNSUPPORTED if statement:
            return f"{shown(statement)} -- only exported: {reason}"
    return f"{shown(row.target.ref)}: skipped: {reason}"


def reporter(out: Output, *, is_brief: bool = False) -> apply.Report:
    """Return what prints each row as it is done, or only those that went wrong."""

    def report(number: int, total: int, row: Planned, outcome: str) -> None:
        bad = outcome.startswith("failed") or outcome == "conflict"
        if is_brief and not bad and number < total:
            return
        what = f" {cut(row.statement or str(row.target.ref), 100)}" if bad or not is_brief else ""
        why = f" ({shown(row.reason)})" if outcome == "skipped" and row.reason else ""
        line = f"[{number}/{total}]{what} {shown(outcome)}{why}"
        out.say(line, colour="red" if bad else None)

    return report


async def _exported(desk: Desk, source: Source, rows: Sequence[Planned]) -> Path | None:
    """Write the statements of a database that holds no comments to a file, for other uses."""
    from amxwatch.settings.folder import make_folder, slug
    from amxwatch.settings.replacement import replace_file

    left = [row for row in rows if row.verdict is Verdict.UNSUPPORTED and row.statement]
    if not left:
        return None
    export = await _export(source, left)
    path = desk.install.folder.exports / f"{slug(source.profile)}-comments{export.ending}"
    data = export.text.encode("utf-8")

    def write() -> None:
        make_folder(path.parent)
        replace_file(path, data)

    await anyio.to_thread.run_sync(write)
    return path


async def _export(source: Source, rows: Sequence[Planned]) -> Export:
    """Return the text to export: statements, where the source knows no better form."""
    commenter = source.database.commenter
    if isinstance(commenter, Exporter):
        return await commenter.export([(row.target, row.text) for row in rows])
    product = source.database.capabilities.product
    head = f"-- {product} cannot hold these comments; written by amxwatch apply."
    texts = [row.statement or "" for row in rows]
    ended = (text if text.rstrip().endswith(";") else f"{text};" for text in texts)
    return Export(ending=".sql", text="\n".join([head, *ended, ""]))


def told(
    out: Output,
    applied: Applied,
    rows: Sequence[Planned],
    exported: Path | None,
    more: Document,
    *,
    runs: Collection[str] = (),
) -> int:
    """Tell what came of it, the failures again at the end; return the exit status."""
    export: Document = {"exported": str(exported)} if exported else {}
    out.document({**applied.document(), **export, **more})
    bad = len(applied.failed) + len(applied.conflicts)
    total = max(len(rows), applied.written + bad + len(applied.skipped))
    if exported is not None:
        reason = applied.skipped[0]["reason"] if applied.skipped else "comments are not possible"
        out.say(f"{shown(reason)}: the statements are in {exported}")
    trail = _trail(runs or dict.fromkeys(row.draft.run_id for row in rows))
    if bad:
        out.say(
            f"✗ {applied.written}/{total} written, {len(applied.failed)} failed,"
            f" {len(applied.conflicts)} in conflict.{trail}",
            colour="red",
        )
    elif exported is None or applied.written:
        skipped = f", {len(applied.skipped)} skipped" if applied.skipped else ""
        out.say(f"✓ {applied.written}/{total} written{skipped}.{trail}", colour="green")
    for failure in applied.failed:
        out.say(f"  - {shown(failure['object'])}: {shown(failure['error'])}")
    for conflict in applied.conflicts:
        out.say(f"  - {shown(conflict['object'])}: now reads {cut(conflict['found'])}")
    if applied.failed:
        out.say("What failed stays queued: mend the cause and run amxwatch apply again.")
    if applied.conflicts:
        out.say("What is in conflict is back in the queue: amxwatch review")
    return 1 if bad else 0


def _trail(runs: Collection[str]) -> str:
    if len(runs) == 1:
        return f" Audit trail: amxwatch history show {next(iter(runs))}"
    return " Audit trail: amxwatch events" if runs else ""


# -- undo ------------------------------------------------------------------------------------


async def undo_run(text: str, dry_run: bool, yes: bool, desk: Desk) -> int:
    """Put back what stood before a run's comments."""
    install = desk.install
    run_id = await manual.find(install.ledger, text)
    run = await install.ledger.read(lambda tx: tx.runs.get(run_id))
    source = install.source(run.db_profile)
    which = DraftFilter(
        statuses=frozenset({DraftStatus.WRITTEN}), db_profile=run.db_profile, run_id=run_id
    )
    written = await install.ledger.read(lambda tx: tx.drafts.list(which))
    if dry_run:
        await _undo_plan(desk.out, source, written)
        return 0
    if not written:
        desk.out.document(Applied().document())
        desk.out.say(f"No comment of {run_id} stands written.")
        return 0
    _require_answer(desk.out, yes)
    question = f"Put back {len(written)} comment(s) in {shown(source.profile)}?"
    if not confirm(question, yes=yes):
        desk.out.say("Nothing was changed.")
        return 0
    applied = await undo(source, run_id, report=reporter(desk.out))
    return told(desk.out, applied, (), None, {}, runs=[run_id])


async def _undo_plan(out: Output, source: Source, written: Sequence[Draft]) -> None:
    targets = await targets_of(source, written)
    statements = []
    for draft in written:
        target = targets.get(draft.id)
        if target is None:
            continue
        try:
            text = draft.base_comment or None
            statements.append(source.database.commenter.statement(target, text))
        except StatementRefusedError as error:
            out.warn(f"{draft.ref}: {error}")
    out.document({**Applied(statements=tuple(statements)).document(), "dry_run": True})
    for number, statement in enumerate(statements, start=1):
        out.say(f"[{number}/{len(statements)}] {shown(statement)}")
    out.say(f"Dry run: {len(statements)} comment(s) would be put back, nothing written.")
