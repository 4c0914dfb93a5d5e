"""Python's collector of cycles, and when to leave it alone."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the collector from walking over what is being built, again and again, to find nothing.

    For what makes values by the hundred thousand, none of which holds a cycle: with a large
    catalog in memory a third of such work was the collector's. It is the whole process's, so
    not for long.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
