"""What we may do, from SHOW GRANTS; and what is missing so that we may comment on all."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from amxwatch.databases.mysql.connection import QUERIES, Connection, Session, execute, quoted

GRANT = re.compile(
    r"GRANT (?P<what>.+?) ON (?:TABLE )?"
    r"(?P<schema>\*|`(?:[^`]|``)*`)\.(?P<table>\*|`(?:[^`]|``)*`) TO "
)
SECRET = re.compile(
    r" IDENTIFIED (?:BY|VIA|WITH) .*?(?= REQUIRE | WITH GRANT | WITH MAX|$)", re.DOTALL
)
WILD = re.compile(r"[_%]")
ESCAPED = r"\\\g<0>"
WANTED = frozenset({"ALTER", "ALL PRIVILEGES", "ALL"})


@dataclass(frozen=True, kw_only=True)
class Rights:
    """The lines of SHOW GRANTS, without what a password may be guessed from."""

    user: str
    role: str
    lines: tuple[str, ...]

    def digest(self) -> str:
        """Return a short text that moves when the rights do; the order of the lines is nothing."""
        text = "\n".join([self.user, self.role, *sorted(self.lines)])
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()

    def may_alter(self, schema: str, table: str) -> bool:
        """Claim that ALTER on the table is granted, on it or on something that it is in."""
        return any(
            _covers(found["schema"], schema, is_pattern=found["table"] == "*")
            and _covers(found["table"], table, is_pattern=False)
            for line in self.lines
            if (found := GRANT.match(line)) is not None
            and WANTED & {word.strip() for word in _words(found["what"])}
        )


def rights_of(session: Session, connection: Connection) -> Rights:
    """Ask for our rights, those of our roles included."""
    ((user, role),) = execute(connection, QUERIES["user"])
    query = QUERIES["grants"]
    if session.product.names_roles and role and role != "NONE":
        query = QUERIES["roles_mysql"].replace("$ROLES", str(role))
    lines = tuple(SECRET.sub("", str(row[0])) for row in execute(connection, query))
    return Rights(user=str(user), role=str(role or ""), lines=lines)


def _words(privileges: str) -> list[str]:
    """Split at the commas that stand outside of column lists."""
    return re.sub(r"\([^)]*\)", "", privileges).split(",")


def _covers(granted: str, name: str, *, is_pattern: bool) -> bool:
    """Claim that what is granted is everything, the name, or a pattern that the name fits."""
    if granted == "*":
        return True
    text = granted[1:-1].replace("``", "`")
    if not is_pattern:
        return text == name
    parts = re.findall(r"\\.|.", text, re.DOTALL)
    spelled = {"%": ".*", "_": "."}
    pattern = "".join(spelled.get(part) or re.escape(part.removeprefix("\\")) for part in parts)
    return re.fullmatch(pattern, name, re.DOTALL) is not None


class MysqlPrivileges:
    """Implements `ports.privileges.Privileges`. A comment is a part of the table: ALTER."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def missing(self) -> tuple[str, ...]:
        return await self._session.run(self._missing)

    def _missing(self, connection: Connection) -> tuple[str, ...]:
        rights = rights_of(self._session, connection)
        relations = execute(connection, self._session.chosen("relations"))
        shut = {
            row[0] for row in relations if row[2] != "VIEW" and not rights.may_alter(row[0], row[1])
        }
        name, _, host = rights.user.rpartition("@")
        grantee = f"{quoted(name)}@{quoted(host)}"
        return tuple(
            # An underscore or a percent sign in the name of a database would be a pattern.
            f"GRANT ALTER ON {quoted(WILD.sub(ESCAPED, schema))}.* TO {grantee};"
            for schema in sorted(shut)
        )
