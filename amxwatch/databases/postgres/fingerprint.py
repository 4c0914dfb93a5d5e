"""Tells what moved in PostgreSQL's catalog, as cheaply as the question allows.

Three prices. Nothing was committed in the whole server since the last look: one round trip. Else
rows written since are searched for, by the transaction that wrote them. The first look of a
connection hashes everything. All three give the same token for the same catalog.

Relations are told apart by bucket, a few of them each, so that what is kept stays small and what
moved is still found. See: choices of hashes in `fingerprint.sql`.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from hashlib import blake2b
from operator import xor
from typing import Any

from amxwatch.databases.postgres.connection import Connection
from amxwatch.databases.queries import load_queries

QUERIES = load_queries("amxwatch.databases.postgres", "fingerprint.sql")

BUCKETS = 4096
"""A power of two. At 100,000 tables a bucket holds 25."""

AT_ONCE = 64
"""Buckets that are compared together, as most stand still."""

MANY = BUCKETS // 4
"""From so many suspect buckets on, hashing everything is the cheaper way."""

OLDEST = 2**30
"""Transactions after which a horizon is forgotten: their numbers wrap at four times that."""

PARTS = ("relations", "keys", "comments")
"""What may be deleted without leaving a trace in a row that stays."""

SchemaRow = tuple[int, str, str | None]


@dataclass(frozen=True, kw_only=True)
class Moment:
    """When the server started, the number of our connection to it, and what was committed by then.

    `snapshot` is None on a standby, where it would prove nothing.
    """

    started: str
    epoch: int
    snapshot: str | None

    def proves(self, other: Moment) -> bool:
        """Say that nothing was committed between the two."""
        return self.snapshot is not None and self == other

    @property
    def horizon(self) -> int | None:
        """The oldest transaction that was open: what is older was decided then."""
        return int(self.snapshot.partition(":")[0]) if self.snapshot is not None else None


@dataclass(frozen=True, kw_only=True)
class Hashes:
    """One number a bucket: of all that is in it, and of which rows there are (see `PARTS`)."""

    everything: array[int]
    relations: array[int]
    keys: array[int]
    comments: array[int]

    @classmethod
    def empty(cls) -> Hashes:
        return cls(
            everything=array("q", bytes(8 * BUCKETS)),
            relations=array("q", bytes(8 * BUCKETS)),
            keys=array("q", bytes(8 * BUCKETS)),
            comments=array("q", bytes(8 * BUCKETS)),
        )

    def copy(self) -> Hashes:
        return Hashes(
            everything=self.everything[:],
            relations=self.relations[:],
            keys=self.keys[:],
            comments=self.comments[:],
        )

    def part(self, name: str) -> array[int]:
        found: array[int] = getattr(self, name)
        return found

    def put(self, rows: Iterable[tuple[int, int, int, int, int]]) -> None:
        for bucket, everything, relations, keys, comments in rows:
            self.everything[bucket] = everything
            self.relations[bucket] = relations
            self.keys[bucket] = keys
            self.comments[bucket] = comments

    def clear(self, buckets: Iterable[int]) -> None:
        self.put((bucket, 0, 0, 0, 0) for bucket in buckets)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the catalog was at one moment, in short. `schemas` are sorted by name.

    `environment` covers what relations are spelled with and is no relation itself. `members` are
    the relations of buckets that were hashed again since everything was.
    """

    moment: Moment
    schemas: tuple[SchemaRow, ...]
    environment: str
    hashes: Hashes
    members: Mapping[int, tuple[int, ...]]
    token: str

    def moved(self, earlier: Look) -> list[int]:
        """Return the buckets in which something moved since an earlier look."""
        return _differing(self.hashes.everything, earlier.hashes.everything)

    def ask_members(self, connection: Connection, buckets: Sequence[int]) -> list[int]:
        """Return the relations of these buckets, inside the transaction of this look."""
        found = [oid for bucket in buckets for oid in self.members.get(bucket, ())]
        others = [bucket for bucket in buckets if bucket not in self.members]
        given = _parameters([oid for oid, _, _ in self.schemas])
        return found + _ask_members(connection, given, others)


def ask_moment(connection: Connection, epoch: int) -> Moment:
    """Ask in one round trip, outside or inside a transaction. `epoch` numbers the connection.

    A server that crashed may have lost its last transactions and give their numbers out again;
    its connections break then, so that what was seen over another one is looked at anew.
    """
    started, snapshot = _row(connection, "moment", {})
    return Moment(started=started, epoch=epoch, snapshot=snapshot)


