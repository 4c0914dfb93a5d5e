"""Changes between two snapshots, named and explained.

The snapshot store finds with SQL which tables moved; `explain` here says what moved in them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from amxwatch.core.catalog import ObjectRef, ObjectType, Schema, Table

type_of_value = str | bool | dict[str, object] | None


class ChangeKind(enum.StrEnum):
    """The kinds of change; the spelling is the one of the JSON documents and of TOML."""

    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"
    TYPE_CHANGED = "type_changed"
    NULLABILITY_CHANGED = "nullability_changed"
    DEFAULT_CHANGED = "default_changed"
    KEY_CHANGED = "key_changed"
    DEFINITION_CHANGED = "definition_changed"
    COMMENT_CHANGED = "comment_changed"


TRIGGERING = frozenset(ChangeKind) - {ChangeKind.COMMENT_CHANGED, ChangeKind.REMOVED}
"""What a change trigger counts when its `kinds` are not given."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One difference between two snapshots.

    `ref` holds the new names (of a removed object, the old ones). `before` and `after` are
    strings, booleans, objects or None. An added or removed table is one change, its columns
    inside `after` or `before`. A rename has the old names in `before` and a `confidence` of 1
    where the database itself says so.
    """

    kind: ChangeKind
    object_type: ObjectType
    ref: ObjectRef
    before: type_of_value = None
    after: type_of_value = None
    confidence: float | None = None


@dataclass(frozen=True, kw_only=True)
class Moved:
    """What SQL found to differ between two snapshots: whole old and new versions.

    `tables` pairs versions of the same name (None on the side where it does not exist);
    `schemas` likewise. Both are sorted by name.
    """

    tables: tuple[tuple[Table | None, Table | None], ...] = ()
    schemas: tuple[tuple[Schema | None, Schema | None], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tables or self.schemas)


@dataclass(frozen=True, kw_only=True)
class Delta:
    """What turns one snapshot into the next: new versions and the names that are gone.

    The ledger keeps it for ever (`core.codec` writes it as text); the cache replays it.
    `baseline` says that the reader, the source or the ignore set moved, so that what differs
    is not a change of the database.
    """

    reader: str
    source: str
    ignore: tuple[str, ...] = ()
    baseline: bool = False
    put_schemas: tuple[Schema, ...] = ()
    put_tables: tuple[Table, ...] = ()
    gone_schemas: tuple[str, ...] = ()
    gone_tables: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        return bool(
            self.baseline
            or self.put_schemas
            or self.put_tables
            or self.gone_schemas
            or self.gone_tables
        )
