"""Where a mysql:// or mariadb:// URL leads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qsl, unquote

import pymysql

from amxwatch.core.errors import (
    DatabaseError,
    DatabaseUnavailableError,
    LoginRefusedError,
    StatementRefusedError,
    UsageError,
)
from amxwatch.databases import ConnectOptions, describe
from amxwatch.databases.mysql.product import MARIADB, MYSQL, Product

PORT = 3306
TEXTS = frozenset({"unix_socket", "ssl_ca", "ssl_cert", "ssl_key"})
FLAGS = frozenset({"ssl_verify_cert", "ssl_verify_identity"})
IGNORED = frozenset({"charset"})
"""Other tools want to be told; we always speak utf8mb4."""

BUSY = frozenset({1205, 1213, 1317, 1969, 3024})
"""A lock or a statement took too long, or somebody stopped it."""

LOST = frozenset({1053, 1927, 2006, 2013, 2055, 4031})
"""The connection is gone: shut down, killed, timed out."""

UNREACHABLE = LOST | frozenset(
    {1040, 1043, 1044, 1045, 1049, 1129, 1130, 1203, 1226, 1251, 1524, 1698, 1820, 1862}
    | {3118, 3159, 3955, 4151}
)
"""No login: too many connections, wrong password, host not allowed, account locked."""

LOGIN = frozenset({1044, 1045, 1698, 1820, 1862, 3118, 3955, 4151})
"""Of those: the user or the password, so that trying again cannot help."""

LOCKED = 1205


class TableLockedError(StatementRefusedError):
    """Somebody holds the table; whatever else is to be written need not wait for it."""

    transient = True


class Address:
    """Where a URL leads, and how to say so without the password.

    `schema` is the one database that the URL names, or "" for all of them.
    """

    def __init__(self, url: str, options: ConnectOptions) -> None:
        self.label = describe(url)
        scheme, _, rest = url.partition("://")
        # As in `describe`: a password may hold an unescaped '@' or '/'.
        login, _, place = rest.rpartition("@")
        place, _, query = place.partition("?")
        host, _, schema = place.partition("/")
        user, _, password = login.partition(":")
        self.schema = self._decoded(schema)
        self.expected: Product = MYSQL if scheme.lower().startswith("mysql") else MARIADB
        self._secrets = [text for text in {password, unquote(password)} if text]
        self.settings: dict[str, Any] = {
            "user": self._decoded(user),
            # As bytes: the driver would write text as Latin-1.
            "password": self._decoded(password).encode(),
            "charset": "utf8mb4",
            "autocommit": True,
            "connect_timeout": max(math.ceil(options.connect_seconds), 1),
            # The server's own limit comes first; this one is for a peer that fell silent.
            "read_timeout": math.ceil(options.statement_seconds) + 30,
            "write_timeout": 30,
            "program_name": options.application_name,
        }
        self.settings |= self._host(host) | self._options(query)
        self.place = self.settings.get("unix_socket") or (
            f"{self.settings['host']}:{self.settings['port']}"
        )

    def _refused(self, why: str) -> UsageError:
        return UsageError(
            f"{self.label} cannot be meant: {why}; write it like mariadb://USER:PASSWORD@HOST:3306/"
            "NAME (or mysql://), special characters as %40 and the like"
        )

    def _decoded(self, text: str) -> str:
        try:
            return unquote(text, errors="strict")
        except UnicodeDecodeError:
            raise self._refused("a %-escape in it is not UTF-8") from None

    def _host(self, text: str) -> dict[str, Any]:
        if text.startswith("["):
            host, bracket, port = text[1:].partition("]")
            port = port.removeprefix(":") if bracket else text
        else:
            host, _, port = text.partition(":")
        if port and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
            raise self._refused("its port is not a number up to 65535")
        return {"host": self._decoded(host) or "localhost", "port": int(port or PORT)}

    def _options(self, query: str) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, value in parse_qsl(query, keep_blank_values=True):
            if name in TEXTS:
                found[name] = value
            elif name in FLAGS:
                found[name] = value.lower() in {"1", "true", "yes", "on"}
            elif name not in IGNORED:
                known = ", ".join(sorted(TEXTS | FLAGS))
                raise self._refused(f"it has an unknown option; known are {known}")
        return found

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn the driver's exceptions into ours: one line, no secret."""
        try:
            yield
        except pymysql.err.MySQLError as error:
            raise self._ours(error) from error
        except (UnicodeError, OSError) as error:
            raise DatabaseError(f"{self.label} failed: {self._line(str(error))}") from error

    def _ours(self, error: pymysql.err.MySQLError) -> DatabaseError:
        code = code_of(error)
        line = self._line(str(error.args[-1]) if error.args else "")
        line = line or type(error).__name__
        if code in BUSY:
            return DatabaseUnavailableError(f"{self.label} is busy: {line}; it will be tried again")
        if code in UNREACHABLE or code < 1000 or 2000 <= code < 3000:
            kind = LoginRefusedError if code in LOGIN else DatabaseUnavailableError
            return kind(
                f"{self.label} cannot be reached: {line}; check the URL and the password, "
                "that the server runs, and that this machine may connect"
            )
        return StatementRefusedError(f"{self.label} refused: {line} ({code})")

    def _line(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return " ".join(text.split())[:500]


def code_of(error: pymysql.err.MySQLError) -> int:
    """Return the server's or the driver's number of an error, or 0."""
    code = error.args[0] if error.args else 0
    return code if isinstance(code, int) else 0
