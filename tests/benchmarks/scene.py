"""What several benchmarks set up: a PostgreSQL, and a daemon in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.plugins import postgres


@contextmanager
def served() -> Iterator[postgres.PostgresServer]:
    """Start a server for the benchmark; what it says goes into no log."""
    programs = postgres.programs()
    if programs is None:
        raise SystemExit(postgres.missing())
    postgres.SETTINGS |= {"log_statement": "none", "shared_buffers": "256MB"}
    folder = Path(tempfile.mkdtemp(prefix="amxwatch-bench-"))
    server = postgres.PostgresServer(programs, folder)
    try:
        server.start()
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Daemon:
    """A daemon on one config, watched from outside."""

    def __init__(self, folder: Path, config: str) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / "amxwatch.toml").write_text(config, encoding="utf-8")
        self._output = folder / "output"
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "amxwatch", "daemon", "--json"],
                env={**os.environ, "AMXWATCH_CONFIG_DIR": str(folder)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def has_looked(self) -> bool:
        """Claim that its first cycle has ended."""
        return b'{"cycle":' in self._output.read_bytes()

    def wait(self, done: Callable[[], bool], what: str, seconds: float = 120) -> None:
        """Wait until something holds. Raises: SystemExit with what the daemon said last."""
        end = time.monotonic() + seconds
        while not done():
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{what} did not come: {self._output.read_text()[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
