"""`amxwatch confidence`: what the bands promise, fitted on what reviewers accepted."""

from __future__ import annotations

from functools import partial

import click

from amxwatch.cli.options import complete_llm, one_of
from amxwatch.cli.output import shown
from amxwatch.cli.session import Desk, leave, root, writing

SHARE = click.FloatRange(0, 1)


@click.group()
def confidence() -> None:
    """Fit the thresholds of the bands."""


@confidence.command()
@click.argument("profile", required=False, shell_complete=complete_llm)
@click.option("--llm", metavar="PROFILE", shell_complete=complete_llm, help="The llm profile.")
@click.option(
    "--high",
    type=SHARE,
    default=0.9,
    show_default=True,
    help="The share of high drafts that are right.",
)
@click.option(
    "--medium",
    type=SHARE,
    default=0.6,
    show_default=True,
    help="The share of medium and high drafts that are right.",
)
@click.option("--write", is_flag=True, help="Set the thresholds in amxwatch.toml.")
def calibrate(
    profile: str | None, llm: str | None, high: float, medium: float, write: bool
) -> None:
    """Fit the thresholds of an llm profile on what reviewers accepted.

    A draft is right when a reviewer accepted its first alternative as it stands. What schedules
    accepted by themselves says nothing. Without --write it only prints what it would set.
    """
    if medium > high:
        raise click.UsageError("--medium cannot promise more than --high")
    name = one_of(profile, llm, "--llm")
    leave(writing(partial(_calibrate, name, high, medium, write)))


async def _calibrate(name: str | None, high: float, medium: float, write: bool, desk: Desk) -> int:
    from amxwatch.core.calibration import LEAST, fit
    from amxwatch.flows.calibrating import judgements

    profile = desk.install.settings.llm_profile(name)
    found = fit(
        await judgements(desk.install.ledger, profile.name), high_share=high, medium_share=medium
    )
    new_high = profile.logprob_high if found.high is None else round(found.high, 4)
    new_medium = profile.logprob_medium if found.medium is None else round(found.medium, 4)
    # A medium that nothing below `high` fails is as low as `high` itself.
    new_medium = min(new_medium, new_high)
    moved = found.is_enough and (new_high, new_medium) != (
        profile.logprob_high,
        profile.logprob_medium,
    )
    if write and moved:
        from amxwatch.settings.edit import set_llm_values

        values = {"logprob_high": new_high, "logprob_medium": new_medium}
        set_llm_values(root(), profile.name, values)
    desk.out.document(
        {
            "profile": profile.name,
            "judged": found.judged,
            "right": found.right,
            "enough": found.is_enough,
            "logprob_high": {"now": profile.logprob_high, "fitted": found.high},
            "logprob_medium": {"now": profile.logprob_medium, "fitted": found.medium},
            "written": write and moved,
        }
    )
    say = desk.out.say
    say(f"{shown(profile.name)}: {found.judged} answers of reviewers, {found.right} right")
    if not found.is_enough:
        say(f"That is too few to fit anything on: review at least {LEAST} drafts.")
        return 1
    for key, now, fitted, share in (
        ("logprob_high", profile.logprob_high, found.high, high),
        ("logprob_medium", profile.logprob_medium, found.medium, medium),
    ):
        if fitted is None:
            say(f"  {key}: stays {now:g}; no confidence reaches {share:.0%} right")
        else:
            say(f"  {key}: {now:g} → {fitted:.4g}   ({share:.0%} right from there on)")
    if moved:
        say("Written to amxwatch.toml." if write else "Set them with --write.")
    return 0
