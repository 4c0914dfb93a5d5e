"""What a seed is about: databases, schedules and a moment in time."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from amxwatch.core.catalog import Catalog, Column, Schema, Table

ZONES = {
    "Europe/Berlin": ("2026-03-29T01:00Z", "2026-10-25T01:00Z"),
    "America/New_York": ("2026-03-08T07:00Z", "2026-11-01T06:00Z"),
    "Australia/Lord_Howe": ("2026-10-03T15:30Z", "2026-04-04T15:00Z"),
}
"""Zones, and the moments (UTC) at which their clocks are moved."""

PROFILES = ("shop", "depot")
SCHEMAS = ("a", "b")
HORIZONS = (4, 8, 8, 12)
"""So many minutes go by before the faults end, in one seed or another."""


def start_of(chance: random.Random) -> tuple[datetime, str]:
    """Return when a seed starts, and the zone whose clock may be moved about then."""
    zone = chance.choice(sorted(ZONES))
    if chance.random() < 0.4:
        moved = datetime.fromisoformat(chance.choice(ZONES[zone]))
        return moved - timedelta(minutes=chance.randint(1, 10)), zone
    if chance.random() < 0.2:  # a new day begins on the way
        midnight = datetime(2026, 5, 5, tzinfo=_zone(zone)).astimezone(UTC)
        return midnight - timedelta(minutes=chance.randint(1, 10)), zone
    return datetime(2026, 5, 4, chance.randint(0, 23), 0, 13, tzinfo=UTC), zone


def settings_of(chance: random.Random, start: datetime, zone: str) -> dict[str, Any]:
    """Return a config, as TOML would hold it."""
    profiles = PROFILES[: chance.choice([1, 1, 2])]
    plans = {
        f"s{number}": schedule_of(chance, start, zone, profiles)
        for number in range(chance.choice([2, 3, 3, 4]))
    }
    plans["s0"]["trigger"] = change_of(chance)
    return {
        "db_profiles": {
            name: {
                "url": f"postgresql://nowhere/{name}",
                "max_concurrent_runs": chance.choice([1, 1, 2]),
                "refresh_minutes": chance.choice([1.0, 15.0]),
            }
            for name in profiles
        },
        "daemon": {
            "poll_seconds": float(chance.choice([15, 30, 60])),
            "worker_slots": chance.choice([1, 2, 3]),
        },
        "budget": budget_of(chance, zone),
        "schedules": plans,
    }


def budget_of(chance: random.Random, zone: str) -> dict[str, Any]:
    """Return a day's budget for some; a run pays three times a cent."""
    if chance.random() < 0.75:
        return {}
    return {"per_day_usd": chance.choice([0.04, 0.1, 0.3]), "timezone": zone}


def schedule_of(
    chance: random.Random, start: datetime, zone: str, profiles: tuple[str, ...]
) -> dict[str, Any]:
    plan: dict[str, Any] = {
        "db_profile": chance.choice(profiles),
        "llm_profile": "builtin",
        "trigger": trigger_of(chance, start, zone),
        "scope": chance.choice(["all", "all", "schema:a", "schema:a,b"]),
        "timeout_seconds": float(chance.choice([90, 1800])),
        "max_concurrent": chance.choice([1, 1, 2]),
        "skip_if_running": chance.random() < 0.7,
        "grace_seconds": float(chance.choice([0, 60, 300])),
        "max_retries": chance.choice([0, 1, 3]),
    }
    if chance.random() < 0.3:
        plan["pause_after_failures"] = chance.choice([1, 2])
    if chance.random() < 0.7:
        plan["catch_up"] = chance.choice(["once", "none", "all"])
        # A clock that jumps by a year must not leave more runs than a seed has time for.
        plan["catch_up_window_hours"] = chance.choice([0.2, 0.5])
    if chance.random() < 0.2:
        plan["kind"] = "cache_refresh"
    return plan


