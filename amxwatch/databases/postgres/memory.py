"""What a reader remembers of its last read: enough to tell what moved, and not the catalog."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from amxwatch.core.catalog import Table
from amxwatch.databases.postgres.fingerprint import BUCKETS, Look

END = "\0"
"""The one character that no name may hold."""

FIELDS = 4
"""Words that a relation is packed into: those of `Known`."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """A relation as it was read. `names` is of `names_of`."""

    oid: int
    names: int
    schema: str
    name: str

    @property
    def key(self) -> tuple[str, str]:
        return self.schema, self.name


@dataclass(frozen=True, kw_only=True)
class Memory:
    """The last read in short: the look that it was made at, and who was there.

    `members` holds for each bucket the relations in it, packed into one text: at 100,000 tables
    this is a few megabytes.
    """

    source: str
    look: Look
    members: dict[int, str]
    count: int

    @classmethod
    def of(cls, source: str, look: Look, tables: Iterable[Table]) -> Memory:
        members = _pack(tables)
        count = sum(text.count(END) // FIELDS + 1 for text in members.values())
        return cls(source=source, look=look, members=members, count=count)

    def known(self, buckets: Iterable[int]) -> dict[int, Known]:
        """Return the relations of these buckets by oid."""
        found = {}
        for bucket in buckets:
            words = iter(self.members.get(bucket, "").split(END))
            for oid, names, schema, name in zip(words, words, words, words, strict=False):
                found[int(oid)] = Known(oid=int(oid), names=int(names), schema=schema, name=name)
        return found

    def follow(self, look: Look, buckets: Collection[int], tables: Iterable[Table]) -> Memory:
        """Return the memory after these buckets were read again; `tables` may hold others too."""
        inside = set(buckets)
        now = Memory.of(self.source, look, [table for table in tables if _bucket(table) in inside])
        members = dict(self.members)  # and not picked one by one: there are thousands
        for bucket in inside:
            members.pop(bucket, None)
        return Memory(
            source=self.source,
            look=look,
            members=members | now.members,
            count=self.count - len(self.known(inside)) + now.count,
        )


def names_of(table: Table) -> int:
    """Return a number that stands for the name of a table and those of its columns."""
    return hash((table.schema, table.name, *[column.name for column in table.columns]))


def _bucket(table: Table) -> int:
    return (table.native_id or 0) % BUCKETS


def _pack(tables: Iterable[Table]) -> dict[int, str]:
    texts: dict[int, list[str]] = defaultdict(list)
    for table in tables:
        number = str(table.native_id)
        texts[_bucket(table)] += (number, str(names_of(table)), table.schema, table.name)
    return {bucket: END.join(words) for bucket, words in texts.items()}
