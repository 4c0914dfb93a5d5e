"""`catalog coverage` and `catalog log OBJECT` through the real command, on real databases."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from tests.plugins.install import Document
from tests.surfaces.conftest import Inside, change_house


def is_parcel(found: Document) -> bool:
    return bool(found["table"] == "parcel")


def stale_of(found: Document) -> dict[str, Document]:
    return {each["column"] or each["table"]: each for each in found["stale"]}


PARCEL = """
CREATE TABLE parcel (weight INTEGER, label VARCHAR NOT NULL);
COMMENT ON COLUMN parcel.label IS 'As it is printed.';
"""
WEIGHED = "ALTER TABLE parcel ALTER weight TYPE VARCHAR"


@pytest.fixture
def described(shop: Inside) -> Inside:
    """The shop with a table that we described, but for a column that a person described."""
    shop.run("catalog", "refresh", "house")  # a copied file is another source: a baseline
    change_house(shop.folder, PARCEL)
    shop.run("catalog", "refresh", "house")
    shop.run("run-apply", "main.parcel", "--strategy", "accept-all", "--apply", "-y")
    return shop


def test_coverage_by_schema_and_table_with_whose_words_they_are(shop: Inside) -> None:
    found = shop.json("catalog", "coverage", "house")
    assert [share["schema"] for share in found["schemas"]] == ["main"]
    for key in ("objects", "described", "stale"):
        assert sum(t[key] for t in found["tables"]) == found["schemas"][0][key]
    assert found["by"] == {"people": found["described"], "amxwatch": 0}
    by_schema = shop.run("catalog", "coverage", "house").stdout.splitlines()
    assert by_schema[1].startswith("main")
    assert "....." in by_schema[1]
    by_table = shop.run("catalog", "coverage", "house", "--by", "table").stdout
    assert "main.customer" in by_table


def test_a_scope_counts_only_what_it_covers(shop: Inside) -> None:
    found = shop.json("catalog", "coverage", "house", "--scope", "column:main.customer.email")
    assert (found["objects"], found["described"], found["percent"]) == (1, 1, 100.0)


def test_stale_descriptions_are_listed_with_since_when_and_what_moved(described: Inside) -> None:
    assert described.json("catalog", "coverage", "house")["stale"] == []
    change_house(
        described.folder,
        f"{WEIGHED}; ALTER TABLE parcel ALTER label DROP NOT NULL",
    )
    number = described.json("catalog", "refresh", "house")["snapshot"]
    found = described.json("catalog", "coverage", "house")
    stale = stale_of(found)
    assert set(stale) == {"parcel", "weight", "label"}
    assert {name: each["by"] for name, each in stale.items()} == {
        "parcel": "amxwatch",
        "weight": "amxwatch",
        "label": "people",
    }
    weight = stale["weight"]
    assert (weight["since"], weight["moved"][0]["change"]) == (number, "type_changed")
    assert (weight["moved"][0]["before"], weight["moved"][0]["after"]) == ("INTEGER", "VARCHAR")
    assert weight["described_in"] < number
    assert stale["label"]["moved"][0]["change"] == "nullability_changed"
    told = described.run("catalog", "coverage", "house", "--stale").stdout
    assert "type_changed: INTEGER -> VARCHAR" in told
    earlier = described.json("catalog", "coverage", "house", "--as-of", str(number - 1))
    assert (earlier["stale"], earlier["described"]) == ([], found["described"])


def test_what_is_stale_and_ours_is_what_a_run_drafts(described: Inside) -> None:
    change_house(described.folder, WEIGHED)
    described.run("catalog", "refresh", "house")
    stale = stale_of(described.json("catalog", "coverage", "house"))
    described.run("run", "main.parcel")
    waiting = [each["column"] or "parcel" for each in described.pending() if is_parcel(each)]
    assert set(waiting) == set(stale)
    described.run("review", "--strategy", "accept-all")
    described.run("apply", "-y")
    assert described.json("catalog", "coverage", "house")["stale"] == []


def test_stale_descriptions_are_a_gate(described: Inside) -> None:
    change_house(described.folder, WEIGHED)
    described.run("catalog", "refresh", "house")
    words = ("catalog", "coverage", "house", "--max-stale")
    assert described.json(*words, "2")["ok"] is True
    missed = described.run(*words, "1", status=1)
    assert "more than --max-stale 1" in missed.stderr
    assert described.json(*words, "0%", status=1)["max_stale"] == "0%"
    assert described.json(*words, "50%")["ok"] is True
    assert "allowed" in described.run(*words, "some", status=2).stderr


def test_the_life_of_a_column_of_a_folder_of_sql(shop: Inside) -> None:
    shop.run("catalog", "refresh", "models")  # a copied folder is another source: a baseline
    models = shop.folder / "models" / "schema.sql"
    text = models.read_text(encoding="utf-8")
    models.write_text(text.replace("full_name text", "full_name varchar(80) NOT NULL"))
    shop.run("catalog", "refresh", "models")
    name = "public.dim_user.full_name"
    found = shop.json("catalog", "log", name, "--db", "models")
    assert (found["profile"], found["object"]) == ("models", name)
    assert [each["change"] for each in found["life"]] == [
        "added",
        "nullability_changed",
        "type_changed",
    ]
    assert found["life"][0]["snapshot"] == 1
    told = shop.run("catalog", "log", name, "--db", "models").stdout
    assert "type_changed" in told


def test_a_life_says_when_and_by_whom_it_was_described(described: Inside) -> None:
    life = described.json("catalog", "log", "main.parcel.weight")["life"]
    assert [each["change"] for each in life] == [
        "added",
        "accepted",
        "written",
        "comment_changed",
    ]
    assert [each["by"] for each in life[1:]] == ["amxwatch"] * 3
    assert life[1]["draft"] == life[2]["draft"] is not None
    change_house(described.folder, "COMMENT ON COLUMN parcel.weight IS 'By hand.'")
    described.run("catalog", "refresh", "house")
    last = described.json("catalog", "log", "main.parcel.weight")["life"][-1]
    assert (last["change"], last["by"], last["after"]) == ("comment_changed", "people", "By hand.")


def test_a_profile_wins_over_an_object_of_its_name_unless_db_is_given(shop: Inside) -> None:
    shop.run("catalog", "refresh", "house")
    change_house(shop.folder, "CREATE SCHEMA shop; CREATE TABLE shop.x (i INTEGER)")
    shop.run("catalog", "refresh", "house")
    assert "snapshots" in shop.json("catalog", "log", "house")
    assert shop.json("catalog", "log", "shop")["profile"] == "shop"
    found = shop.json("catalog", "log", "shop", "--db", "house")
    assert (found["object"], found["life"][0]["change"]) == ("shop", "added")


def test_what_came_with_a_baseline_has_an_empty_life(shop: Inside) -> None:
    change_house(shop.folder, PARCEL)
    shop.run("catalog", "refresh", "house")
    assert shop.json("catalog", "log", "main.parcel")["life"] == []
    assert "has not moved" in shop.run("catalog", "log", "main.parcel").stdout


def test_an_object_that_never_was_says_what_is_close(shop: Inside) -> None:
    wrong = shop.run("catalog", "log", "main.custmer", status=2)
    assert "did you mean main.customer?" in wrong.stderr
    assert "allowed" in shop.run("catalog", "log", "main.*", status=2).stderr


def test_a_life_on_postgres_follows_renames_by_identity(postgres_url: str, tmp_path: Path) -> None:
    install = Inside(tmp_path / "config")
    install.config(f'[db_profiles.prod]\nurl = "{postgres_url}"\n')

    def then(sql: str) -> None:
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(sql)
        install.run("catalog", "refresh", "prod")

    then('CREATE SCHEMA s; CREATE TABLE s."or.ders" (id int, ttl int);')
    then('COMMENT ON COLUMN s."or.ders".ttl IS $$What it comes to.$$')
    then('ALTER TABLE s."or.ders" RENAME ttl TO total')
    then('ALTER TABLE s."or.ders" RENAME TO sale')
    then("ALTER TABLE s.sale ALTER total TYPE numeric")
    life = install.json("catalog", "log", "s.sale.total")["life"]
    assert [(each["snapshot"], each["change"], each["object"]) for each in life] == [
        (1, "added", 's."or.ders".ttl'),
        (2, "comment_changed", 's."or.ders".ttl'),
        (3, "renamed", 's."or.ders".total'),
        (4, "renamed", "s.sale"),
        (5, "type_changed", "s.sale.total"),
    ]
    assert [each.get("confidence") for each in life if each["change"] == "renamed"] == [1.0, 1.0]
    (stale,) = install.json("catalog", "coverage", "--stale")["stale"]
    assert (stale["column"], stale["described_in"], stale["since"]) == ("total", 2, 5)
    then("DROP TABLE s.sale")
    gone = install.json("catalog", "log", "s.sale.total")["life"]
    assert gone[:-1] == life
    assert (gone[-1]["change"], gone[-1]["snapshot"]) == ("removed", 6)
    former = install.json("catalog", "log", 's."or.ders"')["life"]
    assert former[-1]["change"] == "renamed"
