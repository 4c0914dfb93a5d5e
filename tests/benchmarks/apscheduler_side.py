"""APScheduler's side of the scheduler benchmark; each part runs in a process of its own."""

from __future__ import annotations

import logging
import pickle
import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psutil

POLLS = 50
JOBS = 400
FIRINGS = 24
Values = dict[str, float]

HOSTED: list[tuple[Any, Any]] = []
"""The thread that runs our library in the peer's process, and the install it opened."""


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def median_ms(seconds: list[float]) -> float:
    return 1000 * statistics.median(seconds)


def spread(seconds: list[float]) -> Values:
    p95 = statistics.quantiles(seconds, n=20, method="inclusive")[-1]
    return {"p50_ms": median_ms(seconds), "p95_ms": 1000 * p95}


def nothing() -> None:
    """Do nothing: what is measured is the way to here."""


def tell(path: str, seconds: float) -> None:
    """Write how late an interval job is: its due times lie on whole intervals."""
    with Path(path).open("a", encoding="ascii") as file:
        file.write(f"{time.time() % seconds}\n")


def scheduler_in(folder: Path) -> Any:
    from apscheduler.executors.pool import ThreadPoolExecutor
    from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
    from apscheduler.schedulers.background import BackgroundScheduler

    logging.getLogger("apscheduler").setLevel(logging.ERROR)  # a job that is late is skipped
    return BackgroundScheduler(
        jobstores={"default": SQLAlchemyJobStore(url=f"sqlite:///{folder / 'jobs.db'}")},
        executors={"default": ThreadPoolExecutor(4)},
        job_defaults={"misfire_grace_time": None, "coalesce": True},
        timezone=UTC,
    )


def theirs_fill(folder: Path, count: int) -> Values:
    """Put the jobs in the store as it keeps them, in one transaction."""
    scheduler = scheduler_in(folder)
    scheduler.start(paused=True)
    far = datetime.now(UTC) + timedelta(hours=5)
    job = scheduler.add_job(nothing, "cron", hour=far.hour, minute=far.minute, id="job-0")
    store, state = scheduler._jobstores["default"], job.__getstate__()
    rows = []
    for number in range(1, count):
        moment = far + timedelta(seconds=number % 3600)
        own = {**state, "id": f"job-{number}", "next_run_time": moment}
        packed = pickle.dumps(own, pickle.HIGHEST_PROTOCOL)
        rows.append({"id": own["id"], "next_run_time": moment.timestamp(), "job_state": packed})
    if rows:
        with store.engine.begin() as connection:
            connection.execute(store.jobs_t.insert(), rows)
    scheduler.shutdown()
    return {}


def theirs_poll(folder: Path, _: int) -> Values:
    from apscheduler.schedulers.base import STATE_RUNNING

    scheduler = scheduler_in(folder)
    scheduler.start(paused=True)
    scheduler.state = STATE_RUNNING
    quiet = [timed(scheduler._process_jobs) for _ in range(POLLS)]
    due = []
    for number in range(POLLS):
        scheduler.state = 2  # paused: adding wakes nobody
        scheduler.add_job(nothing, "cron", second="*/7", id=f"due-{number}")
        job = scheduler.get_job(f"due-{number}")
        job._modify(next_run_time=datetime.now(UTC) - timedelta(seconds=1))
        scheduler._jobstores["default"].update_job(job)
        scheduler.state = STATE_RUNNING
        due.append(timed(scheduler._process_jobs))
        scheduler.remove_job(f"due-{number}")
    scheduler.shutdown(wait=False)
    return {"quiet_ms": median_ms(quiet), "due_ms": median_ms(due)}


def theirs_serve(folder: Path, _: int) -> Values:
    scheduler = scheduler_in(folder)
    scheduler.start()
    scheduler._process_jobs()
    (folder / "ready").touch()
    time.sleep(3600)
    return {}


def theirs_firings(folder: Path, _: int) -> Values:
    return firings(folder, tell)


def hosted_firings(folder: Path) -> Values:
    """Let the jobs take snapshots of the database of the install in `folder`."""
    from anyio.from_thread import start_blocking_portal

    from amxwatch.daemon.wiring import open_install

    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_install(folder)) as install,
    ):
        HOSTED.append((portal, install))
        late = firings(folder, tell_and_refresh)
        return {**late, "rss_mb": psutil.Process().memory_info().rss / 1e6}


def tell_and_refresh(path: str, seconds: float) -> None:
    """Write how late the job is, and do what our `cache_refresh` does."""
    from amxwatch.flows.watch import look

    tell(path, seconds)
    (portal, install) = HOSTED[0]
    portal.call(partial(look, install.source("source"), exact=True))


def firings(folder: Path, work: Callable[[str, float], None]) -> Values:
    scheduler, told, every = scheduler_in(folder), folder / "told", 3
    scheduler.start()
    first = datetime.fromtimestamp((time.time() // every + 1) * every, UTC)
    for _ in range(4):
        scheduler.add_job(
            work, "interval", seconds=every, start_date=first, args=[str(told), every]
        )
    while len(late := told.read_text().split() if told.exists() else []) < FIRINGS:
        time.sleep(0.2)
    scheduler.shutdown()
    return spread([float(line) for line in late])


def theirs_runs(folder: Path, _: int) -> Values:
    scheduler = scheduler_in(folder)
    scheduler.start(paused=True)
    for number in range(JOBS):
        scheduler.add_job(nothing, "date", run_date=datetime.now(UTC), id=f"run-{number}")
    started = time.perf_counter()
    scheduler.resume()
    store = scheduler._jobstores["default"]
    while store.get_due_jobs(datetime.now(UTC)):
        time.sleep(0.005)
    scheduler.shutdown(wait=True)
    return {"per_second": JOBS / (time.perf_counter() - started)}