def take_look(
    connection: Connection, moment: Moment, schemas: Sequence[SchemaRow], last: Look | None
) -> Look:
    """Look, inside a transaction that sees one moment throughout; cheaper with a `last` look."""
    oids = [oid for oid, _, _ in schemas]
    environment = str(_row(connection, "environment", {})[0])
    followed = _follow(connection, oids, moment, last) if last is not None else None
    hashes, members = followed or (_hash_all(connection, oids), {})
    return Look(
        moment=moment,
        schemas=tuple(schemas),
        environment=environment,
        hashes=hashes,
        members=members,
        token=_token(connection.info.dbname, environment, schemas, hashes),
    )


def _token(database: str, environment: str, schemas: Sequence[SchemaRow], hashes: Hashes) -> str:
    digest = blake2b(repr((database, environment, schemas)).encode(), digest_size=16)
    digest.update(hashes.everything.tobytes())
    return digest.hexdigest()


def _hash_all(connection: Connection, schemas: Sequence[int]) -> Hashes:
    found = Hashes.empty()
    found.put(_rows(connection, "buckets", _parameters(schemas)))
    return found


def _follow(
    connection: Connection, schemas: Sequence[int], moment: Moment, last: Look
) -> tuple[Hashes, Mapping[int, tuple[int, ...]]] | None:
    """Bring the hashes of the last look up to date, or None where only hashing all can tell."""
    now, then = moment.horizon, last.moment.horizon
    if now is None or then is None:
        return None
    if (moment.started, moment.epoch) != (last.moment.started, last.moment.epoch):
        return None
    if not then <= now < then + OLDEST:
        return None
    given = _parameters(schemas)
    young, *totals = _row(connection, "suspects", given | {"horizon": str(then & 0xFFFFFFFF)})
    members = _by_bucket(young, ())
    if len(members) > MANY:
        return None
    hashes = last.hashes.copy()
    _hash_again(connection, given, hashes, members)
    lost: set[int] = set()
    for name, total in zip(PARTS, totals, strict=True):
        if reduce(xor, hashes.part(name)) != (total or 0):
            there = array("q", bytes(8 * BUCKETS))
            for bucket, number in _rows(connection, f"{name} by bucket", given):
                there[bucket] = number
            lost.update(_differing(there, hashes.part(name)))
    fewer = _by_bucket(_ask_members(connection, given, list(lost)), lost)
    _hash_again(connection, given, hashes, fewer)
    return hashes, {**last.members, **members, **fewer}


def _ask_members(
    connection: Connection, given: dict[str, Any], buckets: Sequence[int]
) -> list[int]:
    if not buckets:
        return []
    rows = _rows(connection, "members", given | {"buckets": list(buckets)})
    return [oid for (oid,) in rows]


def _by_bucket(oids: Iterable[int], buckets: Iterable[int]) -> dict[int, tuple[int, ...]]:
    """Group relations; those of `buckets` that have none come out empty."""
    found: dict[int, list[int]] = {bucket: [] for bucket in buckets}
    for oid in oids:
        found.setdefault(oid % BUCKETS, []).append(oid)
    return {bucket: tuple(members) for bucket, members in found.items()}


def _hash_again(
    connection: Connection,
    given: dict[str, Any],
    hashes: Hashes,
    members: Mapping[int, tuple[int, ...]],
) -> None:
    hashes.clear(members)
    oids = [oid for some in members.values() for oid in some]
    if oids:
        hashes.put(_rows(connection, "some buckets", given | {"members": oids}))


def _differing(one: array[int], other: array[int]) -> list[int]:
    return [
        place
        for start in range(0, BUCKETS, AT_ONCE)
        if one[start : start + AT_ONCE] != other[start : start + AT_ONCE]
        for place in range(start, start + AT_ONCE)
        if one[place] != other[place]
    ]


def _parameters(schemas: Sequence[int]) -> dict[str, Any]:
    return {"schemas": list(schemas), "mask": BUCKETS - 1}


def _rows(connection: Connection, query: str, given: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor(binary=True) as cursor:
        return cursor.execute(QUERIES[query], given or None).fetchall()


def _row(connection: Connection, query: str, given: dict[str, Any]) -> tuple[Any, ...]:
    (row,) = _rows(connection, query, given)
    return row
