"""`amxwatch intake`: signals that become work."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from amxwatch.cli.options import db_option
from amxwatch.cli.session import reading, writing

STATES = ("new", "approved", "planned", "running", "resolved", "rejected")

item_argument = click.argument("item", metavar="ID")


@click.group()
def intake() -> None:
    """Take signals in, and let them become runs."""


@intake.command()
@click.argument("title", required=False)
@db_option
@click.option("--scope", metavar="SCOPE", help="What is to be described; default: all.")
@click.option(
    "--priority",
    type=click.Choice(["p0", "p1", "p2", "p3"]),
    help="How soon; p0 goes before all that waits. Default: p2.",
)
@click.option("--detail", metavar="TEXT", help="More words for whoever decides.")
@click.option(
    "--key", metavar="KEY", help="Your own name for the signal: one open item each.", default=None
)
@click.option(
    "--ci",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path),
    metavar="FILE",
    help="A report: JUnit XML, or what `check --json` printed; `-` is stdin.",
)
@click.pass_context
def add(ctx: click.Context, /, title: str | None, ci: Path | None, **given: str | None) -> None:
    """Add an item by hand, or from a report of CI.

    The same signal twice is one item. What the report of a good build says adds none.
    """
    from amxwatch.cli.intaking import Wish, add_item

    if (title is None) is (ci is None):
        raise click.UsageError('give a title, such as "describe the orders", or --ci', ctx=ctx)
    writing(partial(add_item, Wish(title=title, ci=ci, **given)))


@intake.command("list")
@click.option("--all", "all_", is_flag=True, help="Also those that are resolved or rejected.")
@click.option("--state", type=click.Choice(STATES), help="Only those in this state.")
@db_option
@click.option(
    "--limit", type=click.IntRange(1, 100_000), default=100, show_default=True, help="How many."
)
@click.pass_context
def list_(ctx: click.Context, all_: bool, state: str | None, db: str | None, limit: int) -> None:
    """List the items that are not ended, the most urgent first."""
    from amxwatch.cli.intaking import list_items

    if all_ and state is not None:
        raise click.UsageError("--all and --state do not go together", ctx=ctx)
    wanted = frozenset({state}) if state else frozenset(STATES if all_ else STATES[:4])
    reading(partial(list_items, wanted, db, limit))


@intake.command()
@item_argument
def show(item: str) -> None:
    """Show one item: its words, its state and its run. The beginning of an id is enough."""
    from amxwatch.cli.intaking import show_item

    reading(partial(show_item, item))


@intake.command()
@item_argument
def approve(item: str) -> None:
    """Let an item become a run, also one that was rejected."""
    from amxwatch.cli.intaking import approve_item

    writing(partial(approve_item, item))


@intake.command()
@item_argument
@click.option("--reason", metavar="TEXT", default="by hand", help="Why, for the history.")
def reject(item: str, reason: str) -> None:
    """Turn an item down before it became a run."""
    from amxwatch.cli.intaking import reject_item

    writing(partial(reject_item, item, reason))
