"""Open one install: its settings, ledger, sources, models and engine.

The only module that names concrete parts. The command line, the daemon and the tests open an
`Install` and hand its pieces to the flows. What most commands do not need (databases, models,
the catalog cache) is imported when it is first asked for, so that they answer at once.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

from amxwatch.clocks.system import SystemClock
from amxwatch.core.catalog import Catalog, ObjectRef
from amxwatch.core.errors import ConfigError, UsageError
from amxwatch.core.run import Outcome, Slots
from amxwatch.daemon.late import late
from amxwatch.engines.local import LocalEngine
from amxwatch.engines.owner import Owner
from amxwatch.flows.progress import ReportProgress, silent
from amxwatch.flows.settling import settled
from amxwatch.flows.source import Source
from amxwatch.ports.clock import Clock
from amxwatch.ports.database import Database
from amxwatch.ports.engine import Handler, RunContext
from amxwatch.ports.ledger import Ledger
from amxwatch.ports.notifier import Notifier
from amxwatch.ports.provider import Provider
from amxwatch.ports.snapshots import Snapshots
from amxwatch.settings.document import dotted
from amxwatch.settings.file import Loaded, load
from amxwatch.settings.folder import Folder, prepare
from amxwatch.settings.plans import limits
from amxwatch.settings.reload import dump, restore_large
from amxwatch.settings.schema import DbProfile, LlmProfile, Settings
from amxwatch.settings.secrets import resolve
from amxwatch.stores.ledger import open_ledger

if TYPE_CHECKING:
    from amxwatch.context.library import Library
    from amxwatch.flows.alerting import Teller
    from amxwatch.flows.goals import Measures
    from amxwatch.flows.job import Drafting
    from amxwatch.providers import ProviderSpec


class Install:
    """One config folder, opened. Made by `open_install`; parts are made when first asked for.

    `config_error` is set where the files are wrong and the stored last good config stands in.
    """

    def __init__(
        self,
        *,
        folder: Folder,
        clock: Clock,
        ledger: Ledger,
        owner: Owner,
        loaded: Loaded,
        config_error: ConfigError | None,
    ) -> None:
        self.folder = folder
        self.clock = clock
        self.ledger = ledger
        self.owner = owner
        self.loaded = loaded
        self.config_error = config_error
        self.engine = LocalEngine(ledger=ledger, clock=clock, owner=owner, settled=settled)
        self._sources: dict[str, tuple[DbProfile, Source]] = {}
        self._providers: dict[str, tuple[LlmProfile, Provider]] = {}
        self._retired: list[Database | Provider] = []
        self._limits: dict[str, int] = {}
        self._limits_of: object = None
        # By profile: they outlive an edit of it, as a run that goes on does.
        self._applying: dict[str, set[int]] = {}
        self._settling: dict[str, anyio.Lock] = {}

    @property
    def settings(self) -> Settings:
        return self.loaded.settings

    def fault_of(self, schedule: str) -> str | None:
        """Return what the files say wrongly of a schedule, while the last good config stands in."""
        if self.config_error is None:
            return None
        key = dotted(("schedules", schedule))
        for problem in self.config_error.problems:
            if problem.key == key or problem.key.startswith(f"{key}."):
                return f"{problem}; the last good config is used"
        return None

    async def apply(self, loaded: Loaded) -> None:
        """Take a new config and remember it as the last good one.

        What it changed is closed, and opened anew when next asked for. A run that goes on
        keeps the parts it has; the edit holds from the next run.
        """
        self.loaded, self.config_error = loaded, None
        for name, (made_from, _) in list(self._sources.items()):
            if self.settings.db_profiles.get(name) != made_from:
                self._retired += self._sources.pop(name)[1].databases
        for name, (made_of, _) in list(self._providers.items()):
            if self.settings.llm_profiles.get(name) != made_of:
                self._retired.append(self._providers.pop(name)[1])
        await self.remember_config()

    async def remember_config(self) -> None:
        """Store the config in force as the last good one, where it is news."""
        known = await self.ledger.read(lambda tx: tx.installation.good_config())
        if known is not None and not self.loaded.whole:
            return
        document = dump(self.settings)
        if known != document:
            await self.ledger.write(lambda tx: tx.installation.keep_config(document))

    async def close_retired(self) -> None:
        """Close what an edit replaced, once no run can be using it any more."""
        while self._retired and self.engine.is_idle:
            await self._retired.pop().aclose()

    def source(self, name: str | None = None) -> Source:
        """Return a db profile (None: the default one), opened, not yet connected.

        Raises: UsageError for a name that is not in the config.
        """
        from amxwatch.databases.unreachable import Unreachable

        profile = self.settings.db_profile(name)
        if profile.name in self._sources:
            return self._sources[profile.name][1]
        database = self._database(profile.url)
        made = Source(
            profile=profile.name,
            database=database,
            replica=self._database(profile.read_url) if profile.read_url else None,
            remember=getattr(database, "remember", None),
            applying=self._applying.setdefault(profile.name, set()),
            settling=self._settling.setdefault(profile.name, anyio.Lock()),
            snapshots=late(lambda: self._cache(profile.name)),
            ledger=self.ledger,
            clock=self.clock,
            ignore=profile.ignore,
            words_of_files=self._words_of_files(profile),
            refresh=timedelta(minutes=profile.refresh_minutes),
        )
        if not isinstance(database, Unreachable):
            self._sources[profile.name] = (profile, made)
        return made

    def _cache(self, profile: str) -> Snapshots:
        from amxwatch.stores.snapshots import SnapshotCache

        return SnapshotCache(self.folder.cache_file(profile))

    def _words_of_files(
        self, profile: DbProfile
    ) -> Callable[[Catalog], dict[ObjectRef, str]] | None:
        """Return what reads the properties files that decide over this profile's descriptions."""
        if profile.description_owner != "file":
            return None
        codes = [self.settings.code_profiles[name].path for name in profile.code]
        given = [profile.description_file] if profile.description_file else codes
        places = [self.folder.path / Path(place).expanduser() for place in given]

        def owned(catalog: Catalog) -> dict[ObjectRef, str]:
            from amxwatch.exports.schema_yml import described

            found: dict[ObjectRef, str] = {}
            for place in places:
                found |= described(place, catalog)
            return found

        return owned

    def _database(self, reference: str) -> Database:
        """Return the database of a URL; where it cannot be known, one that says why.

        So what only reads the catalog cache works while a secret is missing.
        """
        from amxwatch import databases
        from amxwatch.databases.unreachable import Unreachable

        try:
            url = resolve(reference, environ=os.environ, relative_to=self.folder.path)
            return databases.connect(
                url.get_secret_value(),
                relative_to=self.folder.path,
                options=databases.ConnectOptions(clock=self.clock),
            )
        except UsageError as error:
            return Unreachable(error)

    def watch_paths(self, name: str) -> tuple[Path, ...]:
        """Return the files whose moves are hints to look at this db profile."""
        from amxwatch import databases

        url = resolve(
            self.settings.db_profile(name).url, environ=os.environ, relative_to=self.folder.path
        )
        return databases.watch_paths(url.get_secret_value(), relative_to=self.folder.path)

    def provider(self, name: str | None = None) -> Provider:
        """Return a language model (None: the default one). Raises: UsageError."""
        from amxwatch import providers

        profile = self.settings.llm_profile(name)
        if profile.name not in self._providers:
            made = providers.make(self._spec(profile), clock=self.clock)
            self._providers[profile.name] = (profile, made)
        return self._providers[profile.name][1]

    def _spec(self, profile: LlmProfile) -> ProviderSpec:
        from amxwatch.providers import ProviderSpec

        key = profile.api_key and resolve(
            profile.api_key, environ=os.environ, relative_to=self.folder.path
        )
        return ProviderSpec(
            provider=profile.dialect,
            model=profile.model,
            base_url=profile.base_url,
            api_key=key.get_secret_value() if key else None,
            temperature=profile.temperature,
            timeout=profile.timeout_seconds,
            max_concurrency=profile.max_concurrency,
            input_usd_per_mtok=profile.input_usd_per_mtok,
            output_usd_per_mtok=profile.output_usd_per_mtok,
            cached_input_usd_per_mtok=profile.cached_input_usd_per_mtok,
            logprobs=True,
        )

    def handler(self, report: ReportProgress = silent) -> Handler:
        """Return what executes a run of either kind."""

        async def handle(context: RunContext) -> Outcome:
            from amxwatch.flows.work import work

            return await work(context, drafting())

        drafting = cache(lambda: self.drafting(report))
        return handle

    def drafting(self, report: ReportProgress = silent) -> Drafting:
        """Return what an analyze run, or a rehearsal of one, needs of this install."""
        from amxwatch.flows.job import Drafting

        return Drafting(
            settings=lambda: self.settings,
            source=self.source,
            provider=self.provider,
            ledger=self.ledger,
            clock=self.clock,
            owner=self.owner.name,
            is_dead=self.owner.is_dead,
            report=report,
            library=self.library,
        )

    def notifier(self, target: str) -> Notifier:
        """Return what tells a target of alerts. Raises: UsageError, NotifyRefusedError."""
        from amxwatch import notify
        from amxwatch.daemon.target import spec_of

        return notify.make(spec_of(self.settings, target, self.folder.path), clock=self.clock)

    def teller(self, *, is_daemon: bool = False) -> Teller:
        """Return what finds and tells alerts; `is_daemon` where this process is the one."""
        from amxwatch.flows.alerting import Teller

        return Teller(
            ledger=self.ledger,
            clock=self.clock,
            settings=lambda: self.settings,
            source=self.source,
            notifier=self.notifier,
            owner=self.owner.name,
            is_dead=self.owner.is_dead,
            is_daemon=is_daemon,
        )

    def slots(self) -> Slots:
        """Return how many runs may go on at once, as the settings say now."""
        profiles = self.settings.db_profiles
        if self._limits_of is not self.settings.schedules:
            # One slot is what a schedule has without being named.
            self._limits = limits(self.settings.schedules)
            self._limits_of = self.settings.schedules
        return Slots(
            total=self.settings.daemon.worker_slots,
            profiles={name: profile.max_concurrent_runs for name, profile in profiles.items()},
            schedules=self._limits,
        )

    @cached_property
    def library(self) -> Library:
        """Where documents and code are indexed."""
        from amxwatch.context.library import Library

        return Library(indexes=self.folder.path / "context", relative_to=self.folder.path)

    @cached_property
    def measures(self) -> Measures:
        """What this process remembers of the goals of its sessions."""
        from amxwatch.flows.goals import Measures

        return Measures()

    async def read_goals(self, file: str) -> str:
        """Return the text of a goals file; a relative path starts at the config folder.

        Raises: UsageError.
        """
        from amxwatch.settings.goals_file import read_goals

        return await anyio.to_thread.run_sync(read_goals, self.folder.path, file)

    async def files_mark(self, paths: Sequence[str]) -> str:
        """Return the digest of the files that a trigger watches; those we write left out."""
        from amxwatch.databases import OWN_FILE
        from amxwatch.watchers.files import digest

        own = frozenset({OWN_FILE})
        marks = await anyio.to_thread.run_sync(
            lambda: digest(paths, self.folder.path, leave_out=own)
        )
        return marks.mark

    async def aclose(self) -> None:
        """Close every part. May be called twice."""
        for retired in self._retired:
            await retired.aclose()
        for _, source in self._sources.values():
            for database in source.databases:
                await database.aclose()
        for _, provider in self._providers.values():
            await provider.aclose()
        await self.ledger.aclose()
        self.owner.release()


