"""Very many schedules: known by outline, built one by one when they are asked for.

A small config holds its schedules in a plain dict. Where there are very many drop-ins, `Plans`
stands in its place: a mapping too, that keeps each drop-in's checked table as text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from pydantic import ValidationError

from amxwatch.core.errors import TriggerError
from amxwatch.settings.schema import Schedule


class Outline(NamedTuple):
    """What can be told of a schedule without building it. `mark` moves when the plan does."""

    db_profile: str
    trigger: str
    max_concurrent: int
    mark: object


class Shelved(NamedTuple):
    """One drop-in that was read and checked: its file's name, what stat and hash said of it.

    `body` is the schedule as JSON, `warnings` what has no effect in it, a line each.
    """

    file: str
    inode: int
    size: int
    mtime: int
    ctime: int
    digest: str
    name: str
    db_profile: str
    llm_profile: str | None
    trigger: str
    max_concurrent: int
    warnings: str
    body: str

    def build(self) -> Schedule:
        """Raises: TriggerError where it does not hold any more: a zone that is not known now."""
        try:
            return Schedule.model_validate_json(self.body)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            raise TriggerError(
                f"schedules.d/{self.file}: {first['msg']}; mend it, or bring back what it needs"
            ) from None


class Plans(Mapping[str, Schedule]):
    """Schedules by name; those that were checked before are built anew at each access."""

    def __init__(self, built: Mapping[str, Schedule], shelved: Mapping[str, Shelved]) -> None:
        self.built = dict(built)
        self._shelved = shelved

    def __getitem__(self, name: str) -> Schedule:
        built = self.built.get(name)
        return self._shelved[name].build() if built is None else built

    def __contains__(self, name: object) -> bool:
        return name in self.built or name in self._shelved

    def __iter__(self) -> Iterator[str]:
        yield from self.built
        yield from self._shelved

    def __len__(self) -> int:
        return len(self.built) + len(self._shelved)

    def outlines(self) -> Iterator[tuple[str, Outline]]:
        for name, plan in self.built.items():
            yield name, _outline(plan)
        for name, row in self._shelved.items():
            yield name, Outline(row.db_profile, row.trigger, row.max_concurrent, row.body)


def outlines(schedules: Mapping[str, Schedule]) -> Iterator[tuple[str, Outline]]:
    """Yield what can be told of each schedule without building it."""
    if isinstance(schedules, Plans):
        yield from schedules.outlines()
        return
    for name, plan in schedules.items():
        yield name, _outline(plan)


def _outline(plan: Schedule) -> Outline:
    return Outline(plan.db_profile, plan.trigger.type, plan.max_concurrent, plan)
