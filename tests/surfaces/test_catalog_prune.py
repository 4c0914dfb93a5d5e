"""`catalog prune` from the outside, and what other commands say of what was pruned."""

from __future__ import annotations

import pytest

from tests.surfaces.conftest import Inside, change_house

KEYS = {
    *("profile", "kept_from", "pruned", "held_back_by", "passed"),
    *("bytes_before", "bytes_after"),
}


def grow(shop: Inside, more: int) -> None:
    """Take so many snapshots of the house."""
    for place in range(more):
        change_house(shop.folder, f"CREATE TABLE more_{place} (id INTEGER)")
        shop.run("catalog", "refresh", "house")


def test_a_dry_run_changes_nothing(shop: Inside) -> None:
    grow(shop, 2)
    told = shop.json("catalog", "prune", "house", "--keep", "0d", "--dry-run")
    assert set(told) == KEYS
    assert (told["profile"], told["bytes_after"]) == ("house", told["bytes_before"])
    log = shop.json("catalog", "log", "house")
    assert [each["snapshot"] for each in log["snapshots"]] == [1, 2, 3, 4]


def test_pending_drafts_hold_back(shop: Inside) -> None:
    grow(shop, 1)
    told = shop.json("catalog", "prune", "house", "--keep", "0d", "-y")
    assert told["held_back_by"]
    for hold in told["held_back_by"]:
        assert set(hold) == {"kind", "name", "snapshot"}
        assert hold["snapshot"] < 3
    assert told["kept_from"] == min(hold["snapshot"] for hold in told["held_back_by"])
    said = shop.run("catalog", "prune", "house", "--keep", "0d", "-y").stdout
    assert "still needs snapshot" in said


def test_what_is_pruned_is_said_to_be(shop: Inside) -> None:
    told = shop.json("catalog", "prune", "models", "--keep", "1y", "-y")
    assert (told["pruned"], told["kept_from"]) == (0, 1)
    models = shop.folder / "models" / "schema.sql"
    models.write_text(models.read_text() + "CREATE TABLE later (id int);\n")
    shop.run("catalog", "refresh", "models")
    told = shop.json("catalog", "prune", "models", "--keep", "0h", "-y")
    assert (told["pruned"], told["kept_from"], told["held_back_by"]) == (1, 2, [])
    found = shop.run("catalog", "show", "--db", "models", "--as-of", "1", status=2)
    assert "pruned" in found.stderr
    assert "the oldest is 2" in found.stderr
    assert shop.json("catalog", "show", "--db", "models")["snapshot"] == 2
    events = shop.run("events", "--json").stdout
    assert "snapshots_pruned" in events


def test_without_a_terminal_the_answer_must_be_given(shop: Inside) -> None:
    grow(shop, 1)
    models = shop.folder / "models" / "schema.sql"
    models.write_text(models.read_text() + "CREATE TABLE later (id int);\n")
    shop.run("catalog", "refresh", "models")
    found = shop.run("catalog", "prune", "models", "--keep", "0d", status=2)
    assert "-y" in found.stderr


@pytest.mark.parametrize("age", ["90", "d", "-1d", "1.5d", "9999y", "٣d", "1m", ""])
def test_a_wrong_age_is_refused(shop_once: Inside, age: str) -> None:
    found = shop_once.run("catalog", "prune", "house", f"--keep={age}", status=2)
    assert "90d" in found.stderr
    assert found.stderr.count("\n") == 1
