"""What vanished: dropped, or only out of sight."""

from __future__ import annotations

from dataclasses import replace

from amxwatch.core.catalog import Catalog, ObjectRef, Schema, Table
from amxwatch.core.change import Delta, Moved
from amxwatch.core.sight import Unseen, elsewhere, keep_unseen, unseen_now

NAME = ("shop", "orders")
FULL = Catalog(reader="r/1", source="s", grants="all")
LESS = replace(FULL, grants="some")


def test_what_vanishes_under_the_same_rights_was_dropped() -> None:
    assert unseen_now(FULL, [NAME], before=(), grants="all") == ()


def test_what_vanishes_while_the_rights_move_is_unseen() -> None:
    assert unseen_now(LESS, [NAME], before=(), grants="all") == (
        Unseen(schema="shop", table="orders", grants="all"),
    )


def test_it_stays_unseen_while_the_rights_are_less() -> None:
    hidden = Unseen(schema="shop", table="orders", grants="all")
    assert unseen_now(LESS, [NAME], before=(hidden,), grants="some") == (hidden,)


def test_it_was_dropped_when_it_is_missing_under_the_rights_it_was_seen_with() -> None:
    hidden = Unseen(schema="shop", table="orders", grants="all")
    assert unseen_now(FULL, [NAME], before=(hidden,), grants="some") == ()


def test_another_table_that_vanishes_later_under_the_lesser_rights_was_dropped() -> None:
    hidden = Unseen(schema="shop", table="orders", grants="all")
    found = unseen_now(LESS, [NAME, ("shop", "items")], before=(hidden,), grants="some")
    assert found == (hidden,)


def test_a_database_that_shows_everybody_every_name_hides_nothing() -> None:
    open_to_all = replace(FULL, grants=None)
    assert unseen_now(open_to_all, [NAME], before=(), grants=None) == ()


def test_what_the_reader_could_not_read_is_unseen_by_table_or_by_schema() -> None:
    for ref in (ObjectRef(schema="shop", table="orders"), ObjectRef(schema="shop")):
        told = replace(FULL, unseen=(ref,))
        assert unseen_now(told, [NAME], before=(), grants="all") == (
            Unseen(schema="shop", table="orders"),
        )


def test_the_unseen_is_not_removed_and_the_rest_is() -> None:
    orders = Table(schema="shop", name="orders")
    items = Table(schema="shop", name="items")
    shop = Schema(name="shop")
    delta = Delta(
        reader="r/1",
        source="s",
        gone_tables=(("shop", "items"), NAME),
        gone_schemas=("shop",),
    )
    moved = Moved(tables=((items, None), (orders, None)), schemas=((shop, None),))
    hidden = (Unseen(schema="shop", table="orders", grants="all"),)
    kept_delta, kept_moved = keep_unseen(delta, moved, hidden, LESS)
    assert kept_delta.gone_tables == (("shop", "items"),)
    assert kept_delta.gone_schemas == ()
    assert kept_moved == Moved(tables=((items, None),))


def test_with_nothing_unseen_nothing_is_touched() -> None:
    delta = Delta(reader="r/1", source="s", gone_tables=(NAME,))
    moved = Moved(tables=((Table(schema="shop", name="orders"), None),))
    assert keep_unseen(delta, moved, (), FULL) == (delta, moved)


def test_another_database_is_one_that_lacks_half_of_the_tables() -> None:
    assert elsewhere(10, 5, share=0.5)
    assert not elsewhere(10, 4, share=0.5)
    assert not elsewhere(0, 0, share=0.5)
