"""A database whose URL cannot be known: its catalog cache can be read, and nothing else."""

from __future__ import annotations

from typing import NoReturn

from amxwatch.core.errors import AmxwatchError
from amxwatch.ports.database import Capabilities


class Unreachable:
    """Implements `ports.database.Database`; whoever needs more than its name gets the error."""

    capabilities = Capabilities(product="unknown", dialect="", comments=frozenset(), sampling=False)

    def __init__(self, error: AmxwatchError) -> None:
        self._error = error

    def _refuse(self) -> NoReturn:
        raise self._error

    @property
    def reader(self) -> NoReturn:
        self._refuse()

    @property
    def sampler(self) -> NoReturn:
        self._refuse()

    @property
    def commenter(self) -> NoReturn:
        self._refuse()

    @property
    def hints(self) -> NoReturn:
        self._refuse()

    async def aclose(self) -> None:
        """Nothing is open."""
