"""Ways of telling people of alerts: one module a kind of target.

Each implements `ports.notifier.Notifier`, translates its driver's exceptions in one context
manager and lets no secret into a message. Nothing here decides who is told of what: that is
`core.alert`. To add one, write `NAME.py` with a function `open_NAME(spec, *, clock)`, add a model
to `settings/alerts.py`, a line to `make` and one to the makers of
`tests/contracts/test_notifier.py`. A module here is imported only when it is used.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from amxwatch.ports.clock import Clock
from amxwatch.ports.notifier import Notifier


@dataclass(frozen=True, kw_only=True)
class WebhookSpec:
    """A web address and the secret that signs what goes there, both resolved."""

    url: str = field(repr=False)
    secret: str = field(repr=False)
    timeout: float


@dataclass(frozen=True, kw_only=True)
class CommandSpec:
    """A program and its arguments; `folder` is where it runs."""

    command: tuple[str, ...]
    folder: str
    timeout: float


@dataclass(frozen=True, kw_only=True)
class EmailSpec:
    """A mail server, its password resolved. `security` is `starttls`, `tls` or `none`."""

    host: str
    port: int | None
    security: str
    user: str | None
    password: str | None = field(repr=False)
    sender: str
    to: tuple[str, ...]
    timeout: float


Spec = WebhookSpec | CommandSpec | EmailSpec


def make(spec: Spec, *, clock: Clock) -> Notifier:
    """Return the notifier of a target, not yet connected. Raises: NotifyRefusedError."""
    match spec:
        case WebhookSpec():
            from amxwatch.notify.webhook import open_webhook

            return open_webhook(spec, clock=clock)
        case CommandSpec():
            from amxwatch.notify.command import CommandNotifier

            return CommandNotifier(spec)
        case EmailSpec():
            from amxwatch.notify.email import EmailNotifier

            return EmailNotifier(spec)
