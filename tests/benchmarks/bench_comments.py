"""How long 1,000 comments on PostgreSQL take, against a bare psycopg pipeline.

    python -m tests.benchmarks.bench_comments [--comments 1000] [--out FILE]

The pipeline sends the same statements, written beforehand, and reads nothing. Ours looks at what
stands, sends only what differs, keeps each row's fate apart, and reads back what stands then.
`nothing to do` is the same texts once more. Medians, in turns.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import psycopg

from amxwatch import databases
from amxwatch.clocks.system import SystemClock
from amxwatch.core.catalog import ObjectRef, ObjectType
from amxwatch.ports.database import CommentTarget
from tests.benchmarks.scene import served

COLUMNS = 10
MOST = 1.5


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way to write them all."""

    what: str
    seconds: float
    times_pipeline: float


def build(url: str, comments: int) -> list[CommentTarget]:
    names = [f"column_{number}" for number in range(COLUMNS)]
    targets = []
    with psycopg.connect(url) as connection:
        for number in range(-(-comments // COLUMNS)):
            columns = ", ".join(f"{name} int" for name in names)
            connection.execute(f"CREATE TABLE table_{number} ({columns})".encode())
            targets += [
                CommentTarget(
                    ref=ObjectRef(schema="public", table=f"table_{number}", column=name),
                    type=ObjectType.COLUMN,
                )
                for name in names
            ]
    return targets[:comments]


def texts(targets: list[CommentTarget], turn: int) -> list[tuple[CommentTarget, str | None]]:
    return [(target, f"What {target.ref} holds; turn {turn}.") for target in targets]


def pipeline(url: str, statements: list[bytes]) -> float:
    with psycopg.connect(url) as connection:
        start = time.perf_counter()
        with connection.pipeline():
            for statement in statements:
                connection.execute(statement)
            connection.commit()
        return time.perf_counter() - start


async def measure(url: str, comments: int, tries: int) -> dict[str, float]:
    targets = build(url, comments)
    options = databases.ConnectOptions(clock=SystemClock())
    database = databases.connect(url, relative_to=Path(), options=options)
    commenter = database.commenter
    await commenter.current(targets[:1])
    times: dict[str, list[float]] = {"bare pipeline": [], "amxwatch": [], "nothing to do": []}
    for turn in range(tries):
        before = [commenter.statement(*row).encode() for row in texts(targets, 2 * turn)]
        times["bare pipeline"].append(pipeline(url, before))
        rows = texts(targets, 2 * turn + 1)
        for what in ("amxwatch", "nothing to do"):
            start = time.perf_counter()
            results = await commenter.execute_many(rows)
            times[what].append(time.perf_counter() - start)
            assert results == [text for _, text in rows]
    await database.aclose()
    return {what: statistics.median(seconds) for what, seconds in times.items()}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--comments", type=int, default=1000)
    parser.add_argument("--tries", type=int, default=9)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    with served() as server:
        found = anyio.run(measure, server.url("postgres"), given.comments, given.tries)
    bare = found["bare pipeline"]
    rows = [
        Row(what=what, seconds=seconds, times_pipeline=seconds / bare)
        for what, seconds in found.items()
    ]
    for row in rows:
        print(f"{row.what:16} {row.seconds * 1000:8.1f} ms {row.times_pipeline:6.2f} x")
    if given.out:
        document = {
            "comments": given.comments,
            "at_most_times": MOST,
            "rows": [asdict(row) for row in rows],
        }
        given.out.write_text(json.dumps(document, indent=2) + "\n")
    return 0 if found["amxwatch"] <= MOST * bare else 1


if __name__ == "__main__":
    raise SystemExit(main())
