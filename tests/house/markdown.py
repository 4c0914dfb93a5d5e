"""Takes the docs apart: fenced blocks with what the page asks of them, headings and links.

An HTML comment in front of a block says what the tests do with it:

    <!-- test: run -->               each line runs, with exit status 0; `exit 1` expects another
    <!-- test: output -->            what the run block before it printed; a line `…` stands for any
    <!-- test: json status -->       a document of the fields that `amxwatch status --json` prints
    <!-- test: jsonl events -n 1 --> the same, of one line
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"

_BLOCK = re.compile(
    r"(?:^<!-- test: (?P<asked>[^\n]*?) -->\n)?^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
_LINK = re.compile(r"(?<!!)\[[^\]\n]+\]\((?P<target>[^)\s]+)\)")


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block. `asked` is the comment before it, or nothing; `at` is where its text is."""

    page: Path
    line: int
    at: int
    language: str
    text: str
    asked: str = ""

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The lines of a shell block, without comments, continued ones joined."""
        joined = self.text.replace("\\\n", " ")
        return [line for line in map(str.strip, joined.splitlines()) if line and line[0] != "#"]


def pages() -> list[Path]:
    """Return every page that a reader gets: the README and the docs."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(
            page=page,
            line=text.count("\n", 0, found.start("text")),
            at=found.start("text"),
            language=found["language"],
            text=found["text"],
            asked=found["asked"] or "",
        )
        for found in _BLOCK.finditer(text)
    ]


def links(page: Path) -> list[str]:
    """Return the targets of a page's links; what stands in code is none."""
    return [found["target"] for found in _LINK.finditer(_prose(page))]


def anchors(page: Path) -> set[str]:
    """Return the names by which GitHub links to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", _without_blocks(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def inline_commands(page: Path) -> list[str]:
    """Return what stands in the prose as `amxwatch …`, up to a sign that is not the call's."""
    return [
        found.rstrip(" .:,;")
        for found in re.findall(
            r"`(?:\.venv/bin/)?(amxwatch [a-z-][^`\n]*)`", _without_blocks(page)
        )
    ]


def _without_blocks(page: Path) -> str:
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))


def _prose(page: Path) -> str:
    return re.sub(r"`[^`\n]*`", "", _without_blocks(page))
