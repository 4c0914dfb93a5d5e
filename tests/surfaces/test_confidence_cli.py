"""Bands fitted on what reviewers accepted, through the command line."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

from tests.plugins.install import Installed
from tests.plugins.model_server import Answer, Body, ModelServer, asked, completion, described

CONFIG = """
# Ours.
[db_profiles.shop]
url = "sqlite:///shop.db"

[llm_profiles.local]   # on this machine
provider = "openai"
model = "m"
base_url = "{url}"
column_batch_size = 20
confidence_signal = "verbalized"
logprob_high = 0.95    # a guess

[defaults]
llm_profile = "local"
"""


def sure(percent: int):  # type: ignore[no-untyped-def]  # a script of the model server
    def answer(request: Body) -> Answer:
        objects = [{**described(key), "certainty": percent} for key in asked(request)]
        return Answer(body=completion(json.dumps({"objects": objects})))

    return answer


def test_calibrate_says_what_it_would_set_and_writes_only_when_told(
    tmp_path: Path, model_server: ModelServer
) -> None:
    shop = Installed(tmp_path / "config")
    config = tmp_path / "config" / "amxwatch.toml"
    config.parent.mkdir(mode=0o700, exist_ok=True)
    config.write_text(CONFIG.format(url=model_server.url), encoding="utf-8")
    columns = ", ".join(f"c{number} text" for number in range(12))
    with sqlite3.connect(config.parent / "shop.db") as database:
        database.execute(f"create table good ({columns})")
        database.execute(f"create table bad ({columns})")
    few = shop.json("confidence", "calibrate", "local", status=1)
    assert (few["enough"], few["judged"]) == (False, 0)
    for table, percent, answer in (("good", 80, "accept-all"), ("bad", 30, "reject-all")):
        model_server.script.append(sure(percent))
        shop.run("run", f"main.{table}")
        shop.run("review", "--strategy", answer)
    before = config.read_text(encoding="utf-8")
    said = shop.run("confidence", "calibrate").stdout
    assert "26 answers" in said
    assert "--write" in said
    assert config.read_text(encoding="utf-8") == before
    done = shop.json("confidence", "calibrate", "--write")
    assert (done["judged"], done["right"], done["written"]) == (26, 13, True)
    fitted = done["logprob_high"]["fitted"]
    assert 0.5 < fitted < 0.95
    after = config.read_text(encoding="utf-8")
    assert "# Ours." in after
    assert "# on this machine" in after
    assert f"logprob_high = {fitted:g}" in after
    again = shop.json("confidence", "calibrate", "--write")
    assert again["written"] is False


def test_medium_cannot_promise_more_than_high(tmp_path: Path) -> None:
    shop = Installed(tmp_path / "config")
    done = shop.run("confidence", "calibrate", "--high", "0.5", "--medium", "0.6", status=2)
    assert "--medium" in done.stderr
