"""What must hold of everything else in a ledger: states, events, snapshots, objects, drafts."""

from __future__ import annotations

import dataclasses
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from amxwatch.clocks.system import SystemClock
from amxwatch.core.catalog import (
    Column,
    ObjectRef,
    ObjectType,
    SnapshotNumber,
    SourceProblem,
    Table,
)
from amxwatch.core.change import Delta
from amxwatch.core.draft import Band, Draft, DraftEvent, DraftSource, DraftStatus, NewDraft
from amxwatch.core.errors import (
    NotFoundError,
    StoreError,
    TransitionError,
)
from amxwatch.core.event import ACTIONS
from amxwatch.core.run import (
    RunId,
)
from amxwatch.core.schedule import ScheduleState
from amxwatch.ports.ledger import (
    DaemonState,
    DraftFilter,
    Ledger,
    SourceState,
    Tx,
)
from amxwatch.stores.ledger import SqlLedger
from tests.contracts.ledgers import NOW, a_run, later, new_ledger

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqlLedger]:
    ledger = new_ledger(tmp_path / "state.db", SystemClock())
    yield ledger
    await ledger.aclose()


# Schedules, sources, installation, events


async def test_schedules_are_kept_by_name(ledger: Ledger) -> None:
    state = ScheduleState(name="b", armed_at=NOW, trigger_hash="h", watermark=3, paused=True)
    moved = dataclasses.replace(state, watermark=4, last_due_at=later(7), paused=False, runs=2)
    other = ScheduleState(name="a", armed_at=NOW, trigger_hash="h")

    def work(tx: Tx) -> None:
        assert tx.schedules.get("b") is None
        tx.schedules.put(state)
        assert tx.schedules.get("b") == state
        tx.schedules.put(moved)
        tx.schedules.put(other)
        assert tx.schedules.list() == [other, moved]
        tx.schedules.drop("b")
        tx.schedules.drop("b")
        assert tx.schedules.list() == [other]

    await ledger.write(work)


async def test_it_is_told_which_schedules_moved_since(ledger: Ledger) -> None:
    one, two, three = (
        ScheduleState(name=name, armed_at=NOW, trigger_hash="h") for name in ("one", "two", "three")
    )

    async def moved(since: int) -> tuple[int, list[str]]:
        return await ledger.read(lambda tx: tx.schedules.moved(since))

    assert await moved(0) == (0, [])
    await ledger.write(lambda tx: tx.schedules.put(one, two))
    first, names = await moved(0)
    assert (sorted(names), await moved(first)) == (["one", "two"], (first, []))
    await ledger.write(lambda tx: tx.schedules.put(three))
    second, names = await moved(first)
    assert (second > first, names) == (True, ["three"])
    # What is put after the newest one was dropped is news even so.
    await ledger.write(lambda tx: tx.schedules.drop("three"))
    await ledger.write(lambda tx: tx.schedules.put(dataclasses.replace(one, paused=True)))
    third, names = await moved(second)
    assert (third > second, names) == (True, ["one"])


async def test_many_states_come_and_go_in_one_look(ledger: Ledger) -> None:
    names = [f"job {number}" for number in range(1203)]
    states = [ScheduleState(name=name, armed_at=NOW, trigger_hash="h") for name in names]
    await ledger.write(lambda tx: tx.schedules.put(*states))
    wanted = {*names[5:1100], "never"}
    found = await ledger.read(lambda tx: tx.schedules.some(wanted))
    assert found == {state.name: state for state in states[5:1100]}
    assert await ledger.read(lambda tx: tx.schedules.some([])) == {}


async def test_sources_are_kept_by_profile(ledger: Ledger) -> None:
    problem = SourceProblem(file="a.sql", line=3, column=4, message="no")
    state = SourceState(profile="p", gate="g", failures=2, failing_since=NOW, problems=(problem,))

    def work(tx: Tx) -> None:
        assert tx.sources.get("p") == SourceState(profile="p")
        tx.sources.put(state)
        assert tx.sources.get("p") == state
        tx.sources.put(dataclasses.replace(state, failures=0, failing_since=None, problems=()))
        assert [source.failures for source in tx.sources.list()] == [0]

    await ledger.write(work)