def trigger_of(chance: random.Random, start: datetime, zone: str) -> dict[str, Any]:
    drawn = chance.random()
    if drawn < 0.3:
        return change_of(chance)
    if drawn < 0.38:
        return {
            "type": "files",
            "paths": ["*.sql"],
            "cadence_cap_hours": chance.choice([0, 0.02, 0.1]),
            "settle_seconds": chance.choice([0, 20]),
        }
    if drawn < 0.6:
        return every_of(chance)
    if drawn < 0.72:
        local = start.astimezone(_zone(zone)) + timedelta(minutes=chance.randint(2, 14))
        return {"type": "at", "at": f"{local:%Y-%m-%d %H:%M}", "timezone": zone}
    return cron_of(chance, start, zone)


def change_of(chance: random.Random) -> dict[str, Any]:
    return {
        "type": "change",
        "cadence_cap_hours": chance.choice([0, 0, 0.02, 0.05, 0.15]),
        "settle_seconds": chance.choice([0, 0, 10, 40]),
        "initial_run": chance.random() < 0.3,
    }


def every_of(chance: random.Random) -> dict[str, Any]:
    return {
        "type": "every",
        "minutes": chance.choice([1, 2, 2.5, 4]),
        "only_if_changed": chance.random() < 0.15,
        "jitter_seconds": chance.choice([0, 0, 30]),
    }


def cron_of(chance: random.Random, start: datetime, zone: str) -> dict[str, Any]:
    local = (start + timedelta(minutes=chance.randint(1, 13))).astimezone(_zone(zone))
    line = chance.choice(
        [
            f"{local.minute} {local.hour} * * *",
            f"{chance.choice([0, 30])} {local.hour} * * *",
            "*/2 * * * *",
            f"{local.minute} * * * *",
        ]
    )
    return {
        "type": "cron",
        "cron": line,
        "timezone": zone,
        "jitter_seconds": chance.choice([0, 0, 20]),
    }


def _zone(name: str) -> Any:
    from zoneinfo import ZoneInfo

    return ZoneInfo(name)


class Site:
    """A database of the world."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.version = 0
        self.down = False
        self._made = 0
        self.tables: dict[tuple[str, str], dict[str, str]] = {}
        for _ in range(chance.randint(1, 3)):
            self.add_table()
        self.catalog = self._catalog()

    def alter(self) -> str:
        """Make one change of the schema; return what it was."""
        drawn = self.chance.random()
        if drawn < 0.35 or not self.tables:
            said = self.add_table()
        elif drawn < 0.65:
            said = self._add_column()
        elif drawn < 0.85:
            said = self._retype()
        else:
            said = self._drop()
        self.version += 1
        self.catalog = self._catalog()
        return said

    def add_table(self) -> str:
        name = (self.chance.choice(SCHEMAS), f"t{self._next()}")
        self.tables[name] = {f"c{self._next()}": self._type() for _ in range(2)}
        return f"adds table {'.'.join(name)}"

    def _add_column(self) -> str:
        name = self.chance.choice(sorted(self.tables))
        self.tables[name][f"c{self._next()}"] = self._type()
        return f"adds a column to {'.'.join(name)}"

    def _retype(self) -> str:
        name = self.chance.choice(sorted(self.tables))
        column = self.chance.choice(sorted(self.tables[name]))
        self.tables[name][column] = self._type()
        return f"retypes {'.'.join(name)}.{column}"

    def _drop(self) -> str:
        name = self.chance.choice(sorted(self.tables))
        del self.tables[name]
        return f"drops {'.'.join(name)}"

    def _next(self) -> int:
        self._made += 1
        return self._made

    def _type(self) -> str:
        return f"varchar({self._next()})"

    def _catalog(self) -> Catalog:
        return Catalog(
            reader="memory/1",
            source="memory",
            schemas=tuple(Schema(name=name) for name in SCHEMAS),
            tables=tuple(
                Table(
                    schema=schema,
                    name=name,
                    columns=tuple(
                        Column(name=column, type=kind, ordinal=place)
                        for place, (column, kind) in enumerate(columns.items(), start=1)
                    ),
                )
                for (schema, name), columns in sorted(self.tables.items())
            ),
        )
