"""Very many schedules: known by outline, built one by one when they are asked for.

A small config holds its schedules in a plain dict. Where there are very many drop-ins, `Plans`
stands in its place: a mapping too, that knows each by a row and where its checked table lies.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol, runtime_checkable

from pydantic import ValidationError

from amxwatch.core.errors import TriggerError
from amxwatch.settings.schema import MAX_NAMES, Schedule

Stat = tuple[int, ...]
"""Inode, size, last change of the content and of the entry, in nanoseconds; or nothing."""


class Outline(NamedTuple):
    """What can be told of a schedule without building it. `mark` moves when the plan does."""

    db_profile: str
    trigger: str
    max_concurrent: int
    mark: object


class Shelved(NamedTuple):
    """One drop-in that was read and checked: its file's name, what stat and hash said of it.

    `stat` is empty where a further edit might not show in it: then the file is read again.
    `mark` is the hash of the schedule's own table, `warnings` what has no effect in it, a line
    each.
    """

    file: str
    stat: Stat
    digest: bytes
    name: str
    db_profile: str
    llm_profile: str | None
    trigger: str
    max_concurrent: int
    warnings: str
    mark: bytes


def built(row: Shelved, body: str) -> Schedule:
    """Return the schedule. Raises: TriggerError where it does not hold any more."""
    try:
        return Schedule.model_validate_json(f'{{"name":{json.dumps(row.name)},{body[1:]}')
    except ValidationError as error:  # a zone that is not known now
        first = error.errors(include_input=False, include_url=False)[0]
        raise TriggerError(
            f"schedules.d/{row.file}: {first['msg']}; mend it, or bring back what it needs"
        ) from None


@runtime_checkable
class Outlined(Protocol):
    """Schedules that can be told of without building them."""

    def outlines(self) -> Iterator[tuple[str, Outline]]: ...

    def names_after(self, name: str, count: int) -> list[str]:
        """Return the next few names in order."""

    def of_trigger(self, trigger: str) -> list[str]: ...

    def limits(self) -> dict[str, int]: ...

    def unkept(self) -> dict[str, Schedule]:
        """Build those of which the shelf has no row yet."""


class Plans(Mapping[str, Schedule]):
    """Schedules by name; those that were checked before are built anew at each access."""

    def __init__(
        self,
        held: Mapping[str, Schedule],
        rows: Mapping[str, Shelved],
        build: Callable[[Shelved], Schedule],
    ) -> None:
        self.held = dict(held)
        self.rows = rows
        self._build = build
        self._sorted: list[str] | None = None

    def __getitem__(self, name: str) -> Schedule:
        held = self.held.get(name)
        return self._build(self.rows[name]) if held is None else held

    def __contains__(self, name: object) -> bool:
        return name in self.held or name in self.rows

    def __iter__(self) -> Iterator[str]:
        yield from self.held
        yield from self.rows

    def __len__(self) -> int:
        return len(self.held) + len(self.rows)

    def unkept(self) -> dict[str, Schedule]:
        """Build those of which the shelf has no row yet."""
        new = {name: self._build(row) for name, row in self.rows.items() if not row.stat}
        return {**self.held, **new}

    def outlines(self) -> Iterator[tuple[str, Outline]]:
        for name, plan in self.held.items():
            yield name, _outline(plan)
        for name, row in self.rows.items():
            yield name, _outline_of_row(row)

    def some(self, names: Iterable[str]) -> dict[str, Outline]:
        """Return what can be told of these, as far as there are any."""
        found = {name: self.held.get(name) or self.rows.get(name) for name in names}
        return {
            name: _outline(each) if isinstance(each, Schedule) else _outline_of_row(each)
            for name, each in found.items()
            if each is not None
        }

    def names_after(self, name: str, count: int) -> list[str]:
        if self._sorted is None:
            self._sorted = sorted(self)
        start = bisect_right(self._sorted, name)
        return self._sorted[start : start + count]

    def of_trigger(self, trigger: str) -> list[str]:
        held = [name for name, plan in self.held.items() if plan.trigger.type == trigger]
        return held + [name for name, row in self.rows.items() if row.trigger == trigger]

    def limits(self) -> dict[str, int]:
        held = {name: plan.max_concurrent for name, plan in self.held.items()}
        many = {n: r.max_concurrent for n, r in self.rows.items() if r.max_concurrent != 1}
        return {**held, **many}


def outlines(schedules: Mapping[str, Schedule]) -> Iterator[tuple[str, Outline]]:
    """Yield what can be told of each schedule without building it."""
    if isinstance(schedules, Outlined):
        yield from schedules.outlines()
        return
    for name, plan in schedules.items():
        yield name, _outline(plan)


def names_after(schedules: Mapping[str, Schedule], name: str, count: int) -> list[str]:
    """Return the next few names in order, after this one (or after nothing: "")."""
    if isinstance(schedules, Outlined):
        return schedules.names_after(name, count)
    return sorted(each for each in schedules if each > name)[:count]


def few_names(schedules: Mapping[str, object]) -> str:
    """Return the first names in order, and how many more there are, as an error lists them."""
    names = sorted(schedules)
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"{', '.join(names[:MAX_NAMES])}{more}"


def of_trigger(schedules: Mapping[str, Schedule], trigger: str) -> list[str]:
    """Return the names of those with this type of trigger."""
    if isinstance(schedules, Outlined):
        return schedules.of_trigger(trigger)
    return [name for name, plan in schedules.items() if plan.trigger.type == trigger]


def limits(schedules: Mapping[str, Schedule]) -> dict[str, int]:
    """Return how many runs at once each may have, of all that may have more than one."""
    if isinstance(schedules, Outlined):
        found = schedules.limits()
    else:
        found = {name: plan.max_concurrent for name, plan in schedules.items()}
    return {name: limit for name, limit in found.items() if limit != 1}


def moved(before: Mapping[str, Schedule], after: Mapping[str, Schedule]) -> list[str]:
    """Return the names of those that came, went or read differently, in order."""
    if isinstance(before, Plans) and isinstance(after, Plans):
        old, new = before.rows, after.rows
        doubtful = {name for name, row in new.items() if old.get(name) is not row}
        doubtful |= old.keys() - new.keys() | before.held.keys() | after.held.keys()
        first, second = before.some(doubtful), after.some(doubtful)
    else:
        first, second = dict(outlines(before)), dict(outlines(after))
        doubtful = {*first, *second}
    return sorted(name for name in doubtful if first.get(name) != second.get(name))


def _outline_of_row(row: Shelved) -> Outline:
    return Outline(row.db_profile, row.trigger, row.max_concurrent, row.mark)


def _outline(plan: Schedule) -> Outline:
    return Outline(plan.db_profile, plan.trigger.type, plan.max_concurrent, plan)
