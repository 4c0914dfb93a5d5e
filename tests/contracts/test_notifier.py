"""Every notifier against a real other side: an HTTP server, a program, an SMTP server."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.message import Message as Mail
from email.policy import default
from pathlib import Path
from typing import Any

import anyio
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from amxwatch.clocks.system import SystemClock
from amxwatch.core.alert import Alert, AlertKind, Condition, Severity
from amxwatch.core.errors import NotifyError, NotifyRefusedError, NotifyUnavailableError
from amxwatch.core.message import Message, Phase
from amxwatch.notify import CommandSpec, EmailSpec, Spec, WebhookSpec, make
from amxwatch.notify.webhook import signature
from tests.plugins.webhook import SECRET, Hook

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PASSWORD = "hunter2-Sesame"
EVIL = "nightly\r\nBcc: everyone@example.com\x00\u2028"


def a_message(title: str = "schedule nightly failed 3 times in a row", **values: Any) -> Message:
    condition = Condition(
        key="failure_streak:nightly",
        kind=AlertKind.FAILURE_STREAK,
        severity=Severity.ERROR,
        title=title,
        schedule=values.pop("schedule", "nightly"),
        recovery_action="amxwatch schedule show nightly",
    )
    alert = Alert(id="alert_1", condition=condition, opened_at=NOW)
    return Message(
        **{"id": "alert_1_opened", "phase": Phase.OPENED, "at": NOW, "alert": alert, **values}
    )


@dataclass
class Side:
    """The other side of one notifier: how it is reached, and what reached it."""

    spec: Spec
    came: Callable[[], list[dict[str, Any]]]
    """What came, as {"id", "title"}."""
    refuse: Callable[[], None]
    be_down: Callable[[], None]
    hang: Callable[[], Spec]
    secrets: list[str] = field(default_factory=list)


# -- the three sides -------------------------------------------------------------------------


@pytest.fixture
def webhook_side(hook: Hook) -> Side:
    def came() -> list[dict[str, Any]]:
        return [{"id": one.id, "title": one.document["data"]["title"]} for one in hook.posted]

    def hang() -> Spec:
        hook.hold.clear()
        return WebhookSpec(url=hook.url, secret=SECRET, timeout=0.3)

    return Side(
        spec=WebhookSpec(url=hook.url, secret=SECRET, timeout=60),
        came=came,
        refuse=lambda: hook.answers.__setitem__(0, 403),
        be_down=lambda: hook.answers.__setitem__(0, 503),
        hang=hang,
        secrets=[SECRET, "T0KEN"],
    )


PROGRAM = """
import json, os, pathlib, sys
here = pathlib.Path(sys.argv[1])
document = json.load(sys.stdin)
said = {"id": os.environ["AMXWATCH_ALERT_ID"], "title": document["data"]["title"]}
with (here / "came.jsonl").open("a") as file:
    file.write(json.dumps({**said, "env": dict(os.environ), "document": document}) + "\\n")
print("ignore me " * 100_000)
sys.exit(int((here / "status").read_text()))
"""


@pytest.fixture
def command_side(tmp_path: Path) -> Side:
    program = tmp_path / "tell.py"
    program.write_text(PROGRAM)
    (tmp_path / "status").write_text("0")

    def came() -> list[dict[str, Any]]:
        lines = tmp_path / "came.jsonl"
        return (
            [json.loads(line) for line in lines.read_text().splitlines()] if lines.exists() else []
        )

    def spec(*command: str, timeout: float = 60) -> CommandSpec:
        return CommandSpec(command=command, folder=str(tmp_path), timeout=timeout)

    return Side(
        spec=spec(sys.executable, str(program), str(tmp_path), PASSWORD),
        came=came,
        refuse=lambda: (tmp_path / "status").write_text("1") and None,
        be_down=lambda: (tmp_path / "status").write_text("75") and None,
        hang=lambda: spec("sleep", "600", timeout=0.3),
        secrets=[PASSWORD],
    )


class Sink:
    """Takes mail; `answer` is what it says to it."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.answer = "250 OK"

    async def handle_DATA(self, server: object, session: object, envelope: Any) -> str:
        if self.answer.startswith("250"):
            self.mails.append(message_from_bytes(envelope.content, policy=default))
        return self.answer


def login(server: object, session: object, envelope: object, how: str, data: Any) -> AuthResult:
    ok = isinstance(data, LoginPassword) and data.password == PASSWORD.encode()
    return AuthResult(success=ok, handled=False)


@pytest.fixture
def sink() -> Iterator[tuple[Sink, int]]:
    handler = Sink()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    controller = Controller(
        handler,
        hostname="127.0.0.1",
        port=port,
        authenticator=login,
        auth_require_tls=False,
    )
    controller.start()
    yield handler, port
    controller.stop()


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def mail_spec(port: int, **values: Any) -> EmailSpec:
    return EmailSpec(
        **{
            "host": "127.0.0.1",
            "port": port,
            "security": "none",
            "user": "ops",
            "password": PASSWORD,
            "sender": "amxwatch@example.com",
            "to": ("ops@example.com", "dba@example.com"),
            "timeout": 5,
            **values,
        }
    )


