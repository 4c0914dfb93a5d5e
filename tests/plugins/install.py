"""A real install in a folder of its own, driven from outside: commands and a daemon process."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from amxwatch.cli.app import run as run_command

Document = dict[str, Any]
Done = subprocess.CompletedProcess[str]

PATIENCE = 90
"""Seconds that anything waited for may take; it only ends a test that hangs."""

PROCESSES = frozenset({"daemon", "demo", "service"})
"""Commands that are a process of their own wherever they are run: they live long, or start others.

The others run inside this process: a start costs a second of a core, which whatever is waited for
would lack. `Installed.outside` is the same install with a process for each command.
"""


class Installed:
    """One config folder. Everything goes through the command line, as a user would."""

    inside = True
    """Whether commands run inside this process, but for `PROCESSES`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        self.env = {**os.environ, "AMXWATCH_CONFIG_DIR": str(folder), "NO_COLOR": "1"}
        self._daemons: list[subprocess.Popen[bytes]] = []

    def config(self, text: str) -> None:
        (self.folder / "amxwatch.toml").write_text(text, encoding="utf-8")

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "amxwatch", *words]

    def run(self, *words: str, status: int | None = 0) -> Done:
        """Run a command; `status` None takes whatever it leaves with."""
        is_inside = self.inside and not PROCESSES.intersection(words[:2])
        done = call(words, self.folder, self.env) if is_inside else self._process(*words)
        assert "Traceback" not in done.stderr, done.stderr
        if status is not None:
            assert done.returncode == status, f"{words}: {done.stdout}\n{done.stderr}"
        return done

    def _process(self, *words: str) -> Done:
        return subprocess.run(
            self.command(*words),
            capture_output=True,
            text=True,
            env=self.env,
            check=False,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
        )

    @property
    def outside(self) -> Installed:
        """The same install, where each command is a process."""
        made = Installed(self.folder)
        made.inside, made.env = False, self.env
        return made

    def json(self, *words: str, status: int | None = 0) -> Document:
        document: Document = json.loads(self.run(*words, "--json", status=status).stdout)
        return document

    def events(self, action: str | None = None) -> list[Document]:
        lines = self.run("events", "--json", "--limit", "10000").stdout.splitlines()
        events = [json.loads(line) for line in lines]
        return [event for event in events if action is None or event["action"] == action]

    def runs(self) -> list[Document]:
        """Return the run history, newest first."""
        found: list[Document] = self.json("history", "list")["runs"]
        return found

    def pending(self) -> list[Document]:
        found: list[Document] = self.json("review", "--list")["pending"]
        return found

    def popen(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a daemon and do not wait for it."""
        with (self.folder / "test-daemon.log").open("ab") as log:
            process = subprocess.Popen(
                self.command("daemon", "--json", *words), stdout=log, stderr=log, env=self.env
            )
        self._daemons.append(process)
        return process

    def daemon(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a daemon and wait until it has taken its first turn."""
        process = self.popen(*words)

        def is_up() -> bool:
            assert process.poll() is None, self.log()
            said = self.json("status")["daemon"]
            return said["pid"] == process.pid and said["last_cycle_result"] is not None

        self.until(is_up, "the daemon's first turn")
        return process

    def log(self) -> str:
        return (self.folder / "test-daemon.log").read_text(errors="replace")

    def until(self, holds: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
        """Ask again and again until it holds, and return what it gave."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = holds()
            if found:
                return found
            time.sleep(0.15)
        raise AssertionError(f"no {what} within {seconds} s\n{self.log_tail()}")

    def log_tail(self) -> str:
        path = self.folder / "test-daemon.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""

    def completed_run(self, count: int = 1) -> Document:
        """Wait until so many runs have completed and return the newest."""

        def completed() -> list[Document] | None:
            runs = self.runs()
            failed = [run for run in runs if run["status"] in ("failed", "blocked")]
            assert not failed, failed
            done = [run for run in runs if run["status"] == "completed"]
            return done if len(done) >= count else None

        found: Document = self.until(completed, f"completed run number {count}")[0]
        return found

    def stop(self, process: subprocess.Popen[bytes]) -> float:
        """End a daemon as the system would; return the seconds it took."""
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE) == 0, self.log_tail()
        return time.monotonic() - started

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.wait()

    def close(self) -> None:
        for process in self._daemons:
            if process.poll() is None:
                process.kill()
                process.wait()


_ONE_CALL = threading.Lock()


def call(words: Sequence[str], folder: Path, env: dict[str, str]) -> Done:
    """Run a command inside this process: the same code, without a start. There is no terminal."""
    with _ONE_CALL:  # what it prints, and what it finds in the environment, is the process's
        if not _is_in_a_loop():
            return _called(words, folder, env)
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(_called, words, folder, env).result()


def _is_in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _called(words: Sequence[str], folder: Path, env: dict[str, str]) -> Done:
    out, err, stdin = io.StringIO(), io.StringIO(), sys.stdin
    sys.stdin = io.StringIO()
    try:
        with (
            _environment(env),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            left = run_command([*words, "--config-dir", str(folder)])
    finally:
        sys.stdin = stdin
    assert "internal error" not in err.getvalue(), err.getvalue()
    return subprocess.CompletedProcess(words, left, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _environment(env: dict[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    try:
        os.environ.clear()
        os.environ.update(env)
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture
def install(tmp_path: Path) -> Iterator[Installed]:
    """An install in a fresh folder; its daemons are gone at the end."""
    made = Installed(tmp_path / "config")
    yield made
    made.close()
