"""What a statement is about, told from its first words alone.

Most of a dump is data and functions; they are passed over before anything is parsed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from amxwatch.databases.sql_folder import dialects
from amxwatch.databases.sql_folder.pieces import skip_lead

_CONDITIONAL = re.compile(r"/\*!\d*(.*?)\*/", re.DOTALL)
_WORDS = re.compile(r"[^\W\d][\w$]*|#\w+|[^\s\w]")
_NOISE = re.compile(
    r"\b(?:DEFINER\s*=\s*\S+|ALGORITHM\s*=\s*\w+|SQL\s+SECURITY\s+\w+)|/\*.*?\*/|--[^\n]*",
    re.IGNORECASE | re.DOTALL,
)
_PATH = re.compile(r"SET\s+(?:SESSION\s+|LOCAL\s+)?(?:search_path|schema)\b", re.IGNORECASE)
_PATH_CALL = re.compile(
    r"SELECT\s+(?:pg_catalog\.)?set_config\s*\(\s*'search_path'\s*,", re.IGNORECASE
)
_ON_OBJECT = re.compile(r"COMMENT\s+(?:IF\s+EXISTS\s+)?ON\b", re.IGNORECASE)
_VERBS = re.compile(r"(CREATE|ALTER|DROP|COMMENT|SET|USE|SELECT|RENAME)\b", re.IGNORECASE)
_NEXT_DDL = re.compile(
    r"^[ \t]*(?:(?:CREATE|ALTER|DROP)\s+(?:[A-Z]+\s+){0,3}?(?:TABLE|VIEW|SCHEMA)\b"
    r"|COMMENT\s+ON\s+(?:MATERIALIZED\s+)?(?:TABLE|VIEW|COLUMN|SCHEMA)\b)",
    re.IGNORECASE | re.MULTILINE,
)
_TEMPORARY = frozenset({"TEMP", "TEMPORARY", "VOLATILE"})
MODIFIERS = (
    frozenset(
        {
            "OR",
            "REPLACE",
            "ALTER",
            "UNLOGGED",
            "GLOBAL",
            "LOCAL",
            "FOREIGN",
            "EXTERNAL",
            "MATERIALIZED",
        }
        | {"TRANSIENT", "SECURE", "RECURSIVE", "DYNAMIC", "VIRTUAL", "LIVE", "STREAMING", "ICEBERG"}
        | {"HYBRID", "MULTISET", "SET", "FORCE", "EDITIONABLE", "NONEDITIONABLE", "NO", "PRIVATE"}
        | {"IMMUTABLE", "BLOCKCHAIN", "SHARDED", "DUPLICATED", "ONLINE", "IGNORE", "INTERACTIVE"}
        | {"REFRESH", "SNAPSHOT", "EVENT", "MANAGED"}
    )
    | _TEMPORARY
)

_FIRST_WORDS = frozenset(
    {"ABORT", "ALTER", "ANALYZE", "ATTACH", "BACKUP", "BEGIN", "CACHE", "CALL", "CHECK"}
    | {"CHECKPOINT", "CHECKSUM", "CLOSE", "CLUSTER", "COMMENT", "COMMIT", "COPY"}
    | {"CREATE", "DEALLOCATE", "DECLARE", "DEFINE", "DELETE", "DELIMITER", "DESC"}
    | {"DESCRIBE", "DETACH", "DISCARD", "DISCONNECT", "DO", "DROP", "END", "EXCHANGE"}
    | {"EXEC", "EXECUTE", "EXIT", "EXPLAIN", "EXPORT", "FETCH", "FLUSH", "FROM", "GET"}
    | {"GO", "GRANT", "HANDLER", "IF", "IMPORT", "INSERT", "INSTALL", "KILL", "LIST"}
    | {"LISTEN", "LOAD", "LOCK", "MERGE", "MOVE", "MSCK", "NOTIFY", "OPTIMIZE", "PIVOT"}
    | {"PRAGMA", "PREPARE", "PRINT", "PROMPT", "PURGE", "PUT", "QUIT", "RAISE"}
    | {"REASSIGN", "REFRESH", "REINDEX", "RELEASE", "REMOVE", "RENAME", "REPAIR"}
    | {"REPLACE", "RESET", "RESTORE", "RETURN", "REVOKE", "ROLLBACK", "SAVEPOINT"}
    | {"SECURITY", "SELECT", "SET", "SHOW", "SOURCE", "SPOOL", "START", "STOP"}
    | {"SUMMARIZE", "SYSTEM", "TABLE", "TRUNCATE", "UNCACHE", "UNDROP", "UNLISTEN"}
    | {"UNLOAD", "UNLOCK", "UNPIVOT", "UNSET", "UPDATE", "UPSERT", "USE", "VACUUM"}
    | {"VALUES", "WHENEVER", "WHILE", "WITH"}
)
"""Words that begin a statement of some dialect; what begins otherwise may be a broken one."""


@dataclass(frozen=True, kw_only=True)
class Headline:
    """`verb` is the first word; `kind` TABLE, VIEW, SCHEMA, PATH or COMMENT."""

    verb: str
    kind: str


def read_headline(text: str, dialect: str) -> Headline | None:
    """Return what a statement is about; None where it cannot matter to a catalog."""
    found = _VERBS.match(text)
    if found is None:
        return None
    verb = found.group().upper()
    if verb == "COMMENT":
        return Headline(verb=verb, kind="COMMENT") if _ON_OBJECT.match(text) else None
    if verb in ("SET", "SELECT", "USE"):
        sets = verb == "USE" or _PATH.match(text) or _PATH_CALL.match(text)
        return Headline(verb=verb, kind="PATH") if sets else None
    words = [word.upper() for word in _WORDS.findall(_NOISE.sub(" ", text[:2000])[:400])[1:]]
    if verb == "RENAME":
        return Headline(verb=verb, kind="TABLE") if words[:1] == ["TABLE"] else None
    kind = _kind(verb, words, dialect)
    return Headline(verb=verb, kind=kind) if kind else None


def is_garbled(text: str) -> bool:
    """Say whether a text that is no known statement looks like a broken one that matters."""
    found = _WORDS.match(text)
    if found is not None and found.group().upper() in _FIRST_WORDS:
        return False
    words = [word.upper() for word in _WORDS.findall(text[:100])[:6]]
    names_object = bool({"TABLE", "VIEW", "SCHEMA"} & set(words))
    return names_object or next_statement(text, 0, len(text)) is not None


def _kind(verb: str, words: list[str], dialect: str) -> str:
    at = 0
    while at < len(words) and words[at] in MODIFIERS:
        at += 1
    kind, after = [*words[at : at + 2], "", ""][:2]
    passing = verb == "CREATE" and bool(_TEMPORARY & set(words[:at]) or after.startswith("#"))
    if passing or (kind == "TABLE" and after == "FUNCTION"):
        return ""
    if kind == "DATABASE" and dialects.database_is_schema(dialect):
        return "SCHEMA"
    return kind if kind in ("TABLE", "VIEW", "SCHEMA") else ""


def next_statement(text: str, after: int, end: int) -> int | None:
    """Return where, behind `after`, a line begins with a statement on a catalog object."""
    found = _NEXT_DDL.search(text, text.find("\n", after, end) + 1 or end, end)
    return skip_lead(text, found.start()) if found else None


def unwrap(text: str, dialect: str) -> str:
    """Blank the marks of MySQL's /*!40101 … */, which its server executes; offsets stay."""
    if "/*!" not in text or not dialects.is_mysql(dialect):
        return text

    def blank(found: re.Match[str]) -> str:
        before = found.start(1) - found.start()
        return " " * before + found.group(1) + "  "

    return _CONDITIONAL.sub(blank, text)
