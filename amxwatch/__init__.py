"""amxwatch keeps a database's descriptions true.

The rooms, from the bottom floor up: `core`, `triggers`, `ports`, then the back ends
(`databases`, `providers`, `engines`, `stores`, `context`, `settings`, `watchers`, `clocks`),
`flows`, `daemon`, `cli`. A module imports only from floors below its own; import-linter
holds that (see `docs/architecture.md`).
"""

__version__ = "0.1.0"
