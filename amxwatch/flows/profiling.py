"""Look at the rows of a table once, and keep what they add up to for later runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta

from amxwatch.context.profile import VERSION, hidden_columns
from amxwatch.context.profile import profile as profile_of
from amxwatch.core.catalog import Table
from amxwatch.core.denied import denied_columns
from amxwatch.core.errors import DatabaseError
from amxwatch.core.evidence import ColumnStatistics
from amxwatch.core.run import RunTrigger
from amxwatch.core.sample import Wanted
from amxwatch.core.selection import structure_hash
from amxwatch.flows.job import Job
from amxwatch.flows.memory import STATISTICS
from amxwatch.ports.database import Sampler
from amxwatch.ports.profiles import KeptProfile
from amxwatch.settings.schema import DbProfile


async def statistics_of(job: Job, table: Table) -> dict[str, ColumnStatistics]:
    """Return the statistics of a table's columns, the same for the life of the run.

    What was kept serves as long as the table and the settings are the same and it is not too
    old; a rerun takes it at any age. A table that cannot be sampled is drafted without.
    """
    if not is_profiled(job.db_profile) or not job.source.database.capabilities.sampling:
        return {}

    async def look() -> str:
        kept = await kept_profile(job, table)
        if kept is not None:
            job.say(
                "profile",
                object=str(table.ref),
                detail=f"reusing {kept.rows:,} rows seen {kept.at:%Y-%m-%d %H:%M} UTC",
                seconds=0.0,
            )
            return kept.statistics
        return await _look(job, table)

    text = await job.context.remember(f"profile:{job.run.id}:{table.ref}", look)
    return STATISTICS.validate_json(text)


def is_profiled(profile: DbProfile) -> bool:
    """Claim that rows may be looked at."""
    return profile.profiling_mode != "none" and profile.samples != "none"


def profile_key(profile: DbProfile, table: Table) -> str:
    """Return what statistics depend on besides the rows: the structure, and how it is looked at."""
    parts = [
        *(VERSION, structure_hash(table, None), profile.profiling_mode, profile.samples),
        *(profile.profiling_sample_size, sorted(denied_columns(table, profile.samples_deny))),
    ]
    return hashlib.sha256(json.dumps(parts).encode("utf-8", "surrogatepass")).hexdigest()


async def kept_profile(job: Job, table: Table) -> KeptProfile | None:
    """Return the kept statistics where they may serve this run."""
    # Who compares with the look before wants a new one.
    if job.plan is not None and job.plan.session_mode == "persistent":
        return None
    profile, ledger = job.db_profile, job.drafting.ledger
    kept = await ledger.read(lambda tx: tx.profiles.get(job.source.profile, table.ref))
    if kept is None or kept.key != profile_key(profile, table):
        return None
    age = job.drafting.clock.now() - kept.at
    fresh = age < timedelta(hours=profile.profile_max_age_hours)
    return kept if fresh or job.run.trigger is RunTrigger.RERUN else None


async def _look(job: Job, table: Table) -> str:
    profile, clock = job.db_profile, job.drafting.clock
    started = clock.monotonic()
    try:
        found, rows = await look_at(job.source.sampler, profile, table)
    except DatabaseError as error:
        if error.transient:
            raise
        job.say("profile", object=str(table.ref), error=str(error))
        return "{}"
    text = STATISTICS.dump_json(dict(found)).decode()
    kept = KeptProfile(
        ref=table.ref,
        key=profile_key(profile, table),
        at=clock.now(),
        rows=rows,
        statistics=text,
    )
    await job.context.write(lambda tx: tx.profiles.keep(job.source.profile, kept))
    job.say(
        "profile",
        object=str(table.ref),
        detail=f"sampling {rows:,} rows",
        seconds=clock.monotonic() - started,
    )
    return text


async def look_at(
    sampler: Sampler, profile: DbProfile, table: Table
) -> tuple[Mapping[str, ColumnStatistics], int]:
    """Return the statistics of a table, reduced to what may be seen, and how many rows it took.

    Raises: DatabaseError.
    """
    denied = denied_columns(table, profile.samples_deny)
    names = (column.name for column in table.columns)
    wanted = Wanted(
        rows=profile.profiling_sample_size,
        full=profile.profiling_mode == "full",
        hidden=hidden_columns(names, samples=profile.samples, denied=denied),
    )
    tally = await sampler.tally(table, wanted)
    return profile_of(tally, samples=profile.samples, denied=denied), tally.rows
