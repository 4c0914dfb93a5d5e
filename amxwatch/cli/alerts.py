"""`amxwatch alerts`: what people were told, and whether they can be."""

from __future__ import annotations

from functools import partial

import click

from amxwatch.cli.options import complete_target
from amxwatch.cli.session import reading, writing


@click.group()
def alerts() -> None:
    """Show what was told to whom, and try a target."""


@alerts.command("list")
@click.option("--open", "only_open", is_flag=True, help="Only those that are not over.")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    help="How many of the newest.",
)
def list_(only_open: bool, limit: int) -> None:
    """List open and past alerts, newest first, and who was told of them."""
    from amxwatch.cli.told import list_alerts

    reading(partial(list_alerts, only_open, limit))


@alerts.command()
@click.argument("target", shell_complete=complete_target)
def test(target: str) -> None:
    """Send a marked test alert to one target, now."""
    from amxwatch.cli.told import send_test_alert

    writing(partial(send_test_alert, target))
