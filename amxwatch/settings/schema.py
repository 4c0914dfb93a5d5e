"""What may stand in `amxwatch.toml` and the drop-ins, with every default.

Relative paths (a database file, documents, watched files, a vision) start at the config folder,
whether they stand in `amxwatch.toml` or in a drop-in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from difflib import get_close_matches
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from amxwatch.core.errors import UsageError
from amxwatch.core.intake import Priority
from amxwatch.core.scope import Scope
from amxwatch.settings.alerts import Alerts
from amxwatch.settings.continuous import Continuous
from amxwatch.settings.denied import ColumnPattern
from amxwatch.settings.intake import IntakeSettings
from amxwatch.settings.retention import Retention
from amxwatch.settings.table import Loc, Table, refuse
from amxwatch.settings.value import (
    Address,
    CanonicalScope,
    Count,
    Dollars,
    IgnorePattern,
    Name,
    NonNegative,
    PlanTrigger,
    Port,
    Positive,
    Share,
    Temperature,
    Text,
    Whole,
    Zone,
    refusal,
)

BUILTIN = "builtin"
"""The llm profile, and the provider, that needs no key, no network and no model."""

PROVIDERS = ("builtin", "openai", "anthropic", "ollama")

ALL_WINDOW_HOURS = 168.0
"""How far back `catch_up = "all"` goes where nothing else is said: a week."""

TEMPLATE_NAMES = ("date", "day_of_week", "timestamp", "run_number")
"""What `input_template` may name in double braces."""


MAX_NAMES = 20
"""How many names an error lists."""

MAX_HINTS = 100
"""How many wrong names get a search for what was meant; more are never shown."""


class DbProfile(Table):
    """A named connection to a database. `url` is a reference or a URL; never print it."""

    name: str
    url: Address = Field(repr=False)
    read_url: Address | None = Field(default=None, repr=False)
    profiling_mode: Literal["none", "sampled", "full"] = "sampled"
    profiling_sample_size: Count = 5000
    profile_max_age_hours: NonNegative = 24.0
    samples: Literal["none", "shapes", "masked", "raw"] = "shapes"
    local_only: bool = Field(default=False, strict=True)
    samples_deny: tuple[ColumnPattern, ...] = ()
    description_owner: Literal["people", "amxwatch", "file"] = "people"
    description_file: Text | None = None
    inherit_descriptions: bool = Field(default=True, strict=True)
    ignore: tuple[IgnorePattern, ...] = ()
    refresh_minutes: Positive = 15.0
    max_concurrent_runs: Count = 1
    docs: tuple[Name, ...] = ()
    code: tuple[Name, ...] = ()


class LlmProfile(Table):
    """A named connection to a language model. `api_key` is a reference; never print it."""

    name: str
    provider: Text
    model: Text = ""
    base_url: Address | None = Field(default=None, repr=False)
    api_key: Text | None = Field(default=None, repr=False)
    column_batch_size: Count = 10
    n_alternatives: Count = 3
    alternatives_mode: Literal["paraphrases", "meanings"] = "paraphrases"
    confidence_signal: Literal[
        "self_consistency", "logprobs", "judge", "verbalized", "evidence"
    ] = "self_consistency"
    confidence_samples: Whole = 3
    logprob_high: Share = 0.85
    logprob_medium: Share = 0.50
    max_concurrency: Count = 4
    temperature: Temperature = 0.2
    prompt_detail: Literal["low", "medium", "high"] = "high"
    verbosity: Literal["one_sentence", "short", "paragraph"] = "one_sentence"
    batch: bool = Field(default=False, strict=True)
    timeout_seconds: Positive = 600.0
    input_usd_per_mtok: Dollars | None = None
    output_usd_per_mtok: Dollars | None = None
    cached_input_usd_per_mtok: Dollars | None = None

    @property
    def dialect(self) -> str:
        """How to talk to it: the provider, or `openai` for any other that has a `base_url`."""
        return self.provider if self.provider in PROVIDERS else "openai"

    @model_validator(mode="before")
    @classmethod
    def _model_of_builtin(cls, value: Any) -> Any:
        if isinstance(value, dict) and value.get("provider") == BUILTIN:
            return {"model": "rules", **value}
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        wrong = []
        if self.provider not in PROVIDERS and self.base_url is None:
            allowed = f"one of: {', '.join(PROVIDERS)}; or any other name together with a base_url"
            wrong.append((("provider",), allowed))
        if not self.model:
            wrong.append((("model",), "the name of a model, as its provider spells it"))
        prices = ("input_usd_per_mtok", "output_usd_per_mtok", "cached_input_usd_per_mtok")
        both = [getattr(self, name) is not None for name in prices]
        if any(both) and not (both[0] and both[1]):
            lacking = prices[0] if not both[0] else prices[1]
            wrong.append(((lacking,), "a price as well: a part of it is no price"))
        if self.logprob_medium > self.logprob_high:
            wrong.append((("logprob_medium",), f"at most logprob_high ({self.logprob_high})"))
        refuse(wrong)
        return self


class DocProfile(Table):
    """A folder of documents that describe the data."""

    path: Text


class CodeProfile(Table):
    """A folder of code that reads or writes the data."""

    path: Text


class Defaults(Table):
    """What is used where no flag is given."""

    db_profile: Name | None = None
    llm_profile: Name | None = None


class Budget(Table):
    """The spending limits of the whole install; None is no limit."""

    per_run_usd: Dollars | None = None
    per_day_usd: Dollars | None = None
    on_limit: Literal["pause_and_escalate", "warn"] = "pause_and_escalate"
    timezone: Zone = "UTC"


class ScheduleBudget(Table):
    """A schedule's own limit, beside the install's."""

    per_run_usd: Dollars | None = None


class DaemonSettings(Table):
    """How the daemon looks and works."""

    poll_seconds: Positive = 60.0
    worker_slots: Count = 4


class StudioSettings(Table):
    """Where Studio listens."""

    host: Text = "127.0.0.1"
    port: Port = 8765


class Schedule(Table):
    """What to run, on which scope, by which trigger. `scope` is in canonical spelling."""

    name: str
    kind: Literal["analyze", "cache_refresh"] = "analyze"
    enabled: bool = Field(default=True, strict=True)
    db_profile: Name
    llm_profile: Name | None = None
    database: Name | None = None
    scope: CanonicalScope = "all"
    review_strategy: Literal["manual", "auto"] = "manual"
    trigger: PlanTrigger
    priority: Literal["p0", "p1", "p2", "p3"] = "p2"
    max_concurrent: Count = 1
    skip_if_running: bool = Field(default=True, strict=True)
    timeout_seconds: Positive = 1800.0
    max_retries: Whole = 3
    pause_after_failures: Count | None = None
    catch_up: Literal["once", "none", "all"] | None = None
    catch_up_window_hours: Positive | None = None
    grace_seconds: NonNegative = 300.0
    session_mode: Literal["new", "persistent"] = "new"
    input_template: Text | None = None
    trigger_reason: Text | None = None
    max_requests: Count | None = None
    budget: ScheduleBudget = ScheduleBudget()
    continuous: Continuous = Continuous()

    @property
    def parsed_scope(self) -> Scope:
        return Scope.parse(self.scope)

    @property
    def catch_up_policy(self) -> str:
        """What happens to a firing that came due while nothing ran."""
        return self.catch_up or ("none" if self.trigger.type == "at" else "once")

    @property
    def catch_up_window(self) -> timedelta | None:
        """How old a firing may be and still be caught up; None for any age."""
        hours = self.catch_up_window_hours
        if hours is None and self.catch_up_policy == "all":
            hours = ALL_WINDOW_HOURS
        return None if hours is None else timedelta(hours=hours)

    @property
    def run_priority(self) -> int:
        """The `priority` of its runs."""
        return Priority(self.priority).of_run

    @property
    def timezone(self) -> str:
        """The zone of its trigger; UTC for one that goes by no clock."""
        return getattr(self.trigger, "timezone", "UTC")

    @property
    def armed_mark(self) -> str:
        """What a schedule is armed by; when it moves, it is armed again. Ends in the profile."""
        return f"{self.trigger.hash()}\n{self.db_profile}"

    @property
    def reason(self) -> str:
        return self.trigger_reason or f"schedule:{self.name}"

    @model_validator(mode="after")
    def _can_be_continuous(self) -> Self:
        wrong: list[tuple[Loc, str]] = []
        if self.continuous.enabled and self.trigger.type in ("change", "files"):
            allowed = "at, every or cron, as continuous.enabled = true: a due time starts a session"
            wrong.append((("trigger", "type"), allowed))
        if self.continuous.enabled and self.kind != "analyze":
            wrong.append((("kind",), "analyze, as continuous.enabled = true"))
        refuse(wrong)
        return self

    @field_validator("input_template")
    @classmethod
    def _names_are_known(cls, text: str | None) -> str | None:
        for name in re.findall(r"\{\{([^{}]{0,200})\}\}", text or ""):
            if name.strip() not in TEMPLATE_NAMES:
                known = ", ".join(f"{{{{{name}}}}}" for name in TEMPLATE_NAMES)
                raise refusal(f"text that names only {known}")
        return text


NAMED = ("db_profiles", "llm_profiles", "schedules")
"""The tables whose entries carry the name that they are filed under."""


class Settings(Table):
    """Everything that one install was told. The llm profile `builtin` is always there."""

    db_profiles: dict[Name, DbProfile] = Field(default={})
    llm_profiles: dict[Name, LlmProfile] = Field(default={})
    doc_profiles: dict[Name, DocProfile] = Field(default={})
    code_profiles: dict[Name, CodeProfile] = Field(default={})
    defaults: Defaults = Defaults()
    budget: Budget = Budget()
    daemon: DaemonSettings = DaemonSettings()
    studio: StudioSettings | None = None
    alerts: Alerts = Alerts()
    intake: IntakeSettings = IntakeSettings()
    retention: Retention = Retention()
    schedules: dict[Name, Schedule] = Field(default={})

    @property
    def default_db_profile(self) -> str | None:
        """The default, or the only db profile there is."""
        if self.defaults.db_profile is None and len(self.db_profiles) == 1:
            return next(iter(self.db_profiles))
        return self.defaults.db_profile

    @property
    def default_llm_profile(self) -> str:
        return self.defaults.llm_profile or BUILTIN

    def db_profile(self, name: str | None = None) -> DbProfile:
        """Return the named profile, or the default one. Raises: UsageError."""
        name = name or self.default_db_profile
        if name is None:
            raise UsageError(
                f"no db profile chosen: give --db PROFILE or set one with `db use`"
                f" ({_one_of('db profile', self.db_profiles)})"
            )
        if name not in self.db_profiles:
            raise UsageError(
                f"no db profile {name!r}: {_one_of('db profile', self.db_profiles, name)}"
            )
        return self.db_profiles[name]

    def llm_profile(self, name: str | None = None) -> LlmProfile:
        """Return the named profile, or the default one. Raises: UsageError."""
        name = name or self.default_llm_profile
        if name not in self.llm_profiles:
            raise UsageError(
                f"no llm profile {name!r}: {_one_of('llm profile', self.llm_profiles, name)}"
            )
        return self.llm_profiles[name]

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        filled = dict(value)
        llm_profiles = filled.get("llm_profiles", {})
        if isinstance(llm_profiles, dict):
            filled["llm_profiles"] = {BUILTIN: {"provider": BUILTIN}, **llm_profiles}
        for kind in NAMED:
            entries = filled.get(kind)
            if isinstance(entries, dict):
                filled[kind] = {
                    name: {"name": name, **entry} if isinstance(entry, dict) else entry
                    for name, entry in entries.items()
                }
        return filled

    @model_validator(mode="after")
    def _references_exist(self) -> Self:
        wrong: list[tuple[Loc, str]] = []
        for loc, kind, name, there in self._references():
            if name is not None and name not in there:
                few = len(wrong) < MAX_HINTS
                wrong.append((loc, _one_of(kind, there, name) if few else "a name that exists"))
        for kind in NAMED:
            for filed, entry in getattr(self, kind).items():
                if entry.name != filed:
                    wrong.append(((kind, filed, "name"), f"no such key: the name is {filed!r}"))
        refuse(wrong)
        return self

    def _references(self) -> list[tuple[Loc, str, str | None, Mapping[str, Table]]]:
        """List (where, kind, name, the names there are) for every profile that is named."""
        db, llm = self.db_profiles, self.llm_profiles
        found: list[tuple[Loc, str, str | None, Mapping[str, Table]]] = [
            (("defaults", "db_profile"), "db profile", self.defaults.db_profile, db),
            (("defaults", "llm_profile"), "llm profile", self.defaults.llm_profile, llm),
            (("intake", "db_profile"), "db profile", self.intake.db_profile, db),
            (("intake", "llm_profile"), "llm profile", self.intake.llm_profile, llm),
        ]
        for place, watch in enumerate(self.intake.git):
            loc: Loc = ("intake", "git", place, "db_profile")
            found.append((loc, "db profile", watch.db_profile, db))
        for name, profile in db.items():
            for place, doc in enumerate(profile.docs):
                found.append(
                    (("db_profiles", name, "docs", place), "doc profile", doc, self.doc_profiles)
                )
            for place, code in enumerate(profile.code):
                found.append(
                    (("db_profiles", name, "code", place), "code profile", code, self.code_profiles)
                )
        for name, plan in self.schedules.items():
            found.append((("schedules", name, "db_profile"), "db profile", plan.db_profile, db))
            found.append((("schedules", name, "llm_profile"), "llm profile", plan.llm_profile, llm))
        return found


def _one_of(kind: str, there: Mapping[str, Table], name: str = "") -> str:
    """Say which names of a kind there are, with the one that was probably meant."""
    if not there:
        return f"the name of a {kind}, but there is none yet: add [{kind.replace(' ', '_')}s.NAME]"
    near = get_close_matches(name, there, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    names = sorted(there)
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f"{hint}the {kind}s are: {', '.join(names[:MAX_NAMES])}{more}"
