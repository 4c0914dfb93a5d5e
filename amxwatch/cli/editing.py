"""Changing a schedule in place: by flags, or in the person's own editor."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import click

from amxwatch.cli.output import shown
from amxwatch.cli.planning import (
    Wish,
    check_flags,
    checked_scope,
    live_catalog,
    trigger_table,
)
from amxwatch.cli.scheduling import plan_of, views
from amxwatch.cli.session import Desk
from amxwatch.cli.steering import arm, armed_words
from amxwatch.cli.terminal import asking, is_interactive
from amxwatch.core.errors import AmxwatchError, ConfigError, TriggerError, UsageError
from amxwatch.settings.edit import as_bytes, rewrite_file, set_schedule_values
from amxwatch.settings.file import Loaded, load
from amxwatch.settings.schema import Schedule
from amxwatch.triggers import AnyTrigger, At, CatalogChange, Files, parse_trigger

Changes = dict[str, Any]
"""New values by key, `trigger.minutes` and the like among them; None takes a key out."""


async def edit_schedule(
    wish: Wish, enabled: bool | None, settings: Sequence[str], unset: Sequence[str], desk: Desk
) -> None:
    """Change what the flags say; without any, open the schedule's file in an editor.

    Raises: UsageError, TriggerError, ScopeError, ConfigError; then nothing is written.
    """
    assert wish.name is not None
    plan = plan_of(desk, wish.name)
    file = desk.install.loaded.schedule_files[wish.name]
    changes = {
        **await _changes(plan, wish, desk),
        **({} if enabled is None else {"enabled": enabled}),
        **dict(_setting(text) for text in settings),
        **dict.fromkeys(unset),
    }
    if changes:
        _ensure_due(plan, changes, desk)
        write = partial(
            set_schedule_values, desk.install.folder.path, desk.install.loaded, plan.name, changes
        )
        await anyio.to_thread.run_sync(write)
    elif not await _by_hand(plan, file, desk):
        desk.out.say("Nothing was changed.")
        return
    await _tell(plan, sorted(changes), file, desk)


async def _changes(plan: Schedule, wish: Wish, desk: Desk) -> Changes:
    """Return what add's flags mean for a schedule that exists."""
    check_flags(wish)
    settings = desk.install.settings
    found: Changes = {
        "kind": wish.kind,
        "db_profile": wish.db and settings.db_profile(wish.db).name,
        "llm_profile": wish.llm and settings.llm_profile(wish.llm).name,
        "review_strategy": wish.strategy,
    }
    if wish.scope is not None:
        db = wish.db or plan.db_profile
        found["scope"] = str(checked_scope(wish.scope, await live_catalog(db, desk), db))
    found |= _trigger_changes(plan.trigger, wish)
    return {key: value for key, value in found.items() if value is not None or "." in key}


def _trigger_changes(trigger: AnyTrigger, wish: Wish) -> Changes:
    """Return the keys of the trigger that move; one of another type comes as a whole."""
    table = _table(trigger, wish)
    if not table:
        return {}
    if table.get("type", trigger.type) != trigger.type:
        return {"trigger": table}
    return {f"trigger.{key}": value for key, value in table.items() if key != "type"}


def _table(trigger: AnyTrigger, wish: Wish) -> dict[str, Any]:
    if wish.triggers:
        table = trigger_table(wish)
        zone = getattr(trigger, "timezone", None)
        if wish.tz is None and zone is not None and "timezone" in table:
            table["timezone"] = zone
        return table
    table = {
        "timezone": wish.tz,
        "cadence_cap_hours": wish.cadence_cap_hours,
        "settle_seconds": wish.settle_seconds,
    }
    given = {key: value for key, value in table.items() if value is not None}
    for key in given:
        if key not in type(trigger).model_fields:
            flag = "--tz" if key == "timezone" else f"--{key.replace('_', '-')}"
            raise click.UsageError(
                f"{flag} does not go with a trigger of type {trigger.type}",
                ctx=click.get_current_context(),
            )
    return given


