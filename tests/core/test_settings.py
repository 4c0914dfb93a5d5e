"""The rules of the config: what a value may be, where a key stands, what a text may show."""

from __future__ import annotations

import re
import string
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import pytest
import tomli_w
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr, ValidationError

from amxwatch.core.errors import UsageError
from amxwatch.settings.continuous import IdleExpansion
from amxwatch.settings.document import dotted
from amxwatch.settings.folder import config_dir, service_label, slug
from amxwatch.settings.positions import Positions
from amxwatch.settings.reload import dump, restore
from amxwatch.settings.schema import Schedule, Settings
from amxwatch.settings.secrets import is_plain, redact, resolve
from amxwatch.triggers import At, CatalogChange, Cron, Every, Files
from tests.conftest import ROOT

EXAMPLE = ROOT / "config" / "amxwatch.toml"

MINIMAL: dict[str, Any] = {
    "db_profiles": {"prod": {"url": "env:PROD_DB_URL"}},
    "schedules": {"nightly": {"db_profile": "prod", "trigger": {"type": "every", "minutes": 60}}},
}


def validated(text: str) -> Settings:
    return Settings.model_validate(tomllib.loads(text))


def test_an_empty_config_has_the_defaults_and_the_builtin_drafter() -> None:
    empty = Settings()

    assert Settings.model_validate({}).llm_profile().provider == "builtin"
    assert Settings.model_validate({}).llm_profile().model == "rules"
    assert Settings.model_validate({}).default_db_profile is None
    assert (empty.daemon.poll_seconds, empty.daemon.worker_slots) == (60, 4)
    assert (empty.alerts.consecutive_failures, empty.alerts.window_days) == (3, 30)
    assert empty.budget.per_run_usd is None
    assert empty.budget.on_limit == "pause_and_escalate"
    assert empty.studio is None


def test_a_schedule_needs_only_a_profile_and_a_trigger() -> None:
    plan = Settings.model_validate(MINIMAL).schedules["nightly"]

    assert (plan.name, plan.kind, plan.enabled, plan.scope) == ("nightly", "analyze", True, "all")
    assert (plan.review_strategy, plan.llm_profile) == ("manual", None)
    assert (plan.timeout_seconds, plan.grace_seconds, plan.max_concurrent) == (1800, 300, 1)
    assert (plan.skip_if_running, plan.session_mode, plan.max_requests) == (True, "new", None)
    assert plan.reason == "schedule:nightly"
    assert plan.parsed_scope.is_all
    assert plan.continuous.enabled is False
    assert plan.continuous.idle_expansion.sources == ("VISION.md", "ROADMAP.md")


def test_late_firings_are_caught_up_but_for_one_shots() -> None:
    text = """
        db_profiles.p.url = "env:X"
        [schedules]
        once = { db_profile = "p", trigger = { type = "at", at = "2030-01-01 09:00" } }
        cron = { db_profile = "p", trigger = { type = "cron", cron = "0 3 * * *" } }
        said = { db_profile = "p", catch_up = "none", trigger = { type = "every", minutes = 5 } }
    """
    plans = validated(text).schedules

    assert {name: plan.catch_up_policy for name, plan in plans.items()} == {
        "once": "none",
        "cron": "once",
        "said": "none",
    }


def test_the_only_db_profile_is_the_default() -> None:
    assert Settings.model_validate(MINIMAL).db_profile().name == "prod"
    two = validated('db_profiles.a.url = "env:A"\ndb_profiles.b.url = "env:B"')
    with pytest.raises(UsageError, match=r"--db PROFILE.*a, b"):
        two.db_profile()
    with pytest.raises(UsageError, match="no db profile 'c'"):
        two.db_profile("c")
    chosen = validated(
        'db_profiles.a.url = "env:A"\ndb_profiles.b.url = "env:B"\ndefaults.db_profile = "b"'
    )
    assert chosen.db_profile().name == "b"


def test_a_user_may_define_builtin_themselves() -> None:
    told = validated('[llm_profiles.builtin]\nprovider = "openai"\nmodel = "m"')
    assert told.llm_profile().provider == "openai"


def test_any_provider_with_a_base_url_speaks_openai() -> None:
    told = validated(
        '[llm_profiles.x]\nprovider = "groq"\nmodel = "m"\nbase_url = "https://h.example/v1"'
    )
    assert told.llm_profile("x").dialect == "openai"
    with pytest.raises(ValidationError, match="together with a base_url"):
        validated('[llm_profiles.x]\nprovider = "groq"\nmodel = "m"')