async def test_the_daemon_and_the_last_good_config(ledger: Ledger, tmp_path: Path) -> None:
    state = DaemonState(
        owner="h/1/a",
        pid=1,
        started_at=NOW,
        heartbeat_at=later(3),
        poll_seconds=60,
        last_cycle_result={"ok": True, "results": []},
    )

    def work(tx: Tx) -> None:
        assert tx.installation.daemon() is None
        assert tx.installation.good_config() is None
        tx.installation.beat(state)
        assert tx.installation.daemon() == state
        left = dataclasses.replace(state, stopped_at=later(4))
        tx.installation.beat(left)
        assert tx.installation.daemon() == left
        tx.installation.keep_config('{"ä": 1}')
        assert tx.installation.good_config() == '{"ä": 1}'
        told = [tx.installation.tell_once(hint) for hint in ("a", "b", "a")]
        assert told == [True, True, False]

    await ledger.write(work)
    with sqlite3.connect(tmp_path / "state.db") as raw:
        raw.execute("UPDATE installation SET value = '{\"pid\": 1}' WHERE key = 'daemon'")
    raw.close()
    with pytest.raises(StoreError, match="restart the daemon"):
        await ledger.read(lambda tx: tx.installation.daemon())


async def test_events_are_a_growing_trail(ledger: Ledger) -> None:
    def work(tx: Tx) -> None:
        for n, action in enumerate(list(ACTIONS)[:5]):
            tx.events.add(action, at=later(n), run_id="run_1", db_profile="p", n=n, why=["x"])
        with pytest.raises(ValueError, match="sang"):
            tx.events.add("sang", at=NOW)

    await ledger.write(work)
    events = await ledger.read(lambda tx: tx.events.after(0))
    assert [event.action for event in events] == list(ACTIONS)[:5]
    assert [event.detail for event in events] == [{"n": n, "why": ["x"]} for n in range(5)]
    assert events[0].at == NOW
    assert [event.id for event in events] == sorted({event.id for event in events})
    third = events[2].id
    assert await ledger.read(lambda tx: tx.events.after(third)) == events[3:]
    assert await ledger.read(lambda tx: tx.events.after(0, limit=2)) == events[:2]
    assert await ledger.read(lambda tx: tx.events.recent(2)) == events[3:]


# Snapshots


def a_delta(name: str) -> Delta:
    column = Column(name="a", type="int", ordinal=1, comment="\ud800")
    return Delta(
        reader="r/1",
        source="src",
        ignore=("*.tmp",),
        put_tables=(Table(schema="s", name=name, columns=(column,)),),
    )


async def test_pruned_snapshots_are_gone_and_their_numbers_never_given_again(
    ledger: Ledger,
) -> None:
    def append(tx: Tx, profile: str, name: str, after: int | None) -> int | None:
        return tx.snapshots.append(
            profile,
            a_delta(name),
            at=later(after or 0),
            after=after,  # type: ignore[arg-type]
            tables=1,
            columns=2,
            changes=3,
        )

    def work(tx: Tx) -> None:
        assert tx.keeping.oldest("p") is None
        assert tx.keeping.size("p") == 0
        for place, name in enumerate("abc"):
            append(tx, "p", name, place or None)
            append(tx, "q", name, place or None)
        before, kept = tx.keeping.size("p"), tx.snapshots.list("p")
        whole = dataclasses.replace(a_delta("w"), whole=True)
        tx.keeping.compact("p", SnapshotNumber(3), whole)
        assert list(tx.snapshots.log("p", None)) == [(3, whole)]
        assert list(tx.snapshots.log("p", SnapshotNumber(1))) == [(3, whole)]
        assert tx.snapshots.list("p") == kept[2:]
        assert tx.snapshots.at("p", later(1.5)) is None
        assert tx.snapshots.at("p", later(99)) == tx.snapshots.latest("p") == kept[2]
        assert tx.keeping.oldest("p") == 3
        assert 0 < tx.keeping.size("p") < before
        assert append(tx, "p", "d", 3) == 4
        assert tx.keeping.oldest("q") == 1
        assert len(list(tx.snapshots.log("q", None))) == 3
        with pytest.raises(NotFoundError):
            tx.keeping.compact("p", SnapshotNumber(2), whole)
        assert [record.number for record in tx.snapshots.list("p")] == [3, 4]

    await ledger.write(work)


