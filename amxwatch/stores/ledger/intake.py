"""The intake queue, and the git refs that were seen."""

from __future__ import annotations

import builtins
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, Select, and_, func, insert, or_, select, update

from amxwatch.core.errors import NotFoundError, TransitionError
from amxwatch.core.intake import OPEN, IntakeEvent, IntakeId, IntakeItem, IntakeState, after
from amxwatch.ports.intake import IntakeFilter
from amxwatch.stores.ledger.rows import upsert, values_of
from amxwatch.stores.ledger.tables import UNTRIAGED, git_ref
from amxwatch.stores.ledger.tables import intake as table

_IS_OPEN = table.c.state.in_(sorted(OPEN))
_COUNT = select(table.c.state, func.count()).where(_IS_OPEN).group_by(table.c.state)
_IN_ORDER = (table.c.priority, table.c.added_at, table.c.id)


class SqlIntake:
    """Implements `ports.intake.Intake`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, item: IntakeItem) -> IntakeItem:
        known = self._known(item)
        if known is not None:
            return known
        self._connection.execute(insert(table), values_of(item))
        return item

    def _known(self, item: IntakeItem) -> IntakeItem | None:
        if item.signal is not None:
            found = self._all(select(table).where(table.c.signal == item.signal))
            if found:
                return found[0]
        return self._open_twin(item.dedupe_key)

    def _open_twin(self, dedupe_key: str) -> IntakeItem | None:
        query = select(table).where(and_(table.c.dedupe_key == dedupe_key, _IS_OPEN))
        return next(iter(self._all(query)), None)

    def get(self, item_id: IntakeId) -> IntakeItem:
        found = self._all(select(table).where(table.c.id == item_id))
        if not found:
            raise NotFoundError(
                f"there is no intake item {item_id}; see them with: amxwatch intake list --all"
            )
        return found[0]

    def list(self, which: IntakeFilter) -> builtins.list[IntakeItem]:
        query = select(table)
        if which.states is not None:
            query = query.where(table.c.state.in_(sorted(which.states)))
        if which.untriaged:
            query = query.where(UNTRIAGED)
        for name in ("db_profile", "run_id", "session"):
            wanted = getattr(which, name)
            if wanted is not None:
                query = query.where(table.c[name] == wanted)
        return self._all(query.order_by(*_IN_ORDER).limit(which.limit))

    def move(self, item_id: IntakeId, event: IntakeEvent, **values: Any) -> IntakeItem:
        item = self.get(item_id)
        state = after(item.state, event)
        if state in OPEN and not item.is_open:
            twin = self._open_twin(item.dedupe_key)
            if twin is not None:
                raise TransitionError(
                    f"{item_id} cannot {event}: {twin.id} says the same and is {twin.state}"
                )
        changed = {**values, "state": state}
        self._connection.execute(update(table).where(table.c.id == item_id), changed)
        return self.get(item_id)

    def next_approved(
        self,
        *,
        now: datetime,
        session: str | None = None,
        leave: frozenset[str] = frozenset(),
        limit: int = 1,
    ) -> builtins.list[IntakeItem]:
        query = (
            select(table)
            .where(
                table.c.state == IntakeState.APPROVED,
                table.c.not_before <= now,
                or_(table.c.session.is_(None), table.c.session == session),
                table.c.db_profile.not_in(sorted(leave)),
            )
            .order_by(*_IN_ORDER)
            .limit(limit)
        )
        return self._all(query)

    def count(self) -> dict[IntakeState, int]:
        return {row[0]: row[1] for row in self._connection.execute(_COUNT)}

    def _all(self, query: Select[Any]) -> builtins.list[IntakeItem]:
        return [_item(row) for row in self._connection.execute(query).mappings()]


class SqlGitRefs:
    """Implements `ports.intake.GitRefs`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, watch: str) -> str | None:
        query = select(git_ref.c.commit).where(git_ref.c.watch == watch)
        commit: str | None = self._connection.execute(query).scalar()
        return commit

    def advance(self, watch: str, before: str | None, after: str) -> bool:
        if self.get(watch) != before:
            return False
        upsert(self._connection, git_ref, {"watch": watch, "commit": after})
        return True


def _item(row: RowMapping) -> IntakeItem:
    return IntakeItem(**row)
