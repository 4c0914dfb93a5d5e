"""What a command says to do next is what works next."""

from __future__ import annotations

import sqlite3
import tomllib
from contextlib import closing
from pathlib import Path

import pytest

from tests.surfaces.conftest import Inside


def lite(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE item (item_id INTEGER PRIMARY KEY)")
        connection.commit()


def url_of(install: Inside, profile: str) -> str:
    table = tomllib.loads((install.folder / "amxwatch.toml").read_text(encoding="utf-8"))
    return str(table["db_profiles"][profile]["url"])


def test_init_takes_a_path_from_where_the_shell_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lite(tmp_path / "here.db")
    monkeypatch.chdir(tmp_path)
    made = Inside(tmp_path / "config")
    made.run("init", "--db-url", "shop=sqlite:///here.db")
    assert url_of(made, "shop") == f"sqlite:///{tmp_path}/here.db"


def test_init_leaves_a_path_that_is_not_there_to_the_config_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = Inside(tmp_path / "config")
    lite(made.folder / "beside.db")
    made.run("init", "--db-url", "shop=sqlite:///beside.db")
    assert url_of(made, "shop") == "sqlite:///beside.db"


def test_init_says_how_to_mend_a_wrong_url(tmp_path: Path) -> None:
    made = Inside(tmp_path / "config")
    said = made.run("init", "--db-url", "shop=sqlite:////nowhere/at/all.db", status=1).stdout
    assert f"mend the url in {made.folder}/amxwatch.toml, then: amxwatch db test shop" in said
    assert "amxwatch run" not in said


def test_the_next_commands_name_a_database_that_is_not_the_default(shop: Inside) -> None:
    assert (
        "amxwatch review --db models, then amxwatch apply --db models"
        in shop.run("run", "--db", "models").stdout
    )
    answered = shop.run("review", "--db", "models", "--strategy", "accept-all").stdout
    assert "Next: amxwatch apply --db models" in answered
    answered = shop.run("review", "--db", "house", "--strategy", "accept-all").stdout
    assert answered.endswith("Next: amxwatch apply\n")