@pytest.fixture
def email_side(sink: tuple[Sink, int], silent_port: int) -> Side:
    handler, port = sink

    def came() -> list[dict[str, Any]]:
        return [
            {"id": str(mail["X-Amxwatch-Alert"]), "title": mail.get_content().splitlines()[0]}
            for mail in handler.mails
            if isinstance(mail, EmailMessage)
        ]

    def answer(words: str) -> None:
        handler.answer = words

    return Side(
        spec=mail_spec(port),
        came=came,
        refuse=lambda: answer(f"554 no, {PASSWORD}"),
        be_down=lambda: answer(f"451 later, {PASSWORD}"),
        hang=lambda: mail_spec(silent_port, timeout=0.3),
        secrets=[PASSWORD],
    )


@pytest.fixture(params=["webhook", "command", "email"])
def side(request: pytest.FixtureRequest) -> Side:
    found: Side = request.getfixturevalue(f"{request.param}_side")
    return found


async def send(spec: Spec, message: Message | None = None) -> None:
    await make(spec, clock=SystemClock()).send(message or a_message())


async def failure(spec: Spec, message: Message | None = None) -> NotifyError:
    with pytest.raises(NotifyError) as caught:
        await send(spec, message)
    assert "\n" not in str(caught.value)
    return caught.value


# -- what all of them hold to ----------------------------------------------------------------


async def test_the_message_arrives(side: Side) -> None:
    await send(side.spec)
    (one,) = side.came()
    assert one["id"] == "alert_1_opened"
    assert one["title"] == "schedule nightly failed 3 times in a row"


async def test_a_no_is_final_and_shows_no_secret(side: Side) -> None:
    side.refuse()
    error = await failure(side.spec)
    assert isinstance(error, NotifyRefusedError)
    assert [secret for secret in side.secrets if secret in f"{error!r} {error}"] == []


async def test_a_later_is_transient_and_shows_no_secret(side: Side) -> None:
    side.be_down()
    error = await failure(side.spec)
    assert isinstance(error, NotifyUnavailableError)
    assert error.transient
    assert [secret for secret in side.secrets if secret in f"{error!r} {error}"] == []


async def test_one_that_hangs_is_left_within_its_time(side: Side) -> None:
    spec = side.hang()
    began = time.monotonic()
    error = await failure(spec)
    assert isinstance(error, NotifyUnavailableError)
    assert time.monotonic() - began < 60  # three tries and the pauses of the webhook


async def test_cancelling_leaves_at_once(side: Side) -> None:
    spec = side.hang()
    began = time.monotonic()
    with anyio.move_on_after(0.1) as scope:
        await send(spec)
    assert scope.cancelled_caught
    assert time.monotonic() - began < 60


async def test_names_with_line_breaks_do_no_harm(side: Side) -> None:
    await send(side.spec, a_message(f"schedule {EVIL} failed", schedule=EVIL))
    assert len(side.came()) == 1


async def test_letters_of_any_script_arrive(side: Side) -> None:
    title = "план «ночной» 計画 failed 🔥"
    await send(side.spec, a_message(title))
    assert side.came()[0]["title"] == title


async def test_a_spec_shows_no_secret(side: Side) -> None:
    hidden = [s for s in side.secrets if s != PASSWORD or not isinstance(side.spec, CommandSpec)]
    assert [secret for secret in hidden if secret in repr(side.spec)] == []


# -- webhooks --------------------------------------------------------------------------------


def test_the_signature_is_the_one_of_the_standard() -> None:
    """The example of the reference library's own tests."""
    import base64

    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    found = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert found == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


async def test_a_webhook_that_fails_at_first_gets_the_same_id_again(hook: Hook) -> None:
    hook.answers[:] = [500, 429, 200]
    await send(WebhookSpec(url=hook.url, secret=SECRET, timeout=60))
    assert [one.id for one in hook.posted] == ["alert_1_opened"] * 3
    assert {json.dumps(one.document) for one in hook.posted} == {
        json.dumps(hook.posted[0].document)
    }


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_not_followed(hook: Hook, status: int) -> None:
    hook.answers[0], hook.location = status, f"{hook.url}/elsewhere"
    error = await failure(WebhookSpec(url=hook.url, secret=SECRET, timeout=60))
    assert "redirect" in str(error)
    assert len(hook.posted) == 1


async def test_a_wrong_secret_is_told_without_naming_it(hook: Hook) -> None:
    other = "whsec_" + "A" * 32
    error = await failure(WebhookSpec(url=hook.url, secret=other, timeout=60))
    assert isinstance(error, NotifyRefusedError)
    assert other not in str(error)


