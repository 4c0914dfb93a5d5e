"""One TOML file, parsed, with the places of its keys. Survives any bytes."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from amxwatch.core.errors import ConfigError, ConfigProblem
from amxwatch.settings.secrets import redact
from amxwatch.settings.source import MAX_BYTES, SourceFile

if TYPE_CHECKING:
    from amxwatch.settings.positions import Positions

Path = tuple[str | int, ...]
"""A key path: names, and numbers of list items."""

MAX_FOUND = 60
"""How much of a wrong value is shown."""

MAX_REDACTED = 4000

MAX_DEPTH = 64
"""How deep tables and arrays may nest. tomllib recurses, and is quadratic in a dotted key."""

TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"""|\Z)'
    r"|'''.*?(?:'''|\Z)"
    r'|"(?:\\.|[^"\\\n])*"?'
    r"|'[^'\n]*'?"
    r"|\#[^\n]*"
    r"|[\[\]{}\n=,.]",
    re.DOTALL,
)
"""Strings and comments, which are skipped, and the signs that nest."""

LINE = re.compile(r"\(at line (\d+), column (\d+)\)")

LONG_INTEGER = re.compile(r"\d[\d_]{4000,}")


@dataclass(frozen=True)
class Document:
    """A file that is TOML; whether its settings make sense is not known yet."""

    source: SourceFile
    text: str
    table: dict[str, Any]

    @cached_property
    def positions(self) -> Positions:
        # Imported late: needed only once something is wrong.
        from amxwatch.settings.positions import Positions

        return Positions(self.text)

    def line(self, path: Path) -> int:
        """Return the line of a key, or of the nearest table around it; 0 for the whole file."""
        return self.positions.find(path).line

    def problem(self, path: Path, key: str, *, found: str, allowed: str) -> ConfigProblem:
        return ConfigProblem(
            file=self.source.name, line=self.line(path), key=key, found=found, allowed=allowed
        )


def parse(source: SourceFile) -> Document:
    """Parse one file. Raises: ConfigError, with the line where there is one."""
    if source.problem:
        raise _broken(source, 0, source.problem, f"a file of TOML, at most {MAX_BYTES // 1024} KB")
    text = _decode(source)
    _check_depth(source, text)
    try:
        return Document(source, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise _broken(source, *_explain(str(error), text), "TOML, see https://toml.io") from None
    except RecursionError:
        raise _broken(source, 0, "too deep a nesting", f"at most {MAX_DEPTH} levels") from None
    except ValueError:
        # int() refuses thousands of digits, and tomllib lets that through.
        long = LONG_INTEGER.search(text)
        line = text.count("\n", 0, long.start()) + 1 if long else 0
        raise _broken(source, line, "a number of thousands of digits", "a smaller one") from None


def _decode(source: SourceFile) -> str:
    try:
        return source.data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = source.data.count(b"\n", 0, error.start) + 1
        raise _broken(source, line, "bytes that are not UTF-8", "UTF-8 text") from None


def _explain(message: str, text: str) -> tuple[int, str]:
    """Take tomllib's message apart: the line, and what it found."""
    place = LINE.search(message)
    what = printable(LINE.sub("", message).removesuffix("(at end of document)").strip())
    if place is None:
        return text.count("\n") + (not text.endswith("\n")), f"broken TOML at the end: {what}"
    return int(place[1]), f"broken TOML at column {place[2]}: {what}"


def _check_depth(source: SourceFile, text: str) -> None:
    depth = dots = 0
    for token in TOKEN.finditer(text):
        match token[0]:
            case "[" | "{":
                depth, dots = depth + 1, 0
            case "]" | "}":
                depth, dots = max(depth - 1, 0), 0
            case ".":
                dots += 1
            case "\n" | "=" | ",":
                dots = 0
        if max(depth, dots) > MAX_DEPTH:
            line = text.count("\n", 0, token.start()) + 1
            raise _broken(source, line, "too deep a nesting", f"at most {MAX_DEPTH} levels")


def _broken(source: SourceFile, line: int, found: str, allowed: str) -> ConfigError:
    problem = ConfigProblem(file=source.name, line=line, key="", found=found, allowed=allowed)
    return ConfigError((problem,))


def printable(text: str) -> str:
    """Return the text in one line, with what cannot be shown escaped."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def dotted(path: Path) -> str:
    """Write a key path as TOML would: `schedules."a b".trigger`; long names are cut."""
    parts = []
    for part in path:
        text = _cut(str(part))
        bare = isinstance(part, int) or re.fullmatch(r"[A-Za-z0-9_-]+", part)
        parts.append(text if bare else '"' + printable(text.replace('"', '\\"')) + '"')
    return ".".join(parts)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_FOUND else text[: MAX_FOUND - 1] + "…"


def value_at(tree: dict[str, Any], path: Path) -> tuple[bool, Any]:
    """Return whether the path exists, and what stands there."""
    node: Any = tree
    for part in path:
        try:
            node = node[part]
        except (KeyError, IndexError, TypeError):
            return False, None
    return True, node


def shown(value: Any) -> str:
    """Return a value as an error may show it: short, in one line, without a URL's password."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and value.bit_length() > 256:
        return "a number of many digits"
    if isinstance(value, int | float):
        return repr(value)
    # Cut twice: the patterns of redact are slow on very long text.
    cut = _cut(printable(redact(str(value)[:MAX_REDACTED], ())))
    return f"'{cut}'" if isinstance(value, str) else cut
