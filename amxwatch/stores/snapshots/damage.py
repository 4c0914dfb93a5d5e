"""What the readers of the cache raise where its content contradicts itself, and whom they blame."""

from __future__ import annotations

from amxwatch.core.errors import CacheBrokenError

type_of_signature = tuple[int, ...]
"""Which file stands at the cache's place, and in which state: inode, size, time of the last
write in ns, and the same of its log; nothing where there is none."""


class DamageError(Exception):
    """The cache does not hold what it should. Never leaves this package: see `opening`."""


class OutdatedError(DamageError):
    """The cache is whole and ours, but cannot be gone on with: it is rebuilt, and not kept."""


class BlamedError(CacheBrokenError):
    """A broken cache, and which state of the file it was: another process may mend it first."""

    def __init__(self, message: str, signature: type_of_signature, *, outdated: bool) -> None:
        super().__init__(message)
        self.signature = signature
        self.outdated = outdated
