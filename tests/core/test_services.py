"""The files of the operating systems' services, as far as they can be read without the system."""

from __future__ import annotations

import plistlib
import re
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amxwatch.ports.service import ServicePlan
from amxwatch.services.launchd import plist
from amxwatch.services.systemd import globbed, quoted, unit
from amxwatch.services.task_scheduler import NAMESPACE, xml

# What a path may hold that a service is made for: no control character, no broken text.
NAMES = st.text(
    st.characters(exclude_categories=("Cc", "Cs", "Cn"), exclude_characters="/"), min_size=1
)
TROUBLE = st.text(st.sampled_from("ab %$\"'\\*?[]{};#=@:-!ü "), min_size=1)
HOSTILE = NAMES | TROUBLE


def plan(folder: str = "/home/me/.amxwatch", python: str = "/venv/bin/python") -> ServicePlan:
    return ServicePlan(label="com.amxwatch.daemon", folder=folder, python=python, user="DESK\\me")


# -- systemd ---------------------------------------------------------------------------------


def keys(text: str) -> dict[str, str]:
    """Return the settings of a unit file, whose sections have no key in common."""
    lines = [line for line in text.splitlines() if not line.startswith(("#", "["))]
    return dict(line.split("=", 1) for line in lines if line)


def unquoted(word: str) -> str:
    """Read one quoted word as systemd does. See: systemd.syntax(7), systemd.unit(5)."""
    assert word[0] == word[-1] == '"'
    plain = re.sub(r"\\(.)|(\")", lambda found: found[1] or pytest.fail(word), word[1:-1])
    assert "%" not in plain.replace("%%", "")
    return plain.replace("%%", "%")


def test_a_unit_notifies_restarts_and_is_watched() -> None:
    said = keys(unit(plan()))
    assert said["ExecStart"] == '"/venv/bin/python" -P -m amxwatch daemon'
    assert said["Environment"] == '"AMXWATCH_CONFIG_DIR=/home/me/.amxwatch"'
    assert said["EnvironmentFile"] == "-/home/me/.amxwatch/service.env"
    assert (said["Type"], said["Restart"]) == ("notify", "on-failure")
    assert int(said["WatchdogSec"]) > 3 * 10  # three heartbeats
    assert said["WantedBy"] == "default.target"


@given(name=HOSTILE)
def test_a_quoted_word_is_read_as_it_was(name: str) -> None:
    assert unquoted(quoted(name)) == name
    assert unquoted(keys(unit(plan(folder=f"/x/{name}")))["Environment"]) == (
        f"AMXWATCH_CONFIG_DIR=/x/{name}"
    )


@given(name=HOSTILE, other=HOSTILE)
def test_a_hostile_path_adds_no_line_and_ends_none(name: str, other: str) -> None:
    plainest = unit(plan()).split("\n")
    text = unit(plan(folder=f"/x/{name}", python=f"/y/{other}")).split("\n")
    differ = [line for line, plain in zip(text, plainest, strict=True) if line != plain]
    assert [line.split("=")[0] for line in differ] == [
        "ExecStart",
        "Environment",
        "EnvironmentFile",
    ]
    assert not any(line.endswith("\\") for line in text)


@given(name=HOSTILE)
def test_a_pattern_means_its_one_path(name: str) -> None:
    assert re.sub(r"\\(.)", r"\1", globbed(name)).replace("%%", "%") == name
    assert not re.search(r"(?<!\\)(?:\\\\)*[*?\[]", globbed(name))


