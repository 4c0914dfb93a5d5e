"""What docs/privacy.md promises, checked against what really arrives at a model's endpoint."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.plugins.install import Installed
from tests.plugins.model_server import ModelServer
from tests.surfaces.witness import Witness

CONFIG = """
[db_profiles.source]
url = "sqlite:///{path}"
docs = ["handbook"]
{more}

[doc_profiles.handbook]
path = "{docs}"

[llm_profiles.model]
provider = "openai"
model = "test-model"
base_url = "{model}"
api_key = "env:MODEL_KEY"
confidence_samples = 0
column_batch_size = 2

[defaults]
llm_profile = "model"
"""

ROWS = [(n, f"ada{n}@example.com", "paid" if n % 2 else "new", 1000 + n) for n in range(30)]


class Scene:
    """An install on one table with rows, and an endpoint that notes what it is sent."""

    def __init__(self, install: Installed, model: ModelServer, tmp_path: Path) -> None:
        self.install, self.model, self._path = install, model, tmp_path
        install.env["MODEL_KEY"] = model.api_key
        with closing(sqlite3.connect(tmp_path / "source.db")) as connection, connection:
            connection.execute("CREATE TABLE orders (id INTEGER, email TEXT, stts TEXT, ssn INT)")
            connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", ROWS)
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs" / "a.md").write_text("# Orders\n\nAn order is a purchase.\n")

    def configure(self, more: str = "") -> None:
        self.install.config(
            CONFIG.format(
                path=self._path / "source.db",
                docs=self._path / "docs",
                model=self.model.url,
                more=more,
            )
        )

    @property
    def sent(self) -> str:
        return json.dumps(self.model.requests)


@pytest.fixture
def scene(install: Installed, model_server: ModelServer, tmp_path: Path) -> Scene:
    return Scene(install, model_server, tmp_path)


def test_show_prompt_prints_what_is_sent_to_the_last_byte(scene: Scene) -> None:
    scene.configure()
    shown = scene.install.json("run", "main.orders", "--show-prompt")["prompts"]
    assert scene.model.requests == []
    scene.install.run("run", "main.orders")
    sent = {json.dumps(body, sort_keys=True) for body in scene.model.requests}
    assert {json.dumps(each["body"], sort_keys=True) for each in shown} == sent
    for each in shown:
        assert [message["content"] for message in each["body"]["messages"]] == [
            each["system"],
            each["prompt"],
        ]
    events = Witness(scene.install.folder).rows(
        "SELECT detail FROM event WHERE action = 'request_sent'"
    )
    held = [tuple(json.loads(detail)["holds"]) for (detail,) in events]
    assert sorted(held) == sorted(tuple(each["holds"]) for each in shown)
    assert all("docs" in each for each in held)


@pytest.mark.parametrize(
    ("more", "there", "absent"),
    [
        ("", ["paid", "aaa9@aaaaaaa.aaa"], ["ada1@"]),
        ('samples = "none"', ["email"], ["ada", "paid", "aaa9", "1015", "statistics"]),
        ('profiling_mode = "none"', ["email"], ["ada", "paid", "aaa9", "1015", "statistics"]),
        ('samples = "masked"', ["aaa9@aaaaaaa.aaa"], ["ada1@", "paid"]),
        ('samples = "raw"', ["ada0@example.com", "paid"], []),
        ('samples = "raw"\nsamples_deny = ["email", "*.stts"]', ["aaa9@"], ["ada", "paid"]),
    ],
)
def test_a_mode_lets_out_what_it_says_and_no_more(
    scene: Scene, more: str, there: list[str], absent: list[str]
) -> None:
    scene.configure(more)
    scene.install.run("run", "main.orders")
    for text in there:
        assert text in scene.sent
    for text in absent:
        assert text not in scene.sent


def test_what_was_seen_is_shown_and_kept(scene: Scene) -> None:
    scene.configure()
    install = scene.install
    install.run("run", "main.orders")
    said = install.run("catalog", "show", "main.orders", "--profile").stdout
    assert "30 rows seen" in said
    assert "new, paid" in said
    (table,) = install.json("catalog", "show", "main.orders", "--profile")["tables"]
    assert table["profile"]["rows"] == 30
    assert table["profile"]["columns"]["stts"]["values"] == ["new", "paid"]
    assert "ada1@" not in json.dumps(table)


def test_a_pattern_that_is_none_is_refused(scene: Scene) -> None:
    scene.configure('samples_deny = ["a.b.c.d"]')
    done = scene.install.run("run", "main.orders", status=2)
    assert "samples_deny" in done.stderr
    assert "schema.table.column" in done.stderr
