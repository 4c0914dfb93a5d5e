"""The first amxwatch.toml of an install."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click

from amxwatch.cli.output import json_text, shown
from amxwatch.cli.probe import probe
from amxwatch.cli.session import Desk, is_json, output, root, writing
from amxwatch.cli.terminal import ask, is_interactive
from amxwatch.core.errors import UsageError
from amxwatch.settings.file import load
from amxwatch.settings.folder import Folder, prepare, slug
from amxwatch.settings.replacement import replace_file
from amxwatch.settings.secrets import is_plain, is_reference
from amxwatch.settings.value import is_name

HEAD = """\
# amxwatch: what is watched, and how. Every key: docs/reference/config.md
# An edit of this file holds within a second; a mistake changes nothing and is reported.
"""

TAIL = """
# [llm_profiles.claude]                  # without one the builtin drafter is used: no key, no model
# provider = "openai"                    # any OpenAI-compatible endpoint, by its base_url
# base_url = "https://api.example.com/v1"
# model = "some-model"
# api_key = "env:EXAMPLE_API_KEY"        # secrets are references: env:NAME, file:PATH

# [budget]
# per_day_usd = 5.0

# [schedules.watch]                      # or: amxwatch schedule add
# db_profile = "NAME"
# trigger = { type = "change", cadence_cap_hours = 4, settle_seconds = 10 }
"""

EXAMPLE = """
# [db_profiles.prod]
# url = "env:PROD_DB_URL"                # postgresql:// mysql:// mariadb:// duckdb:/// sqlite:/// …
"""

FILES = ("duckdb", "sqlite", "ddl", "dbt")
"""Schemes whose URL names a path."""


def begin(urls: Sequence[str]) -> int:
    """Write the file, try each database, and return the exit status.

    Raises: UsageError where there is a file already, or a URL cannot be meant.
    """
    folder = Folder(path=root())
    if folder.config_file.exists():
        raise UsageError(f"{folder.config_file} is there already: edit it, or see amxwatch doctor")
    pairs = dict(_pair(text) for text in urls)
    if len(pairs) < len(urls):
        raise UsageError("--db-url: a name is given twice")
    if not pairs and is_interactive() and not is_json():
        pairs = _asked()
    prepare(folder.path)
    text, secrets = _composed(pairs)
    data = text.encode("utf-8")
    load(folder.path, instead={folder.config_file: data})
    for path, url in secrets.items():
        replace_file(folder.path / path, url.encode("utf-8") + b"\n")
    replace_file(folder.config_file, data)
    output().say(f"Wrote {folder.config_file}.", colour="green")
    return writing(partial(_tried, folder.config_file))


def _pair(text: str) -> tuple[str, str]:
    name, equals, url = text.partition("=")
    if not equals or not is_name(name) or not ("://" in url or is_reference(url)):
        raise UsageError(
            f"--db-url: found {text!r}; allowed: NAME=URL, such as"
            " prod=postgresql://USER@HOST/DATABASE or prod=env:PROD_DB_URL"
        )
    return name, _from_here(url)


def _from_here(url: str) -> str:
    """Make a relative path absolute where it exists in the shell's folder: there it was meant."""
    scheme, three_slashes, rest = url.partition(":///")
    path, mark, options = rest.partition("?")
    if not three_slashes or scheme not in FILES or not path or not Path(path).exists():
        return url
    return f"{scheme}:///{Path(path).absolute()}{mark}{options}"


def _asked() -> dict[str, str]:
    """Ask for one database; an empty answer leaves it out."""
    click.echo("Which database shall be watched? (its URL, or env:NAME; empty: none yet)")
    url = ask("URL", default="")
    if not url:
        return {}
    name = ask("Name it", default="main")
    return dict([_pair(f"{name}={url}")])


def _composed(pairs: dict[str, str]) -> tuple[str, dict[str, str]]:
    """Return the file's text, and the private files that it refers to."""
    secrets: dict[str, str] = {}
    parts = [HEAD]
    for name, url in pairs.items():
        written = url
        if is_plain(url):
            path = f"secrets/{slug(name)}.url"
            secrets[path], written = url, f"file:{path}"
        parts.append(f"\n[db_profiles.{_key(name)}]\nurl = {_quoted(written)}\n")
    if len(pairs) > 1:
        parts.append(f"\n[defaults]\ndb_profile = {_quoted(next(iter(pairs)))}\n")
    return "".join([*parts, EXAMPLE if not pairs else "", TAIL]), secrets


def _key(name: str) -> str:
    """Write a name as a TOML key, bare where it may be."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _quoted(text: str) -> str:
    """Write text as a TOML basic string; JSON's is one."""
    return json_text(text)


async def _tried(file: Path, desk: Desk) -> int:
    found = [await probe(desk.install, name) for name in desk.install.settings.db_profiles]
    desk.out.document({"file": str(file), "profiles": [one.document() for one in found]})
    for one in found:
        if one.error is not None:
            desk.out.warn(f"{one.profile}: {one.error}")
            continue
        desk.out.say(f"{shown(one.profile)}: {one.product}")
        for line in one.lines():
            desk.out.say(f"  {line}")
    bad = [one.profile for one in found if not one.ok]
    if bad:
        desk.out.say(f"Next: mend the url in {file}, then: amxwatch db test {shown(bad[0])}")
        return 1
    desk.out.say("Next: amxwatch doctor, then amxwatch run, or amxwatch schedule add")
    return 0
