"""Names that nobody should choose, and somebody does: through the whole line on PostgreSQL."""

from __future__ import annotations

import psycopg
from psycopg import sql

from tests.plugins.install import Installed
from tests.surfaces.test_main_line import WATCH, comments

NAMES = [
    'quo"ted',
    "it's",
    "with space",
    "do.ted",
    "select",
    "Ünïcödé 表",
    "semi;colon -- ",
    "back\\slash",
    "a" * 63,
    "é" * 31,
    "[bracket]*?",
    "<b>markup</b>",
    "tab\there",
]


def test_awkward_names_go_through_the_whole_line(install: Installed, postgres_url: str) -> None:
    with psycopg.connect(postgres_url) as connection:
        for name in NAMES:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
    install.config(WATCH.format(url=postgres_url))
    install.daemon()
    with psycopg.connect(postgres_url) as connection:
        for name in NAMES:
            make = "CREATE TABLE {0}.{0} ({0} integer PRIMARY KEY, plain text)"
            connection.execute(sql.SQL(make).format(sql.Identifier(name)))
    run = install.completed_run()
    pending = install.pending()
    assert run["drafted"] == len(pending) == 3 * len(NAMES)
    assert {draft["table"] for draft in pending} == set(NAMES)
    install.run("review", "--strategy", "accept-all")
    applied = install.json("apply", "-y", "--db", "source", status=None)
    chosen = {
        (d["schema"], d["table"], d["column"]): d["alternatives"][0]
        for d in pending
        if not d.get("flags")
    }
    assert applied["failed"] == []
    assert applied["written"] == len(chosen)
    assert comments(postgres_url, chosen.keys()) == chosen
    shown = install.json("catalog", "diff", "source", "--from", "1")
    assert {change["table"] for change in shown["changes"]} == set(NAMES)
    assert install.run("catalog", "show", "--db", "source").returncode == 0
