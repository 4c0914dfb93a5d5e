"""What is remembered of each schedule between looks."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.engine import Row

from amxwatch.core.schedule import ScheduleState
from amxwatch.stores.ledger.rows import upsert, values_of
from amxwatch.stores.ledger.tables import installation
from amxwatch.stores.ledger.tables import schedule as table

T = TypeVar("T")

_FIELDS = [column for column in table.c if column.name != "seq"]
_NAMES = [column.name for column in _FIELDS]

_SEQ = "schedule_seq"
"""The key under which the number of the last change stands. It grows even when the newest row
is dropped, so that what is put after that is never taken for something seen."""

_MANY = 500
"""How many names one statement may hold."""

# Built once: building a statement costs as much as running it.
_GET = select(*_FIELDS).where(table.c.name == bindparam("wanted"))
_SOME = select(*_FIELDS).where(table.c.name.in_(bindparam("wanted", expanding=True)))
_KNOWN = select(table.c.name).where(table.c.name.in_(bindparam("wanted", expanding=True)))
_MOVED = select(table.c.name).where(table.c.seq > bindparam("seen")).order_by(table.c.seq)
_SET = update(table).where(table.c.name == bindparam("wanted"))
_PUT = insert(table)
_COUNT = (
    update(installation)
    .where(installation.c.key == _SEQ)
    .values({installation.c.value: bindparam("number")})
)
_LAST = select(installation.c.value).where(installation.c.key == _SEQ)


class SqlSchedules:
    """Implements `ports.ledger.Schedules`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, name: str) -> ScheduleState | None:
        row = self._connection.execute(_GET, {"wanted": name}).first()
        return None if row is None else _state(row)

    def some(self, names: Iterable[str]) -> dict[str, ScheduleState]:
        found = {}
        for part in _parts(list(names)):
            for row in self._connection.execute(_SOME, {"wanted": part}):
                found[row.name] = _state(row)
        return found

    def put(self, *states: ScheduleState) -> None:
        if not states:
            return
        seq = self._next()
        for part in _parts(states):
            names = [state.name for state in part]
            known = set(self._connection.execute(_KNOWN, {"wanted": names}).scalars())
            old = [state for state in part if state.name in known]
            new = [state for state in part if state.name not in known]
            if old:
                self._connection.execute(_SET, [_values(s, seq) | {"wanted": s.name} for s in old])
            if new:
                self._connection.execute(_PUT, [_values(state, seq) for state in new])

    def drop(self, name: str) -> None:
        self._connection.execute(delete(table).where(table.c.name == name))

    def list(self) -> builtins.list[ScheduleState]:
        query = select(*_FIELDS).order_by(table.c.name)
        return [_state(row) for row in self._connection.execute(query)]

    def moved(self, since: int) -> tuple[int, builtins.list[str]]:
        last = self._last()
        if last <= since:
            return last, []
        return last, [*self._connection.execute(_MOVED, {"seen": since}).scalars()]

    def _last(self) -> int:
        return int(self._connection.execute(_LAST).scalar() or 0)

    def _next(self) -> int:
        """Return the next number of change. Writers exclude each other, so it is ours alone."""
        number = self._last() + 1
        if number == 1:
            upsert(self._connection, installation, {"key": _SEQ, "value": "1"})
        else:
            self._connection.execute(_COUNT, {"number": str(number)})
        return number


def _parts(items: Sequence[T]) -> Iterator[builtins.list[T]]:
    for start in range(0, len(items), _MANY):
        yield [*items[start : start + _MANY]]


def _values(state: ScheduleState, seq: int) -> dict[str, object]:
    return {**values_of(state), "seq": seq}


def _state(row: Row[tuple[object, ...]]) -> ScheduleState:
    return ScheduleState(**dict(zip(_NAMES, row, strict=True)))  # type: ignore[arg-type]  # the columns are the fields
