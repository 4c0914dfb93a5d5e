"""Code: which tables and columns it uses, and where."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amxwatch.context.code import CodeIndex
from amxwatch.context.uses import How, uses_in, without_jinja
from tests.core.test_documents import table

ORDERS = table("orders", "order_id", "rfnd_amt", "stts", "dlvrd_at", "note")

DBT = """-- what went back, by order
{{ config(materialized = 'table') }}
{# a comment
   of two lines #}
select
  o.order_id,
  sum(o.rfnd_amt) / 100 as refunds
from {{ ref('orders') }} as o
join {{ source('crm', 'customer') }} as c on c.id = o.customer_id
{% if is_incremental() %} where o.stts = 'paid' {% endif %}
group by 1
"""

MODELS = '''
class Order(Base):
    """A purchase of a customer."""
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column("order_id", primary_key=True)
    stts: Mapped[str] = mapped_column(comment="where the order stands")
    note: Mapped[str | None]
    lines = relationship("Line")

class Refund(models.Model):
    amount = models.DecimalField(help_text="what went back, in EUR")
    order = models.ForeignKey(Order, on_delete=models.CASCADE)
    class Meta:
        ordering = ["amount"]

class Parcel(models.Model):
    sent = models.DateTimeField(db_column="dlvrd_at")
    class Meta:
        db_table = "orders"

lines = Table("order_line", metadata, Column("qty", Integer, doc="pieces"))
QUERY = """
select rfnd_amt
from orders
"""
'''


def found(name: str, text: str) -> dict[tuple[str, str], tuple[int, How]]:
    uses = uses_in(name, text, "postgres")
    return {(use.table, use.column): (use.line, use.how) for use in reversed(uses)}


def test_jinja_becomes_names_and_lines_stay_where_they_are() -> None:
    plain = without_jinja(DBT)
    assert plain.count("\n") == DBT.count("\n")
    assert 'from "orders" as o' in plain
    assert 'join "crm"."customer" as c' in plain
    assert "{" not in plain


def test_sql_tells_columns_by_their_tables() -> None:
    uses = found("m.sql", DBT)
    assert uses["orders", ""] == (8, How.NAMED)
    assert uses["orders", "rfnd_amt"] == (7, How.NAMED)
    assert uses["customer", "id"] == (9, How.NAMED)
    assert uses["orders", "stts"] == (10, How.NAMED)
    near = found("q.sql", "select a from t, u")
    assert near["t", "a"] == near["u", "a"] == (1, How.NEAR)


def test_models_tell_their_columns() -> None:
    uses = found("models.py", MODELS)
    assert uses["orders", "order_id"][1] is How.MODEL
    assert uses["orders", "note"] == (7, How.MODEL)
    assert ("orders", "lines") not in uses
    assert uses["*_refund", "amount"][1] is How.MODEL
    assert uses["*_refund", "order_id"][1] is How.MODEL
    assert uses["orders", "dlvrd_at"][1] is How.MODEL
    assert uses["order_line", "qty"][1] is How.MODEL
    assert uses["orders", "rfnd_amt"][1] is How.NAMED


def test_uses_are_cited_by_file_and_line(tmp_path: Path) -> None:
    folder = tmp_path / "code"
    (folder / "app").mkdir(parents=True)
    (folder / "m.sql").write_text(DBT)
    (folder / "app" / "models.py").write_text(MODELS)
    (folder / "schema.yml").write_text(
        "models:\n  - name: orders\n    columns:\n      - name: shop_code\n"
        "        description: which shop sold it\n"
    )
    (folder / "other.java").write_text("class Weather { String note; }\n")
    index = CodeIndex(name="etl", folder=folder, path=tmp_path / "code.db", dialect="postgres")
    assert index.refresh().read == 4
    assert index.refresh().read == 0

    about = index.about_table(ORDERS, most=1)
    assert [(each.where, each.text) for each in about] == [
        ("etl/app/models.py:2", "class Order: A purchase of a customer.")
    ]
    columns = [column.name for column in ORDERS.columns]
    uses = index.about_columns(ORDERS, [*columns, "shop_code", "nowhere"], most=2)
    assert (
        uses["stts"][0].text
        == 'stts: Mapped[str] = mapped_column(comment="where the order stands")'
    )
    assert {each.where for each in uses["rfnd_amt"]} == {"etl/m.sql:7", "etl/app/models.py:23"}
    assert (uses["shop_code"][0].where, uses["shop_code"][0].text) == (
        "etl/schema.yml:4",
        "- name: shop_code description: which shop sold it",
    )
    assert "nowhere" not in uses
    refund = table("billing_refund", "amount")
    (seen,) = index.about_columns(refund, ["amount"], most=2)["amount"]
    assert "what went back, in EUR" in seen.text


@pytest.mark.parametrize(
    "text",
    ["((((", "select " * 3000, "{{ ref('" * 500, "{% " * 3000, "x = " + "(" * 500, "\0", "'" * 999],
)
@pytest.mark.parametrize("name", ["a.sql", "a.py", "a.yml"])
def test_what_cannot_be_parsed_is_no_error(name: str, text: str) -> None:
    assert isinstance(uses_in(name, text, "postgres"), list)


@given(st.text(max_size=400), st.sampled_from(["a.sql", "a.py"]))
def test_any_text_is_read(text: str, name: str) -> None:
    for use in uses_in(name, text, ""):
        assert use.line >= 1
        assert len(use.text) <= 240
