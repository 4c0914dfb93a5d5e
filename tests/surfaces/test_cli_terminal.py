"""What a person sees at a terminal: the prompt, the pickers, the questions."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pexpect

from tests.surfaces.conftest import Inside, comment_in_house

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]|\r")


class Terminal:
    """A command at a terminal of 80 columns."""

    def __init__(self, install: Inside, *words: str) -> None:
        environment = {
            **os.environ,
            "AMXWATCH_CONFIG_DIR": str(install.folder),
            "TERM": "xterm",
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "COLUMNS": "80",
        }
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "amxwatch", *words],
            env=environment,
            encoding="utf-8",
            timeout=90,
            dimensions=(40, 80),
        )

    def see(self, text: str) -> str:
        """Wait for a text, and return what stood before it."""
        self.child.expect_exact(text)
        return ESCAPES.sub("", self.child.before or "")

    def prompt(self) -> str:
        """Wait for the prompt as it is drawn anew, and return what stood before it."""
        self.child.expect(r"amxwatch>\x1b\[\d+D")
        return ESCAPES.sub("", self.child.before or "")

    def say(self, line: str) -> None:
        self.child.sendline(line)

    def end(self) -> tuple[int, str]:
        """Return the exit status and the rest of what was printed."""
        self.child.expect(pexpect.EOF)
        rest = ESCAPES.sub("", self.child.before or "")
        self.child.close()
        assert "Traceback" not in rest
        status = self.child.exitstatus
        assert status is not None
        return status, rest


@contextmanager
def terminal(install: Inside, *words: str) -> Iterator[Terminal]:
    made = Terminal(install, *words)
    try:
        yield made
    finally:
        made.child.close(force=True)


def test_the_prompt(shop: Inside) -> None:
    with terminal(shop) as person:
        assert "drafts to review" in person.prompt()
        person.say("/analyze schedule list")
        assert "nightly" in person.prompt()
        person.say("/inspect --scope main.orders")
        assert "main.orders" in person.prompt()
        person.say("/help schedule")
        assert "run-due" in person.prompt()
        person.say("/nope")
        assert "no such command 'nope'" in person.prompt()
        person.say('/schedule show "nightl')
        assert "quotation" in person.prompt()
        person.child.send("/hist\t")
        person.see("ory")
        person.child.send(" list --sta\t")
        person.see("tus")
        person.child.send(" failed\r")
        assert "No run yet" in person.prompt()
        person.say("/quit")
        assert person.end()[0] == 0
    history = shop.folder / "history"
    assert "/inspect" in history.read_text()
    assert history.stat().st_mode & 0o777 == 0o600


def test_review_one_by_one(shop: Inside) -> None:
    first, second, third = shop.pending()[:3]
    with terminal(shop, "review") as person:
        person.see("Pick a number or name")
        person.say("1")
        person.see("Review row 1/")
        person.see("Pick a description")
        person.say("2")
        person.see("Accepted alternative 2")
        person.see("Pick a description")
        person.say("u")
        person.see("Back in the queue")
        person.see("Pick a description")
        person.say("o")
        person.see("Your text")
        person.say("My own words")
        person.see("Accepted your text")
        person.see("Pick a description")
        person.say("s")
        person.see("Pick a description")
        person.say("99")
        person.see("no alternative 99")
        person.see("Pick a description")
        person.say("r")
        person.see("Rejected")
        person.see("Pick a description")
        person.say("q")
        status, rest = person.end()
    assert status == 0
    assert "1 accepted" in rest
    left = {draft["id"] for draft in shop.pending()}
    assert second["id"] in left
    assert not left & {first["id"], third["id"]}


def test_apply_asks_first(shop: Inside) -> None:
    draft = next(d for d in shop.pending() if (d["table"], d["column"]) == ("orders", "total"))
    shop.run("review", "--accept", str(draft["id"]))
    with terminal(shop, "apply") as person:
        assert "COMMENT ON COLUMN" in person.see("[y/N]")
        person.say("")
        assert person.end()[0] == 0
    assert comment_in_house(shop.folder, "orders", "total") is None
    with terminal(shop, "apply") as person:
        person.see("[y/N]")
        person.say("y")
        status, rest = person.end()
    assert (status, "1/1 written" in rest) == (0, True)
    assert comment_in_house(shop.folder, "orders", "total") == draft["alternatives"][0]


def test_ctrl_c_at_a_question(shop_once: Inside) -> None:
    with terminal(shop_once, "review") as person:
        person.see("Pick a number or name")
        person.child.sendintr()
        status, rest = person.end()
    assert status == 130
    assert rest.strip().endswith("amxwatch: stopped")


def test_run_opens_the_pickers(shop: Inside) -> None:
    with terminal(shop, "run") as person:
        person.see("Pick a number or name")
        person.say("models")
        person.see("Pick a number or name")
        person.say("3")
        person.see("stg_events (TABLE")
        person.see("Pick numbers or names")
        person.say("1,2")
        status, rest = person.end()
    assert (status, "drafted" in rest) == (0, True)
    assert shop.runs()[0]["scope"] == "table:public.dim_user,public.stg_events"


def test_schedule_add_asks_for_what_is_missing(shop: Inside) -> None:
    answers = [
        ("Schedule name", "weekly"),
        ("Pick a number or name", "3"),
        ("Cron line", "0 6 * * 1"),
        ("Timezone", "Europe/Istanbul"),
        ("DB profiles", "models"),
        ("Kinds", ""),
        ("Scope", "2"),
        ("Schemas", "public"),
        ("Review strategies", "auto"),
    ]
    with terminal(shop, "schedule", "add") as person:
        for question, answer in answers:
            person.see(question)
            if question[-1] == "s" or question == "Scope":
                person.see("Pick ")
            person.say(answer)
        status, rest = person.end()
    assert (status, "is written" in rest) == (0, True)
    found = {one["name"]: one for one in shop.json("schedule", "list")["schedules"]}["weekly"]
    assert found["db_profile"] == "models"
    assert found["scope"] == "schema:public"
    assert found["review_strategy"] == "auto"
    assert found["timezone"] == "Europe/Istanbul"


def test_tables_fit_into_80_columns(shop_once: Inside) -> None:
    for words in (
        ("status",),
        ("schedule", "list"),
        ("history", "list"),
        ("catalog", "show"),
        ("catalog", "show", "main.customer"),
        ("review", "--list"),
        ("db", "list"),
        ("--help",),
    ):
        with terminal(shop_once, *words) as person:
            status, rest = person.end()
        assert status == 0
        wide = [line for line in rest.splitlines() if len(line.rstrip()) > 80]
        assert wide == [], words
