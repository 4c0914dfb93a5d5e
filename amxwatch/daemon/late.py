"""Parts that are made when they are first used, so that nobody pays for what nobody asks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")


class _Late:
    def __init__(self, make: Callable[[], object]) -> None:
        self._make = make
        self._made: object = None

    def __getattr__(self, name: str) -> Any:
        if self._made is None:
            self._made = self._make()
        return getattr(self._made, name)


def late(make: Callable[[], T]) -> T:
    """Return what stands in for the object that `make` returns, and makes it at the first use.

    For objects of which only methods are used.
    """
    return cast("T", _Late(make))
