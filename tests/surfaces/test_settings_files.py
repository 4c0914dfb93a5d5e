"""The config on a real disk: read, refused with a line, edited with its comments, read again."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import keyring
import keyring.backend
import keyring.backends.fail
import keyring.errors
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from amxwatch.clocks.manual import ManualClock
from amxwatch.core.errors import ConfigError, ConfigProblem, NotFoundError, UsageError
from amxwatch.settings.edit import (
    remove_schedule,
    set_default,
    set_schedule_value,
    write_schedule,
)
from amxwatch.settings.file import load
from amxwatch.settings.folder import prepare
from amxwatch.settings.reload import Reloader
from amxwatch.settings.schema import DbProfile, Schedule, Settings
from amxwatch.settings.secrets import resolve
from tests.conftest import ROOT

EXAMPLES = ROOT / "config"

PROFILE = '[db_profiles.prod]\nurl = "env:PROD_DB_URL"\n'
EVERY = 'trigger = { type = "every", minutes = 60 }\n'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return prepare(tmp_path / "install").path


def put(home: Path, text: str | bytes, name: str = "amxwatch.toml") -> Path:
    path = home / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def plan(name: str, profile: str = "prod") -> str:
    return f'[schedules.{name}]\ndb_profile = "{profile}"\n{EVERY}'


def refused(home: Path) -> tuple[ConfigProblem, ...]:
    with pytest.raises(ConfigError) as caught:
        load(home)
    assert "\n" not in str(caught.value)
    return caught.value.problems


def only(home: Path) -> ConfigProblem:
    (problem,) = refused(home)
    return problem


# ---- reading ----------------------------------------------------------------------------------


def test_the_examples_load(home: Path) -> None:
    put(home, (EXAMPLES / "amxwatch.toml").read_bytes())
    drop_in = EXAMPLES / "schedules.d" / "orders_watch.toml"
    put(home, drop_in.read_bytes(), "schedules.d/orders_watch.toml")
    loaded = load(home)

    assert loaded.files == (
        home / "amxwatch.toml",
        home / "schedules.d" / "orders_watch.toml",
    )
    assert loaded.schedule_files["orders_watch"] == loaded.files[1]
    assert loaded.settings.schedules["orders_watch"].scope == "schema:sales,staging"
    assert len(loaded.settings.schedules) == 7


def test_the_minimal_example_loads_without_a_warning(home: Path) -> None:
    put(home, (EXAMPLES / "minimal.toml").read_bytes())
    assert load(home).warnings == ()


def test_no_folder_and_no_file_are_an_empty_config(tmp_path: Path) -> None:
    loaded = load(tmp_path / "absent")
    assert (loaded.files, loaded.warnings) == ((), ())
    assert list(loaded.settings.llm_profiles) == ["builtin"]


def test_a_byte_order_mark_and_crlf_are_read(home: Path) -> None:
    put(home, b"\xef\xbb\xbf" + PROFILE.replace("\n", "\r\n").encode())
    assert list(load(home).settings.db_profiles) == ["prod"]


def test_what_has_no_effect_yet_is_told_with_its_line(home: Path) -> None:
    put(home, PROFILE + "[studio]\nport = 8765\n")
    put(home, plan("x") + 'database = "other"\n', "schedules.d/x.toml")
    first, second = load(home).warnings

    assert first.startswith("amxwatch.toml:3: studio has no effect yet")
    assert second.startswith("schedules.d/x.toml:4: schedules.x.database = 'other'")


# ---- refusing ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line", "key", "found", "allowed"),
    [
        ("\n[demon]\npoll_seconds = 1\n", 2, "demon", "an unknown key", "did you mean daemon?"),
        (
            "[daemon]\n\npoll_second = 1\n",
            3,
            "daemon.poll_second",
            "an unknown key",
            "did you mean poll_seconds?",
        ),
        ("[daemon]\nworker_slots = 0\n", 2, "daemon.worker_slots", "0", "an integer of at least 1"),
        (
            "[db_profiles.a]\nurl = 'env:A'\nprofiling_mode = 'half'\n",
            3,
            "db_profiles.a.profiling_mode",
            "'half'",
            "one of: none, sampled, full",
        ),
        ("[db_profiles.a]\n", 1, "db_profiles.a.url", "nothing", "required"),
        (
            PROFILE + "[schedules.x]\ndb_profile = 'prd'\n" + EVERY,
            4,
            "schedules.x.db_profile",
            "'prd'",
            "did you mean 'prod'?",
        ),
        (
            PROFILE + "[schedules.x]\ndb_profile = 'prod'\ntrigger = { type = 'crn' }\n",
            5,
            "schedules.x.trigger.type",
            "'crn'",
            "one of: at, every, cron, change, files",
        ),
        (
            PROFILE
            + "[schedules.x]\ndb_profile = 'prod'\n"
            + "[schedules.x.trigger]\ntype = 'cron'\ncron = '99 * * * *'\n",
            7,
            "schedules.x.trigger.cron",
            "'99 * * * *'",
            "0-59",
        ),
        (
            PROFILE + "[schedules.x]\ndb_profile = 'prod'\ntimeout = 5\n" + EVERY,
            5,
            "schedules.x.timeout",
            "an unknown key",
            "timeout_seconds",
        ),
        (
            PROFILE + "[schedules.x]\ndb_profile = 'prod'\nscope = 'schma:a'\n" + EVERY,
            5,
            "schedules.x.scope",
            "'schma:a'",
            "did you mean schema:?",
        ),
        ("[db_profiles]\nprod = 'hunter2'\n", 2, "db_profiles.prod", "text", "a table"),
        ("x = 1\nx = 2\n", 2, "", "broken TOML", "TOML"),
        ("a = '''\n\nnever closed\n", 3, "", "broken TOML at the end", "TOML"),
    ],
)
def test_a_mistake_is_told_with_file_line_key_found_and_allowed(
    home: Path, text: str, line: int, key: str, found: str, allowed: str
) -> None:
    put(home, text)
    problem = only(home)

    assert (problem.file, problem.line, problem.key) == ("amxwatch.toml", line, key)
    assert found in problem.found
    assert allowed in problem.allowed


@pytest.mark.parametrize(
    "text",
    [
        '[llm_profiles.c]\nprovider = "openai"\nmodel = "m"\napi_key = ["hunter2"]\n',
        '[llm_profiles.c]\nprovider = "openai"\nmodel = "m"\nap_key = "hunter2"\n',
        '[llm_profiles.c]\nprovider = "openai"\nmodel = "m"\napi_key = "hunter2\\u0000"\n',
        '[llm_profiles]\nclaude = "hunter2"\n',
        '[db_profiles.a]\nurl = "postgresql://u:hunter2@h/d\\n"\n',
        '[db_profiles.a]\nurl = "host=h password=hunter2"\n',
        '[db_profiles.a]\nurl = { password = "hunter2" }\n',
        '[db_profiles.a]\nurl = "env:A"\nprofiling_mode = "postgresql://u:hunter2@h/d"\n',
        'budget = "postgresql://u:hunter2@h/d"\n',
    ],
)
def test_no_error_shows_a_secret(home: Path, text: str) -> None:
    put(home, text)
    assert "hunter2" not in " ".join(str(problem) for problem in refused(home))


def test_every_mistake_is_told_at_once(home: Path) -> None:
    put(home, "[daemon]\npoll_seconds = -1\nworker_slots = 0\n[alerts]\nwindow_days = 0\n")
    assert [problem.line for problem in refused(home)] == [2, 3, 5]


def test_a_flood_of_mistakes_is_counted(home: Path) -> None:
    put(home, "".join(f"x{number} = 1\n" for number in range(1000)))
    problems = refused(home)
    assert len(problems) == 26
    assert problems[-1].found == "975 more mistakes"


def test_a_drop_in_holds_one_schedule_and_nothing_else(home: Path) -> None:
    put(home, PROFILE)
    put(home, plan("a") + "[daemon]\npoll_seconds = 1\n", "schedules.d/a.toml")
    put(home, plan("b") + plan("c"), "schedules.d/b.toml")
    put(home, "", "schedules.d/c.toml")
    put(home, "schedules = 1\n", "schedules.d/d.toml")

    assert [(p.file, p.line, p.key) for p in refused(home)] == [
        ("schedules.d/a.toml", 4, "daemon"),
        ("schedules.d/b.toml", 4, "schedules.c"),
        ("schedules.d/c.toml", 0, "schedules"),
        ("schedules.d/d.toml", 1, "schedules"),
    ]


def test_a_name_given_twice_is_refused_and_both_places_told(home: Path) -> None:
    put(home, PROFILE + plan("a"))
    put(home, "\n" + plan("a"), "schedules.d/z.toml")
    problem = only(home)

    assert (problem.file, problem.line) == ("schedules.d/z.toml", 2)
    assert "amxwatch.toml:3" in problem.allowed


def test_a_drop_in_of_an_unknown_profile_is_told_in_the_drop_in(home: Path) -> None:
    put(home, PROFILE)
    put(home, plan("a", "prd"), "schedules.d/a.toml")
    problem = only(home)
    assert (problem.file, problem.line) == ("schedules.d/a.toml", 2)


def test_hidden_files_and_other_endings_are_no_drop_ins(home: Path) -> None:
    put(home, "broken [", "schedules.d/.#a.toml")
    put(home, "broken [", "schedules.d/a.toml~")
    assert load(home).settings.schedules == {}


# ---- hostile files ----------------------------------------------------------------------------


def test_every_invalid_case_is_refused_with_a_line(home: Path, cases: Path) -> None:
    files = sorted((cases / "e_toml" / "invalid").rglob("*.toml"))
    assert len(files) > 200
    without_line = []
    for file in files:
        put(home, file.read_bytes())
        # A newer tomllib may take some of them as TOML 1.1; their keys are still unknown to us.
        if any(problem.line == 0 for problem in refused(home)):
            without_line.append(file.name)
    assert without_line == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\na = " + "[" * 900 + "]" * 900, 2),
        ("a = " + "{a=" * 900 + "1" + "}" * 900, 1),
        ("\n\n" + ".".join("a" * 20000) + " = 1", 3),
        ("[" + ".".join("a" * 20000) + "]", 1),
        ("\na = " + "9" * 200_000, 2),
        ("\na = 0x" + "f" * 200_000, 2),
        ("a = 1\nb = '\xff'".encode("latin-1"), 2),
        ("a = 1\n\x00", 2),
        ("# " + "x" * 300_000, 0),
        (PROFILE + "[schedules.x]\ntrigger = '" + "{" * 200_000 + "'", 3),
        (PROFILE + plan("x") + "input_template = '" + "{{" * 100_000 + "{{x}}'", 6),
        (PROFILE + plan("x") + "scope = '" + "a://b:" * 30_000 + "'", 6),
        ("".join(f"[schedules.x{n}]\n" for n in range(10_000)), 1),
    ],
)
@pytest.mark.timeout(120)
def test_hostile_files_are_refused_quickly(home: Path, text: str | bytes, line: int) -> None:
    put(home, text)
    problem = refused(home)[0]
    assert problem.line == line
    assert len(str(problem)) < 700


def test_depth_is_not_counted_in_strings_and_comments(home: Path) -> None:
    put(home, f"# {'[' * 200}\n{PROFILE}ignore = ['''\"{'[' * 200}{'.' * 200}\"''']\n")
    assert len(load(home).settings.db_profiles["prod"].ignore) == 1


@pytest.mark.parametrize("name", ["amxwatch.toml", "schedules.d/a.toml"])
def test_what_is_no_readable_file_is_told(home: Path, name: str) -> None:
    path = home / name
    path.mkdir()
    assert (only(home).file, only(home).found) == (name, "a folder")

    path.rmdir()
    path.symlink_to(home / "nowhere.toml")
    assert only(home).found == "a symlink to nothing"

    path.unlink()
    path.symlink_to(path)
    assert only(home).found == "a symlink that leads to itself"

    path.unlink()
    os.mkfifo(path)
    assert only(home).found == "something that is no regular file"


def test_an_unreadable_file_is_told(home: Path) -> None:
    put(home, PROFILE).chmod(0)
    user = os.geteuid()
    if user == 0:  # root may read everything
        os.seteuid(65534)
    try:
        assert any("cannot be read" in problem.found for problem in refused(home))
    finally:
        os.seteuid(user)


def test_a_file_in_the_place_of_the_drop_in_folder_is_told(home: Path) -> None:
    (home / "schedules.d").rmdir()
    put(home, "", "schedules.d")
    assert only(home).file == "schedules.d"


ANY_HOME = settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


def problems_of(home: Path) -> tuple[ConfigProblem, ...]:
    try:
        load(home)
    except ConfigError as error:
        return error.problems
    return ()


@given(data=st.binary(max_size=200))
@example(data=b"\xef\xbb\xbf\xef\xbb\xbf")
@example(data=b"a.b = 1\r")
@ANY_HOME
def test_no_bytes_crash_it(home: Path, data: bytes) -> None:
    put(home, data)
    for problem in problems_of(home):
        assert "\n" not in str(problem)


WORDS = st.sampled_from(
    [
        *(*Settings.model_fields, *Schedule.model_fields, *DbProfile.model_fields),
        *("type", "every", "minutes", "cron", "at", "paths", "provider", "model", "[key]", "prod"),
    ]
)
VALUES = st.recursive(
    st.integers() | st.floats() | st.booleans() | st.text(max_size=6) | st.dates() | WORDS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=12,
)


@given(tree=st.dictionaries(WORDS, VALUES, max_size=4))
@ANY_HOME
def test_no_settings_crash_it(home: Path, tree: dict[str, Any]) -> None:
    import tomli_w

    put(home, tomli_w.dumps(tree))
    for problem in problems_of(home):
        assert problem.found
        assert problem.allowed
        assert problem.line > 0


# ---- the folder -------------------------------------------------------------------------------


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_folder_is_its_owners_only_whatever_the_umask(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        folder = prepare(tmp_path / "deep" / "install")
    finally:
        os.umask(umask)
    parts = (folder.path, folder.schedules, folder.catalog, folder.logs, folder.exports)
    assert {mode(part) for part in parts} == {0o700}


def test_our_folder_is_made_private_again_and_a_foreign_one_left(tmp_path: Path) -> None:
    ours, foreign = tmp_path / "ours", tmp_path / "foreign"
    for path in (ours, foreign):
        path.mkdir()
        path.chmod(0o755)
    put(ours, "")
    put(foreign, "", "README.md")

    assert (mode(prepare(ours).path), mode(prepare(foreign).path)) == (0o700, 0o755)


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    put(tmp_path, "", "file")
    with pytest.raises(UsageError, match="--config-dir"):
        prepare(tmp_path / "file")
    with pytest.raises(UsageError, match="--config-dir"):
        prepare(tmp_path / "file" / "below")


# ---- secrets ----------------------------------------------------------------------------------


def test_secrets_come_from_the_environment_and_from_files(tmp_path: Path) -> None:
    put(tmp_path, "s3cret\n", "key")
    environ = {"KEY": "abc", "EMPTY": ""}

    def value(reference: str) -> str:
        found = resolve(reference, environ=environ, relative_to=tmp_path)
        assert found.get_secret_value() not in repr(found)
        return found.get_secret_value()

    assert value("env:KEY") == "abc"
    assert value("file:key") == "s3cret"
    assert value(f"file:{tmp_path}/key") == "s3cret"
    assert value("sk-plain") == "sk-plain"
    assert value("duckdb:///w.duckdb") == "duckdb:///w.duckdb"


@pytest.mark.parametrize(
    "reference",
    [
        "env:ABSENT",
        "env:EMPTY",
        "env:",
        "file:absent",
        "file:folder",
        "file:binary",
        "file:large",
        "file:a\x00b",
        "keyring:no-user",
    ],
)
def test_a_secret_that_is_not_there_is_named_by_its_reference(
    tmp_path: Path, reference: str
) -> None:
    (tmp_path / "folder").mkdir()
    put(tmp_path, b"\xff\xfe", "binary")
    put(tmp_path, b"x" * 70_000, "large")
    with pytest.raises(UsageError) as caught:
        resolve(reference, environ={"EMPTY": ""}, relative_to=tmp_path)
    assert str(caught.value).startswith(reference)


class Ring(keyring.backend.KeyringBackend):
    """A key ring that holds one entry, for ever."""

    priority = 1

    def set_password(self, service: str, username: str, password: str) -> None:
        raise keyring.errors.PasswordSetError(service)

    def get_password(self, service: str, username: str) -> str | None:
        return "from the ring" if (service, username) == ("amx/watch", "prod") else None


@pytest.fixture
def any_ring() -> Iterator[None]:
    before = keyring.get_keyring()
    yield
    keyring.set_keyring(before)


@pytest.mark.usefixtures("any_ring")
def test_secrets_come_from_the_key_ring(tmp_path: Path) -> None:
    keyring.set_keyring(Ring())  # type: ignore[no-untyped-call]  # keyring's own
    found = resolve("keyring:amx/watch/prod", environ={}, relative_to=tmp_path)
    assert found.get_secret_value() == "from the ring"
    with pytest.raises(UsageError, match="holds no such entry"):
        resolve("keyring:amxwatch/other", environ={}, relative_to=tmp_path)
    none = keyring.backends.fail.Keyring()  # type: ignore[no-untyped-call]  # keyring's own
    keyring.set_keyring(none)
    with pytest.raises(UsageError, match="no key ring can be used here"):
        resolve("keyring:amxwatch/prod", environ={}, relative_to=tmp_path)


# ---- editing ----------------------------------------------------------------------------------

NIGHTLY = {
    "db_profile": "prod",
    "scope": "schema:a",
    "llm_profile": None,
    "trigger": {"type": "cron", "cron": "0 3 * * *", "timezone": "UTC"},
}


def test_a_schedule_is_written_as_a_drop_in(home: Path) -> None:
    put(home, PROFILE)
    path = write_schedule(home, "Nightly run", NIGHTLY)

    assert path.parent == home / "schedules.d"
    assert mode(path) == 0o600
    assert load(home).settings.schedules["Nightly run"].scope == "schema:a"
    assert load(home).schedule_files["Nightly run"] == path
    assert list(path.parent.iterdir()) == [path]


def test_a_name_that_is_taken_is_refused(home: Path) -> None:
    put(home, PROFILE + plan("nightly"))
    with pytest.raises(UsageError, match=r"'nightly' already, in amxwatch\.toml"):
        write_schedule(home, "nightly", NIGHTLY)
    assert list((home / "schedules.d").iterdir()) == []


def test_a_file_that_a_person_named_so_is_not_overwritten(home: Path) -> None:
    put(home, PROFILE)
    put(home, plan("other"), "schedules.d/nightly.toml")
    assert write_schedule(home, "nightly", NIGHTLY).name == "nightly-2.toml"
    assert sorted(load(home).settings.schedules) == ["nightly", "other"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"db_profile": "absent"},
        {"scope": "schma:a"},
        {"trigger": {"type": "cron", "cron": "x"}},
        {"surprise": 1},
    ],
)
def test_a_schedule_that_would_not_hold_is_not_written(home: Path, wrong: dict[str, Any]) -> None:
    put(home, PROFILE)
    with pytest.raises(ConfigError):
        write_schedule(home, "nightly", {**NIGHTLY, **wrong})
    assert list((home / "schedules.d").iterdir()) == []


def test_nothing_is_written_while_the_config_is_broken(home: Path) -> None:
    put(home, "broken [")
    for edit in (
        lambda: write_schedule(home, "nightly", NIGHTLY),
        lambda: set_default(home, "llm_profile", "builtin"),
    ):
        with pytest.raises(ConfigError):
            edit()
    assert (home / "amxwatch.toml").read_text() == "broken ["


def test_a_drop_in_is_removed_as_a_whole(home: Path) -> None:
    put(home, PROFILE)
    path = write_schedule(home, "nightly", NIGHTLY)
    assert remove_schedule(home, load(home), "nightly") == path
    assert load(home).settings.schedules == {}
    with pytest.raises(NotFoundError, match="nightly"):
        remove_schedule(home, load(home), "nightly")


PEOPLES = """\
# mine