@asynccontextmanager
async def open_install(
    config_dir: Path,
    *,
    clock: Clock | None = None,
    strict: bool = True,
    about: Sequence[str] | None = None,
) -> AsyncIterator[Install]:
    """Open the install in `config_dir`, making the folder where there is none.

    Where the config is wrong: with `strict` that is raised; else the stored last good config
    stands in, and `config_error` says why. `about` names the schedules that are needed, if not
    all: see `settings.file.load`. Raises: ConfigError, StoreError, UsageError.
    """
    clock = clock or SystemClock()
    folder = await anyio.to_thread.run_sync(prepare, config_dir)
    loaded, wrong = await anyio.to_thread.run_sync(_try_load, config_dir, about)
    if wrong is not None and strict:
        raise wrong
    ledger = await anyio.to_thread.run_sync(open_ledger, folder.state, clock)
    if wrong is not None:
        loaded = await _last_good(ledger, folder, wrong)
    install = Install(
        folder=folder,
        clock=clock,
        ledger=ledger,
        owner=await anyio.to_thread.run_sync(Owner.acquire, folder.path / "owners"),
        loaded=loaded,
        config_error=wrong,
    )
    try:
        yield install
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(2):
            await install.aclose()


def _try_load(config_dir: Path, about: Sequence[str] | None) -> tuple[Loaded, ConfigError | None]:
    try:
        return load(config_dir, about=about), None
    except ConfigError as error:
        return Loaded(settings=Settings()), error


async def _last_good(ledger: Ledger, folder: Folder, wrong: ConfigError) -> Loaded:
    document = await ledger.read(lambda tx: tx.installation.good_config())
    if document is None:
        raise wrong
    return Loaded(settings=restore_large(document, folder))
