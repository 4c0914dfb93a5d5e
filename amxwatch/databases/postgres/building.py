"""Builds tables, columns and keys by the hundred thousand."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from amxwatch.core.catalog import Column, Key, Table, maker

make_column = maker(Column)
make_key = maker(Key)
make_table = maker(Table)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the collector from walking over what is being built, again and again, to find nothing.

    What is built holds no cycles. The collector is the whole process's, so not for long.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
