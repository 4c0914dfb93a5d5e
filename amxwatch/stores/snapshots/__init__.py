"""The catalog cache: every version of every object of one db profile, in one DuckDB file.

`cache` is the port, `opening` alone knows locks and DuckDB's exceptions, `filing` what becomes
of the file as a whole (removed, moved aside, written anew), the `.sql` files hold the queries.
Nothing here decides what a difference means; that is `core.change`. A new question is a named
query in a `.sql` file and a function in `reading`.
"""

from amxwatch.stores.snapshots.cache import SnapshotCache

__all__ = ["SnapshotCache"]
