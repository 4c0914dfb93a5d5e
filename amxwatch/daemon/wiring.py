"""Open one install: its settings, ledger, sources, models and engine.

The only module that names concrete parts. The command line, the daemon and the tests open an
`Install` and hand its pieces to the flows.
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from amxwatch import databases, providers
from amxwatch.core.errors import ConfigError, UsageError
from amxwatch.core.run import Slots
from amxwatch.engines.local import LocalEngine
from amxwatch.engines.owner import Owner
from amxwatch.flows.analyze import Drafter
from amxwatch.flows.settling import settled
from amxwatch.flows.source import Source
from amxwatch.flows.work import work
from amxwatch.ports.clock import Clock
from amxwatch.ports.engine import Handler
from amxwatch.ports.ledger import Ledger
from amxwatch.ports.provider import Provider
from amxwatch.settings import file, folder, secrets
from amxwatch.settings.schema import DbProfile, LlmProfile, Schedule, Settings
from amxwatch.stores.snapshots import SnapshotCache
from amxwatch.watchers.files import digest

STOP_SECONDS = 3.5
"""How long running batches may take to end after SIGTERM; the whole stop stays under 5 s."""


class Install:
    """One config folder, opened. Use `open_install`; pieces are made when first asked for."""

    def __init__(
        self, root: Path, clock: Clock, ledger: Ledger, owner: Owner, loaded: file.Loaded
    ) -> None:
        self.root = root
        self.clock = clock
        self.ledger = ledger
        self.owner = owner
        self.loaded = loaded
        self.config_error: ConfigError | None = None
        self._sources: dict[str, tuple[DbProfile, Source]] = {}
        self._providers: dict[str, tuple[LlmProfile, Provider]] = {}
        self.engine = LocalEngine(ledger, clock, owner, settled=settled)

    @property
    def settings(self) -> Settings:
        return self.loaded.settings

    async def apply(self, loaded: file.Loaded) -> None:
        """Take a new config: what it changed is closed and opened again when next asked for."""
        self.loaded = loaded
        for name, (made_from, source) in list(self._sources.items()):
            if self.settings.db_profiles.get(name) != made_from:
                del self._sources[name]
                await source.database.aclose()
        for name, (made_of, provider) in list(self._providers.items()):
            if self.settings.llm_profiles.get(name) != made_of:
                del self._providers[name]
                await provider.aclose()

    def schedule(self, name: str) -> Schedule:
        """Return the named schedule. Raises: UsageError."""
        found = self.settings.schedules.get(name)
        if found is None:
            known = ", ".join(sorted(self.settings.schedules)) or "none yet"
            raise UsageError(f"there is no schedule {name!r} (there are: {known})")
        return found

    def source(self, name: str) -> Source:
        """Return a db profile, opened but not yet connected. Raises: UsageError."""
        profile = self.settings.db_profile(name)
        if name not in self._sources:
            url = secrets.resolve(profile.url, environ=os.environ, relative_to=self.root)
            made = Source(
                profile=name,
                database=databases.connect(url, relative_to=self.root),
                snapshots=SnapshotCache(folder.cache_file(self.root, name)),
                ledger=self.ledger,
                clock=self.clock,
                ignore=tuple(profile.ignore),
                refresh=timedelta(minutes=profile.refresh_minutes),
            )
            self._sources[name] = (profile, made)
        return self._sources[name][1]

    def provider(self, name: str) -> Provider:
        """Return a language model. Raises: UsageError."""
        profile = self.settings.llm_profile(name)
        if name not in self._providers:
            key = None
            if profile.api_key is not None:
                key = secrets.resolve(profile.api_key, environ=os.environ, relative_to=self.root)
            spec = providers.ProviderSpec(
                provider=profile.dialect,
                model=profile.model,
                base_url=profile.base_url,
                api_key=key,
                temperature=profile.temperature,
                max_concurrency=profile.max_concurrency,
            )
            self._providers[name] = (profile, providers.make(spec, clock=self.clock))
        return self._providers[name][1]

    @property
    def handler(self) -> Handler:
        """Return what executes a run of either kind."""
        return lambda context: work(context, self.drafter())

    def drafter(self) -> Drafter:
        return Drafter(
            settings=self.settings,
            source=self.source,
            provider=self.provider,
            ledger=self.ledger,
            clock=self.clock,
            owner=self.owner.name,
        )

    def slots(self) -> Slots:
        """Return how many runs may go on at once, as the settings say now."""
        return Slots(
            total=self.settings.daemon.worker_slots,
            profiles={
                name: profile.max_concurrent_runs
                for name, profile in self.settings.db_profiles.items()
            },
            schedules={
                name: schedule.max_concurrent for name, schedule in self.settings.schedules.items()
            },
        )

    def files_mark(self, paths: list[str]) -> str:
        """Return the digest of the files that a trigger watches; our own file left out."""
        return digest(paths, self.root, leave_out=frozenset({databases.OWN_FILE})).mark

    async def aclose(self) -> None:
        for _, source in self._sources.values():
            await source.database.aclose()
        for _, provider in self._providers.values():
            await provider.aclose()
        await self.ledger.aclose()
        self.owner.release()
