"""What waits for a person, in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio


def waiting_line(folder: Path) -> str:
    """Return what was missed, is blocked, or wants a review; empty where nothing does.

    Raises: AmxwatchError.
    """
    document = anyio.run(_status, folder)
    parts = [
        _count(len(document["missed"]), "schedule missed", "schedules missed"),
        _count(document["runs"]["missed"], "run missed", "runs missed"),
        _count(len(document["blocked"]), "run blocked", "runs blocked"),
        _count(document["pending_review"], "draft to review", "drafts to review"),
        _count(document["ready_to_apply"], "to apply", "to apply"),
    ]
    said = [part for part in parts if part]
    return f"{'; '.join(said)}. See /status and /schedule list." if said else ""


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}" if number else ""


async def _status(folder: Path) -> dict[str, Any]:
    from amxwatch.cli.health import status_document
    from amxwatch.cli.news import tell_news
    from amxwatch.cli.output import Output
    from amxwatch.cli.session import Desk
    from amxwatch.daemon.wiring import open_install

    async with open_install(folder, strict=False) as install:
        await tell_news(Desk(install=install, out=Output(as_json=False)))
        return await status_document(install)
