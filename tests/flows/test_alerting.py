"""Alerts over time: found once, told once in order, tried again for days, never lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import anyio
import pytest

from amxwatch.core.alert import Alert
from amxwatch.core.catalog import Catalog
from amxwatch.core.errors import (
    AmxwatchError,
    NotifyRefusedError,
    NotifyUnavailableError,
    UsageError,
)
from amxwatch.core.message import Delivery, Message
from amxwatch.core.schedule import ScheduleState
from amxwatch.flows.alerting import Teller, evaluate
from amxwatch.flows.telling import CLAIM, PATIENCE, next_due, targets_waiting, tell, tell_all
from amxwatch.ports.ledger import DaemonState, SourceState
from amxwatch.settings.schema import Settings
from tests.flows.conftest import World, catalog, column, table

pytestmark = pytest.mark.anyio


@dataclass
class Target:
    """A notifier that keeps what it is told; `says` may raise instead."""

    told: list[Message] = field(default_factory=list)
    says: Callable[[Message], None] = lambda _: None

    async def send(self, message: Message) -> None:
        await anyio.lowlevel.checkpoint()
        self.says(message)
        self.told.append(message)

    @property
    def words(self) -> list[str]:
        return [f"{one.phase} {one.alert.condition.key}" for one in self.told]

    def fail(self, error: AmxwatchError) -> None:
        def raising(_: Message) -> None:
            raise error

        self.says = raising

    def work(self) -> None:
        self.says = lambda _: None


@dataclass
class Room:
    """A world in which alerts are found and told."""

    world: World
    targets: dict[str, Target]
    dead: set[str] = field(default_factory=set)

    def teller(self, owner: str = "me", **values: Any) -> Teller:
        return Teller(
            ledger=self.world.ledger,
            clock=self.world.clock,
            settings=lambda: self.world.settings,
            source=lambda _: self.world.source,
            notifier=self._notifier,
            owner=owner,
            is_dead=lambda name: name in self.dead,
            **values,
        )

    def _notifier(self, name: str) -> Target:
        if name not in self.targets:
            raise UsageError(f"no {name}")
        return self.targets[name]

    def config(self, **targets: dict[str, Any]) -> None:
        tree = self.world.settings.model_dump()
        alerts = {
            name: {"type": "command", "command": ["true"], **filters}
            for name, filters in targets.items()
        }
        tree["alerts"]["targets"] = alerts
        made = Settings.model_validate(tree)
        self.world.settings = made.model_copy(update={"schedules": self.world.settings.schedules})
        self.targets |= {name: Target() for name in targets if name not in self.targets}

    async def state(self, name: str = "watch", **values: Any) -> None:
        """Put a schedule's runtime state, and its plan in the config."""
        if name not in self.world.plans:
            self.world.on_change(name=name)
        made = ScheduleState(name=name, armed_at=self.world.clock.now(), trigger_hash="")
        await self.world.ledger.write(lambda tx: tx.schedules.put(replace(made, **values)))

    async def look(self, **values: Any) -> None:
        """Find what is news and tell it, as a command does."""
        await tell_all(self.teller(**values), within=300)

    async def deliveries(self) -> list[Delivery]:
        def read(tx: Any) -> list[Delivery]:
            return list(tx.outbox.of([alert.id for alert in tx.alerts.list()]))

        return await self.world.ledger.read(read)

    async def alerts(self) -> list[Alert]:
        return await self.world.ledger.read(lambda tx: tx.alerts.list())


@pytest.fixture
def room(world: World) -> Room:
    made = Room(world, {})
    made.config(ops={})
    return made