def test_scopes_are_kept_in_canonical_spelling_and_lists_are_unions() -> None:
    plan = {
        "db_profile": "prod",
        "trigger": {"type": "change"},
        "scope": ["table:s.t", "schema:a, b"],
    }
    told = Settings.model_validate({**MINIMAL, "schedules": {"x": plan}})
    assert told.schedules["x"].scope == "schema:a,b;table:s.t"


def test_money_keeps_its_digits() -> None:
    assert validated("budget.per_run_usd = 0.1").budget.per_run_usd == Decimal("0.1")


@pytest.mark.parametrize(
    "name", ["prod", "a b", "müşteri.sipariş", "日本", 'it\'s "x"', "👩‍💻", "x" * 200]
)
def test_names_are_any_printable_text(name: str) -> None:
    told = Settings.model_validate({"db_profiles": {name: {"url": "env:X"}}})
    assert told.db_profiles[name].name == name


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "a\x00b", "a\x1bb", "a\u2028b", "x" * 201])
def test_names_with_control_characters_are_refused(name: str) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate({"db_profiles": {name: {"url": "env:X"}}})


@pytest.mark.parametrize(
    "text",
    [
        "daemon.poll_seconds = 0",
        "daemon.poll_seconds = nan",
        "daemon.poll_seconds = 1e300",
        'daemon.poll_seconds = "60"',
        "daemon.worker_slots = true",
        "daemon.worker_slots = 1.5",
        "studio.port = 65536",
        "budget.per_run_usd = -1",
        "budget.per_day_usd = inf",
        'budget.timezone = "Mars/Base"',
        'db_profiles.a.url = "warehouse.duckdb"',
        'db_profiles.a = { url = "env:X", ignore = ["a.b.c"] }',
        'db_profiles.a = { url = "env:X", docs = ["absent"] }',
        'db_profiles.a = { url = "env:X", name = "b" }',
        'llm_profiles.a = { provider = "openai" }',
        'llm_profiles.a = { provider = "builtin", logprob_high = 0.1 }',
        'llm_profiles.a = { provider = "builtin", temperature = 3 }',
        "unknown = 1",
        "schedules = 1",
    ],
)
def test_what_is_out_of_range_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        validated(text)


@pytest.mark.parametrize(
    "line",
    [
        'scope = "schma:x"',
        "enabled = 1",
        'input_template = "{{run_nmber}}"',
        "continuous = { enabled = true }",
        'catch_up = "twice"',
        "max_requests = 0",
        'db_profile = "absent"',
        'llm_profile = "absent"',
    ],
)
def test_what_a_schedule_cannot_be_is_refused(line: str) -> None:
    table = {**MINIMAL["schedules"]["nightly"], **tomllib.loads(line)}
    with pytest.raises(ValidationError):
        Settings.model_validate({**MINIMAL, "schedules": {"x": table}})


def test_settings_do_not_show_secrets() -> None:
    told = validated(
        'db_profiles.a.url = "postgresql://u:hunter2@h/d"\n'
        '[llm_profiles.c]\nprovider = "openai"\nmodel = "m"\napi_key = "sk-hunter2"'
    )
    assert "hunter2" not in repr(told)


# ---- the example ------------------------------------------------------------------------------


