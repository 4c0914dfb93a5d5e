"""`amxwatch events`: the audit trail."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

import click

from amxwatch.cli.options import complete_schedule
from amxwatch.cli.output import Output, json_text, local, shown
from amxwatch.cli.session import Desk, reading
from amxwatch.cli.trail import pages
from amxwatch.core.event import Event
from amxwatch.ports.ledger import Tx

POLL_SECONDS = 0.5


@click.command()
@click.option("--follow", "-f", is_flag=True, help="Go on, and print each new event as it comes.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(0, 1_000_000),
    default=50,
    show_default=True,
    help="How many of the newest to begin with.",
)
@click.option("--run", "run_id", metavar="RUN", help="Only this run's events.")
@click.option(
    "--schedule",
    metavar="NAME",
    shell_complete=complete_schedule,
    help="Only this schedule's events.",
)
@click.option("--after", metavar="ID", type=click.IntRange(0), help="Only events after this id.")
def events(
    follow: bool, limit: int, run_id: str | None, schedule: str | None, after: int | None
) -> None:
    """Show the audit trail.

    The oldest event comes first. With --json each event is one compact line.
    """
    reading(partial(_events, follow, limit, run_id, schedule, after))


async def _events(
    follow: bool,
    limit: int,
    run_text: str | None,
    schedule: str | None,
    after: int | None,
    desk: Desk,
) -> None:
    from amxwatch.flows import manual

    ledger = desk.install.ledger
    run_id = await manual.find(ledger, run_text) if run_text else None

    def is_wanted(event: Event) -> bool:
        return (run_id is None or event.run_id == run_id) and (
            schedule is None or event.schedule == schedule
        )

    newest = await ledger.read(lambda tx: tx.events.recent(1))
    begin = await ledger.read(partial(_begin, limit, after, is_wanted))
    last = newest[-1].id if newest else 0
    for event in begin:
        _print(desk.out, event)
        last = max(last, event.id)
    while follow:
        page = await ledger.read(partial(_page, last))
        for event in page:
            last = event.id
            if is_wanted(event):
                _print(desk.out, event)
        if not page:
            await desk.install.clock.sleep(POLL_SECONDS)


def _begin(
    limit: int, after: int | None, is_wanted: Callable[[Event], bool], tx: Tx
) -> list[Event]:
    """Return what is printed first: all after an id, else the newest that are wanted."""
    if after is not None:
        return [event for page in pages(tx, after) for event in page if is_wanted(event)]
    wanted = (event for page in pages(tx) for event in page if is_wanted(event))
    return list(deque(wanted, maxlen=limit))


def _page(last: int, tx: Tx) -> list[Event]:
    return tx.events.after(last)


def _print(out: Output, event: Event) -> None:
    from amxwatch.cli.documents import event_document

    out.line(event_document(event))
    about = [shown(text) for text in (event.schedule, event.run_id, event.db_profile) if text]
    detail = {key: value for key, value in event.detail.items() if value is not None}
    words = [local(event.at), event.action, *about, json_text(detail) if detail else ""]
    out.say("  ".join(word for word in words if word))