async def test_a_delta_of_many_tables_comes_back(ledger: Ledger) -> None:
    column = Column(name="größe", type="text", ordinal=1, comment="a\nb\u2028" * 50)
    tables = tuple(Table(schema="s", name=f"t{i}", columns=(column,)) for i in range(1500))
    many = Delta(reader="r", source="s", put_tables=tables)

    def work(tx: Tx) -> None:
        tx.snapshots.append(
            "p", many, at=later(0), after=None, tables=1500, columns=1500, changes=0
        )
        assert list(tx.snapshots.log("p", None)) == [(1, many)]

    await ledger.write(work)


async def test_the_log_of_deltas(ledger: Ledger) -> None:
    def append(tx: Tx, profile: str, name: str, after: int | None, at: float) -> int | None:
        return tx.snapshots.append(
            profile,
            a_delta(name),
            at=later(at),
            after=after,  # type: ignore[arg-type]
            tables=1,
            columns=2,
            changes=3,
        )

    def work(tx: Tx) -> None:
        assert tx.snapshots.latest("p") is None
        assert append(tx, "p", "a", None, 0) == 1
        assert append(tx, "p", "b", None, 1) is None
        assert append(tx, "p", "b", 1, 10) == 2
        assert append(tx, "p", "c", 1, 11) is None
        assert append(tx, "q", "z", None, 5) == 1
        assert append(tx, "p", "c", 2, 20) == 3

        records = tx.snapshots.list("p")
        assert [record.number for record in records] == [1, 2, 3]
        assert tx.snapshots.latest("p") == records[-1]
        first = records[0]
        assert (first.reader, first.source, first.ignore) == ("r/1", "src", ("*.tmp",))
        assert (first.tables, first.columns, first.changes, first.baseline) == (1, 2, 3, False)
        assert tx.snapshots.at("p", later(-1)) is None
        assert tx.snapshots.at("p", later(0)) == records[0]
        assert tx.snapshots.at("p", later(19.9)) == records[1]
        assert tx.snapshots.at("p", later(99)) == records[2]

        log = list(tx.snapshots.log("p", None))
        assert log == [(1, a_delta("a")), (2, a_delta("b")), (3, a_delta("c"))]
        assert list(tx.snapshots.log("p", 2)) == log[2:]  # type: ignore[arg-type]
        assert list(tx.snapshots.log("nobody", None)) == []

    await ledger.write(work)


# Objects


def ref(name: str) -> ObjectRef:
    schema, table, column = [*name.split("."), "", ""][:3]
    return ObjectRef(schema=schema, table=table, column=column)


def ids(tx: Tx, *names: str, profile: str = "p") -> list[int]:
    found = tx.objects.resolve(profile, [ref(name) for name in names])
    return [found[ref(name)] for name in names]


def standing(tx: Tx) -> dict[int, str]:
    return {object_id: str(name) for object_id, name in tx.objects.names("p").items()}


async def test_ids_stay(ledger: Ledger) -> None:
    def work(tx: Tx) -> None:
        first = ids(tx, "s", "s.t", "s.t.a", "s.t")
        assert ids(tx, "s", "s.t", "s.t.a", "s.t") == first
        assert len(set(first)) == 3
        assert ids(tx, "s.t", profile="q") != ids(tx, "s.t")
        assert standing(tx) == dict(zip(first, ["s", "s.t", "s.t.a"], strict=False))
        assert tx.objects.resolve("p", []) == {}
        many = [ref(f"s.t{n}") for n in range(4_500)]
        assert len(set(tx.objects.resolve("p", many).values())) == 4_500

    await ledger.write(work)


async def test_ids_swap_names(ledger: Ledger) -> None:
    def work(tx: Tx) -> None:
        t, t_a, u, u_a, u_b = ids(tx, "s.t", "s.t.a", "s.u", "s.u.a", "s.u.b")
        tx.objects.rename("p", [(ref("s.t"), ref("s.u")), (ref("s.u"), ref("s.t"))])
        assert standing(tx) == {t: "s.u", t_a: "s.u.a", u: "s.t", u_a: "s.t.a", u_b: "s.t.b"}
        tx.objects.rename("p", [(ref("s.t.a"), ref("s.t.b")), (ref("s.t.b"), ref("s.t.a"))])
        assert standing(tx) == {t: "s.u", t_a: "s.u.a", u: "s.t", u_a: "s.t.b", u_b: "s.t.a"}

    await ledger.write(work)


