"""The difference of two snapshots as SQL."""

from __future__ import annotations

from collections.abc import Sequence

from amxwatch.cli.output import Output, shown, visible
from amxwatch.core.catalog import SnapshotNumber
from amxwatch.core.change import Change
from amxwatch.flows.source import Source


async def print_statements(
    source: Source,
    changes: Sequence[Change],
    since: SnapshotNumber,
    to: SnapshotNumber,
    out: Output,
) -> None:
    """Print the statements that turn snapshot `since` into `to`, in the database's dialect."""
    from amxwatch.core.ddl import write_statements

    able = source.database.capabilities
    script = write_statements(
        await source.as_of(since),
        await source.as_of(to),
        changes,
        dialect=able.dialect,
        comments=able.comments,
    )
    out.document(
        {
            "profile": source.profile,
            "from": since,
            "to": to,
            "statements": script.statements,
            "notes": script.notes,
        }
    )
    text = str(script).removesuffix("\n")
    if text:
        # Exactly as it is where a program reads it; a terminal must not obey names.
        out.say(visible(text) if out.is_terminal else text)
    if script.unwritten:
        out.warn(
            f"{script.unwritten} changes of {shown(source.profile)} cannot be written in"
            f" {able.product}'s SQL: see the lines `-- cannot be written`"
        )
