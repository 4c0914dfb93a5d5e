"""How long a run of a thousand columns takes, and what it asks, against the bounds of both.

    python -m tests.benchmarks.bench_drafting [--latency 1.0] [--concurrency 8] [--out FILE]

A real `amxwatch run`, its start included, over 100 tables of 10 columns in SQLite, against a
server on the loopback that takes a fixed time for each answer. With so many requests at a time,
no program is quicker than requests / concurrency x latency; the promise is 1.2 times that. The
second half counts what is sent per column (characters / 4 as tokens, schema and rules included)
for batches and for one column a call, over the first ten of these tables. A request that is
made for the confidence counts as any other.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.plugins.model_server import Body, ModelServer

TABLES, COLUMNS = 100, 10
MOST_RATIO = 1.2

CONFIG = """
[db_profiles.source]
url = "sqlite:///source.db"

[llm_profiles.model]
provider = "openai"
model = "test-model"
base_url = "{url}"
column_batch_size = {size}
max_concurrency = {concurrency}
input_usd_per_mtok = 1
output_usd_per_mtok = 1

[defaults]
llm_profile = "model"
"""

WORDS = ("status", "amount", "created_at", "note", "quantity", "region", "owner_ref", "is_open")


@dataclass(frozen=True, kw_only=True)
class Drafting:
    """What 1,000 columns took. `ratio` is wall time to the bound."""

    columns: int
    requests: int
    latency_seconds: float
    concurrency: int
    bound_seconds: float
    wall_seconds: float
    ratio: float
    promised_ratio: float
    requests_a_column: float
    tokens_a_column: float
    one_a_call_requests_a_column: float
    one_a_call_tokens_a_column: float
    requests_saved: float
    tokens_saved: float

    @property
    def keeps_the_promise(self) -> bool:
        return self.ratio <= self.promised_ratio


def build(folder: Path, tables: int) -> None:
    with closing(sqlite3.connect(folder / "source.db")) as connection, connection:
        for number in range(tables):
            names = [f"{WORDS[at % len(WORDS)]}_{at}" for at in range(COLUMNS - 1)]
            columns = ", ".join(["id INTEGER PRIMARY KEY", *(f"{name} TEXT" for name in names)])
            connection.execute(f"CREATE TABLE area_{number} ({columns})")
            marks = ", ".join("?" * COLUMNS)
            rows = [(at, *(f"value {at % 7}" for _ in names)) for at in range(50)]
            connection.executemany(f"INSERT INTO area_{number} VALUES ({marks})", rows)


def run(server: ModelServer, *, tables: int, size: int, concurrency: int) -> float:
    """Draft so many tables in an install of its own; return the wall time of the command."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder, tables)
        text = CONFIG.format(url=server.url, size=size, concurrency=concurrency)
        (folder / "amxwatch.toml").write_text(text, encoding="utf-8")
        command = [sys.executable, "-m", "amxwatch", "--config-dir", name]
        subprocess.run([*command, "catalog", "refresh", "source"], check=True, env=os.environ,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        started = time.perf_counter()
        subprocess.run([*command, "run"], check=True, env=os.environ, stdout=subprocess.DEVNULL)
        return time.perf_counter() - started


def tokens(request: Body) -> float:
    """Return about how many tokens a request sends."""
    texts = [message["content"] for message in request["messages"]]
    return (sum(map(len, texts)) + len(json.dumps(request.get("response_format", "")))) / 4


def asked_per_column(size: int, concurrency: int) -> tuple[float, float]:
    """Return requests and tokens a column, over ten tables."""
    server = ModelServer()
    try:
        run(server, tables=10, size=size, concurrency=concurrency)
        columns = 10 * COLUMNS
        return server.count / columns, sum(map(tokens, server.requests)) / columns
    finally:
        server.stop()


def measure(latency: float, concurrency: int) -> Drafting:
    server = ModelServer()
    server.latency = latency
    try:
        wall = run(server, tables=TABLES, size=COLUMNS, concurrency=concurrency)
        requests = server.count
    finally:
        server.stop()
    bound = requests / concurrency * latency
    batched = asked_per_column(COLUMNS, concurrency)
    single = asked_per_column(1, concurrency)
    return Drafting(
        columns=TABLES * COLUMNS,
        requests=requests,
        latency_seconds=latency,
        concurrency=concurrency,
        bound_seconds=round(bound, 2),
        wall_seconds=round(wall, 2),
        ratio=round(wall / bound, 3),
        promised_ratio=MOST_RATIO,
        requests_a_column=round(batched[0], 3),
        tokens_a_column=round(batched[1], 1),
        one_a_call_requests_a_column=round(single[0], 3),
        one_a_call_tokens_a_column=round(single[1], 1),
        requests_saved=round(single[0] / batched[0], 2),
        tokens_saved=round(single[1] / batched[1], 2),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--latency", type=float, default=1.0)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = measure(options.latency, options.concurrency)
    print(json.dumps(asdict(found), indent=2))
    if options.out:
        options.out.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return 0 if found.keeps_the_promise else 1


if __name__ == "__main__":
    sys.exit(main())