async def test_a_rename_retires_who_stood_there(ledger: Ledger) -> None:
    def work(tx: Tx) -> None:
        t, t_a, u, u_x = ids(tx, "s.t", "s.t.a", "s.u", "s.u.x")
        tx.objects.rename("p", [(ref("s.t"), ref("s.u"))])
        assert standing(tx) == {t: "s.u", t_a: "s.u.a"}
        again = ids(tx, "s.t", "s.u.x")
        assert not set(again) & {t, t_a, u, u_x}

    await ledger.write(work)


async def test_a_table_and_its_columns_move_together(ledger: Ledger) -> None:
    def work(tx: Tx) -> None:
        t, a, b, c = ids(tx, "s.t", "s.t.a", "s.t.b", "s.t.c")
        tx.objects.rename("p", [(ref("s.t"), ref("z.u")), (ref("s.t.a"), ref("z.u.b"))])
        assert standing(tx) == {t: "z.u", a: "z.u.b", c: "z.u.c"}
        tx.objects.rename("p", [(ref("z"), ref("y")), (ref("z.u.c"), ref("y.u.d"))])
        assert standing(tx) == {t: "y.u", a: "y.u.b", c: "y.u.d"}
        assert b not in standing(tx)

    await ledger.write(work)


async def test_renaming_the_unknown_is_no_error(ledger: Ledger) -> None:
    def work(tx: Tx) -> None:
        (u,) = ids(tx, "s.u")
        tx.objects.rename("p", [])
        tx.objects.rename("p", [(ref("s.never"), ref("s.new"))])
        assert standing(tx) == {u: "s.u"}

    await ledger.write(work)


# Drafts


def a_draft(name: str = "s.t.a", input_hash: str = "h1") -> NewDraft:
    return NewDraft(
        object_type=ObjectType.COLUMN if ref(name).column else ObjectType.TABLE,
        ref=ref(name),
        source=DraftSource.MODEL,
        alternatives=("The amount.", "An \ud800 amount."),
        confidence=0.25,
        band=Band.MEDIUM,
        flags=("f",),
        base_comment="before",
        input_hash=input_hash,
    )


def put_drafts(tx: Tx, *drafts: NewDraft, profile: str = "p") -> list[Draft]:
    return tx.drafts.put(profile, RunId("run_1"), drafts, NOW)


@pytest.fixture
async def drafting(ledger: Ledger) -> Ledger:
    await ledger.write(lambda tx: tx.runs.put(a_run()))
    return ledger


async def test_a_draft_comes_back_as_it_was_put(drafting: Ledger) -> None:
    def work(tx: Tx) -> None:
        new = a_draft()
        (draft,) = put_drafts(tx, new)
        assert (draft.status, draft.created_at, draft.run_id) == (DraftStatus.PENDING, NOW, "run_1")
        assert draft.db_profile == "p"
        for field in dataclasses.fields(NewDraft):
            assert getattr(draft, field.name) == getattr(new, field.name)
        assert tx.drafts.get(draft.id) == draft
        assert draft.object_id == ids(tx, "s.t.a")[0]

    await drafting.write(work)


async def test_the_same_input_is_not_asked_twice(drafting: Ledger) -> None:
    def work(tx: Tx) -> None:
        (first,) = put_drafts(tx, a_draft())
        assert put_drafts(tx, a_draft()) == []
        tx.drafts.move(first.id, DraftEvent.REJECT)
        assert put_drafts(tx, a_draft()) == []
        (second,) = put_drafts(tx, a_draft(input_hash="h2"))
        tx.drafts.move(second.id, DraftEvent.ACCEPT)
        assert len(put_drafts(tx, a_draft(input_hash="h2"))) == 1

    await drafting.write(work)


