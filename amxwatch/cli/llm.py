"""`amxwatch llm`: the llm profiles."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import click

from amxwatch.cli.options import complete_llm, one_of
from amxwatch.cli.output import dollars, shown
from amxwatch.cli.session import Desk, leave, output, reading, root, writing

if TYPE_CHECKING:
    from amxwatch.cli.model_probe import Probed

llm_argument = click.argument("profile", required=False, shell_complete=complete_llm)


@click.group()
def llm() -> None:
    """List, test and choose llm profiles."""


@llm.command("list")
def list_() -> None:
    """List the llm profiles."""
    reading(_list)


async def _list(desk: Desk) -> None:
    settings = desk.install.settings
    profiles = [
        {
            "name": name,
            "provider": profile.provider,
            "model": profile.model,
            "default": name == settings.default_llm_profile,
        }
        for name, profile in sorted(settings.llm_profiles.items())
    ]
    desk.out.document({"profiles": profiles})
    desk.out.table(
        ["name", "provider", "model"],
        [
            [
                f"{found['name']}{' *' if found['default'] else ''}",
                found["provider"],
                found["model"],
            ]
            for found in profiles
        ],
    )
    desk.out.say("* is used where no --llm is given")


@llm.command()
@llm_argument
@click.option("--llm", metavar="PROFILE", shell_complete=complete_llm, help="The llm profile.")
def test(profile: str | None, llm: str | None) -> None:
    """Make one real call to a model and say what it took.

    Shows the model, the seconds, the price, whether log-probabilities come back, and whether
    structured output works and by which means.
    """
    leave(writing(partial(_test, one_of(profile, llm, "--llm"))))


async def _test(name: str | None, desk: Desk) -> int:
    from amxwatch.cli.documents import Document
    from amxwatch.cli.model_probe import probe

    profile = desk.install.settings.llm_profile(name)
    found = await probe(desk.install, profile.name)
    answer = found.completion
    document: Document = {
        "profile": profile.name,
        "ok": found.is_ok,
        "model": answer.model,
        "finish": answer.finish,
        "seconds": round(answer.seconds, 3),
        "input_tokens": answer.input_tokens,
        "output_tokens": answer.output_tokens,
        "cached_tokens": answer.cached_tokens,
        "cost_usd": None if answer.cost_usd is None else float(answer.cost_usd),
        "price_version": answer.price_version,
        "logprobs": found.has_logprobs,
        "structured_output": found.is_structured,
        "structured_by": answer.form,
    }
    desk.out.document(document)
    _say(desk, profile.name, found)
    return 0 if found.is_ok else 1


def _say(desk: Desk, name: str, found: Probed) -> None:
    answer = found.completion
    prices = f" ({shown(answer.price_version)})" if answer.price_version else ""
    if answer.cost_usd is None:
        prices = " (give the profile input_usd_per_mtok and output_usd_per_mtok)"
    by = f"{'works' if found.is_structured else 'fails'}, asked for by {answer.form or 'rules'}"
    desk.out.say(f"{shown(name)}: {shown(answer.model)} answered ({answer.finish})")
    desk.out.say(
        f"  {answer.seconds:.2f} s · {answer.input_tokens} in / {answer.output_tokens} out"
        f" · {dollars(answer.cost_usd)}{prices}"
    )
    desk.out.say(f"  structured output: {by}")
    desk.out.say(f"  log-probabilities: {'yes' if found.has_logprobs else 'no'}")


@llm.command()
@click.argument("profile", shell_complete=complete_llm)
def use(profile: str) -> None:
    """Make an llm profile the one that is used where no --llm is given."""
    from amxwatch.settings.edit import set_default
    from amxwatch.settings.file import load

    out = output()
    load(root()).settings.llm_profile(profile)
    set_default(root(), "llm_profile", profile)
    out.document({"llm_profile": profile})
    out.say(f"{shown(profile)} is the default llm profile now.")
