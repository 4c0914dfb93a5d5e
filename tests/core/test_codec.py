"""Deltas survive being written as text."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amxwatch.core.catalog import (
    Column,
    Key,
    KeyKind,
    ObjectType,
    Schema,
    Table,
)
from amxwatch.core.change import Delta
from amxwatch.core.codec import (
    decode_delta,
    encode_delta,
    read_delta,
    write_delta,
)
from amxwatch.core.errors import DeltaDamagedError, StoreError

# Any text at all: quotes, NUL, half surrogate pairs, no text.
names = st.text(st.characters(codec=None), max_size=6)
maybe = st.none() | names
numbers = st.integers(0, 2**40)


def some(strategy: Any, size: int = 3) -> Any:
    return st.lists(strategy, max_size=size).map(tuple)


columns = st.builds(
    Column,
    name=names,
    type=names,
    nullable=st.booleans(),
    default=maybe,
    ordinal=numbers,
    comment=maybe,
    native_num=st.none() | numbers,
)
keys = st.builds(
    Key,
    kind=st.sampled_from(KeyKind),
    columns=some(names),
    name=maybe,
    references=st.none() | st.tuples(names, names),
    referenced_columns=some(names),
)
tables = st.builds(
    Table,
    schema=names,
    name=names,
    type=st.sampled_from(ObjectType),
    columns=some(columns),
    keys=some(keys, 2),
    comment=maybe,
    definition=maybe,
    row_estimate=st.none() | numbers,
    native_id=st.none() | numbers,
    variant=maybe,
    reads=some(st.tuples(names, names), 2),
)
schemas = st.builds(Schema, name=names, comment=maybe)
deltas = st.builds(
    Delta,
    reader=names,
    source=names,
    ignore=some(names),
    baseline=st.booleans(),
    whole=st.booleans(),
    put_schemas=some(schemas),
    put_tables=some(tables),
    gone_schemas=some(names),
    gone_tables=some(st.tuples(names, names)),
)


@settings(max_examples=60, deadline=None)
@given(deltas)
def test_a_delta_comes_back_as_it_was(delta: Delta) -> None:
    text = encode_delta(delta)
    assert decode_delta(text) == delta
    assert encode_delta(decode_delta(text)) == text
    assert text.isascii()
    assert "".join(write_delta(delta)) == text
    assert read_delta(text.split("\n")) == delta


DELTA_1 = (
    '{"version":1,"reader":"postgres/1","source":"pg:1","ignore":[],"baseline":false,'
    '"put_schemas":[],"put_tables":[{"schema":"s","name":"t","type":"table","columns":'
    '[{"name":"a","type":"int","nullable":true,"default":null,"ordinal":1,"comment":null,'
    '"native_num":null}],"keys":[{"kind":"primary","columns":["a"],"name":null,'
    '"references":null,"referenced_columns":[]}],"comment":null,"definition":null,'
    '"row_estimate":null,"native_id":null}],"gone_schemas":[],"gone_tables":[["s","old"]]}'
)


def test_the_writing_is_the_one_that_logs_hold() -> None:
    delta = Delta(
        reader="postgres/1",
        source="pg:1",
        put_tables=(
            Table(
                schema="s",
                name="t",
                columns=(Column(name="a", type="int", ordinal=1),),
                keys=(Key(kind=KeyKind.PRIMARY, columns=("a",)),),
            ),
        ),
        gone_tables=(("s", "old"),),
    )
    assert encode_delta(delta) == (
        '{"version":2,"reader":"postgres/1","source":"pg:1","ignore":[],"baseline":false,'
        '"put_schemas":[],"gone_schemas":[],"gone_tables":[["s","old"]],"tables":1}\n'
        '["s","t","table",null,null,null,null,null,[],[["primary",["a"],null,null,[]]],'
        '[["a","int",true,null,1,null,null]]]'
    )
    # Logs of the first version are there for ever.
    assert decode_delta(DELTA_1) == delta


def test_a_newer_writing_asks_for_an_upgrade() -> None:
    text = json.dumps({**json.loads(encode_delta(Delta(reader="r", source="s"))), "version": 3})
    with pytest.raises(StoreError, match="upgrade amxwatch"):
        decode_delta(text)


def test_a_text_that_lost_tables_is_damage() -> None:
    tables = tuple(Table(schema="s", name=name) for name in "ab")
    text = encode_delta(Delta(reader="r", source="s", put_tables=tables))
    with pytest.raises(StoreError, match="backup"):
        decode_delta(text[: text.rindex("\n")])


@pytest.mark.parametrize(
    "text", ["", "[]", "null", '{"version":1}', "{", '{"version":1,"reader":1}']
)
def test_damage_is_one_line(text: str) -> None:
    with pytest.raises(DeltaDamagedError, match="backup") as caught:
        decode_delta(text)
    assert "\n" not in str(caught.value)


def test_a_table_with_an_unknown_type_is_damage() -> None:
    text = encode_delta(Delta(reader="r", source="s", put_tables=(Table(schema="s", name="t"),)))
    with pytest.raises(StoreError):
        decode_delta(text.replace('"table"', '"sausage"'))