@pytest.mark.parametrize(
    ("url", "secret", "says"),
    [
        ("http://example.com/x", SECRET, "use https"),
        ("ftp://example.com/x", SECRET, "no web address"),
        ("https://", SECRET, "no web address"),
        ("https://example.com:port/x", SECRET, "no web address"),
        ("https://example.com/x", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_"),
        ("https://example.com/x", "whsec_short", "whsec_"),
        ("https://example.com/x", "whsec_not/base64!!!", "whsec_"),
    ],
)
def test_an_address_or_secret_of_no_use_is_refused_before_anything_is_sent(
    url: str, secret: str, says: str
) -> None:
    with pytest.raises(NotifyRefusedError, match=says) as caught:
        make(WebhookSpec(url=url, secret=secret, timeout=60), clock=SystemClock())
    assert secret not in str(caught.value)


async def test_nobody_listens(silent_port: int) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}/T0KEN"
    error = await failure(WebhookSpec(url=url, secret=SECRET, timeout=60))
    assert isinstance(error, NotifyUnavailableError)
    assert "T0KEN" not in str(error)


async def test_a_server_that_answers_nonsense(silent_port: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def talk() -> None:
            for _ in range(3):
                connection, _ = server.accept()
                connection.sendall(b"\x00\xff not http at all\r\n\r\n")
                connection.close()

        thread = threading.Thread(target=talk)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        error = await failure(WebhookSpec(url=url, secret=SECRET, timeout=60))
        thread.join(60)
    assert isinstance(error, NotifyError)


# -- commands --------------------------------------------------------------------------------


async def test_a_command_gets_json_and_variables(command_side: Side) -> None:
    await send(command_side.spec, a_message(schedule=EVIL))
    (one,) = command_side.came()
    assert one["document"]["type"] == "alert.opened"
    assert one["env"]["AMXWATCH_ALERT_KIND"] == "failure_streak"
    assert one["env"]["AMXWATCH_ALERT_SEVERITY"] == "error"
    assert one["env"]["AMXWATCH_ALERT_PHASE"] == "opened"
    assert "\n" not in one["env"]["AMXWATCH_ALERT_SCHEDULE"]
    assert one["env"]["AMXWATCH_ALERT_RUN_ID"] == ""


async def test_a_missing_command_says_so(tmp_path: Path) -> None:
    spec = CommandSpec(command=("no-such-program-here",), folder=str(tmp_path), timeout=60)
    error = await failure(spec)
    assert "was not found" in str(error)
    no_right = CommandSpec(command=(str(tmp_path),), folder=str(tmp_path), timeout=60)
    assert isinstance(await failure(no_right), NotifyRefusedError)


async def test_no_shell_reads_the_arguments(tmp_path: Path) -> None:
    command = ("touch", "$(echo one); touch two")
    await send(CommandSpec(command=command, folder=str(tmp_path), timeout=60))
    assert [path.name for path in tmp_path.iterdir()] == ["$(echo one); touch two"]


async def test_a_command_that_does_not_read_is_judged_by_its_status(tmp_path: Path) -> None:
    spec = CommandSpec(command=("true",), folder=str(tmp_path), timeout=60)
    for _ in range(5):
        await send(spec, a_message("x" * 500_000))


async def test_what_a_hanging_command_started_is_killed_with_it(tmp_path: Path) -> None:
    script = "sleep 600 & echo $! > child; wait"
    spec = CommandSpec(command=("sh", "-c", script), folder=str(tmp_path), timeout=1)
    await failure(spec)
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 60
    while _runs(child) and time.monotonic() < deadline:
        await anyio.sleep(0.02)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A zombie is dead; nobody has reaped it yet.
    state = Path(f"/proc/{pid}/stat")
    return not (state.exists() and state.read_text().rpartition(")")[2].split()[0] == "Z")


# -- mail ------------------------------------------------------------------------------------


async def test_a_mail_has_the_headers_of_a_machine_and_no_smuggled_one(
    email_side: Side, sink: tuple[Sink, int]
) -> None:
    await send(email_side.spec, a_message(f"schedule {EVIL} failed"))
    (mail,) = sink[0].mails
    assert mail["Bcc"] is None
    assert mail["To"] == "ops@example.com, dba@example.com"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "alert_1_opened" in str(mail["Message-ID"])
    assert isinstance(mail, EmailMessage)
    assert "What to do: amxwatch schedule show nightly" in mail.get_content()


async def test_a_refused_password_is_told_without_naming_it(sink: tuple[Sink, int]) -> None:
    error = await failure(mail_spec(sink[1], password="wrong-Sesame"))
    assert isinstance(error, NotifyRefusedError)
    assert "wrong-Sesame" not in str(error)
    assert "535" in str(error)


async def test_a_server_without_the_encryption_that_is_asked_for(sink: tuple[Sink, int]) -> None:
    error = await failure(mail_spec(sink[1], security="starttls"))
    assert isinstance(error, NotifyRefusedError)
    error = await failure(mail_spec(sink[1], security="tls"))
    assert isinstance(error, NotifyRefusedError)
    assert sink[0].mails == []


async def test_a_mail_server_that_is_not_there() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert isinstance(await failure(mail_spec(port)), NotifyUnavailableError)
