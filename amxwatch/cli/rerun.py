"""`amxwatch rerun`: objects of a run once more, by the settings that it had."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import click

from amxwatch.cli.options import llm_option
from amxwatch.cli.output import shown
from amxwatch.cli.session import Desk, leave, writing


@click.command()
@click.argument("run_id", metavar="RUN")
@click.argument("objects", metavar="[OBJECT]...", nargs=-1)
@llm_option
def rerun(run_id: str, objects: tuple[str, ...], llm: str | None) -> None:
    """Draft objects of a run once more, as a new run.

    It drafts by the database, prompt detail, alternatives, verbosity and temperature of RUN, and
    by the profile of its tables, as far as they still stand. RUN, its drafts and its trail stay
    as they are; amxwatch compare shows both. OBJECT is schema.table or schema.table.column;
    without any, all that RUN drafted is drafted again. --llm asks another model.
    """
    leave(writing(partial(_rerun, run_id, objects, llm)))


async def _rerun(text: str, objects: tuple[str, ...], llm: str | None, desk: Desk) -> int:
    from amxwatch.cli.running import follow, told
    from amxwatch.core.run import RunKind
    from amxwatch.flows import manual
    from amxwatch.flows.repeating import repeated_scope

    install, out = desk.install, desk.out
    run_id = await manual.find(install.ledger, text)
    run = await install.ledger.read(lambda tx: tx.runs.get(run_id))
    source = install.source(run.db_profile)
    scope = await repeated_scope(source, run, objects)
    name = llm or run.llm_profile
    noted = run.manner.settings
    settings = "".join(f", {key}={value}" for key, value in noted.items())
    out.say(f"[Rerun] {run.id}: db_profile={shown(run.db_profile)}, llm={shown(name)}{settings}")
    again = await manual.put(
        install.ledger,
        install.clock,
        kind=RunKind.ANALYZE,
        db_profile=run.db_profile,
        llm_profile=install.settings.llm_profile(name).name,
        scope=scope,
        review_strategy="manual",
        reserved_for=install.owner.name,
        trigger_reason=f"rerun of {run.id}",
        manner=replace(run.manner, only=None, rerun_of=run.id),
    )
    done = await follow(again.id, desk)
    status = await told(done, desk)
    out.say(f"  Beside the first: amxwatch compare {run.id} {done.id}")
    return status