async def test_a_streak_is_told_once_and_its_end_once(room: Room) -> None:
    ops = room.targets["ops"]
    for failures in (2, 3, 4, 5):
        await room.state(consecutive_failures=failures)
        await room.look()
        await room.look()
    assert ops.words == ["opened failure_streak:watch"]
    await room.state(consecutive_failures=0)
    for _ in range(3):
        await room.look()
    assert ops.words == ["opened failure_streak:watch", "recovered failure_streak:watch"]
    assert len({one.id for one in ops.told}) == 2
    actions = [a for a in await room.world.actions() if a.startswith("alert_")]
    assert actions == ["alert_opened", "alert_sent", "alert_recovered", "alert_sent"]


async def test_a_second_streak_is_another_alert(room: Room) -> None:
    for failures in (3, 0, 3):
        await room.state(consecutive_failures=failures)
        await room.look()
    assert len(room.targets["ops"].told) == 3
    assert len(await room.alerts()) == 2


async def test_looking_where_all_is_well_writes_nothing(room: Room) -> None:
    await room.look()
    before = await room.world.ledger.read(lambda tx: tx.events.recent(1))
    quiet = replace(room.teller(), ledger=_Reading(room.world.ledger))
    await evaluate(quiet)
    assert await room.world.ledger.read(lambda tx: tx.events.recent(1)) == before


class _Reading:
    """A ledger that may only be read."""

    def __init__(self, ledger: Any) -> None:
        self.read = ledger.read

    async def write(self, work: object) -> None:
        raise AssertionError("something was written")

    async def aclose(self) -> None:
        """Nothing of its own is open."""


async def test_each_target_has_its_own_filters(room: Room) -> None:
    room.config(
        ops={},
        mild={"severity": "critical"},
        sales={"schedules": ["sales_*"]},
        quiet={"ignore": ["watch"]},
        missed={"on": ["missed"]},
    )
    await room.state(consecutive_failures=3)
    await room.state("sales_daily", consecutive_failures=3)
    await room.look()
    told = {name: target.words for name, target in room.targets.items()}
    assert told == {
        "ops": ["opened failure_streak:sales_daily", "opened failure_streak:watch"],
        "mild": [],
        "sales": ["opened failure_streak:sales_daily"],
        "quiet": ["opened failure_streak:sales_daily"],
        "missed": [],
    }


async def test_a_schedule_that_left_the_config_is_over(room: Room) -> None:
    await room.state(missed_due_at=room.world.clock.now())
    await room.look()
    room.world.plans.clear()
    room.world.settings = room.world.settings.model_copy(update={"schedules": {}})
    await room.look()
    assert [word.split()[0] for word in room.targets["ops"].words] == ["opened", "recovered"]


async def test_a_source_that_is_down_for_long(room: Room) -> None:
    down = SourceState(
        profile="shop", failing_since=room.world.clock.now(), failures=1, error="no route"
    )
    await room.world.ledger.write(lambda tx: tx.sources.put(down))
    await room.look()
    assert room.targets["ops"].told == []
    room.world.pass_time(15 * 60)
    await room.look()
    await room.world.ledger.write(
        lambda tx: tx.sources.put(replace(down, failing_since=None, failures=0))
    )
    await room.look()
    assert room.targets["ops"].words == ["opened source_down:shop", "recovered source_down:shop"]


async def test_a_daemon_is_stale_to_others_and_never_to_itself(room: Room) -> None:
    now = room.world.clock.now()
    beat = DaemonState(owner="it", pid=1, started_at=now, heartbeat_at=now, poll_seconds=20)
    await room.world.ledger.write(lambda tx: tx.installation.beat(beat))
    room.world.pass_time(60)
    await room.look()
    assert room.targets["ops"].told == []
    room.world.pass_time(1)
    await room.look(is_daemon=True)
    assert room.targets["ops"].told == []
    await room.look()
    assert room.targets["ops"].words == ["opened daemon_stale:"]
    stopped = replace(beat, stopped_at=now)
    await room.world.ledger.write(lambda tx: tx.installation.beat(stopped))
    await room.look()
    assert room.targets["ops"].words[1:] == ["recovered daemon_stale:"]


