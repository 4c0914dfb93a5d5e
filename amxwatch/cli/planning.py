"""Making a new schedule out of flags and, in a terminal, answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import anyio.to_thread
import click

from amxwatch.cli.output import shown
from amxwatch.cli.session import Desk
from amxwatch.cli.terminal import ask, is_interactive, pick
from amxwatch.cli.timezone import machine_zone
from amxwatch.core.catalog import Catalog
from amxwatch.core.errors import AmxwatchError, NotFoundError, ScopeError, TriggerError, UsageError
from amxwatch.core.scope import Scope
from amxwatch.flows.watch import look
from amxwatch.triggers import At, parse_trigger
from amxwatch.triggers.zones import zone

TRIGGERS = ("--at", "--every", "--cron", "--on-change", "--files")

HEADS_UP = (
    "Heads-up: it fires only while amxwatch runs; what comes due meanwhile is shown as missed.\n"
    "          Have it always running with: amxwatch service install"
)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What `schedule add` was given; None for what was not."""

    name: str | None = None
    at: str | None = None
    every: float | None = None
    cron: str | None = None
    on_change: bool = False
    files: tuple[str, ...] = ()
    cadence_cap_hours: float | None = None
    settle_seconds: float | None = None
    tz: str | None = None
    kind: str | None = None
    db: str | None = None
    llm: str | None = None
    scope: str | None = None
    strategy: str | None = None

    @property
    def triggers(self) -> list[str]:
        """The trigger flags that were given."""
        given = (self.at, self.every, self.cron, self.on_change or None, self.files or None)
        return [flag for flag, value in zip(TRIGGERS, given, strict=True) if value is not None]

    @property
    def waits_for_changes(self) -> bool:
        return self.on_change or bool(self.files)


async def add_schedule(wish: Wish, desk: Desk) -> None:
    """Ask for what is missing, check everything, and write the drop-in.

    Raises: UsageError, TriggerError, ScopeError, ConfigError; then nothing is written.
    """
    from amxwatch.settings.edit import write_schedule

    check_flags(wish)
    interactive = is_interactive() and not desk.out.as_json
    if interactive:
        wish = _asked_first(wish, desk)
    _require(wish, desk)
    settings = desk.install.settings
    db = settings.db_profile(wish.db).name
    llm = settings.llm_profile(wish.llm).name if wish.llm else None
    if wish.name in settings.schedules:
        raise UsageError(
            f"--name: there is a schedule {wish.name!r} already: choose another, or remove it"
            " with: amxwatch schedule rm"
        )
    trigger = _trigger(wish, desk)
    catalog = await live_catalog(db, desk)
    if interactive:
        wish = _asked_last(wish, catalog)
    scope = checked_scope(wish.scope, catalog, db)
    assert wish.name is not None
    document: dict[str, Any] = {
        "kind": wish.kind,
        "db_profile": db,
        "llm_profile": llm,
        "scope": str(scope),
        "review_strategy": wish.strategy or "manual",
        "trigger": trigger,
    }
    path = await anyio.to_thread.run_sync(
        write_schedule, desk.install.folder.path, wish.name, document
    )
    await _tell(wish.name, str(path), desk)


def check_flags(wish: Wish) -> None:
    """Refuse flags that contradict each other. Raises: click.UsageError."""
    ctx = click.get_current_context()
    if len(wish.triggers) > 1:
        raise click.UsageError(f"{' and '.join(wish.triggers)} do not go together", ctx=ctx)
    if wish.triggers and not wish.waits_for_changes:
        for flag, value in (
            ("--cadence-cap-hours", wish.cadence_cap_hours),
            ("--settle-seconds", wish.settle_seconds),
        ):
            if value is not None:
                raise click.UsageError(f"{flag} goes with --on-change or --files", ctx=ctx)
    if wish.waits_for_changes and wish.tz is not None:
        raise click.UsageError("--tz goes with --at, --every or --cron", ctx=ctx)


def _require(wish: Wish, desk: Desk) -> None:
    """Name the first flag that is missing. Raises: click.UsageError."""
    ctx = click.get_current_context()
    if wish.name is None:
        raise click.UsageError("--name is missing: say what to call the schedule", ctx=ctx)
    if not wish.triggers:
        raise click.UsageError(f"one of {', '.join(TRIGGERS)} is missing: say when", ctx=ctx)
    if wish.db is None and desk.install.settings.default_db_profile is None:
        known = ", ".join(sorted(desk.install.settings.db_profiles)) or "none yet"
        raise click.UsageError(f"--db is missing: name a db profile (there are: {known})", ctx=ctx)


def _trigger(wish: Wish, desk: Desk) -> dict[str, Any]:
    """Return the trigger's table, checked. Raises: TriggerError."""
    if wish.tz is not None:
        zone(wish.tz)
    table = trigger_table(wish)
    trigger = parse_trigger(table)
    if isinstance(trigger, At):
        trigger.ensure_future(desk.install.clock.now())
    elif not wish.waits_for_changes:
        now = desk.install.clock.now()
        if trigger.next_after(now, armed_at=now) is None:  # type: ignore[union-attr]  # a clock
            raise TriggerError(f"{wish.triggers[0]}: it would never be due")
    return table


