"""Long files first: with `--dist loadfile` a long one that comes last leaves every other core idle.

The numbers are rough seconds of files that take half a minute or more; what matters is the order.
`--no-loadscope-reorder` (Makefile) keeps xdist from sorting by the number of tests instead.
"""

from __future__ import annotations

from collections import Counter

import pytest

SECONDS = {
    "surfaces/test_daemon_crash.py": 120,
    "contracts/test_database.py": 110,
    "surfaces/test_kills.py": 90,
    "surfaces/test_diff_sql.py": 80,
    "simulation/test_simulation.py": 75,
    "surfaces/test_main_line.py": 70,
    "surfaces/test_alerts.py": 60,
    "surfaces/test_cli_terminal.py": 60,
    "surfaces/test_continuous_sessions.py": 60,
    "surfaces/test_catalog_history.py": 60,
    "surfaces/test_schedule_blocked.py": 60,
    "surfaces/test_cli_runs.py": 55,
    "surfaces/test_daemon_service.py": 50,
    "surfaces/test_service_systemd.py": 50,
    "surfaces/test_coverage.py": 45,
    "surfaces/test_two_daemons.py": 45,
    "surfaces/test_large_config.py": 40,
    "surfaces/test_schedule_edits.py": 40,
    "surfaces/test_state.py": 35,
    "surfaces/test_daemon_config.py": 30,
    "contracts/test_file_held.py": 30,
}
EACH = 0.1
"""Seconds of a test in any other file."""


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    files = [item.nodeid.partition("::")[0].removeprefix("tests/") for item in items]
    counts = Counter(files)
    weight = {file: SECONDS.get(file, EACH * count) for file, count in counts.items()}
    ranked = sorted(zip(files, items, strict=True), key=lambda one: (-weight[one[0]], one[0]))
    items[:] = [item for _, item in ranked]