def models_in(annotation: Any) -> set[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        found = {annotation}
        for field in annotation.model_fields.values():
            found |= models_in(field.annotation)
        return found
    return {model for part in get_args(annotation) for model in models_in(part)}


def test_the_example_mentions_every_key() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    own = {model for model in models_in(Settings) if "type" not in model.model_fields}
    keys = {key for model in own for key in model.model_fields} - {"name"}

    assert {Settings, Schedule, IdleExpansion} <= own
    assert {key for key in keys if not re.search(rf"\b{key}\b", text)} == set()


def test_the_example_mentions_every_choice() -> None:
    text = EXAMPLE.read_text(encoding="utf-8")
    choices = {
        choice
        for model in models_in(Settings)
        if "type" not in model.model_fields
        for field in model.model_fields.values()
        for part in (field.annotation, *get_args(field.annotation))
        for choice in get_args(part)
        if isinstance(choice, str)
    }
    assert "paraphrases" in choices
    assert {choice for choice in choices if not re.search(rf"\b{choice}\b", text)} == set()


def test_the_example_shows_every_trigger() -> None:
    told = validated(EXAMPLE.read_text(encoding="utf-8"))
    shown = {type(plan.trigger) for plan in told.schedules.values()}
    assert shown == {At, Every, Cron, CatalogChange, Files}


# ---- the ledger's copy ------------------------------------------------------------------------


def test_the_stored_copy_restores_to_the_same_settings() -> None:
    told = validated(EXAMPLE.read_text(encoding="utf-8"))
    assert restore(dump(told)) == told


def test_the_stored_copy_holds_no_plain_secret_and_says_so_when_one_is_wanted() -> None:
    told = validated(
        '[db_profiles.a]\nurl = "postgresql://u:hunter2@h/d"\n'
        '[db_profiles.b]\nurl = "duckdb:///w.duckdb"\n'
        '[llm_profiles.c]\nprovider = "openai"\nmodel = "m"\napi_key = "sk-hunter2"\n'
        'base_url = "https://me:hunter2@h/v1"'
    )
    stored = dump(told)
    again = restore(stored)

    assert "hunter2" not in stored
    assert again.db_profiles["b"].url == "duckdb:///w.duckdb"
    with pytest.raises(UsageError, match=r"db_profiles\.a\.url was a plain secret"):
        resolve(again.db_profiles["a"].url, environ={}, relative_to=Path())


@pytest.mark.parametrize("text", ["", "[]", "{", '{"db_profiles": {"a": {"host": "h"}}}'])
def test_a_copy_of_another_version_is_a_config_error(text: str) -> None:
    with pytest.raises(UsageError, match="stored copy"):
        restore(text)


# ---- secrets ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("env:X", False),
        ("file:key.txt", False),
        ("keyring:amxwatch/prod", False),
        ("duckdb:///w.duckdb", False),
        ("postgresql://u@h/d", False),
        ("postgresql://u:p@h/d", True),
        ("postgresql://h/d?user=u&password=p", True),
        ("sk-abc", True),
    ],
)
def test_a_secret_in_the_open_is_told_from_a_reference(text: str, plain: bool) -> None:
    assert is_plain(text) is plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:p@h/d", "postgresql://u:***@h/d"),
        ("at postgresql://u:p@ss/w0rd@h:5432/d now", "at postgresql://u:***@h:5432/d now"),
        ("'mysql://u:p%40@h'", "'mysql://u:***@h'"),
        ("http://h:8080/x", "http://h:8080/x"),
        ("postgresql://h/d?password=abc&x=1", "postgresql://h/d?password=***&x=1"),
        ("host=h password='a b' user=u", "host=h password=*** user=u"),
        ("no secret here", "no secret here"),
    ],
)
def test_passwords_in_urls_are_never_shown(text: str, shown: str) -> None:
    assert redact(text, ()) == shown


SECRET = st.text(alphabet=string.ascii_letters + string.digits + "@:/%+ !#'\"é", min_size=1).filter(
    lambda text: "*" not in text
)


@given(secret=SECRET, before=st.text(), after=st.text())
@example(secret="a", before="aaa", after="b")
def test_a_known_secret_never_survives(secret: str, before: str, after: str) -> None:
    assert secret not in redact(f"{before}{secret}{after}", [SecretStr(secret)])


def test_the_password_of_a_secret_url_is_hidden_alone_and_unquoted() -> None:
    secret = SecretStr("postgresql://me:p%40ss@h/d")
    assert redact("failed for p@ss and p%40ss", [secret]) == "failed for *** and ***"


# ---- names of files and services ---------------------------------------------------------------


@given(first=st.text(min_size=1), second=st.text(min_size=1))
def test_slugs_are_safe_and_never_meet(first: str, second: str) -> None:
    assert re.fullmatch(r"[a-z0-9_-]{1,60}", slug(first))
    assert (slug(first) == slug(second)) == (first == second)


def test_a_plain_name_is_its_own_slug() -> None:
    assert slug("orders_watch-2") == "orders_watch-2"
    assert re.fullmatch(r"prod-[0-9a-f]{8}", slug("Prod"))


def test_service_labels_follow_the_folder() -> None:
    home = Path.home()
    assert service_label(home / ".amxwatch") == "com.amxwatch.daemon"
    assert service_label(home / ".amxwatch-dev") == "com.amxwatch-dev.daemon"
    assert service_label(Path("/a/cfg")) != service_label(Path("/b/cfg"))


