"""Who is told of what: the `[alerts]` table and its named targets."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from amxwatch.core.alert import AlertKind, Severity, Wanted
from amxwatch.core.change import ChangeKind
from amxwatch.settings.secrets import is_reference
from amxwatch.settings.table import Loc, Table, refuse
from amxwatch.settings.value import Address, Count, Name, Port, Positive, Text, refusal

OnKind = Literal["failure_streak", "blocked", "missed", "daemon_stale", "source_down"]

ALL_CONDITIONS: tuple[OnKind, ...] = (
    "failure_streak",
    "blocked",
    "missed",
    "daemon_stale",
    "source_down",
)

LOCAL = ("localhost", "127.0.0.1", "::1")


def _mailbox(text: str) -> str:
    """Accept an address as people write it; no header can be smuggled in with it."""
    local, at, domain = text.rpartition("@")
    if not (at and local and domain) or not text.isprintable() or set(text) & set(" ,;<>\"'()"):
        raise refusal("an e-mail address such as ops@example.com")
    return text


def _some(texts: tuple[str, ...]) -> tuple[str, ...]:
    if not texts:
        raise refusal("a list of at least one text")
    return texts


Mailbox = Annotated[Text, AfterValidator(_mailbox)]
Seconds = Annotated[float, Field(strict=True, gt=0, le=300, allow_inf_nan=False)]


class Target(Table):
    """What every kind of target has: its filters, and how long one try may take."""

    on: tuple[OnKind, ...] = ALL_CONDITIONS
    kinds: tuple[ChangeKind, ...] = ()
    severity: Severity = Severity.INFO
    schedules: tuple[Text, ...] = ("*",)
    ignore: tuple[Text, ...] = ()
    timeout_seconds: Seconds = 10.0

    def wanted(self, name: str) -> Wanted:
        """Return the filters of the target of this name."""
        return Wanted(
            target=name,
            on=frozenset(AlertKind(kind) for kind in self.on),
            kinds=frozenset(self.kinds),
            severity=self.severity,
            schedules=self.schedules,
            ignore=self.ignore,
        )


class WebhookTarget(Target):
    """A web address, signed as Standard Webhooks. `url` and `secret` are never printed."""

    type: Literal["webhook"]
    url: Address = Field(repr=False)
    secret: Text = Field(repr=False)

    @model_validator(mode="after")
    def _is_a_web_address(self) -> Self:
        if not is_reference(self.url) and not self.url.startswith(("https://", "http://")):
            refuse([(("url",), "a web address, https://HOST/…, or a reference to one")])
        return self


class CommandTarget(Target):
    """A program of the user's. It gets the message as JSON on stdin; no shell is involved."""

    type: Literal["command"]
    command: Annotated[tuple[Text, ...], AfterValidator(_some)]


class EmailTarget(Target):
    """A mail server and who gets the mail. `password` is never printed."""

    type: Literal["email"]
    host: Name
    port: Port | None = None
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: Name | None = None
    password: Text | None = Field(default=None, repr=False)
    sender: Mailbox
    to: Annotated[tuple[Mailbox, ...], AfterValidator(_some)]

    @model_validator(mode="after")
    def _password_is_safe(self) -> Self:
        wrong: list[tuple[Loc, str]] = []
        if (self.user is None) is not (self.password is None):
            missing = "user" if self.user is None else "password"
            wrong.append(((missing,), "user and password together, or neither"))
        if self.password is not None and self.security == "none" and self.host not in LOCAL:
            wrong.append((("security",), "starttls or tls: no password crosses a network in clear"))
        refuse(wrong)
        return self


AnyTarget = Annotated[WebhookTarget | CommandTarget | EmailTarget, Field(discriminator="type")]


class Alerts(Table):
    """When something is worth telling, and whom."""

    consecutive_failures: Count = 3
    window_days: Annotated[int, Field(strict=True, ge=1, le=3650)] = 30
    source_down_minutes: Positive = 15.0
    targets: dict[Name, AnyTarget] = Field(default={})