def _setting(text: str) -> tuple[str, Any]:
    """Read `KEY=VALUE`, the value as TOML writes it. Raises: click.UsageError."""
    key, equals, value = text.partition("=")
    try:
        if not equals or not key.strip():
            raise ValueError
        return key.strip(), tomllib.loads(f"it = {value.strip()}")["it"]
    except ValueError:
        raise click.UsageError(
            f"--set: found {text!r}; allowed: KEY=VALUE, the value as in TOML, such as"
            " timeout_seconds=600 or priority='\"p0\"'",
            ctx=click.get_current_context(),
        ) from None


def _ensure_due(plan: Schedule, changes: Changes, desk: Desk) -> None:
    """Refuse a new time that has passed, or that never comes. Raises: TriggerError."""
    table = plan.trigger.model_dump(exclude_unset=True)
    moved = {k.removeprefix("trigger."): v for k, v in changes.items() if k.startswith("trigger.")}
    if isinstance(changes.get("trigger"), dict):
        table, moved = changes["trigger"], {"type": changes["trigger"].get("type")}
    if moved:
        table = {key: value for key, value in {**table, **moved}.items() if value is not None}
        _ensure_to_come(parse_trigger(table), desk)


def _ensure_to_come(trigger: AnyTrigger, desk: Desk) -> None:
    now = desk.install.clock.now()
    if isinstance(trigger, At):
        trigger.ensure_future(now)
        return
    if isinstance(trigger, CatalogChange | Files):
        return
    if trigger.next_after(now, armed_at=now) is None:
        raise TriggerError(f"trigger: {trigger.describe()} would never be due")


# -- by hand ---------------------------------------------------------------------------------


async def _by_hand(plan: Schedule, file: Path, desk: Desk) -> bool:
    """Let a person edit the file until it holds, or they give up; say whether it was changed."""
    if desk.out.as_json or not is_interactive():
        raise click.UsageError(
            "say what to change, such as --cron, --scope or --set KEY=VALUE (there is no terminal"
            " to open an editor in)",
            ctx=click.get_current_context(),
        )
    before = await anyio.to_thread.run_sync(file.read_bytes)
    text = before.decode("utf-8-sig").replace("\r\n", "\n")
    start = text
    while True:
        edited = click.edit(text, extension=".toml")
        if edited is None or edited == start:
            return False
        try:
            _check(plan, file, as_bytes(edited, before), desk)
            rewrite_file(desk.install.folder.path, file, before, edited)
        except (ConfigError, TriggerError, UsageError) as error:
            desk.out.warn(str(error))
            with asking():
                if not click.confirm("Edit it again?", default=True):
                    return False
            text = edited
        else:
            return True


def _check(plan: Schedule, file: Path, data: bytes, desk: Desk) -> None:
    """Refuse what would not hold, a schedule that went, and a time that has passed."""
    loaded: Loaded = load(desk.install.folder.path, instead={file: data}, about=())
    found = loaded.settings.schedules.get(plan.name)
    if found is None:
        raise UsageError(
            f"schedule {plan.name!r} is not in it any more; remove one with: amxwatch schedule rm"
        )
    if found.trigger != plan.trigger:
        _ensure_to_come(found.trigger, desk)


# -- afterwards ------------------------------------------------------------------------------


async def _tell(plan: Schedule, keys: list[str], file: Path, desk: Desk) -> None:
    """Take the edit over, arm the schedule where it counts anew, and say so."""
    install, name = desk.install, plan.name
    before = await install.ledger.read(lambda tx: tx.schedules.get(name))
    again = partial(load, install.folder.path, about=(name,))
    await install.apply(await anyio.to_thread.run_sync(again))
    now = install.clock.now()
    await install.ledger.write(
        lambda tx: tx.events.add(
            "schedule_edited", at=now, schedule=name, file=str(file), keys=keys
        )
    )
    edited = plan_of(desk, name)
    words = "."
    try:
        state = await arm(edited, desk)
        if state is not None and before is not None:
            words = armed_words(edited, state, anew=state.armed_at != before.armed_at)
    except AmxwatchError as error:  # it is armed when a daemon sees it
        desk.out.warn(f"warning: {error}")
    view = (await views(desk, [edited]))[0]
    desk.out.document({**view.document(install.clock.now()), "file": str(file), "changed": keys})
    desk.out.say(f"{shown(name)} is edited{words}")
    desk.out.say(f"  {edited.trigger.describe()}; {file}")
