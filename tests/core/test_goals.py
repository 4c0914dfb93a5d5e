"""Goals files: what is understood, what is not, and when a goal is met."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amxwatch.core.catalog import ObjectRef
from amxwatch.core.draft import Band
from amxwatch.core.goal import Goal, Measure, Standing, is_met, read_goal, stand
from amxwatch.core.scope import Scope
from amxwatch.core.vision import Vision, read_vision

FIXTURE = Path(__file__).resolve().parents[2] / "fixtures" / "continuous" / "VISION.md"


PAGE = Path(__file__).resolve().parents[2] / "docs" / "continuous.md"


def goals(text: str) -> list[str]:
    return [str(goal) for goal in read_vision(text, "VISION.md").goals]


def understood(line: str) -> Goal | None:
    return read_goal(line, file="VISION.md", line=1)


def test_the_example_says_what_its_page_tells() -> None:
    vision = read_vision(FIXTURE.read_text(encoding="utf-8"), "VISION.md")
    assert [(goal.line, str(goal)) for goal in vision.goals] == [
        (5, "schema:sales: coverage 90%"),
        (7, "table:sales.orders: coverage 100%, fresh"),
        (8, "table:sales.customer: coverage 100%, band medium"),
        (12, "schema:finance: coverage 80%"),
        (17, "all: coverage 50%"),
    ]
    assert [unread.line for unread in vision.unread] == [3, 18]
    assert vision.ticked == 1


def test_the_page_shows_the_very_example() -> None:
    shown = PAGE.read_text(encoding="utf-8").split("```markdown\n")[1].split("```")[0]
    assert shown == FIXTURE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("line", "goal"),
    [
        ("sales: coverage 95%", "schema:sales: coverage 95%"),
        ("schema:sales coverage ≥ 90%", "schema:sales: coverage 90%"),
        ("schema:sales,staging: at least 80 % described", "schema:sales,staging: coverage 80%"),
        ("table:sales.orders - documented", "table:sales.orders: coverage 100%"),
        ("sales.orders.total: described", "column:sales.orders.total: coverage 100%"),
        ("sales.orders is fully described and fresh.", "table:sales.orders: coverage 100%, fresh"),
        ('"order items": 90%', "schema:order items: coverage 90%"),
        ("all: nothing stale", "all: fresh"),
        ("everything: 50 percent, no stale descriptions", "all: coverage 50%, fresh"),
        ("sales: band high", "schema:sales: coverage 100%, band high"),
        ("sales coverage 90% band medium", "schema:sales: coverage 90%, band medium"),
        ("schema:stg_*: coverage 12,5%", "schema:stg_*: coverage 12.5%"),
        ("coverage: coverage 95%", "schema:coverage: coverage 95%"),
        ("schema:coverage: coverage 95%", "schema:coverage: coverage 95%"),
        ("coverage 95%", None),
        ("sales: coverage 0.9", None),
        ("sales: coverage 101%", None),
        ("sales: coverage 0%", None),
        ("sales", None),
        ("The tables of sales should be described", None),
        ("make everybody happy", None),
        ("schma:sales: coverage 95%", None),
        ("", None),
    ],
)
def test_a_line_is_a_goal_or_it_is_not(line: str, goal: str | None) -> None:
    found = understood(line)
    assert (str(found) if found else None) == goal


def test_what_else_stands_in_the_line_is_kept_as_a_remark() -> None:
    found = understood("sales: coverage 95%, in business terms and fresh")
    assert found is not None
    assert (str(found.measure), found.remarks) == ("coverage 95%, fresh", ("in business terms",))


def test_items_under_a_heading_take_its_scope() -> None:
    text = """