[schedules.first]   # keep me
db_profile = "prod"
trigger = { type = "every", minutes = 60 }   # hourly

# about the database
[db_profiles.prod]
url = "env:PROD_DB_URL"

# about the second
[schedules.second]
db_profile = "prod"
# inside the second
trigger = { type = "every", minutes = 60 }
[schedules.second.continuous]
max_runs = 3

# about the third
[schedules.third]
db_profile = "prod"
trigger = { type = "every", minutes = 60 }"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_removing_keeps_every_other_line(home: Path, end: str, mark: bytes) -> None:
    put(home, mark + PEOPLES.replace("\n", end).encode())
    remove_schedule(home, load(home), "second")
    after = (home / "amxwatch.toml").read_bytes()

    first, _, rest = PEOPLES.partition("[schedules.second]")
    rest = rest.partition("max_runs = 3\n")[2]
    assert after == mark + (first + rest).replace("\n", end).encode()


def test_removing_the_last_and_the_only_schedule(home: Path) -> None:
    put(home, PEOPLES)
    for name in ("third", "first", "second"):
        remove_schedule(home, load(home), name)
    assert load(home).settings.schedules == {}
    text = (home / "amxwatch.toml").read_text()
    assert [line for line in text.splitlines() if line] == [
        "# mine",
        "# about the database",
        "[db_profiles.prod]",
        'url = "env:PROD_DB_URL"',
        "# about the second",
        "# about the third",
    ]


