"""Writes the parts of the docs that are made from the code: `python -m tests.house.diagrams`.

The state diagrams of `docs/architecture.md` come from the transition tables, the pages in
`docs/reference/` from the event actions, the error tree, the settings and the tree of commands.
"""

from __future__ import annotations

import enum
import re
from pathlib import Path

from amxwatch.core import draft, errors, intake, run
from amxwatch.core.event import ACTIONS
from tests.house import commands_page, config_page

DOCS = Path(__file__).resolve().parent.parent.parent / "docs"


def diagram(moves: dict[tuple[enum.StrEnum, enum.StrEnum], enum.StrEnum], start: str) -> str:
    """Return a Mermaid state diagram of a transition table."""
    sources = {source for source, _ in moves}
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {start}"]
    lines += [f"    {source} --> {target}: {event}" for (source, event), target in moves.items()]
    ends = sorted(set(moves.values()) - sources)
    lines += [f"    {end} --> [*]" for end in ends]
    return "\n".join([*lines, "```"])


def architecture(text: str) -> str:
    """Return a page with its diagrams as the tables are now."""
    for mark, table, start in (
        ("intake", intake.TRANSITIONS, intake.IntakeState.NEW),
        ("run", run.TRANSITIONS, run.RunStatus.QUEUED),
        ("draft", draft.TRANSITIONS, draft.DraftStatus.PENDING),
    ):
        drawn = diagram(dict(table), start)
        pattern = re.compile(rf"<!-- {mark} -->\n(?:```mermaid.*?```\n)?", re.DOTALL)
        text = pattern.sub(lambda _, m=mark, d=drawn: f"<!-- {m} -->\n{d}\n", text)
    return text


def events_page() -> str:
    rows = [f"| `{action}` | {says} |" for action, says in ACTIONS.items()]
    return "\n".join(
        [
            "# Events",
            "",
            "`amxwatch events --json` prints one line an event:",
            '`{"id","at","action","schedule","run_id","trigger",…}`. The action names are stable.',
            "",
            "| action | meaning |",
            "| --- | --- |",
            *rows,
            "",
        ]
    )


ERRORS = """\
# Errors and exit statuses

A command leaves with 0 when it did what it was asked, 1 when the work failed or a gate is not met,
and 2 when the call or the config is wrong: one line on stderr says what, where, and how to mend it.
Everything under `UsageError`, and `NotFoundError`, leaves with 2; the rest with 1.

```
{tree}
```

What to do about a message: [troubleshooting](../troubleshooting.md).
"""


def errors_page() -> str:
    return ERRORS.format(tree=(errors.__doc__ or "").split("\n\n", 1)[1].strip())


def pages() -> dict[Path, str]:
    """Return every generated page with what should stand in it."""
    drawn = (DOCS / "architecture.md", DOCS / "intake.md")
    return {
        **{page: architecture(page.read_text(encoding="utf-8")) for page in drawn},
        DOCS / "reference" / "events.md": events_page(),
        DOCS / "reference" / "errors.md": errors_page(),
        DOCS / "reference" / "config.md": config_page.page(),
        DOCS / "reference" / "commands.md": commands_page.page(),
    }


if __name__ == "__main__":
    for path, text in pages().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