# -- changes of the catalog ------------------------------------------------------------------


async def saw(room: Room, *now: Catalog) -> None:
    for one in now:
        room.world.database.catalog = one
        await room.world.look()
        await room.look()


async def test_changes_in_scope_are_told_by_kind_and_only_new_ones(room: Room) -> None:
    room.config(
        ops={},
        dba={"kinds": ["added", "removed"], "ignore": ["*.tmp_*"]},
        sales={"kinds": ["added"], "schedules": ["sales"]},
    )
    room.world.on_change(name="all")
    room.world.on_change(name="sales", scope="schema:sales")
    first = catalog(table("orders", "id"), table("tmp_0", "id"))
    await saw(room, first)  # what is there at first sight is no news
    assert [target.told for target in room.targets.values()] == [[], [], []]
    more = catalog(
        table("orders", "id", column("total", "text")),
        table("tmp_1", "id"),
        table("invoice", "id"),
        table("lead", "id", schema="sales"),
    )
    await saw(room, more)
    await saw(room, more)
    told = {
        name: [one.alert.condition.changes for one in target.told]
        for name, target in room.targets.items()
    }
    assert told["ops"] == []
    (dba,) = told["dba"]
    assert "added table shop.invoice" in dba
    assert "added column shop.orders.total" in dba
    assert not any("tmp_" in line for line in dba)
    assert [line for line in told["sales"][0] if "shop" in line] == []
    assert "added table sales.lead" in told["sales"][0]


async def test_two_processes_tell_of_a_change_once(room: Room) -> None:
    room.config(ops={"kinds": ["added"]})
    room.world.on_change(name="all")
    await saw(room, catalog(table("orders", "id")))
    room.world.database.catalog = catalog(table("orders", "id"), table("invoice", "id"))
    await room.world.look()
    async with anyio.create_task_group() as group:
        for owner in ("one", "two", "three"):
            group.start_soon(evaluate, room.teller(owner))
    assert len(await room.alerts()) == 1


async def test_a_target_that_wants_changes_later_is_not_told_of_old_ones(room: Room) -> None:
    room.world.on_change(name="all")
    await saw(room, catalog(table("a", "id")), catalog(table("a", "id"), table("b", "id")))
    room.config(ops={"kinds": ["added"]})
    await room.look()
    assert room.targets["ops"].told == []


# -- the outbox ------------------------------------------------------------------------------


async def test_a_target_that_is_down_is_tried_again_with_growing_pauses(room: Room) -> None:
    ops = room.targets["ops"]
    ops.fail(NotifyUnavailableError("down"))
    await room.state(consecutive_failures=3)
    await room.state("other", consecutive_failures=3)
    pauses = []
    for _ in range(8):
        await room.look()
        due = await next_due(room.teller())
        assert due is not None
        pause = due - room.world.clock.now()
        assert pause > timedelta(0)  # nothing waits in a hurry, or the daemon would spin
        assert await targets_waiting(room.teller()) == []
        pauses.append(pause)
        room.world.clock.advance(pause)
    assert pauses[-1] > 20 * pauses[0]
    ops.work()
    await room.look()
    assert sorted(ops.words) == ["opened failure_streak:other", "opened failure_streak:watch"]
    failures = [a for a in await room.world.actions() if a == "alert_failed"]
    assert len(failures) == 1  # said once, not at each try


async def test_a_refused_message_does_not_hold_up_the_next(room: Room) -> None:
    ops = room.targets["ops"]

    def picky(message: Message) -> None:
        if message.alert.condition.schedule == "watch":
            raise NotifyRefusedError("not this one")

    ops.says = picky
    await room.state("watch", consecutive_failures=3)
    await room.state("zulu", consecutive_failures=3)
    await room.look()
    assert ops.words == ["opened failure_streak:zulu"]


