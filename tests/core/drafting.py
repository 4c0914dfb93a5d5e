"""A small order table, known in full, for the tests of prompts and replies."""

from __future__ import annotations

from amxwatch.core.catalog import Catalog, Column, Key, KeyKind, ObjectRef, ObjectType, Table
from amxwatch.core.evidence import ColumnStatistics, Portion, TableEvidence, gather, surroundings

CUSTOMER = Table(
    schema="shop",
    name="customer",
    columns=(Column(name="customer_id", type="integer", ordinal=1, nullable=False),),
    keys=(Key(kind=KeyKind.PRIMARY, columns=("customer_id",)),),
)
ORDERS = Table(
    schema="shop",
    name="orders",
    columns=(
        Column(name="order_id", type="integer", ordinal=1, nullable=False),
        Column(name="customer_id", type="integer", ordinal=2, nullable=False),
        Column(name="stts", type="text", ordinal=3, default="'new'::text"),
        Column(name="shpd_at", type="timestamp", ordinal=4),
        Column(name='odd "name"\n', type="text", ordinal=5, comment="old words"),
    ),
    keys=(
        Key(kind=KeyKind.PRIMARY, columns=("order_id",)),
        Key(
            kind=KeyKind.FOREIGN,
            columns=("customer_id",),
            references=("shop", "customer"),
            referenced_columns=("customer_id",),
        ),
    ),
)
OPEN_ORDERS = Table(
    schema="shop",
    name="open_orders",
    type=ObjectType.VIEW,
    columns=(Column(name="order_id", type="integer", ordinal=1),),
    definition='SELECT order_id FROM orders o JOIN "shop"."customer" USING (customer_id)',
)
CATALOG = Catalog(reader="t/1", source="t", tables=(CUSTOMER, OPEN_ORDERS, ORDERS))
STATISTICS = {
    "stts": ColumnStatistics(
        rows=100,
        distinct=3,
        values=("new", "paid", "sent"),
        is_enum=True,
        patterns=(Portion(text="aaaa", share=0.6),),
    )
}
DESCRIPTIONS = {
    ObjectRef(schema="shop", table="customer"): "People who bought something.",
    ObjectRef(schema="shop", table="customer", column="customer_id"): "Number of the customer.",
}


def orders() -> TableEvidence:
    return gather(ORDERS, surroundings(CATALOG, DESCRIPTIONS), statistics=STATISTICS)


def open_orders() -> TableEvidence:
    return gather(OPEN_ORDERS, surroundings(CATALOG, {}))
