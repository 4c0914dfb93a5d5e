"""Reading only what moved. Optional: a reader has it, or is read whole each time."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from amxwatch.core.change import Patch


@runtime_checkable
class PartialReader(Protocol):
    """A reader that remembers what it read last, and can tell what moved since."""

    async def read_moved(self) -> Patch | None:
        """Return what moved since this object's last `read` or `read_moved` that returned.

        None where only a whole read can tell: nothing was read yet, the server is another one,
        something moved that any table's spelling may depend on, or so much that a whole read
        is cheaper. A call that raised or was cancelled leaves the next one None.

        As consistent in itself as `read`. Never called at the same time as `read`.
        Raises: DatabaseUnavailableError.
        """
