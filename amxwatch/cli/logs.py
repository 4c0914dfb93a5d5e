"""Logs of the install: `logs/daemon.log` of the daemon, `logs/cli.log` of the other commands."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import os
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import gmtime

from amxwatch.core.errors import UsageError
from amxwatch.settings.folder import Folder, config_dir, make_private
from amxwatch.settings.secrets import redact

MAX_BYTES = 5 * 1024 * 1024
BACKUPS = 3


class _Formatter(logging.Formatter):
    """One record: time in UTC, level, action, sentence. Passwords in URLs are masked."""

    default_msec_format = "%s.%03dZ"
    default_time_format = "%Y-%m-%dT%H:%M:%S"

    def format(self, record: logging.LogRecord) -> str:
        record.action = getattr(record, "action", "-")
        return redact(super().format(record), ())


@contextlib.contextmanager
def logging_to(path: Path) -> Iterator[None]:
    """Send what amxwatch logs to a file, its owner's only, while this lasts.

    The file is made with the first record. Logging never ends a command.
    """
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=MAX_BYTES, backupCount=BACKUPS, encoding="utf-8", delay=True
    )
    formatter = _Formatter("%(asctime)s %(levelname)s %(action)s %(message)s")
    formatter.converter = gmtime
    handler.setFormatter(formatter)
    if path.parent.is_dir():
        with contextlib.suppress(OSError):
            make_private(path)
    root = logging.getLogger("amxwatch")
    root.setLevel(logging.INFO)
    root.propagate = False
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)
        handler.close()


def keep_traceback(error: BaseException, args: Sequence[str]) -> Path | None:
    """Append a traceback to `logs/cli.log` and return its path, or None where that fails."""
    flag = _flag(args)
    try:
        folder = Folder(path=config_dir(flag, os.environ))
        folder.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder.logs / "cli.log"
        make_private(path)
        text = "".join(traceback.format_exception(error))
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(redact(f"amxwatch {' '.join(args)}\n{text}", ()))
    except (OSError, UsageError):
        return None
    return path


def _flag(args: Sequence[str]) -> str | None:
    for position, arg in enumerate(args):
        if arg.startswith("--config-dir="):
            return arg.partition("=")[2]
        if arg == "--config-dir" and position + 1 < len(args):
            return args[position + 1]
    return None
