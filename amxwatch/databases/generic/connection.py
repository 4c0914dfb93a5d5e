"""One SQLAlchemy engine: made without connecting, used by one worker thread at a time."""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.pool import QueuePool

from amxwatch.core.errors import (
    DatabaseError,
    DatabaseUnavailableError,
    LoginRefusedError,
    MissingExtraError,
    StatementRefusedError,
    UsageError,
)
from amxwatch.databases import BACK_ENDS, ConnectOptions, describe
from amxwatch.databases.blocking import BlockingLane
from amxwatch.databases.generic import dialects
from amxwatch.databases.generic.logins import is_login

T = TypeVar("T")

ONE_CONNECTION = {
    "pool_size": 1,
    "max_overflow": 0,
    "pool_pre_ping": True,
    "pool_recycle": 1800,  # warehouses end sessions that are kept for long
}

SLIPS = (LookupError, TypeError, ValueError, AttributeError, RuntimeError, ArithmeticError)
"""What dialects, which are anybody's code, raise over a catalog that they did not expect."""


def told(ask: Callable[[], T], otherwise: T) -> T:
    """Return what the inspector says, or `otherwise` where the dialect has no such thing.

    SQLAlchemy's inspectors say that by NotImplementedError, so it is caught here and only here.
    """
    try:
        return ask()
    except NotImplementedError:
        return otherwise


class GenericEngine:
    """Implements what reader, sampler and commenter share: calls, time limits, errors."""

    def __init__(self, url: URL, engine: Engine, options: ConnectOptions) -> None:
        self.url = url
        self.dialect = engine.dialect
        self.clock = options.clock
        self._engine = engine
        self._label = describe(url.render_as_string(hide_password=True))
        self._secrets = _secrets(url)
        self._raw: Any = None
        self._lane = BlockingLane(self._interrupt)

    @property
    def source(self) -> str:
        """Say which database this is, without user and secrets."""
        port = f":{self.url.port}" if self.url.port else ""
        return f"{self.dialect.name}:{self.url.host or ''}{port}/{self.url.database or ''}"

    async def run(self, work: Callable[[Connection], T], *, writes: bool = False) -> T:
        """Run `work` on a connection in a worker thread; what it wrote is kept with `writes`.

        Raises: DatabaseError and what `work` raises.
        """
        return await self._lane.run(lambda: self._attempt(work, writes=writes))

    def _attempt(self, work: Callable[[Connection], T], *, writes: bool) -> T:
        with self.connected() as connection:
            isolation = dialects.ONE_MOMENT.get(self.dialect.name)
            if isolation is not None and not writes:
                connection.execution_options(isolation_level=isolation)
            self._raw = connection.connection.dbapi_connection
            try:
                with self.translated():
                    return work(connection)
            finally:
                self._raw = None

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """Open a connection from the pool; any failure to do so is an outage."""
        try:
            with self.translated():
                connection = self._engine.connect()
        except DatabaseError as error:
            cause = error.__cause__
            if cause is not None and is_login(getattr(cause, "orig", cause), self.dialect.name):
                raise self._login_refused(getattr(cause, "orig", cause)) from error
            if isinstance(error, DatabaseUnavailableError):
                raise
            raise DatabaseUnavailableError(
                f"{self._label} cannot be reached: {str(error).partition(': ')[2]}; "
                "check the URL, the login, and that this machine may connect"
            ) from error
        with connection:
            yield connection

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn SQLAlchemy's, the driver's and the dialect's exceptions into ours."""
        try:
            yield
        except (exc.OperationalError, exc.InterfaceError) as error:
            raise self._unavailable(error.orig or error) from error
        except exc.DBAPIError as error:
            if error.connection_invalidated:
                raise self._unavailable(error.orig or error) from error
            raise StatementRefusedError(
                f"{self._label} refused: {self._line(error.orig or error)}"
            ) from error
        except self._slips() as error:
            raise StatementRefusedError(
                f"{self._label} failed in its dialect {self.dialect.name}: {self._line(error)}"
            ) from error
        except OSError as error:
            raise self._unavailable(error) from error

    def _unavailable(self, error: BaseException) -> DatabaseUnavailableError:
        return DatabaseUnavailableError(
            f"{self._label} cannot be reached: {self._line(error)}; "
            "check the URL, that the server runs, and that this machine may connect"
        )

    def _login_refused(self, error: BaseException) -> LoginRefusedError:
        return LoginRefusedError(
            f"{self._label} refused the login: {self._line(error)}; "
            "check the user and the password in the URL, and that the account may log in"
        )

    def _slips(self) -> tuple[type[Exception], ...]:
        return (exc.SQLAlchemyError, *SLIPS, *self._errors())

    def _errors(self) -> tuple[type[Exception], ...]:
        """Return the exceptions that the packages of the dialect and its driver define."""
        modules = {type(self.dialect).__module__, getattr(self.dialect.dbapi, "__name__", "")}
        roots = {name.partition(".")[0] for name in modules} - {"", "sqlalchemy"}
        found = {
            member
            for name, module in list(sys.modules.items())
            if name.partition(".")[0] in roots and module is not None
            for member in vars(module).values()
            if inspect.isclass(member) and issubclass(member, Exception)
        }
        return tuple(each for each in found if each.__module__.partition(".")[0] in roots)

    def _line(self, error: BaseException) -> str:
        text = " ".join(str(error).split()) or type(error).__name__
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text[:500]

    def _interrupt(self) -> None:
        """Ask the driver to give up, where it has a way; its time limit ends it else."""
        for name in ("cancel_safe", "cancel", "interrupt"):
            give_up = getattr(self._raw, name, None)
            if callable(give_up):
                with suppress(OSError, *self._slips()):
                    give_up()
                return

    async def aclose(self) -> None:
        await self._lane.run(self._engine.dispose)