@pytest.mark.parametrize(
    "text",
    [
        'schedules.a.db_profile = "prod"\nschedules.a.trigger = { type = "change" }\n' + PROFILE,
        'schedules = { a = { db_profile = "prod", trigger = { type = "change" } } }\n' + PROFILE,
        PROFILE + '[schedules]\na = { db_profile = "prod", trigger = { type = "change" } }\n',
        PROFILE
        + '[schedules.a]\ndb_profile = "prod"\nscope = """\nschema:b"""\n'
        + '[schedules.a.trigger]\ntype = "change"\n',
    ],
)
def test_removing_works_however_it_was_written(home: Path, text: str) -> None:
    put(home, text)
    remove_schedule(home, load(home), "a")
    assert load(home).settings.schedules == {}
    assert list(load(home).settings.db_profiles) == ["prod"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_default_is_set_beside_peoples_comments(home: Path, end: str) -> None:
    text = PROFILE + '# mine\n[defaults]\ndb_profile = "prod"  # why\n\n# more\n[daemon]\n'
    put(home, (text + '[db_profiles.b]\nurl = "env:B"\n').replace("\n", end))
    set_default(home, "db_profile", "b")
    set_default(home, "llm_profile", "builtin")
    after = (home / "amxwatch.toml").read_bytes().decode()

    assert load(home).settings.defaults.db_profile == "b"
    assert f'db_profile = "b"  # why{end}' in after
    assert f'llm_profile = "builtin"{end}' in after
    assert after.count("#") == 3
    assert after.count("\n") == after.count(end)


def test_a_default_is_set_where_there_is_no_file(home: Path) -> None:
    set_default(home, "llm_profile", "builtin")
    assert (home / "amxwatch.toml").read_text() == '[defaults]\nllm_profile = "builtin"\n'
    assert mode(home / "amxwatch.toml") == 0o600


def test_an_edit_that_would_not_hold_changes_nothing(home: Path) -> None:
    path = put(home, PEOPLES)
    with pytest.raises(ConfigError, match="absent"):
        set_default(home, "db_profile", "absent")
    with pytest.raises(ConfigError):
        set_schedule_value(home, load(home), "first", "enabled", "no")
    assert path.read_text() == PEOPLES


def test_values_of_schedules_are_set_wherever_they_stand(home: Path) -> None:
    path = put(home, PEOPLES)
    written = write_schedule(home, "nightly", NIGHTLY)
    loaded = load(home)
    trigger = {"type": "cron", "cron": "0 4 * * *"}

    assert set_schedule_value(home, loaded, "first", "trigger.minutes", 30) == path
    assert set_schedule_value(home, loaded, "second", "enabled", False) == path
    assert set_schedule_value(home, loaded, "third", "trigger", trigger) == path
    assert set_schedule_value(home, loaded, "nightly", "scope", None) == written
    plans = load(home).settings.schedules

    assert plans["first"].trigger.model_dump()["minutes"] == 30
    assert plans["second"].enabled is False
    assert plans["third"].trigger.model_dump()["cron"] == "0 4 * * *"
    assert plans["nightly"].scope == "all"
    text = path.read_text()
    assert [line for line in PEOPLES.splitlines() if "#" in line and line not in text] == [
        'trigger = { type = "every", minutes = 60 }   # hourly'
    ]
    assert "# hourly" in text


def test_an_edit_through_a_symlink_changes_its_target_and_keeps_the_mode(
    home: Path, tmp_path: Path
) -> None:
    target = put(tmp_path, PROFILE, "dotfiles.toml")
    target.chmod(0o640)
    (home / "amxwatch.toml").symlink_to(target)
    set_default(home, "db_profile", "prod")

    assert (home / "amxwatch.toml").is_symlink()
    assert 'db_profile = "prod"' in target.read_text()
    assert mode(target) == 0o640


def test_edits_at_the_same_time_all_hold(home: Path) -> None:
    put(home, PROFILE)
    threads = [
        threading.Thread(target=write_schedule, args=(home, f"plan {number}", NIGHTLY))
        for number in range(6)
    ] + [
        threading.Thread(target=set_default, args=(home, key, value))
        for key, value in (("db_profile", "prod"), ("llm_profile", "builtin"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    loaded = load(home)

    assert len(loaded.settings.schedules) == 6
    assert loaded.settings.defaults.model_dump() == {
        "db_profile": "prod",
        "llm_profile": "builtin",
    }


# ---- reloading --------------------------------------------------------------------------------

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.mark.anyio
async def test_an_edit_is_told_once(home: Path, clock: ManualClock) -> None:
    put(home, PROFILE)
    reloader = Reloader(home, clock)
    first = await reloader.check()

    assert first is not None
    assert first is reloader.current
    assert await reloader.check() is None
    put(home, PROFILE + "[daemon]\npoll_seconds = 5\n")
    await reloader.check()
    assert reloader.current is not None
    assert reloader.current.settings.daemon.poll_seconds == 5
    put(home, plan("a"), "schedules.d/a.toml")
    await reloader.check()
    assert list(reloader.current.settings.schedules) == ["a"]
    assert await reloader.check() is None


@pytest.mark.anyio
async def test_a_broken_edit_is_told_once_and_the_last_good_config_stays(
    home: Path, clock: ManualClock
) -> None:
    put(home, PROFILE)
    reloader = Reloader(home, clock)
    good = await reloader.check()
    put(home, "[daemon]\npoll_seconds = 0\n")

    assert isinstance(await reloader.check(), ConfigError)
    assert await reloader.check() is None
    assert reloader.current is good
    put(home, "[daemon]\npoll_seconds = -1\n")
    assert isinstance(await reloader.check(), ConfigError)
    put(home, PROFILE)
    again = await reloader.check()
    assert again == good


@pytest.mark.anyio
async def test_the_config_that_is_in_force_already_is_not_told_again(
    home: Path, clock: ManualClock
) -> None:
    put(home, PROFILE)
    assert await Reloader(home, clock, load(home)).check() is None


@pytest.mark.anyio
async def test_every_way_to_save_is_seen(home: Path, tmp_path: Path, clock: ManualClock) -> None:
    put(home, PROFILE)
    reloader = Reloader(home, clock, load(home))

    async def polls_every(seconds: int) -> bool:
        await reloader.check()
        assert reloader.current is not None
        return reloader.current.settings.daemon.poll_seconds == seconds

    def text(seconds: int) -> str:
        return f"{PROFILE}[daemon]\npoll_seconds = {seconds}\n"

    main = put(home, text(1))
    assert await polls_every(1)
    put(tmp_path, text(2), "new").replace(main)
    assert await polls_every(2)
    target, other = put(tmp_path, text(3), "target"), put(tmp_path, text(4), "other")
    main.unlink()
    main.symlink_to(target)
    assert await polls_every(3)
    link = tmp_path / "link"
    link.symlink_to(other)
    link.replace(main)
    assert await polls_every(4)
    other.write_text(text(5))
    assert await polls_every(5)


@pytest.mark.anyio
async def test_a_quiet_config_is_read_again_once_stat_says_so(
    home: Path, clock: ManualClock
) -> None:
    put(home, PROFILE)
    reloader = Reloader(home, clock)
    await reloader.check()
    for _ in range(3):
        clock.advance(timedelta(seconds=5))
        assert await reloader.check() is None
    put(home, PROFILE + "[daemon]\npoll_seconds = 5\n")
    assert await reloader.check() is reloader.current


@pytest.mark.anyio
@pytest.mark.parametrize("half", ["", PROFILE[:-9], None])
async def test_a_half_written_file_is_given_a_moment(
    home: Path, clock: ManualClock, half: str | None
) -> None:
    path = put(home, PROFILE)
    reloader = Reloader(home, clock)
    good = await reloader.check()
    if half is None:
        path.unlink()
    else:
        put(home, half)

    assert await reloader.check() is None
    assert reloader.is_settling
    assert reloader.current is good
    put(home, PROFILE)
    assert await reloader.check() is None
    assert not reloader.is_settling


@pytest.mark.anyio
async def test_a_file_without_a_final_line_break_is_believed_once_it_stands_still(
    home: Path, clock: ManualClock
) -> None:
    put(home, PROFILE)
    reloader = Reloader(home, clock)
    await reloader.check()
    put(home, PROFILE + "[daemon]\npoll_seconds = 5")

    assert await reloader.check() is None
    clock.advance(timedelta(seconds=0.2))
    assert await reloader.check() is reloader.current
    assert reloader.current is not None
    assert reloader.current.settings.daemon.poll_seconds == 5
    assert not reloader.is_settling
