"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# No example fails for being slow. In CI the examples are the same ones each time, and a failing
# one prints what `@reproduce_failure` takes.
settings.register_profile("here", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True, database=None)
settings.load_profile("ci" if os.environ.get("CI") else "here")

pytest_plugins = [
    "tests.plugins.install",
    "tests.plugins.mariadb",
    "tests.plugins.model_server",
    "tests.plugins.order",
    "tests.plugins.postgres",
    "tests.plugins.schemas",
    "tests.plugins.webhook",
    "tests.plugins.systemd",
]

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of outside cases (`AMXWATCH_CASES`, default `../shared/cases`)."""
    folder = Path(os.environ.get("AMXWATCH_CASES") or ROOT.parent / "shared" / "cases")
    if not folder.is_dir():
        pytest.skip(f"no outside cases at {folder}: set AMXWATCH_CASES to their folder")
    return folder


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"