def make_engine(url: URL, options: ConnectOptions) -> GenericEngine:
    """Return the engine for a URL. Raises: UsageError, MissingExtraError."""
    scheme = url.drivername.partition("+")[0]
    try:
        dialect = url.get_dialect()
    except (exc.NoSuchModuleError, ImportError) as error:
        raise _uninstalled(scheme, error) from error
    except SLIPS as error:
        raise UsageError(
            f"the SQLAlchemy dialect {scheme} does not work with SQLAlchemy {sa.__version__} "
            f"({type(error).__name__}: {error}); install versions that its package names as fitting"
        ) from error
    arguments: dict[str, Any] = {}
    patience = dialects.CONNECT_SECONDS.get(dialect.driver)
    if patience is not None and patience not in url.query:
        arguments["connect_args"] = {patience: max(math.ceil(options.connect_seconds), 2)}
    try:
        engine = sa.create_engine(url, **arguments)
        if isinstance(engine.pool, QueuePool):  # else the dialect has its reasons
            engine = sa.create_engine(url, **arguments, **ONE_CONNECTION)
    except ImportError as error:
        raise _uninstalled(scheme, error) from error
    except (exc.SQLAlchemyError, TypeError, ValueError) as error:
        # The message of the dialect may quote the URL, password and all.
        label = describe(url.render_as_string(hide_password=True))
        raise UsageError(
            f"{label} is no URL that its dialect understands ({type(error).__name__}); "
            "see the dialect's own documentation for its form"
        ) from None
    _bound_statements(engine, options)
    return GenericEngine(url, engine, options)


def _bound_statements(engine: Engine, options: ConnectOptions) -> None:
    """Set the time limit of statements on each new connection, where the server has one."""
    statements = dialects.ON_CONNECT.get(engine.dialect.name, ())
    values = {
        "seconds": max(math.ceil(options.statement_seconds), 1),
        "milliseconds": round(options.statement_seconds * 1000),
        "lock": round(options.lock_seconds * 1000),
    }

    def bound(raw: Any, _record: object) -> None:
        cursor = raw.cursor()
        # A server that knows no such limit is read without it.
        with suppress(engine.dialect.loaded_dbapi.Error):
            for statement in statements:
                cursor.execute(statement.format(**values))
        cursor.close()
        raw.commit()

    if statements:
        event.listen(engine, "connect", bound)


def _uninstalled(scheme: str, error: Exception) -> UsageError:
    """Say what to install: the dialect, or the driver that the dialect lacks."""
    module = error.name or "" if isinstance(error, ImportError) else ""
    if not module:
        known = dialects.known_schemes() | set(BACK_ENDS)
        if scheme not in known:
            return _unknown(scheme, known)
    found = dialects.missing(scheme, module)
    return MissingExtraError(f"a {scheme}:// database", found.extra, package=found.package)


def _unknown(scheme: str, known: frozenset[str]) -> UsageError:
    near = " or ".join(f"{name}://" for name in dialects.near(scheme, known))
    own = ", ".join(f"{name}://" for name in sorted(BACK_ENDS))
    return UsageError(
        f"no back end reads {scheme}:// URLs{f'; did you mean {near}?' if near else ';'} "
        f"known are: {own}, and every SQLAlchemy dialect that is installed"
    )


def _secrets(url: URL) -> tuple[str, ...]:
    """Return every part of a URL that may be secret, longest first."""
    values = [url.password or ""]
    for value in url.query.values():
        values += [value] if isinstance(value, str) else value
    return tuple(sorted({str(each) for each in values if len(str(each)) > 2}, key=len)[::-1])
