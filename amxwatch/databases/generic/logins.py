"""Which failures to connect are refused logins: SQLAlchemy and DB-API have no word for that."""

from __future__ import annotations

import re
from collections.abc import Iterator

from amxwatch.databases.generic import dialects

SQLSTATE = re.compile(r"28[0-9A-Z]{3}")
"""The class `invalid authorization specification` of the SQL standard."""

_MYSQL = frozenset({1044, 1045, 1698, 1820, 1862, 3118, 3955, 4151})
CODES = {
    "clickhouse": frozenset({192, 193, 194, 516}),
    "mariadb": _MYSQL,
    "mssql": frozenset({18452, 18456, 18486, 18487, 18488}),
    "mysql": _MYSQL,
    "oracle": frozenset({1005, 1017, 28000, 28001}),
    "snowflake": frozenset({390100, 390101, 390102, 390106, 390144}),
    "teradatasql": frozenset({8017}),
}
"""Family -> the server's numbers for a wrong user or password, a locked account, a spent key."""

WORDS = re.compile(
    r"(?:password |token )?authentication (?:failed|failure)|no password supplied"
    r"|is not permitted to log in|role \S+ does not exist|login failed for user"
    r"|incorrect username or password|invalid (?:username|user name|credentials|access token)"
    r"|access denied for user|\b(?:http |status )?401\b.*unauthorized|logon denied",
    re.IGNORECASE | re.DOTALL,
)
"""What servers say whose drivers give no number; libpq gives none of a failed connection."""


def is_login(error: BaseException, dialect: str) -> bool:
    """Claim that an error of connecting means the user or the password, not the way there."""
    given = list(_given(error))
    if any(isinstance(each, str) and SQLSTATE.fullmatch(each) for each in given):
        return True
    numbers = CODES.get(dialects.family(dialect), frozenset())
    if any(isinstance(each, int) and each in numbers for each in given):
        return True
    return WORDS.search(str(error)) is not None


def _given(error: BaseException) -> Iterator[object]:
    """Yield where drivers put a state or a number: on the error, or on what it holds."""
    for part in (error, *error.args):
        yield part
        for name in ("sqlstate", "pgcode", "code", "errno", "full_code", "number"):
            yield getattr(part, name, None)
