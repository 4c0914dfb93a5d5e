"""Alerts as people and scripts see them: what was found, who was told, who could not be."""

from __future__ import annotations

from amxwatch.cli.documents import Document
from amxwatch.cli.output import Column, local, moment, shown
from amxwatch.cli.session import Desk
from amxwatch.core.alert import Alert
from amxwatch.core.message import Delivery
from amxwatch.flows.telling import send_test
from amxwatch.ports.ledger import Tx
from amxwatch.settings.alerts import AnyTarget


async def list_alerts(only_open: bool, limit: int, desk: Desk) -> None:
    """Print alerts, newest first, and the targets there are."""

    def read(tx: Tx) -> list[tuple[Alert, list[Delivery]]]:
        found = tx.alerts.list(only_open=only_open, limit=limit)
        told: dict[str, list[Delivery]] = {alert.id: [] for alert in found}
        for one in tx.outbox.of(told):
            told[one.alert_id].append(one)
        return [(alert, told[alert.id]) for alert in found]

    found = await desk.install.ledger.read(read)
    targets = desk.install.settings.alerts.targets
    desk.out.document(
        {
            "alerts": [alert_document(alert, told) for alert, told in found],
            "targets": [_target_document(name, one) for name, one in sorted(targets.items())],
        }
    )
    if not targets:
        desk.out.say("Nobody is told of alerts yet: add a table [alerts.targets.NAME].")
    if not found:
        desk.out.say("No alert." if not only_open else "No open alert.")
        return
    desk.out.table(
        [Column("opened", rigid=True), "status", "severity", "alert", "told"],
        [
            [
                local(alert.opened_at),
                alert.status,
                alert.condition.severity,
                alert.condition.title,
                _told(told),
            ]
            for alert, told in found
        ],
    )


def alert_document(alert: Alert, told: list[Delivery]) -> Document:
    """Return one element of `alerts list --json`."""
    condition = alert.condition
    return {
        "id": alert.id,
        "kind": condition.kind,
        "severity": condition.severity,
        "status": alert.status,
        "title": condition.title,
        "schedule": condition.schedule,
        "db_profile": condition.db_profile,
        "run_id": condition.run_id,
        "recovery_action": condition.recovery_action,
        "changes": list(condition.changes),
        "more_changes": condition.more_changes,
        "opened_at": moment(alert.opened_at),
        "recovered_at": None if condition.is_momentary else moment(alert.recovered_at),
        "told": [_delivery_document(one) for one in told],
    }


def _delivery_document(one: Delivery) -> Document:
    return {
        "id": one.id,
        "target": one.target,
        "phase": one.phase,
        "told_at": moment(one.told_at),
        "given_up_at": moment(one.dropped_at),
        "tries": one.tries,
        "next_try_at": None if one.is_over else moment(one.due_at),
        "error": one.error,
    }


def _target_document(name: str, target: AnyTarget) -> Document:
    """Return what may be shown of a target: no address of a webhook, no secret."""
    return {
        "name": name,
        "type": target.type,
        "on": list(target.on),
        "kinds": list(target.kinds),
        "severity": target.severity,
        "schedules": list(target.schedules),
        "ignore": list(target.ignore),
    }


def _told(told: list[Delivery]) -> str:
    """Say in one cell who was told, and who could not be yet."""
    words = []
    for one in told:
        state = "told" if one.told_at else "given up" if one.dropped_at else "waits"
        why = f" ({shown(one.error)})" if one.error and not one.told_at else ""
        words.append(f"{shown(one.target)}: {one.phase} {state}{why}")
    return "; ".join(words) or "nobody"


async def send_test_alert(target: str, desk: Desk) -> None:
    """Send a test to one target, and say that it was taken."""
    sent = await send_test(desk.install.teller(), target)
    desk.out.document({"target": target, "id": sent, "sent": True})
    desk.out.say(f"✓ {shown(target)} took the test alert {sent}", colour="green")
