"""What goes to the terminal: tables and sentences for people, JSON for programs.

In JSON mode everything meant for people is silent, so a command says both and need not ask.
Nothing that comes from a database is taken for markup, and no control character of it is
printed as it is.
"""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

CONTROL = re.compile("[\x7f-\x9f\u2028\u2029]")
"""What JSON allows in a string, and a terminal obeys."""

BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Signs that turn the direction of what follows them."""

UNSHOWN = frozenset({"Cc", "Cs", "Zl", "Zp"})

COLOURS = {
    "running": "cyan",
    "completed": "green",
    "ok": "green",
    "high": "green",
    "medium": "yellow",
    "missed": "yellow",
    "paused": "yellow",
    "stale": "yellow",
    "warning": "yellow",
    "low": "red",
    "blocked": "red",
    "failed": "red",
    "error": "red",
    "down": "red",
}
"""How a word that says a state is coloured in a terminal."""

GAP = "  "


@dataclass(frozen=True)
class Column:
    """One column of a table. `rigid` ones are never broken over lines."""

    title: str
    right: bool = False
    rigid: bool = False


class Output:
    """Stdout and stderr of one command."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.is_terminal = sys.stdout.isatty()
        self._console: Console | None = None

    def document(self, document: object) -> None:
        """Print the one JSON document of this command; nothing where JSON was not asked for."""
        if self.as_json:
            text = json_text(document, indent=2 if self.is_terminal else None)
            _write(text + "\n")

    @contextmanager
    def listing(self, key: str) -> Iterator[Callable[[object], None]]:
        """Print the one JSON document `{key: [...]}`, an element at a time as they are put.

        Nothing is printed where nothing was put before an error.
        """
        begun = False

        def begin() -> None:
            nonlocal begun
            _write("," if begun else f"{{{json_text(key)}:[")
            begun = True

        def put(element: object) -> None:
            begin()
            _write(json_text(element))

        if self.is_terminal:  # laid out for the eye, which takes all of it at once
            elements: list[object] = []
            yield elements.append
            self.document({key: elements})
            return
        yield put
        if not begun:
            begin()
        _write("]}\n")

    def line(self, document: object) -> None:
        """Print one compact JSON object on a line of its own, at once."""
        if self.as_json:
            _write(json_text(document) + "\n")
            sys.stdout.flush()

    def say(self, text: str = "", *, colour: str | None = None) -> None:
        """Print text for people. Line breaks in it are kept; pass names through `shown`."""
        if not self.as_json:
            click.echo(click.style(text, fg=colour) if colour and self.is_terminal else text)

    def warn(self, text: str) -> None:
        """Print one line on stderr, in either mode."""
        from amxwatch.cli.failure import tell

        sys.stdout.flush()
        tell(text)

    def table(self, columns: Sequence[Column | str], rows: Sequence[Sequence[object]]) -> None:
        """Print a table, in a terminal fitted to its width; else with nothing cut or broken."""
        if self.as_json:
            return
        heads = [column if isinstance(column, Column) else Column(column) for column in columns]
        cells = [[shown(cell) for cell in row] for row in rows]
        if self.is_terminal:
            self._rich_table(heads, cells)
        else:
            _plain_table(heads, cells)

    def _rich_table(self, heads: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
        for head in heads:
            table.add_column(
                head.title,
                justify="right" if head.right else "left",
                no_wrap=head.rigid,
                overflow="fold",
            )
        for row in rows:
            table.add_row(*(Text(cell, style=COLOURS.get(cell, "")) for cell in row))
        self.console.print(table)

    @property
    def console(self) -> Console:
        """Return rich's console on stdout, made when first asked for."""
        if self._console is None:
            from rich.console import Console

            self._console = Console(markup=False, emoji=False, highlight=False)
        return self._console


def _plain_table(heads: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    lines = [[head.title for head in heads], *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(heads))]
    for line in lines:
        cells = [
            cell.rjust(width) if head.right else cell.ljust(width)
            for head, cell, width in zip(heads, line, widths, strict=True)
        ]
        _write(GAP.join(cells).rstrip() + "\n")


def _write(text: str) -> None:
    sys.stdout.write(text)


def json_text(document: object, *, indent: int | None = None) -> str:
    """Return JSON that no terminal obeys; compact where no indent is given."""
    separators = None if indent else (",", ":")
    text = json.dumps(
        document, ensure_ascii=False, indent=indent, separators=separators, default=_plain
    )
    return CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _plain(value: object) -> Any:
    match value:
        case datetime():
            return moment(value)
        case Decimal():
            return float(value)
        case Enum():
            return value.value
        case frozenset() | set():
            return sorted(value)
    raise TypeError(f"no JSON for {type(value).__name__}")


def moment(at: datetime | None) -> str | None:
    """Return a time as ISO 8601 in UTC, with +00:00."""
    return None if at is None else at.astimezone(UTC).isoformat()


def local(at: datetime | None) -> str:
    """Return a time for people, in this machine's zone, to the second."""
    return "-" if at is None else f"{at.astimezone():%Y-%m-%d %H:%M:%S}"


def local_text(at: object) -> str:
    """Return an ISO 8601 time out of a document as `local` shows it."""
    return local(datetime.fromisoformat(at)) if isinstance(at, str) else "-"


def dollars(cost: Decimal | None, *, requests: int = 1) -> str:
    """Return a cost for people; `unpriced` where something was asked and no price is known."""
    if cost is None:
        return "unpriced" if requests else "$0"
    return f"${cost:.4f}" if cost else "$0"


def percent(part: int, whole: int) -> str:
    """Return a share for people; a dash where there is nothing to share."""
    return f"{100 * part / whole:.0f}%" if whole else "-"


def shown(value: object) -> str:
    """Return a value as one printable line; None and nothing are a dash."""
    if value is None or value == "":
        return "-"
    return one_line(str(value))


def one_line(text: str) -> str:
    """Return the text in one line: breaks as blanks, other control characters escaped."""
    return "".join(
        _escaped(character) if _is_unshown(character) else character
        for character in " ".join(text.split())
    )


def visible(text: str) -> str:
    """Return the text with its line breaks, and what a terminal would obey escaped."""
    return "".join(
        _escaped(character) if character not in "\n\t" and _is_unshown(character) else character
        for character in text
    )


def _is_unshown(character: str) -> bool:
    return character in BIDI or unicodedata.category(character) in UNSHOWN


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def cut(text: str | None, length: int = 60) -> str:
    """Return the text in one line of at most that many characters."""
    line = shown(text)
    return line if len(line) <= length else line[: length - 1] + "…"
