"""`llm test` on every wire, prices in TOML, and what must not leave the machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.plugins.model_server import ModelServer
from tests.surfaces.conftest import Inside, change_house

CONFIG = """
[db_profiles.house]
url = "duckdb:///house.duckdb"
local_only = {local_only}

[llm_profiles.openai]
provider = "openai"
model = "test-model"
base_url = "{url}"
input_usd_per_mtok = 2
output_usd_per_mtok = 8

[llm_profiles.anthropic]
provider = "anthropic"
model = "test-model"
base_url = "{url}"

[llm_profiles.ollama]
provider = "ollama"
model = "test-model"
base_url = "{root}"

[llm_profiles.elsewhere]
provider = "openai"
model = "test-model"
base_url = "http://192.0.2.1/v1"

[llm_profiles.cloud]
provider = "ollama"
model = "big:120b-cloud"
base_url = "{root}"
"""


@pytest.fixture
def house(tmp_path: Path, model_server: ModelServer) -> Iterator[Inside]:
    made = Inside(tmp_path / "config")
    configure(made, model_server)
    change_house(made.folder, "CREATE TABLE customer (customer_id INTEGER, email VARCHAR)")
    yield made
    made.close()


def configure(house: Inside, server: ModelServer, *, local_only: bool = False) -> None:
    told = str(local_only).lower()
    house.config(CONFIG.format(url=server.url, root=server.root, local_only=told))


def test_one_real_call_says_what_the_endpoint_can_do(
    house: Inside, model_server: ModelServer
) -> None:
    model_server.takes_logprobs = True
    found = house.json("llm", "test", "openai")
    assert found.pop("seconds") >= 0
    assert found == {
        "profile": "openai",
        "ok": True,
        "model": "test-model-2026",
        "finish": "stop",
        "input_tokens": 1000,
        "output_tokens": 100,
        "cached_tokens": 400,
        "cost_usd": 0.0028,
        "price_version": "llm profile: 2 in, 8 out",
        "logprobs": True,
        "structured_output": True,
        "structured_by": "json_schema",
    }
    assert model_server.count == 1
    said = house.run("llm", "test", "openai").stdout
    assert "test-model-2026 answered (stop)" in said
    assert "structured output: works, asked for by json_schema" in said
    assert "log-probabilities: yes" in said
    assert "$0.0028" in said


def test_what_an_endpoint_does_not_know_is_told(house: Inside, model_server: ModelServer) -> None:
    model_server.formats = {"tool", "plain"}
    model_server.takes_logprobs = False
    forms = {name: house.json("llm", "test", name) for name in ("openai", "anthropic", "ollama")}
    assert {name: found["structured_by"] for name, found in forms.items()} == {
        "openai": "prompt",
        "anthropic": "tool",
        "ollama": "prompt",
    }
    assert {found["logprobs"] for found in forms.values()} == {False}
    # A price that nobody knows is none; a model on this machine costs nothing.
    assert [forms[name]["cost_usd"] for name in ("anthropic", "ollama")] == [None, 0.0]
    assert "unpriced" in house.run("llm", "test", "anthropic").stdout


def test_an_answer_that_keeps_to_no_schema_is_not_ok(
    house: Inside, model_server: ModelServer
) -> None:
    model_server.garbage()
    found = house.json("llm", "test", "openai", status=1)
    assert (found["ok"], found["structured_output"], found["finish"]) == (False, False, "stop")


@pytest.mark.parametrize("name", ["elsewhere", "cloud"])
def test_what_must_stay_is_sent_nowhere(
    name: str, house: Inside, model_server: ModelServer
) -> None:
    configure(house, model_server, local_only=True)
    done = house.run("run", "main", "--llm", name, status=1)
    [run] = house.runs()
    assert run["status"] == "failed"
    assert "local_only" in run["error"]
    assert "Traceback" not in done.stderr
    assert model_server.count == 0


def test_what_must_stay_is_drafted_by_a_model_of_this_machine(
    house: Inside, model_server: ModelServer
) -> None:
    configure(house, model_server, local_only=True)
    house.run("run", "main", "--llm", "ollama")
    [run] = house.runs()
    assert (run["status"], run["drafted"], run["cost_usd"]) == ("completed", 3, 0.0)
    assert model_server.count >= 1


def test_unpriced_requests_are_counted_and_prices_kept(
    house: Inside, model_server: ModelServer
) -> None:
    house.run("run", "main", "--llm", "anthropic")
    costs = house.json("costs", "--by", "llm")
    [group] = costs["groups"]
    asked = model_server.count
    assert (group["requests"], group["unpriced_requests"]) == (asked, asked)
    assert (group["unpriced_runs"], group["cost_usd"]) == (1, 0.0)
    assert f"+ {asked} unpriced request" in house.run("costs").stdout
    change_house(house.folder, "ALTER TABLE customer ADD COLUMN phone VARCHAR")
    house.run("catalog", "refresh", "house")
    house.run("run", "main", "--llm", "openai")
    newest, _ = house.runs()
    shown = house.json("history", "show", newest["id"])
    run = shown.get("run", shown)
    assert run["price_version"] == "llm profile: 2 in, 8 out"
    assert run["unpriced_requests"] == 0


def test_half_a_price_is_refused(house: Inside, model_server: ModelServer) -> None:
    configure(house, model_server)
    text = (house.folder / "amxwatch.toml").read_text(encoding="utf-8")
    house.config(text.replace("output_usd_per_mtok = 8", ""))
    done = house.run("llm", "test", "openai", status=None)
    assert "output_usd_per_mtok" in done.stderr
    assert json.dumps(model_server.requests) == "[]" or done.returncode == 0