def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze: install the package systemd")
    runtime, python = tmp_path / "run", shutil.which("true")
    runtime.mkdir(mode=0o700)
    assert python is not None
    path = tmp_path / "com.amxwatch.daemon.service"

    def said(text: str) -> str:
        path.write_text(text)
        done = subprocess.run(
            ["systemd-analyze", "verify", "--user", "--man=no", str(path)],
            env={"XDG_RUNTIME_DIR": str(runtime), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return f"{done.returncode} {done.stdout}{done.stderr}".strip()

    text = unit(plan(folder=f"{tmp_path}/an 'ödd' 100% $folder[1]", python=python))
    assert said(text) == "0"
    assert "NoSuchSetting" in said(text.replace("KillMode", "NoSuchSetting"))


# -- launchd ---------------------------------------------------------------------------------


@given(name=HOSTILE, other=HOSTILE)
def test_a_property_list_is_read_as_it_was(name: str, other: str) -> None:
    said = plistlib.loads(plist(plan(folder=f"/x/{name}", python=f"/y/{other}")))
    assert said["Label"] == "com.amxwatch.daemon"
    assert said["ProgramArguments"] == [f"/y/{other}", "-P", "-m", "amxwatch", "daemon"]
    assert said["EnvironmentVariables"] == {"AMXWATCH_CONFIG_DIR": f"/x/{name}"}
    assert said["StandardErrorPath"] == f"/x/{name}/logs/service.log"
    assert said["RunAtLoad"] is True
    assert said["KeepAlive"] == {"SuccessfulExit": False}


# -- Task Scheduler --------------------------------------------------------------------------


def shape(element: ET.Element) -> object:
    """Return an element's name with its text, or with the shapes of what is in it, in order."""
    name = element.tag.removeprefix(f"{{{NAMESPACE}}}")
    return (name, [shape(inner) for inner in element] if len(element) else element.text)


def test_a_task_is_what_the_schema_wants() -> None:
    written = xml(plan(folder="C:\\Users\\me\\.amxwatch", python="C:\\py\\python.exe"))
    assert written[:2] in (b"\xff\xfe", b"\xfe\xff")
    assert written.decode("utf-16").startswith("<?xml version='1.0' encoding='utf-16'?>")
    task = ET.fromstring(written)
    assert task.get("version") == "1.2"
    assert shape(task) == (
        "Task",
        [
            (
                "RegistrationInfo",
                [
                    ("Description", "amxwatch daemon (com.amxwatch.daemon)"),
                    ("URI", "\\com.amxwatch.daemon"),
                ],
            ),
            (
                "Triggers",
                [
                    (
                        "LogonTrigger",
                        [("Repetition", [("Interval", "PT5M")]), ("UserId", "DESK\\me")],
                    )
                ],
            ),
            (
                "Principals",
                [
                    (
                        "Principal",
                        [
                            ("UserId", "DESK\\me"),
                            ("LogonType", "InteractiveToken"),
                            ("RunLevel", "LeastPrivilege"),
                        ],
                    )
                ],
            ),
            (
                "Settings",
                [
                    ("MultipleInstancesPolicy", "IgnoreNew"),
                    ("DisallowStartIfOnBatteries", "false"),
                    ("StopIfGoingOnBatteries", "false"),
                    ("AllowHardTerminate", "true"),
                    ("StartWhenAvailable", "true"),
                    ("ExecutionTimeLimit", "PT0S"),
                    ("RestartOnFailure", [("Interval", "PT1M"), ("Count", "255")]),
                ],
            ),
            (
                "Actions",
                [
                    (
                        "Exec",
                        [
                            ("Command", "C:\\py\\pythonw.exe"),
                            (
                                "Arguments",
                                "-P -m amxwatch daemon --config-dir C:\\Users\\me\\.amxwatch",
                            ),
                        ],
                    )
                ],
            ),
        ],
    )


def windows_words(line: str) -> list[str]:
    """Split a command line as Windows programs do. See: CommandLineToArgvW."""
    words, word, is_quoted, has_word = [], "", False, False
    for backslashes, sign in re.findall(r"(\\*)(\Z|.)", line + " ", re.DOTALL):
        if sign == '"':
            word += "\\" * (len(backslashes) // 2)
            has_word = True
            if len(backslashes) % 2:
                word += '"'
            else:
                is_quoted = not is_quoted
        elif sign in " \t" and not is_quoted:
            word += backslashes
            if word or has_word:
                words.append(word)
            word, has_word = "", False
        else:
            word += backslashes + sign
    return words


@given(name=HOSTILE.map(lambda text: re.sub(r'["*?<>|:/]', "_", text)))
def test_a_task_names_its_folder_as_it_is(name: str) -> None:
    folder = f"C:\\Users\\me\\{name}"
    task = ET.fromstring(xml(plan(folder=folder)))
    arguments = task.findtext(f".//{{{NAMESPACE}}}Arguments") or ""
    words = ["-P", "-m", "amxwatch", "daemon", "--config-dir", folder]
    assert windows_words(arguments) == words
