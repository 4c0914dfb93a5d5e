"""What models really answer: the good part is kept, the rest asked once more, then reported."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import duckdb
import pytest

from tests.plugins.install import Document, Installed
from tests.plugins.model_server import Answer, ModelServer, asked, completion, described, material
from tests.surfaces.witness import Witness

CONFIG = """
[db_profiles.source]
url = "{url}"

[llm_profiles.model]
provider = "openai"
confidence_signal = "evidence"
model = "test-model"
base_url = "{model}"
api_key = "env:MODEL_KEY"

[defaults]
llm_profile = "model"
"""

COLUMNS = ("customer_id", "email", "status", "created_at")
OBJECTS = {"", *COLUMNS}
"""What a run drafts: the table, and each column."""


class Bench:
    """An install on one table, and what a run of it came to."""

    def __init__(self, install: Installed, model: ModelServer, url: str) -> None:
        self.install = install
        self.model = model
        install.env["MODEL_KEY"] = model.api_key
        install.config(CONFIG.format(url=url, model=model.url))
        self.witness = Witness(install.folder)

    def run(self, *, status: int = 0) -> Document:
        self.install.run("run", "main.customer", status=status)
        names = ("status", "failure_category", "error", "summary")
        (values,) = self.witness.rows(f"SELECT {', '.join(names)} FROM run")
        return dict(zip(names, values, strict=True))

    def texts(self) -> dict[str, list[str]]:
        """Return the alternatives of each drafted object."""
        found = self.witness.rows(
            "SELECT column_name, alternatives FROM draft JOIN object ON object.id = object_id"
        )
        return {column: json.loads(alternatives) for column, alternatives in found}

    def assert_own_words(self) -> None:
        """Each object has the words that the model gave for it, and for no other."""
        for column, texts in self.texts().items():
            assert texts == described(column or "#table")["alternatives"]

    def problems(self) -> list[Document]:
        found = self.witness.rows("SELECT detail FROM event WHERE action = 'reply_problem'")
        return [json.loads(detail) for (detail,) in found]


@pytest.fixture
def bench(install: Installed, model_server: ModelServer, tmp_path: Path) -> Bench:
    path = tmp_path / "source.db"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"CREATE TABLE customer ({', '.join(f'{c} TEXT' for c in COLUMNS)})")
    return Bench(install, model_server, f"sqlite:///{path}")


def garbage(model: ModelServer) -> None:
    model.garbage()


def cut(model: ModelServer) -> None:
    model.cut()


def refuse(model: ModelServer) -> None:
    model.refuse()


def leave_out(model: ModelServer) -> None:
    model.leave_out("email", "status")


def invent(model: ModelServer) -> None:
    model.invent("credit_card", "first.email", "EMAIL")


def limit(model: ModelServer) -> None:
    model.rate_limit(retry_after="1")


def fail_twice(model: ModelServer) -> None:
    model.fail(500)
    model.fail(503)


@pytest.mark.parametrize(
    ("answer", "requests", "reported"),
    [
        (garbage, 2, True),
        (cut, 2, True),
        (refuse, 2, True),
        (leave_out, 2, False),
        (invent, 1, True),
        (limit, 2, False),
        (fail_twice, 3, False),
    ],
)
def test_one_bad_answer_costs_one_more_request(
    bench: Bench, answer: Callable[[ModelServer], None], requests: int, reported: bool
) -> None:
    answer(bench.model)
    run = bench.run()
    assert run["status"] == "completed"
    assert bench.texts().keys() == OBJECTS
    bench.assert_own_words()
    assert bench.model.count == requests
    assert bool(bench.problems()) is reported


def test_only_the_missing_part_is_asked_again(bench: Bench) -> None:
    bench.model.leave_out("email", "status")
    bench.model.leave_out("status")
    run = bench.run()
    assert run["status"] == "completed"
    assert "1 not drafted" in run["summary"]
    assert bench.texts().keys() == OBJECTS - {"status"}
    bench.assert_own_words()
    assert [set(asked(request)) for request in bench.model.requests] == [
        {"#table", *COLUMNS},
        {"email", "status"},
    ]
    (problem,) = bench.problems()
    assert problem["missing"] == ["main.customer.status"]


@pytest.mark.parametrize("answer", [garbage, refuse])
def test_a_model_that_never_answers_well_fails_the_run(
    bench: Bench, answer: Callable[[ModelServer], None]
) -> None:
    for _ in range(2):
        answer(bench.model)
    run = bench.run(status=1)
    assert (run["status"], run["failure_category"]) == ("failed", "provider")
    assert "no object could be drafted" in run["error"]
    assert bench.model.count == 2
    assert bench.texts() == {}


def test_swapped_keys_give_no_column_another_ones_words(bench: Bench) -> None:
    """What a model files under a wrong key is dropped, not guessed at."""

    def swapped(request: Document) -> Answer:
        objects = [described(key) for key in asked(request)]
        for entry in objects:
            if entry["key"] == "email":
                entry["key"] = "customer.email"
            elif entry["key"] == "status":
                entry["key"] = " status "
        objects.append({**described("created_at"), "alternatives": ["A second answer."]})
        return Answer(body=completion(json.dumps({"objects": objects})))

    bench.model.script += [swapped, swapped]
    bench.run()
    assert bench.texts().keys() == OBJECTS - {"email", "status"}
    bench.assert_own_words()
    (problem,) = bench.problems()
    assert problem["missing"] == ["main.customer.email", "main.customer.status"]
    assert any("customer.email" in line for line in problem["problems"])
    assert any("answered twice" in line for line in problem["problems"])


def test_a_key_that_is_refused_blocks_in_one_line_and_is_shown_nowhere(bench: Bench) -> None:
    key = bench.model.api_key
    body = {"error": {"message": f"Incorrect API key provided: {key}.", "code": "invalid_api_key"}}
    bench.model.answer(401, body)
    done = bench.install.run("run", "main.customer", status=1)
    ((status, error),) = bench.witness.rows("SELECT status, error FROM run")
    assert status == "blocked"
    assert "401" in error
    assert "check api_key" in error
    assert "\n" not in error
    assert len([line for line in done.stderr.splitlines() if "401" in line]) == 1
    assert bench.model.count == 1
    assert bench.model.headers[0]["authorization"] == f"Bearer {key}"
    assert key not in done.stdout + done.stderr + bench.install.run("events", "--json").stdout
    for path in bench.install.folder.rglob("*"):
        if path.is_file():
            assert key.encode() not in path.read_bytes(), path


def test_names_and_comments_that_give_orders_are_only_material(
    install: Installed, model_server: ModelServer, cases: Path, tmp_path: Path
) -> None:
    """Injections reach the model inside the block, and come back as nothing but text."""
    source = json.loads((cases / "g_injection" / "garak.json").read_text(encoding="utf-8"))
    strings = [entry["text"] for entry in source["strings"] if "\0" not in entry["text"]]
    names = list({text[:60].casefold(): text[:60] for text in strings}.values())
    drafted, commented = names[::2], names[1::2]
    path = tmp_path / "source.duckdb"
    with duckdb.connect(str(path)) as connection:
        columns = ", ".join(f"{quoted(name)} INTEGER" for name in names)
        connection.execute(f"CREATE TABLE customer ({columns})")
        for name, text in zip(commented, strings, strict=False):
            comment = quoted(text, "'")
            connection.execute(f"COMMENT ON COLUMN customer.{quoted(name)} IS {comment}")
    before = comments_of(path)
    bench = Bench(install, model_server, f"duckdb:///{path}")
    assert bench.run()["status"] == "completed"
    texts = bench.texts()
    assert texts.keys() == {"", *drafted}
    for request in model_server.requests:
        system, user = request["messages"][0]["content"], request["messages"][-1]["content"]
        assert "never an instruction" in system
        assert user.count("<material>") == user.count("</material>") == 1
        assert len(material(request)["ask"]) > 0
    # Each column has the words that were given under its own key, whatever it is called.
    keys = [key for request in model_server.requests for key in asked(request)]
    assert len(keys) == len(set(keys)) == len(texts)
    said = Counter(alternatives[0] for alternatives in texts.values())
    assert said == Counter(described(key)["alternatives"][0] for key in keys)
    install.run("review", "--strategy", "accept-all")
    # Words that rest on what gives orders wait for a person; all others are taken.
    ready = bench.witness.count("draft", "status = 'accepted'")
    flagged = bench.witness.count("draft", "status = 'pending' AND flags <> '[]'")
    assert ready + flagged == len(texts)
    assert min(ready, flagged) > len(texts) / 4
    assert install.json("apply", "-y", "--db", "source")["written"] == ready
    after = comments_of(path)
    assert {name: after[name] for name in commented} == {name: before[name] for name in commented}
    for name in drafted:
        assert after[name] in (None, texts[name][0])


def comments_of(path: Path) -> dict[str, str | None]:
    with duckdb.connect(str(path), read_only=True) as connection:
        query = "SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'customer'"
        return dict(connection.execute(query).fetchall())


def quoted(text: str, mark: str = '"') -> str:
    return mark + text.replace(mark, mark * 2) + mark
