"""A real MariaDB for the session, and a fresh database in it for each test that asks."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.plugins.ports import free_port

NUMBERS = count(1)
FOLDERS = ("/usr/sbin", "/usr/bin", "/usr/local/bin", "/opt/homebrew/bin")

SETTINGS = {
    "bind-address": "127.0.0.1",
    "character-set-server": "utf8mb4",
    "collation-server": "utf8mb4_general_ci",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-flush-method": "nosync",
    "innodb-buffer-pool-size": "32M",
    "innodb-log-file-size": "32M",
    "skip-name-resolve": "1",
    "max-connections": "60",
}


class MariadbServer:
    """One server in a temporary folder, run by whoever runs the tests."""

    def __init__(
        self, programs: dict[str, str], folder: Path, *, extra: Sequence[str] = ()
    ) -> None:
        self.programs = programs
        self.folder = folder
        self.socket = folder / "socket"
        self.log = folder / "log"
        self.port = free_port()
        self._extra = list(extra)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Make the data folder: `root` may log in without a password."""
        command = [
            self.programs["mariadb-install-db"],
            *self._common(),
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db failed: {(done.stdout + done.stderr)[-2000:]}")
        self.resume()

    def resume(self) -> None:
        """Start again after `stop`, on the same port and data."""
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self.programs["mariadbd"],
                    *self._common(),
                    f"--socket={self.socket}",
                    f"--port={self.port}",
                    *settings,
                    *self._extra,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
            )
        self._wait()

    def stop(self, *, at_once: bool = False) -> None:
        """End it; what was committed is there after `resume`, unless it was killed `at_once`."""
        process, self._process = self._process, None
        if process is not None:
            (process.kill if at_once else process.terminate)()
            process.wait(60)

    def url(self, database: str = "", *, user: str = "root", scheme: str = "mariadb") -> str:
        return f"{scheme}://{user}@127.0.0.1:{self.port}/{database}"

    def connect(self, database: str | None = None, **more: Any) -> Any:
        """Return somebody else's connection."""
        import pymysql

        return pymysql.connect(
            host="127.0.0.1", port=self.port, database=database, autocommit=True,
            charset="utf8mb4", **{"user": "root", **more},
        )  # fmt: skip

    def _common(self) -> list[str]:
        user = [f"--user={pwd.getpwuid(os.geteuid()).pw_name}"] if os.geteuid() == 0 else []
        return ["--no-defaults", *user, f"--datadir={self.folder / 'data'}"]

    def _wait(self) -> None:
        import pymysql

        assert self._process is not None
        deadline = time.monotonic() + 60
        while True:
            with suppress(pymysql.err.OperationalError), closing(self.connect()):
                return
            if self._process.poll() is not None or time.monotonic() > deadline:
                said = self.log.read_text(errors="replace")[-2000:]
                raise RuntimeError(f"mariadbd did not start: {said}")
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(0.05)


@pytest.fixture(scope="session")
def mariadb_server() -> Iterator[MariadbServer]:
    """A running MariaDB that ends with the session, whatever happens in it."""
    pytest.importorskip("pymysql", reason="pip install 'amxwatch[mysql]'")
    found = programs()
    if found is None:
        pytest.skip("no MariaDB here: apt install mariadb-server")
    folder = Path(tempfile.mkdtemp(prefix="amxwatch-mariadb-"))
    server = MariadbServer(found, folder)
    try:
        server.start()
        yield server
    finally:
        server.stop(at_once=True)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def mariadb_name(mariadb_server: MariadbServer) -> Iterator[str]:
    """The name of an empty database; it and NAME_… are dropped after the test."""
    name = f"test_{os.getpid()}_{next(NUMBERS)}"
    with closing(mariadb_server.connect()) as admin, admin.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    try:
        yield name
    finally:
        with closing(mariadb_server.connect()) as admin, admin.cursor() as cursor:
            cursor.execute("SET foreign_key_checks = 0")
            cursor.execute("SHOW DATABASES")
            for (found,) in cursor.fetchall():
                if found == name or found.startswith(f"{name}_"):
                    cursor.execute(f"DROP DATABASE `{found}`")


@pytest.fixture
def mariadb_url(mariadb_server: MariadbServer, mariadb_name: str) -> str:
    """The URL of that database."""
    return mariadb_server.url(mariadb_name)


def programs() -> dict[str, str] | None:
    """Return where the server and its installer are, or None."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *FOLDERS])
    found = {name: shutil.which(name, path=path) for name in ("mariadbd", "mariadb-install-db")}
    return {name: str(at) for name, at in found.items()} if all(found.values()) else None