async def test_a_slow_target_does_not_hold_up_another(room: Room) -> None:
    room.config(ops={}, mail={})
    room.targets["ops"].fail(NotifyUnavailableError("down"))
    await room.state(consecutive_failures=3)
    await room.look()
    assert len(room.targets["mail"].told) == 1


async def test_the_end_waits_for_the_beginning(room: Room) -> None:
    ops = room.targets["ops"]
    ops.fail(NotifyUnavailableError("down"))
    await room.state(consecutive_failures=3)
    await room.look()
    await room.state(consecutive_failures=0)
    await room.look()
    assert await targets_waiting(room.teller()) == []
    ops.work()
    room.world.pass_time(60)
    await room.look()
    assert ops.words == ["opened failure_streak:watch", "recovered failure_streak:watch"]


async def test_after_days_a_target_is_given_up_and_its_end_is_not_told(room: Room) -> None:
    ops = room.targets["ops"]
    ops.fail(NotifyUnavailableError("down"))
    await room.state(consecutive_failures=3)
    await room.look()
    room.world.clock.advance(PATIENCE)
    await room.look()
    (given_up,) = await room.deliveries()
    assert given_up.dropped_at is not None
    ops.work()
    await room.state(consecutive_failures=0)
    await room.look()
    assert ops.told == []
    assert await next_due(room.teller()) is None


async def test_a_target_that_left_the_config_is_given_up(room: Room) -> None:
    room.targets["ops"].fail(NotifyUnavailableError("down"))
    await room.state(consecutive_failures=3)
    await room.look()
    room.config(other={})
    room.world.pass_time(60)
    await room.look()
    (gone,) = await room.deliveries()
    assert gone.dropped_at is not None
    assert "not in the config" in (gone.error or "")


async def test_a_secret_that_is_missing_is_tried_again(room: Room) -> None:
    room.targets["ops"].fail(UsageError("env:HOOK: that environment variable is not set"))
    await room.state(consecutive_failures=3)
    await room.look()
    room.targets["ops"].work()
    room.world.pass_time(60)
    await room.look()
    assert len(room.targets["ops"].told) == 1


class _Killed(BaseException):
    """Stands for the end of a process between telling and recording."""


async def test_a_kill_after_telling_tells_again_under_the_same_id(room: Room) -> None:
    ops = room.targets["ops"]
    ids: list[str] = []

    def then_die(message: Message) -> None:
        ids.append(message.id)
        raise _Killed

    ops.says = then_die
    await room.state(consecutive_failures=3)
    await evaluate(room.teller("first"))
    with pytest.raises(_Killed):
        await tell(room.teller("first"), "ops")
    # While the first lives, nobody else tells it; once it is dead, the next one does.
    ops.work()
    await room.look(owner="second")
    assert ops.told == []
    room.dead.add("first")
    await room.look(owner="second")
    assert [one.id for one in ops.told] == ids


async def test_what_a_living_process_left_lying_is_told_after_a_while(room: Room) -> None:
    ops = room.targets["ops"]
    ops.says = lambda _: (_ for _ in ()).throw(_Killed())
    await room.state(consecutive_failures=3)
    await evaluate(room.teller("first"))
    with pytest.raises(_Killed):
        await tell(room.teller("first"), "ops")
    ops.work()
    due = await next_due(room.teller("second"))
    assert due == room.world.clock.now() + CLAIM
    room.world.clock.advance(CLAIM)
    await room.look(owner="second")
    assert len(ops.told) == 1


async def test_a_command_that_ends_does_not_wait_for_a_slow_target(room: Room) -> None:
    class Slow(Target):
        async def send(self, message: Message) -> None:
            await anyio.sleep_forever()

    room.targets["ops"] = Slow()
    await room.state(consecutive_failures=3)
    with anyio.fail_after(60):
        await tell_all(room.teller(), within=0.2)
    room.dead.add("me")
    room.targets["ops"] = Target()
    await room.look(owner="second")
    assert len(room.targets["ops"].told) == 1
