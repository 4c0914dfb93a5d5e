"""From a target as it was configured to what its notifier needs, secrets resolved."""

from __future__ import annotations

import os
from pathlib import Path

from amxwatch.core.errors import UsageError
from amxwatch.notify import CommandSpec, EmailSpec, Spec, WebhookSpec
from amxwatch.settings.alerts import CommandTarget, WebhookTarget
from amxwatch.settings.schema import Settings
from amxwatch.settings.secrets import resolve


def spec_of(settings: Settings, name: str, folder: Path) -> Spec:
    """Return what the notifier of a target needs.

    Raises: UsageError for a name that is not in the config, or a secret that cannot be had.
    """
    targets = settings.alerts.targets
    if name not in targets:
        known = ", ".join(sorted(targets)) or "none yet; add one as [alerts.targets.NAME]"
        raise UsageError(f"there is no target {name!r} for alerts (there are: {known})")

    def resolved(reference: str) -> str:
        return resolve(reference, environ=os.environ, relative_to=folder).get_secret_value()

    target = targets[name]
    if isinstance(target, WebhookTarget):
        return WebhookSpec(
            url=resolved(target.url),
            secret=resolved(target.secret),
            timeout=target.timeout_seconds,
        )
    if isinstance(target, CommandTarget):
        return CommandSpec(
            command=target.command, folder=str(folder), timeout=target.timeout_seconds
        )
    return EmailSpec(
        host=target.host,
        port=target.port,
        security=target.security,
        user=target.user,
        password=None if target.password is None else resolved(target.password),
        sender=target.sender,
        to=target.to,
        timeout=target.timeout_seconds,
    )
