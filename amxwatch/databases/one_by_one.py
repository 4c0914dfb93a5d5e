"""Writing many comments where a batch has nothing to gain: one call after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from amxwatch.core.errors import DatabaseError, DatabaseUnavailableError
from amxwatch.ports.database import CommentTarget

Execute = Callable[[CommentTarget, str | None], Awaitable[str]]


async def one_by_one(
    execute: Execute, rows: Sequence[tuple[CommentTarget, str | None]]
) -> list[str | DatabaseError]:
    """Return what each call gave, or its error; an outage is not tried again for every row."""
    results: list[str | DatabaseError] = []
    down: DatabaseUnavailableError | None = None
    for target, text in rows:
        if down is not None:
            results.append(down)
            continue
        try:
            results.append(await execute(target, text))
        except DatabaseUnavailableError as error:
            down = error
            results.append(error)
        except DatabaseError as error:
            results.append(error)
    return results
