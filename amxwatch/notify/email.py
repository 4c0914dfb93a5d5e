"""A mailbox, by the user's own mail server.

The standard library's smtplib, in a worker thread: it speaks all that a submission server asks
for, adds no weight to an install, and one mail an alert needs no concurrency. `email` with its
SMTP policy writes the message: it refuses a header with a line break and encodes any name.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.errors import MessageError
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

import anyio.to_thread

from amxwatch.core.errors import NotifyRefusedError, NotifyUnavailableError
from amxwatch.core.message import Message
from amxwatch.notify import EmailSpec

PORTS = {"tls": 465, "starttls": 587, "none": 25}

MAX_SUBJECT = 200


@dataclass(kw_only=True)
class _Talk:
    """A conversation with a server, which another thread may cut."""

    server: smtplib.SMTP | None = None

    def cut(self) -> None:
        """End the connection where it still stands."""
        sock = getattr(self.server, "sock", None)
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


class EmailNotifier:
    """Implements `ports.notifier.Notifier` over SMTP. Certificates are always checked."""

    def __init__(self, spec: EmailSpec) -> None:
        self._spec = spec
        self._port = spec.port or PORTS[spec.security]

    @property
    def _where(self) -> str:
        return f"the mail server {self._spec.host}:{self._port}"

    async def send(self, message: Message) -> None:
        """Hand the mail over; the server answers for it from then on."""
        talk = _Talk()
        with self._translated():
            mail = self._mail(message)
            # smtplib bounds each answer, not the whole: past the limit, or when cancelled, the
            # connection is cut under the thread, which ends by that.
            try:
                with anyio.fail_after(self._spec.timeout):
                    await anyio.to_thread.run_sync(
                        self._hand_over, mail, talk, abandon_on_cancel=True
                    )
            finally:
                talk.cut()

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage(policy=SMTP)
        mail["Subject"] = _header(message.subject)[:MAX_SUBJECT]
        mail["From"] = self._spec.sender
        mail["To"] = ", ".join(self._spec.to)
        mail["Date"] = format_datetime(message.at)
        mail["Message-ID"] = f"<{message.id}@amxwatch.invalid>"
        mail["Auto-Submitted"] = "auto-generated"
        mail["X-Amxwatch-Alert"] = message.id
        mail.set_content("\n".join(_text(line) for line in message.lines()) + "\n")
        return mail

    def _hand_over(self, mail: EmailMessage, talk: _Talk) -> None:
        spec = self._spec
        checked = ssl.create_default_context()
        if spec.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                spec.host, self._port, timeout=spec.timeout, context=checked
            )
        else:
            server = smtplib.SMTP(spec.host, self._port, timeout=spec.timeout)
        talk.server = server
        with server:
            if spec.security == "starttls":
                server.starttls(context=checked)
            if spec.user is not None and spec.password is not None:
                server.login(spec.user, spec.password)
            server.send_message(mail)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Tell by kind and code alone: what a server says may repeat what it was sent."""
        try:
            yield
        except TimeoutError:
            raise NotifyUnavailableError(
                f"{self._where} did not answer within {self._spec.timeout:g} s"
            ) from None
        except ssl.SSLError as error:
            raise NotifyRefusedError(
                f"{self._where}: no safe connection ({error.reason or type(error).__name__});"
                " check host, port and security"
            ) from None
        except smtplib.SMTPNotSupportedError:
            raise NotifyRefusedError(
                f"{self._where} does not offer what is asked for: check security, user and port"
            ) from None
        except smtplib.SMTPAuthenticationError as error:
            raise NotifyRefusedError(
                f"{self._where} refused user and password ({error.smtp_code})"
            ) from None
        except smtplib.SMTPException as error:
            raise self._answered(error) from None
        except OSError as error:
            raise NotifyUnavailableError(
                f"{self._where} cannot be reached ({type(error).__name__})"
            ) from None
        except (MessageError, ValueError):
            raise NotifyRefusedError("the mail cannot be sent: check host, sender and to") from None

    def _answered(
        self, error: smtplib.SMTPException
    ) -> NotifyRefusedError | NotifyUnavailableError:
        code = _code(error)
        said = f"{self._where} did not take the mail ({code or type(error).__name__})"
        if 500 <= code < 600:
            return NotifyRefusedError(f"{said}: check sender and to")
        return NotifyUnavailableError(said)


def _code(error: smtplib.SMTPException) -> int:
    """Return the server's code: of several refused mailboxes the last one's; 0 for none."""
    if isinstance(error, smtplib.SMTPResponseException):
        return int(error.smtp_code)
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return max((int(code) for code, _ in error.recipients.values()), default=0)
    return 0


def _header(text: str) -> str:
    """Return text that stands in one header: no line break, no control character."""
    return "".join(
        " " if unicodedata.category(character) in ("Cc", "Zl", "Zp") else character
        for character in _text(text)
    )


def _text(text: str) -> str:
    """Return text that UTF-8 can carry."""
    return text.encode("utf-8", "replace").decode()