# Goals
## schema:sales
- [ ] coverage 90%
### The rest
- [ ] fresh
## Other things
- [ ] coverage 10%
## `finance` coverage 80%
- [ ] fresh
"""
    assert goals(text) == [
        "schema:sales: coverage 90%",
        "schema:sales: fresh",
        "schema:finance: coverage 80%",
        "schema:finance: fresh",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "```\n- [ ] sales: described\n```",
        "<!-- - [ ] sales: described -->",
        "- [x] sales: described",
        "- [X] sales: described",
        "- sales: described",
        "sales: described",
        "    - [ ] sales: described",
    ],
)
def test_only_headings_and_open_checklist_items_are_goals(text: str) -> None:
    assert goals(text) == []


def test_a_goal_that_stands_twice_counts_once_and_nested_items_count() -> None:
    assert goals("- [ ] sales: 90%\n  - [ ] sales: coverage 90%\n    1. [ ] crm: fresh") == [
        "schema:sales: coverage 90%",
        "schema:crm: fresh",
    ]


def test_what_is_not_understood_says_why_and_where() -> None:
    (unread,) = read_vision("# Title\n\n- [ ] make it nice\n", "docs/VISION.md").unread
    assert str(unread).startswith("docs/VISION.md:3: not understood: 'make it nice': it names no")


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=300))
@settings(max_examples=150, deadline=None)
def test_no_text_is_an_error(text: str) -> None:
    assert isinstance(read_vision(text, "VISION.md"), Vision)


PIECES = [
    "- [ ] ",
    "- [x] ",
    "## ",
    "- ",
    "sales",
    "schema:",
    ":",
    " ",
    ",",
    "coverage",
    "95%",
    "fresh",
    "*",
    "`",
    '"',
    "\n",
    "described",
    "and",
    "[",
    "(",
    "<!--",
    "```",
    ".",
    "é",
    "0",
]


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
@settings(max_examples=300, deadline=None)
def test_every_goal_that_is_read_reads_back(text: str) -> None:
    for goal in read_vision(text, "VISION.md").goals:
        again = understood(str(goal))
        assert again is not None
        assert (again.scope, again.measure) == (goal.scope, goal.measure)


@given(
    st.sampled_from(["all", "schema:a", "schema:a,b_*", "table:a.b", "column:a.b.c,a.b.d"]),
    st.one_of(st.none(), st.integers(1, 100)),
    st.booleans(),
    st.one_of(st.none(), st.sampled_from(Band)),
)
def test_every_measure_is_understood_as_it_is_shown(
    scope: str, coverage: int | None, fresh: bool, band: Band | None
) -> None:
    measure = Measure(
        coverage=100.0 if coverage is None and band else coverage, fresh=fresh, band=band
    )
    if measure == Measure():
        return
    found = understood(f"{scope}: {measure}")
    assert found is not None
    assert (found.scope, found.measure, found.remarks) == (Scope.parse(scope), measure, ())


@given(st.integers(0, 200), st.integers(0, 200), st.integers(1, 100))
def test_a_coverage_goal_is_met_exactly_at_its_share(
    objects: int, described: int, percent: int
) -> None:
    described = min(described, objects)
    standing = Standing(objects=objects, described=described, stale=0)
    met = is_met(Measure(coverage=percent), standing)
    assert met == (objects > 0 and described * 100 >= percent * objects)


def test_freshness_is_a_measure_of_its_own() -> None:
    stale = Standing(objects=10, described=10, stale=1)
    assert is_met(Measure(coverage=100.0), stale)
    assert not is_met(Measure(coverage=100.0, fresh=True), stale)
    assert is_met(Measure(fresh=True), Standing(objects=10, described=0, stale=0))


def test_a_scope_that_matches_nothing_yet_reaches_no_goal() -> None:
    nothing = stand([], {ObjectRef(schema="a", table="b")}, set())
    assert not is_met(Measure(coverage=1.0), nothing)
    assert not is_met(Measure(fresh=True), nothing)


def test_a_band_counts_itself_and_better_ones() -> None:
    assert [
        Measure(band=Band.MEDIUM).counts(band) for band in (Band.LOW, Band.MEDIUM, Band.HIGH)
    ] == [
        False,
        True,
        True,
    ]