PARTS = st.text(st.sampled_from("aA1.-_ é"), min_size=1, max_size=6).filter(
    lambda part: part not in (".", "..")
)
FOLDERS = st.builds(
    lambda parent, name: parent / name,
    st.sampled_from([Path.home(), Path("/srv/a"), Path("/srv/b"), Path("/")]),
    PARTS | st.sampled_from(["amxwatch", ".amxwatch", "..amxwatch", ".amxwatch.", ".AMXwatch"]),
)


@given(first=FOLDERS, second=FOLDERS)
def test_service_labels_never_meet(first: Path, second: Path) -> None:
    """Nor do those of folders that share a last name, a dot more or less, or letters' case."""
    assert re.fullmatch(r"com\.[a-z0-9_-]+(\.[0-9a-f]{8})?\.daemon", service_label(first))
    assert (service_label(first) == service_label(second)) == (first == second)


def test_a_folder_has_one_label_by_whatever_way_it_is_reached(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert service_label(tmp_path / "real" / "x") == service_label(tmp_path / "link" / "x")


def test_the_flag_wins_over_the_variable() -> None:
    environ = {"AMXWATCH_CONFIG_DIR": "/from/env"}
    assert config_dir("/from/flag", environ) == Path("/from/flag")
    assert config_dir(None, environ) == Path("/from/env")
    assert config_dir(None, {"AMXWATCH_CONFIG_DIR": ""}) == Path.home() / ".amxwatch"
    assert config_dir("some/../where", {}) == Path.cwd() / "where"
    with pytest.raises(UsageError):
        config_dir("", environ)


# ---- positions --------------------------------------------------------------------------------


def test_positions_of_every_way_to_write_a_key() -> None:
    text = (
        "top.deep = 1\n"
        '"q é" = { c = [1, { d = 2 }] }\n'
        "# comment\n"
        '[t."x.y"]\n'
        "  k = 2\n"
        "[[arr]]\n"
        "z = 1\n"
        "[[arr]]\n"
        "z = 2\n"
        "[arr.sub]\n"
        "y = 1\n"
    )
    at = {
        path: (position.line, position.column)
        for path in [
            ("top",),
            ("top", "deep"),
            ("q é", "c", 1, "d"),
            ("q é", "c", 1, "absent"),
            ("t",),
            ("t", "x.y", "k"),
            ("arr", 0, "z"),
            ("arr", 1, "z"),
            ("arr", 1, "sub", "y"),
            ("absent",),
            (),
        ]
        for position in [Positions(text).find(path)]
    }
    assert at == {
        ("top",): (1, 1),
        ("top", "deep"): (1, 1),
        ("q é", "c", 1, "d"): (2, 21),
        ("q é", "c", 1, "absent"): (2, 19),
        ("t",): (4, 2),
        ("t", "x.y", "k"): (5, 3),
        ("arr", 0, "z"): (7, 1),
        ("arr", 1, "z"): (9, 1),
        ("arr", 1, "sub", "y"): (11, 1),
        ("absent",): (0, 0),
        (): (0, 0),
    }


NAMES = st.text(min_size=1, max_size=8).filter(lambda text: text.isprintable())
LEAVES = st.integers(-5, 5) | st.text(max_size=5) | st.lists(st.integers(), max_size=3)
TREES = st.recursive(
    st.dictionaries(NAMES, LEAVES, max_size=3),
    lambda inner: st.dictionaries(NAMES, inner | LEAVES, max_size=3),
    max_leaves=8,
)


def leaf_paths(tree: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if not isinstance(tree, dict):
        return [path]
    return [found for key, value in tree.items() for found in leaf_paths(value, (*path, key))]


@given(tree=TREES)
@settings(max_examples=60)
def test_every_key_is_found_on_the_line_that_holds_it(tree: dict[str, Any]) -> None:
    text = tomli_w.dumps(tree)
    lines, positions = text.split("\n"), Positions(text)
    for path in leaf_paths(tree):
        line = lines[positions.find(path).line - 1]
        assert tomllib.loads(f"{line.partition(' = ')[0]} = 0") == {path[-1]: 0} or (
            path[-1] in line
        )


def test_key_paths_are_written_as_toml_would() -> None:
    assert dotted(("schedules", "a b", "trigger", 0)) == 'schedules."a b".trigger.0'
    assert dotted(("a\nb",)) == '"a\\nb"'
