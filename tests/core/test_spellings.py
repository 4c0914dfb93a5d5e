"""When two spellings are one: of views' definitions and of types, and what hostile text does."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from amxwatch.core.datatype import same_type
from amxwatch.core.view import same_definition

SAME = [
    ("(select 1) union (select 2)", "select 1 union select 2", "postgres"),
    ("select a from t order by a desc nulls first", "select a from t order by a desc", "postgres"),
    ("select a from t order by a nulls last", "select a from t order by a", "postgres"),
    ("select all a from t", "select a from t", "postgres"),
    ("select a /* c */ from t", "select a from t", "postgres"),
    ("select a % b", "select mod(a, b)", "mysql"),
    ("select a as b from t", "select a b from t", "postgres"),
    ("select `User` from t", "select `user` from t", "mysql"),
    ('select "A" from t', "select a from t", "duckdb"),
    ('select "A" from t', "select a from t", "sqlite"),
    ('select "A" from t', "select a from t", "snowflake"),
    ("select glob('x',a)", "select a glob 'x'", "sqlite"),
    ("select a == b", "select a = b", "sqlite"),
    ("select position('a' in b)", "select strpos(b,'a')", "postgres"),
    ("from t select a", "select a from t", "duckdb"),
    ("SELECT a\n  FROM t -- c", "select a from t", "postgres"),
    ("select a from t;", "select a from t", "postgres"),
    (
        "select ((a)) from t where ((a > 1) or (b < 2)) and (c = 3)",
        "select a from t where (a > 1 or b < 2) and c = 3",
        "postgres",
    ),
    ("select (a + b) * c from t", "SELECT ((a + b) * (c)) FROM t", "duckdb"),
    ("select (a * b) + c from t", "select a * b + c from t", "sqlite"),
    ("select a from t where not (a = 1)", "select a from t where not a = 1", "postgres"),
    ("select a from t where (a || b) = c", "select a from t where a || b = c", "postgres"),
    ("select coalesce((a), (b + 1)) from t", "select coalesce(a, b + 1) from t", "postgres"),
    (
        "select case when (a = 1) then (b) end from t",
        "select case when a = 1 then b end from t",
        "postgres",
    ),
    (
        "(select a from t) union all (select b from u)",
        "select a from t union all select b from u",
        "postgres",
    ),
    ("((select a from t))", "select a from t", "postgres"),
    ("select * from (t)", "select * from t", "postgres"),
    ("select A from S.T", "select a from s.t", "postgres"),
    ('select "a" from "s"."t"', "select a from s.t", "postgres"),
    ("select `a` from `t`", "select a from t", "mysql"),
    ("select [a] from t", "select a from t", "tsql"),
    ('select "A" from t', "select a from t", "snowflake"),
    ("select A from t", "select a from t", "mysql"),
    ("select a != 1 from t", "select a <> 1 from t", "postgres"),
    ("select a::numeric from t", "select cast(a as decimal) from t", "postgres"),
    (
        "select a from t join u using (x) left join v on (v.x = u.x)",
        "select a from t inner join u using (x) left outer join v on v.x = u.x",
        "postgres",
    ),
    ("with x as (select 1) select * from x", "WITH x AS ((SELECT 1)) SELECT * FROM x", "postgres"),
    ("select x in ((1), (2)) from t", "select x in (1, 2) from t", "postgres"),
]
"""What is laid out, quoted, cased, bracketed or commented in another way."""

DIFFERENT = [
    ("select E'abc'", "select E'ABC'", "postgres"),
    ("select $$abc$$", "select $$ABC$$", "postgres"),
    ("select N'a'", "select N'A'", "postgres"),
    ("select a | (b & c)", "select a | b & c", "mysql"),
    ("select a || (b+c)", "select a||b+c", "sqlite"),
    ("select x in ((select 1 union select 2))", "select x in (select 1 union select 2)", "sqlite"),
    ("select a from only t", "select a from t", "postgres"),
    ("select a from t for update", "select a from t", "postgres"),
    ("select distinct a from t", "select a from t", "postgres"),
    ("select a, b from t", "select b, a from t", "postgres"),
    (
        "with x as materialized (select 1) select * from x",
        "with x as (select 1) select * from x",
        "postgres",
    ),
    ("select a::timestamptz", "select a::timestamp", "postgres"),
    ("select date_trunc('day',a)", "select date_trunc('month',a)", "postgres"),
    ("select a from t limit 1", "select a from t limit 2", "postgres"),
    ("select extract(year from a)", "select extract(month from a)", "postgres"),
    ("select trim(both from a)", "select trim(leading from a)", "postgres"),
    ("select a from t tablesample bernoulli (1)", "select a from t", "postgres"),
    (
        "select sum(a) over (order by b rows unbounded preceding)",
        "select sum(a) over (order by b)",
        "postgres",
    ),
    ("select a operator(pg_catalog.+) b", "select a + b", "postgres"),
    ("select a like 'x' escape '!'", "select a like 'x'", "postgres"),
    ("select a from t1 natural join t2", "select a from t1 join t2 on true", "postgres"),
    (
        "select a from t1 left join lateral f(x) on true",
        "select a from t1 left join f(x) on true",
        "postgres",
    ),
    ("select a between symmetric 1 and 2", "select a between 1 and 2", "postgres"),
    ("select a from s1.t", "select a from s2.t", "postgres"),
    ("select * from f(1) with ordinality", "select * from f(1)", "postgres"),
    ("select a is true", "select a = true", "postgres"),
    ("select count(distinct a)", "select count(a)", "postgres"),
    ("select string_agg(a, ',' order by b)", "select string_agg(a, ',')", "postgres"),
    ("select a from t group by rollup (a)", "select a from t group by a", "postgres"),
    (
        "select a from t union all select b from u",
        "select a from t union select b from u",
        "postgres",
    ),
    (
        "select 1 union (select 2 except select 3)",
        "select 1 union select 2 except select 3",
        "postgres",
    ),
    (
        "select 1 except (select 2 except select 3)",
        "select 1 except select 2 except select 3",
        "postgres",
    ),
    ("select /*+ hint(a) */ a from t", "select a from t", "mysql"),
    ("select /*! straight_join */ a from t", "select a from t", "mysql"),
    ("select a ~ 'x'", "select a ~* 'x'", "postgres"),
    ("select a div b", "select a / b", "mysql"),
    ("select current_timestamp(3)", "select current_timestamp", "postgres"),
    ("select a at time zone 'UTC'", "select a at time zone 'Europe/Istanbul'", "postgres"),
    ('select a collate "C"', "select a", "postgres"),
    ("select cast(a as decimal(10,2))", "select cast(a as decimal(10,3))", "postgres"),
    ("select a from t where x = any(array[1,2])", "select a from t where x in (1,2)", "postgres"),
    (
        "select a from t where x <> all(array[1,2])",
        "select a from t where x <> any(array[1,2])",
        "postgres",
    ),
    ("select ((a.b).c)", "select a.b", "postgres"),
    (
        "select a from t fetch first 3 rows only",
        "select a from t fetch first 3 rows with ties",
        "postgres",
    ),
    ("select a from t offset 3", "select a from t", "postgres"),
    ("select a as b from t", "select a as c from t", "postgres"),
    ("select array[1,2]", "select array[2,1]", "postgres"),
    ("select a[1]", "select a[2]", "postgres"),
    ("select a[1:2]", "select a[1:3]", "postgres"),
    ("select row(1,2)", "select (1,2)", "postgres"),
    ("select interval '1' day", "select interval '1' month", "postgres"),
    (
        "select timestamp '2020-01-01 00:00:00'",
        "select timestamptz '2020-01-01 00:00:00'",
        "postgres",
    ),
    ('select "User" from t', 'select "user" from t', "mysql"),
    ("select a from T", "select a from t", "mysql"),
    ('select "a" from t', "select a from t", "snowflake"),
    ("select a is b", "select a = b", "sqlite"),
    ("select a from t, u", "select a from t cross join u", "postgres"),
    ("select xmlelement(name foo)", "select xmlelement(name bar)", "postgres"),
    ("select a->>'x'", "select a->'x'", "postgres"),
    ("select case a when 1 then 2 end", "select case when a = 1 then 2 end", "postgres"),
    ("select 5 / 2", "select 5 // 2", "duckdb"),
    ("select * exclude (a) from t", "select * from t", "duckdb"),
    ("select * replace (a+1 as a) from t", "select * from t", "duckdb"),
    ("select columns('a.*') from t", "select columns('b.*') from t", "duckdb"),
    ("select a from t qualify row_number() over (order by a) = 1", "select a from t", "duckdb"),
    ("select a from t asof join u using (x)", "select a from t join u using (x)", "duckdb"),
    ("select a from t anti join u using (x)", "select a from t semi join u using (x)", "duckdb"),
    ("select a from t using sample 10%", "select a from t", "duckdb"),
    ("select try_cast(a as int)", "select cast(a as int)", "duckdb"),
    ("select a from t group by all", "select a from t", "duckdb"),
    ("select a from t order by all", "select a from t", "duckdb"),
    ("select list_transform(l, x -> x+1)", "select list_transform(l, x -> x+2)", "duckdb"),
    ("select f(a := 1)", "select f(a := 2)", "duckdb"),
    ("select a from t for system_time as of '2020-01-01'", "select a from t", "bigquery"),
    (
        "select a from t where (a,b) in ((1,2))",
        "select a from t where (a,b) in ((2,1))",
        "postgres",
    ),
    ("select -(-a)", "select a", "postgres"),
    ("select - (a + b)", "select -a + b", "postgres"),
    ("select (a and b) or c", "select a and (b or c)", "postgres"),
    ("select not (a is null)", "select a is not null", "postgres"),
    ("select count(*) filter (where a)", "select count(*)", "postgres"),
    (
        "select percentile_cont(0.5) within group (order by a)",
        "select percentile_cont(0.5) within group (order by b)",
        "postgres",
    ),
    ("select a from t window w as (order by a)", "select a from t", "postgres"),
    ("values (1),(2)", "values (2),(1)", "postgres"),
    ("table t", "table u", "postgres"),
    ("select a from t where current of c", "select a from t", "postgres"),
    ("select a - (b - c) from t", "select (a - b) - c from t", "postgres"),
    ("select a / (b * c) from t", "select a / b * c from t", "postgres"),
    ("select not (a and b) from t", "select not a and b from t", "postgres"),
    ("select (a or b) and c from t", "select a or b and c from t", "postgres"),
    ("select a from t right join u using (x)", "select a from t left join u using (x)", "postgres"),
    ("select a from t full join u using (x)", "select a from t right join u using (x)", "postgres"),
    ("select a from t where a < 1", "select a from t where a <= 1", "postgres"),
    ("select a from t where a = 'X'", "select a from t where a = 'x'", "postgres"),
    ("select a from t where a = 1", "select a from t where a = '1'", "postgres"),
    (
        "select * from (select a from t limit 1) q",
        "select * from (select a from t) q limit 1",
        "postgres",
    ),
    (
        "(select a from t limit 1) union select b from u",
        "select a from t union select b from u limit 1",
        "postgres",
    ),
    (
        "select a from t union (select b from u limit 1)",
        "select a from t union select b from u limit 1",
        "postgres",
    ),
    (
        "(select 1 union select 2) intersect select 3",
        "select 1 union select 2 intersect select 3",
        "postgres",
    ),
    (
        "select 1 union (select 2 intersect select 3)",
        "select 1 union select 2 intersect select 3",
        "sqlite",
    ),
    (
        "(select 1 union all select 2) union select 3",
        "select 1 union all (select 2 union select 3)",
        "postgres",
    ),
    ("select a || (b + c) from t", "select a || b + c from t", "sqlite"),
    ("select a & (b = c) from t", "select a & b = c from t", "postgres"),
    ("select (a = b) = c from t", "select a = (b = c) from t", "postgres"),
    ("select a ^ (b ^ c) from t", "select a ^ b ^ c from t", "postgres"),
    ("select -(a ^ b) from t", "select -a ^ b from t", "postgres"),
    ('select (a collate "C") || b from t', 'select (a || b) collate "C" from t', "postgres"),
    (
        "select (a at time zone 'utc')::date from t",
        "select a at time zone 'utc' from t",
        "postgres",
    ),
    ('select "A" from t', "select a from t", "postgres"),
    ('select a from "T"', "select a from t", "postgres"),
    ('select "a" from t', "select a from t", "snowflake"),
    ("select a from `T`", "select a from t", "mysql"),
    ("select a from `d`.`T`", "select a from `d`.`t`", "bigquery"),
    ("select a->'B' from t", "select a->'b' from t", "postgres"),
    ("select (a = b) < c from t", "select a = b < c from t", "sqlite"),
    ("select exists (select 1 from t)", "select not exists (select 1 from t)", "postgres"),
]
"""What means something else, or may in some database."""


@pytest.mark.parametrize(("before", "after", "dialect"), SAME)
def test_another_spelling_is_no_change(before: str, after: str, dialect: str) -> None:
    assert same_definition(before, after, dialect)
    assert same_definition(after, before, dialect)


@pytest.mark.parametrize(("before", "after", "dialect"), DIFFERENT)
def test_another_meaning_is_a_change(before: str, after: str, dialect: str) -> None:
    assert not same_definition(before, after, dialect)
    assert not same_definition(after, before, dialect)


TYPES = [
    ("int4", "integer", "postgres", True),
    ("varchar(10)", "character varying(10)", "postgres", True),
    ("timestamptz(3)", "timestamp(3) with time zone", "postgres", True),
    ("timetz", "time with time zone", "postgres", True),
    ("decimal(10,2)", "numeric(10, 2)", "postgres", True),
    ("float8", "double precision", "postgres", True),
    ("int4[]", "integer[]", "postgres", True),
    ("bool", "boolean", "postgres", True),
    ("integer[]", "integer", "postgres", False),
    ("timestamp", "timestamptz", "postgres", False),
    ("numeric(10,2)", "numeric(10,3)", "postgres", False),
    ('"char"', "char", "postgres", False),
    ("char", "bpchar", "postgres", False),
    ('"Mood"', "mood", "postgres", False),
    ("public.mood", "other.mood", "postgres", False),
    ("int(11)", "int", "mysql", True),
    ("bigint(20) unsigned", "bigint unsigned", "mysql", True),
    ("int(11) unsigned", "int(11)", "mysql", False),
    ("int(5) unsigned zerofill", "int unsigned", "mysql", False),
    ("year(4)", "year", "mysql", True),
    ("tinyint(4)", "tinyint", "mysql", True),
    ("tinyint(1)", "tinyint", "mysql", False),
    ("tinyint(1)", "bool", "mysql", True),
    ("enum('a','B')", "enum('a','b')", "mysql", False),
    ("enum('a', 'b')", "ENUM('a','b')", "mysql", True),
    ("varchar(10)", "text", "mysql", False),
    ("decimal", "numeric", "mysql", True),
    ("BIGINT", "int8", "duckdb", True),
    ("VARCHAR", "TEXT", "duckdb", True),
    ("STRUCT(a INTEGER)", "STRUCT(b INTEGER)", "duckdb", False),
    ("STRUCT(a INT, b TEXT)", "STRUCT(a INTEGER, b VARCHAR)", "duckdb", True),
    ("INTEGER[3]", "INTEGER[]", "duckdb", False),
    ("INT", "INTEGER", "sqlite", True),
    ("VARCHAR(10)", "VARCHAR(20)", "sqlite", False),
    ("", "TEXT", "sqlite", False),
]


@pytest.mark.parametrize(("before", "after", "dialect", "same"), TYPES)
def test_types_by_dialect(before: str, after: str, dialect: str, same: bool) -> None:
    assert same_type(before, after, dialect) is same
    assert same_type(after, before, dialect) is same


DEEP = [
    "select " + "(" * 50_000 + "1" + ")" * 50_000,
    "select * from " + "(" * 50_000 + "select 1" + ")" * 50_000,
    "select " + "f(" * 20_000 + "1" + ")" * 20_000,
    "select " + "case when a then " * 5_000 + "1" + " end" * 5_000,
    "select " + "- " * 20_000 + "1",
    "select " + "not " * 20_000 + "1",
    "select 1 from a" + " join a" * 60,
    "select " + "a[" * 20_000 + "1" + "]" * 20_000,
    "select 1" + " union select 1" * 5_000,
    "select " + "1 + " * 10_000 + "1",
    "STRUCT(a " * 30_000 + "int" + ")" * 30_000,
    "array<" * 30_000 + "int" + ">" * 30_000,
    "((((((((((", "'", '"', "`", "$$", "/*", "E'\\", "\x00", "\ud800", "", ";;;",
]  # fmt: skip


@pytest.mark.parametrize("dialect", ["postgres", "mysql", "duckdb", "bigquery"])
@pytest.mark.parametrize("text", DEEP, ids=lambda text: ascii(text[:20]))
def test_hostile_text_is_compared_in_bounded_time(text: str, dialect: str) -> None:
    start = time.process_time()
    assert not same_definition(text, "select 1", dialect)
    assert same_definition(text, text, dialect)
    same_definition(text, text.replace("1", "( 1 )") + " ", dialect)
    assert not same_type(text, "integer", dialect)
    assert time.process_time() - start < 10


def test_ddl_of_every_dialect_is_compared_without_an_exception(cases: Path) -> None:
    found = json.loads((cases / "d_ddl" / "sqlglot_ddl.json").read_text(encoding="utf-8"))
    start = time.process_time()
    count = 0
    for dialect, statements in found["dialects"].items():
        name = {"identity(generic)": "", "dialect": ""}.get(dialect, dialect)
        for each in statements:
            text = each["sql"]
            assert not same_type(text, "integer", name)
            assert same_definition(text, f"{text} ", name) in {True, False}
            assert not same_definition(text, "select 1", name)
            count += 1
    assert count > 500
    assert time.process_time() - start < 60
