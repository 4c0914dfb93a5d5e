"""Writes what the docs show anew, from what the program prints: `python -m tests.house.fill`.

Only whole outputs and JSON documents; an output that is cut (a line `…`) is left to its author.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.house.markdown import Block, blocks, pages
from tests.house.scratch import Scratch

HOME = "/home/me"
"""Stands in the docs for the folder that the commands ran in."""


def fill(page: Path) -> None:
    """Run a page's commands in a folder of their own and put what they print in its blocks."""
    fresh: list[tuple[Block, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        scratch = Scratch(folder=Path(folder).resolve())
        scratch.build()
        output = ""
        for block in blocks(page):
            verb, _, rest = block.asked.partition(" ")
            if verb.startswith("run"):
                output = "".join(done.output for done in scratch.run(block))
            elif verb == "output" and "\n…\n" not in f"\n{block.text}":
                fresh.append((block, output.replace(folder, HOME)))
            elif verb in ("json", "jsonl"):
                fresh.append((block, _document(scratch, verb, rest).replace(folder, HOME)))
    text = page.read_text(encoding="utf-8")
    for block, printed in reversed(fresh):
        end = block.at + len(block.text)
        text = f"{text[: block.at]}{printed.strip()}\n{text[end:]}"
    page.write_text(text, encoding="utf-8")


def _document(scratch: Scratch, verb: str, words: str) -> str:
    printed = scratch.line(f"amxwatch {words} --json").output
    document = json.loads(printed.splitlines()[-1])
    return json.dumps(document, indent=2 if verb == "json" else None, ensure_ascii=False)


if __name__ == "__main__":
    for page in [Path(name).resolve() for name in sys.argv[1:]] or pages():
        fill(page)