async def test_a_newer_draft_supersedes_an_open_one_only(drafting: Ledger) -> None:
    def work(tx: Tx) -> list[DraftStatus]:
        (a,) = put_drafts(tx, a_draft(input_hash="h1"))
        tx.drafts.move(a.id, DraftEvent.ACCEPT)
        (b,) = put_drafts(tx, a_draft(input_hash="h2"))
        (c,) = put_drafts(tx, a_draft(input_hash="h3"))
        tx.drafts.move(a.id, DraftEvent.CONFLICT)
        d, e = put_drafts(tx, a_draft(input_hash="h4"), a_draft(input_hash="h5"))
        assert [event.detail["draft_id"] for event in tx.events.after(0)] == [
            b.id,
            a.id,
            c.id,
            d.id,
        ]
        return [tx.drafts.get(draft.id).status for draft in (a, b, c, d, e)]

    old = DraftStatus.SUPERSEDED
    assert await drafting.write(work) == [old, old, old, old, DraftStatus.PENDING]


async def test_a_draft_moves_by_the_table(drafting: Ledger) -> None:
    def work(tx: Tx) -> None:
        (draft,) = put_drafts(tx, a_draft())
        with pytest.raises(TransitionError):
            tx.drafts.move(draft.id, DraftEvent.WRITE, written_text="no")
        assert tx.drafts.get(draft.id) == draft
        moved = tx.drafts.move(draft.id, DraftEvent.EDIT, text="Mine.", reviewed_at=later(1))
        assert (moved.status, moved.text, moved.reviewed_at) == (
            DraftStatus.EDITED,
            "Mine.",
            later(1),
        )

    await drafting.write(work)


async def test_a_draft_follows_its_object(drafting: Ledger) -> None:
    def work(tx: Tx) -> None:
        (draft,) = put_drafts(tx, a_draft("s.t.a"))
        tx.objects.rename("p", [(ref("s.t"), ref("s.u"))])
        assert tx.drafts.get(draft.id).ref == ref("s.u.a")

    await drafting.write(work)


async def test_drafts_are_listed_tables_first(drafting: Ledger) -> None:
    def work(tx: Tx) -> None:
        names = ["s.t.b", "s.t.a", "s.t", "r.z.a", "s.a.x"]
        drafts = put_drafts(tx, *[a_draft(name) for name in names])
        put_drafts(tx, a_draft("s.t"), profile="o")

        def listed(**which: Any) -> list[str]:
            return [
                f"{draft.db_profile}:{draft.ref}" for draft in tx.drafts.list(DraftFilter(**which))
            ]

        ordered = ["o:s.t", "p:r.z.a", "p:s.a.x", "p:s.t", "p:s.t.b", "p:s.t.a"]
        assert listed() == ordered
        assert listed(db_profile="o") == ["o:s.t"]
        assert listed(ids=frozenset({drafts[0].id, drafts[2].id})) == ["p:s.t", "p:s.t.b"]
        assert listed(objects=frozenset({drafts[1].object_id})) == ["p:s.t.a"]
        assert listed(objects=frozenset(range(40_000))) == ordered
        assert listed(objects=frozenset()) == []
        assert listed(run_id="run_2") == []
        tx.drafts.move(drafts[4].id, DraftEvent.ACCEPT)
        assert listed(statuses=frozenset({DraftStatus.ACCEPTED})) == ["p:s.a.x"]
        assert tx.drafts.count(frozenset({DraftStatus.PENDING})) == 5
        assert tx.drafts.count(frozenset(DraftStatus)) == 6

    await drafting.write(work)


async def test_the_latest_settled_draft_of_each_object(drafting: Ledger) -> None:
    def work(tx: Tx) -> None:
        (a,) = put_drafts(tx, a_draft("s.t.a", "h1"))
        tx.drafts.move(a.id, DraftEvent.ACCEPT)
        (b,) = put_drafts(tx, a_draft("s.t.a", "h2"))
        (c,) = put_drafts(tx, a_draft("s.t.c"))
        wanted = [a.object_id, c.object_id]
        assert tx.drafts.latest("p", wanted) == {a.object_id: tx.drafts.get(a.id)}
        tx.drafts.move(b.id, DraftEvent.EDIT)
        assert tx.drafts.latest("p", wanted) == {a.object_id: tx.drafts.get(b.id)}
        assert tx.drafts.latest("q", wanted) == {}
        assert tx.drafts.latest("p", []) == {}

    await drafting.write(work)