def trigger_table(wish: Wish) -> dict[str, Any]:
    """Return the trigger as TOML holds it."""
    timezone = wish.tz or machine_zone()
    if wish.at is not None:
        return {"type": "at", "at": wish.at, "timezone": timezone}
    if wish.every is not None:
        minutes = int(wish.every) if wish.every.is_integer() else wish.every
        return {"type": "every", "minutes": minutes, "timezone": timezone}
    if wish.cron is not None:
        return {"type": "cron", "cron": wish.cron, "timezone": timezone}
    pace = {
        "cadence_cap_hours": wish.cadence_cap_hours,
        "settle_seconds": wish.settle_seconds,
    }
    given = {key: value for key, value in pace.items() if value is not None}
    if wish.files:
        return {"type": "files", "paths": list(wish.files), **given}
    return {"type": "change", **given}


async def live_catalog(db: str, desk: Desk) -> Catalog | None:
    """Return what the database holds now, else as it was last seen, else None."""
    source = desk.install.source(db)
    found = await look(source)
    if found.error is not None:
        desk.out.warn(f"warning: names are not checked against the live database: {found.error}")
    try:
        return await source.catalog()
    except NotFoundError:
        return None


def checked_scope(text: str | None, catalog: Catalog | None, db: str) -> Scope:
    """Return the scope that is meant. Raises: ScopeError where it names what does not exist."""
    scope = Scope.parse(text) if text else Scope.parse("all")
    missing = scope.missing(catalog) if catalog is not None else []
    if missing:
        raise ScopeError(f"--scope: in {db}, {'; '.join(missing)}")
    return scope


async def _tell(name: str, path: str, desk: Desk) -> None:
    """Arm the new schedule, so that it counts from now, and show it."""
    from amxwatch.cli.scheduling import plan_of, views
    from amxwatch.cli.steering import arm
    from amxwatch.settings.file import load

    install = desk.install
    again = partial(load, install.folder.path, about=(name,))
    await install.apply(await anyio.to_thread.run_sync(again))
    plan = plan_of(desk, name)
    now = install.clock.now()
    await install.ledger.write(
        lambda tx: tx.events.add("schedule_added", at=now, schedule=name, file=path)
    )
    try:
        await arm(plan, desk)
    except AmxwatchError as error:  # it is armed when a daemon sees it
        desk.out.warn(f"warning: {error}")
    view = (await views(desk, [plan]))[0]
    desk.out.document({**view.document(now), "file": path})
    desk.out.say(f"Schedule {shown(name)} is written: {plan.trigger.describe()}.", colour="green")
    desk.out.say(f"  {path}")
    await _say_heads_up(desk)


async def _say_heads_up(desk: Desk) -> None:
    """Say what fires a schedule, the first time that one is made without a loaded service."""
    from amxwatch.daemon.os_service import service_status

    if desk.out.as_json or await service_status(desk.install.folder.path) == "loaded":
        return
    if await desk.install.ledger.write(lambda tx: tx.installation.tell_once("service")):
        desk.out.say(HEADS_UP)


# -- questions -------------------------------------------------------------------------------


def _asked_first(wish: Wish, desk: Desk) -> Wish:
    """Ask for the name, the time and the profiles, as far as they are missing."""
    settings = desk.install.settings
    if wish.name is None:
        wish = replace(wish, name=ask("Schedule name"))
    if not wish.triggers:
        wish = _asked_trigger(wish)
    if wish.tz is None and not wish.waits_for_changes:
        wish = replace(wish, tz=ask("Timezone (IANA)", default=machine_zone()))
    if wish.db is None and settings.db_profiles:
        wish = replace(
            wish,
            db=_one("DB profiles", sorted(settings.db_profiles), settings.default_db_profile),
        )
    if wish.kind is None:
        wish = replace(wish, kind=_one("Kinds", ["analyze", "cache_refresh"], "analyze"))
    if wish.llm is None and wish.kind == "analyze":
        names = sorted(settings.llm_profiles)
        wish = replace(wish, llm=_one("LLM profiles", names, settings.default_llm_profile))
    return wish


def _asked_trigger(wish: Wish) -> Wish:
    kinds = {
        "at a time, once": ("at", "Fire time (local, YYYY-MM-DD HH:MM)"),
        "every N minutes": ("every", "Minutes"),
        "by a cron line": ("cron", "Cron line (minute hour day month weekday)"),
        "when the catalog changes": ("on_change", ""),
        "when files change": ("files", "Files (globs with blanks between)"),
    }
    key, question = kinds[pick("When", list(kinds))]
    if key == "on_change":
        return replace(wish, on_change=True)
    answer = ask(question)
    if key == "every":
        return replace(wish, every=_number(answer))
    if key == "files":
        return replace(wish, files=tuple(answer.split()))
    return replace(wish, at=answer) if key == "at" else replace(wish, cron=answer)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise TriggerError(f"--every: found {text!r}; allowed: a number of minutes") from None


def _asked_last(wish: Wish, catalog: Catalog | None) -> Wish:
    """Ask for the scope, out of the live catalog, and for the strategy."""
    from amxwatch.cli.pickers import pick_scope

    if wish.scope is None and catalog is not None:
        wish = replace(wish, scope=str(pick_scope(catalog)))
    if wish.strategy is None and wish.kind != "cache_refresh":
        wish = replace(wish, strategy=_one("Review strategies", ["manual", "auto"], "manual"))
    return wish


def _one(title: str, names: Sequence[str], default: str | None) -> str:
    """Let a person choose, unless there is nothing to choose between."""
    return names[0] if len(names) == 1 else pick(title, names, default=default)
