"""A program of the user's that is run for each message."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import anyio
from anyio.abc import Process

from amxwatch.core.errors import NotifyRefusedError, NotifyUnavailableError
from amxwatch.core.message import Message
from amxwatch.notify import CommandSpec

TEMPORARY = 75
"""The exit status that means try again later. See: sysexits(3), EX_TEMPFAIL."""


MAX_VARIABLE = 4000
"""Systems limit the length of an environment; the JSON on stdin is whole."""


class CommandNotifier:
    """Implements `ports.notifier.Notifier` by a process in a session of its own.

    It gets the message as JSON on stdin and the main fields as AMXWATCH_ALERT_* variables. What
    it prints is thrown away. Past the time limit it is killed, with all that it started.
    """

    def __init__(self, spec: CommandSpec) -> None:
        self._spec = spec

    @property
    def _where(self) -> str:
        """The program as it may be shown: an argument may be a secret."""
        return f"the command {' '.join(self._spec.command[0].split())}"

    async def send(self, message: Message) -> None:
        """Run it and wait for its exit status: 0 is yes, 75 is later, any other no."""
        document = json.dumps(message.document()).encode()
        with self._translated():
            process = await anyio.open_process(
                list(self._spec.command),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd=self._spec.folder,
                env={**os.environ, **variables(message)},
                start_new_session=True,
            )
            try:
                with anyio.fail_after(self._spec.timeout):
                    await _feed(process, document)
                    status = await process.wait()
            finally:
                await _end(process)
        self._judge(status)

    def _judge(self, status: int) -> None:
        if status == TEMPORARY:
            raise NotifyUnavailableError(f"{self._where} asked to be tried again later (exit 75)")
        if status:
            raise NotifyRefusedError(f"{self._where} failed with exit status {status}")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            raise NotifyUnavailableError(
                f"{self._where} took longer than {self._spec.timeout:g} s and was killed"
            ) from None
        except FileNotFoundError:
            raise NotifyRefusedError(
                f"{self._where} was not found: write its whole path, or put it on the PATH of"
                " the process that runs amxwatch"
            ) from None
        except OSError as error:
            raise NotifyRefusedError(f"{self._where} cannot be run: {error.strerror}") from None
        except ValueError:  # a NUL in a name that the variables carry
            raise NotifyRefusedError(f"{self._where} cannot be given this message") from None


async def _feed(process: Process, document: bytes) -> None:
    assert process.stdin is not None
    # A command that does not care for its stdin may close it; its exit status tells.
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, BrokenPipeError):
        await process.stdin.send(document)
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, BrokenPipeError):
        await process.stdin.aclose()


async def _end(process: Process) -> None:
    """Leave nothing running: the session that the command started is killed whole."""
    with suppress(ProcessLookupError, PermissionError):
        if sys.platform == "win32":
            process.kill()  # there is no session there
        else:
            os.killpg(process.pid, signal.SIGKILL)
    with anyio.CancelScope(shield=True), anyio.move_on_after(2):
        await process.aclose()


def variables(message: Message) -> dict[str, str]:
    """Return the environment that a command is given beside its own, one line each."""
    condition = message.alert.condition
    values = {
        "ID": message.id,
        "PHASE": "test" if message.is_test else str(message.phase),
        "KIND": condition.kind,
        "SEVERITY": condition.severity,
        "TITLE": condition.title,
        "SCHEDULE": condition.schedule,
        "DB_PROFILE": condition.db_profile,
        "RUN_ID": condition.run_id,
        "RECOVERY_ACTION": condition.recovery_action,
    }
    return {f"AMXWATCH_ALERT_{name}": _plain(value or "") for name, value in values.items()}


def _plain(text: str) -> str:
    line = " ".join(text.replace("\0", " ").split())[:MAX_VARIABLE]
    return line.encode("utf-8", "replace").decode()
