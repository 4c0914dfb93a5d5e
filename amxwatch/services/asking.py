"""Ask a tool of the operating system, with a time limit."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.to_thread

from amxwatch.core.errors import ServiceError
from amxwatch.ports.service import ServiceFile

PATIENCE_SECONDS = 30.0
"""How long a tool may take; stopping a daemon in good order takes five."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a tool said. `status` is 127 where there is no such tool, 124 where it hangs."""

    status: int
    said: str
    complained: str

    @property
    def is_ok(self) -> bool:
        return self.status == 0

    @property
    def reason(self) -> str:
        """The tool's own words about a failure, in one line."""
        words = " ".join((self.complained or self.said).split())
        return words or f"it left with {self.status}"


Ask = Callable[..., Awaitable[Answer]]
"""How a tool is asked: `await ask("systemctl", "--user", ...)`."""


async def ask(*words: str) -> Answer:
    """Run a tool and return its answer; what is wrong with it is an answer too."""
    try:
        with anyio.fail_after(PATIENCE_SECONDS):
            done = await anyio.run_process(
                words, check=False, env={**os.environ, "LC_ALL": "C", "SYSTEMD_COLORS": "0"}
            )
    except OSError as error:
        return Answer(status=127, said="", complained=f"{words[0]}: {error.strerror}")
    except TimeoutError:
        return Answer(
            status=124, said="", complained=f"{words[0]} gave no answer in {PATIENCE_SECONDS:g} s"
        )
    return Answer(
        status=done.returncode,
        said=done.stdout.decode("utf-8", "replace"),
        complained=done.stderr.decode("utf-8", "replace"),
    )


async def demand(ask: Ask, *words: str) -> Answer:
    """Ask a tool to do something. Raises: ServiceError where it does not."""
    answer = await ask(*words)
    if not answer.is_ok:
        raise ServiceError(f"{' '.join(words)}: {answer.reason}")
    return answer


async def write(file: ServiceFile) -> None:
    """Write the file in one move, readable by its owner. Raises: ServiceError."""

    def replace() -> None:
        file.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.path.with_name(f".{file.path.name}.new")
        try:
            fresh.write_bytes(file.content)
            fresh.chmod(0o600)
            fresh.replace(file.path)
        finally:
            fresh.unlink(missing_ok=True)

    try:
        await anyio.to_thread.run_sync(replace)
    except OSError as error:
        raise ServiceError(f"{file.path} cannot be written: {error.strerror}") from None


async def remove(path: Path) -> bool:
    """Remove a file and say whether it was there. Raises: ServiceError."""
    try:
        await anyio.Path(path).unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ServiceError(f"{path} cannot be removed: {error.strerror}") from None
    return True
