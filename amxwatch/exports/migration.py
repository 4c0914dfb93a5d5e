"""A migration: the statements that set what differs, in the database's own dialect."""

from __future__ import annotations

from amxwatch.ports.export import Dossier


def render(dossier: Dossier, before: str) -> str:
    """Return one statement a line, ended by a semicolon."""
    whose = f"{_comment(dossier.profile)} ({dossier.product})"
    at = f"{dossier.at:%Y-%m-%d %H:%M:%S} UTC"
    lines = [f"-- Descriptions for {whose}, written by amxwatch at {at}."]
    for row in dossier.differing:
        if row.statement is None:
            lines.append(f"-- {dossier.product} cannot hold this: {_comment(str(row.target.ref))}")
        else:
            ended = row.statement.rstrip()
            lines.append(ended if ended.endswith(";") else f"{ended};")
    return "\n".join([*lines, ""])


def _comment(text: str) -> str:
    """Return the text so that it cannot end a comment line."""
    return " ".join(text.split())
