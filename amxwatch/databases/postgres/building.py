"""Builds tables, columns and keys by the hundred thousand."""

from __future__ import annotations

from amxwatch.core.catalog import Column, Key, Table, maker

make_column = maker(Column)
make_key = maker(Key)
make_table = maker(Table)
