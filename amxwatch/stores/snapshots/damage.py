"""What the readers of the cache raise where its content contradicts itself."""

from __future__ import annotations


class DamageError(Exception):
    """The cache does not hold what it should. Never leaves this package: see `opening`."""
