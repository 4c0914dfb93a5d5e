"""Making the file and bringing its tables up to date."""

from __future__ import annotations

import os
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import Connection, inspect, text

from amxwatch.core.errors import StoreBusyError, StoreError
from amxwatch.stores.ledger.connection import check_file, make_engine, make_shrinkable, transaction
from amxwatch.stores.ledger.migrations import HEAD
from amxwatch.stores.ledger.tables import metadata

WAIT_SECONDS = 30.0


def prepare(path: Path) -> None:
    """Make the file (mode 0600) or migrate it, once, however many processes start together.

    Raises: StoreError, StoreBusyError.
    """
    try:
        if path.exists():
            check_file(path)
            if _version(path) == HEAD:
                return
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(f"{path}.lock", timeout=WAIT_SECONDS, mode=0o600):
            # SQLite gives -wal and -shm the mode of the file, so the file comes first.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            _migrate(path)
    except Timeout:
        raise StoreBusyError(
            f"another process has been preparing the state database {path} for {WAIT_SECONDS:.0f}"
            f" seconds; try again when it is done"
        ) from None
    except OSError as error:
        raise StoreError(
            f"the state database {path} cannot be opened: {error.strerror}; give this user the"
            f" right to write that folder, or choose another with --config-dir"
        ) from error


def _version(path: Path) -> str | None:
    """Return the version of the tables; None for an empty file. Raises: StoreError."""
    engine = make_engine(path, wait_seconds=WAIT_SECONDS)
    try:
        with transaction(engine, path, writes=False) as connection:
            return _read_version(connection, path)
    finally:
        engine.dispose()


def _read_version(connection: Connection, path: Path) -> str | None:
    names = inspect(connection).get_table_names()
    if not names:
        return None
    if "alembic_version" not in names:
        raise StoreError(
            f"{path} is a database, but not a state database of amxwatch; move it away or choose"
            f" another folder with --config-dir"
        )
    version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if version is None else str(version)


def _migrate(path: Path) -> None:
    """Run what is missing, all in one transaction: a kill leaves the file as it was."""
    engine = make_engine(path, wait_seconds=WAIT_SECONDS)
    try:
        with transaction(engine, path, writes=True) as connection:
            version = _read_version(connection, path)
            if version is None:
                _make(connection)
            elif version != HEAD:
                _upgrade(connection, version, path)
        make_shrinkable(engine)
    finally:
        engine.dispose()


def _make(connection: Connection) -> None:
    """Make the tables as they are now: a new install waits for no steps, nor for Alembic."""
    metadata.create_all(connection)
    connection.execute(
        text(
            "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
            " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
    )
    connection.execute(text("INSERT INTO alembic_version VALUES (:head)"), {"head": HEAD})


def _upgrade(connection: Connection, version: str, path: Path) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "amxwatch.stores.ledger:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        ScriptDirectory.from_config(config).get_revision(version)
    except CommandError:
        raise StoreError(
            f"the state database {path} was written by a newer amxwatch (its tables are at"
            f" version {version}, this program knows up to {HEAD}); upgrade amxwatch:"
            f" pip install --upgrade amxwatch"
        ) from None
    command.upgrade(config, HEAD)
