"""`amxwatch init` and `amxwatch status`."""

from __future__ import annotations

from typing import Any

import click

from amxwatch.cli.output import Column, local_text, shown
from amxwatch.cli.session import Desk, leave, reading


@click.command()
@click.option(
    "--db-url",
    "urls",
    multiple=True,
    metavar="NAME=URL",
    help="A database to watch; repeatable. URL may be env:VARIABLE.",
)
def init(urls: tuple[str, ...]) -> None:
    """Write a first amxwatch.toml.

    The file is commented. Each database is tried; a URL that holds a password is kept in a
    private file beside the config, and referred to.
    """
    from amxwatch.cli.beginning import begin

    leave(begin(urls))


@click.command()
def status() -> None:
    """Show the daemon, the sources, the runs and what waits."""
    reading(show_status)


async def show_status(desk: Desk) -> None:
    """Print the document of `status`, or the same in words."""
    from amxwatch.cli.health import status_document

    document: dict[str, Any] = await status_document(desk.install)
    out = desk.out
    out.document(document)
    daemon, runs = document["daemon"], document["runs"]
    since = f", last heartbeat {local_text(daemon['last_heartbeat_at'])}" if daemon["pid"] else ""
    out.say(f"daemon    {daemon['status']}{since}")
    if daemon["status"] != "running":
        out.say("          start it with: amxwatch daemon")
    out.say(f"service   {document['service']['status']}")
    counts = [f"{count} {name}" for name, count in runs.items() if count and name != "total"]
    out.say(f"runs      {', '.join(counts) or 'none yet'}")
    out.say(f"review    {document['pending_review']} waiting (amxwatch review)")
    out.say(f"apply     {document['ready_to_apply']} accepted, unwritten (amxwatch apply)")
    waiting = [f"{count} {state}" for state, count in document["intake"].items() if count]
    if waiting:
        out.say(f"intake    {', '.join(waiting)} (amxwatch intake list)")
    for run in document["blocked"]:
        out.say(_blocked_words(run), colour="red")
    for session in document["continuous_sessions"]:
        out.say(f"session   {_session_words(session)}")
    for name in document["missed"]:
        out.say(f"missed    schedule {shown(name)}: run-now or skip it", colour="yellow")
    _sources(document["sources"], desk)


def _blocked_words(run: dict[str, Any]) -> str:
    """Say in a line what waits for a person, and the command that lets it go on."""
    if run["schedule"] is None:
        recovery = shown(run["recovery_action"])
        return f"blocked   {run['id']} ({shown(run['category'])}). Recovery: {recovery}"
    from amxwatch.cli.daemon import blocked_sentence

    return blocked_sentence(
        shown(run["schedule"]), shown(run["category"]), shown(run["recovery_action"])
    )


def _session_words(session: dict[str, Any]) -> str:
    """Say in a line where a continuous session stands."""
    by = f" of schedule {shown(session['owner_id'])}" if session["owner_type"] == "schedule" else ""
    words = [
        f"{session['session_id']}{by} is {session['status'].replace('_', ' ')}",
        f"{session['runs_completed']} runs completed of at most {session['max_runs']}",
    ]
    why = session["current_vision_objective"] or session["reason"]
    return "; ".join([*words, shown(why)] if why else words)


def _sources(sources: list[dict[str, Any]], desk: Desk) -> None:
    if not sources:
        desk.out.say("sources   none yet: add [db_profiles.NAME] to amxwatch.toml")
        return
    desk.out.say()
    desk.out.table(
        [
            "source",
            "status",
            Column("snapshot", right=True),
            "tables",
            "looked/down since",
            "error",
        ],
        [
            [
                source["profile"],
                source["status"],
                source["snapshot"],
                source["tables"],
                local_text(source["failing_since"] or source["looked_at"]),
                source["error"],
            ]
            for source in sources
        ],
    )
    for source in sources:
        for problem in source["problems"]:
            desk.out.say(f"{shown(source['profile'])}: {shown(problem)}", colour="yellow")
