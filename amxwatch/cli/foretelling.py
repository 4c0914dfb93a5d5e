"""What a run would ask and cost, before a cent is spent."""

from __future__ import annotations

from amxwatch.cli.output import dollars, shown, visible
from amxwatch.cli.scoping import Order, ordered_scope
from amxwatch.cli.session import Desk
from amxwatch.core.disclosure import kinds_of
from amxwatch.core.run import Run, RunKind
from amxwatch.flows import manual
from amxwatch.flows.rehearsal import Estimate, estimate
from amxwatch.ports.written import Written


async def estimate_run(order: Order, desk: Desk) -> None:
    """Print what a run would take: objects, requests, tokens, USD."""
    run, found = await _rehearsed(order, desk)
    desk.out.document(
        {
            "db_profile": run.db_profile,
            "llm_profile": run.llm_profile,
            "scope": run.scope,
            "objects": found.objects,
            "reused": found.reused,
            "shared": found.shared,
            "requests": len(found.requests),
            "input_tokens": found.input_tokens,
            "output_tokens": found.output_tokens,
            "cost_usd": None if found.cost_usd is None else float(found.cost_usd),
        }
    )
    desk.out.say(
        f"[Estimate] {shown(run.scope)} with {shown(run.llm_profile)}:"
        f" {found.objects:,} to draft, {len(found.requests):,} request(s)"
    )
    free = [f"{found.reused:,} were answered before"] if found.reused else []
    free += [f"{found.shared:,} share the words of another table's key"] if found.shared else []
    if free:
        desk.out.say(f"  Free: {' · '.join(free)}")
    tokens = f"about {found.input_tokens:,} in / {found.output_tokens:,} out"
    cost = "unpriced" if found.cost_usd is None else f"about {dollars(found.cost_usd)}"
    desk.out.say(f"  Tokens: {tokens} · Cost: {cost if found.cost_usd != 0 else '$0'}")
    if found.cost_usd is None:
        desk.out.say(
            "  No price is known: give input_usd_per_mtok and output_usd_per_mtok in TOML."
        )
    desk.out.say("Nothing was asked, and nothing was spent.")


async def show_prompts(order: Order, desk: Desk) -> None:
    """Print exactly what would leave the machine, request by request."""
    run, found = await _rehearsed(order, desk)
    provider = desk.install.provider(run.llm_profile)
    desk.out.document(
        {
            "db_profile": run.db_profile,
            "llm_profile": run.llm_profile,
            "prompts": [
                {
                    "table": str(table),
                    "objects": [subject.key for subject in request.subjects],
                    "system": request.system,
                    "prompt": request.prompt,
                    "holds": [kind.value for kind in kinds_of(request)],
                    "body": provider.body(request) if isinstance(provider, Written) else None,
                }
                for table, request in zip(found.tables, found.requests, strict=True)
            ],
        }
    )
    if not found.requests:
        desk.out.say("No request would be made.")
    for number, (table, request) in enumerate(
        zip(found.tables, found.requests, strict=True), start=1
    ):
        head = f"request {number}/{len(found.requests)}: {shown(table)}"
        desk.out.say(f"=== {head} ({len(request.subjects)} objects)", colour="cyan")
        desk.out.say(f"--- holds: {', '.join(kinds_of(request))}")
        desk.out.say("--- system")
        desk.out.say(visible(request.system))
        desk.out.say("--- user")
        desk.out.say(visible(request.prompt))
        desk.out.say()
    desk.out.say("Nothing was sent.")


async def _rehearsed(order: Order, desk: Desk) -> tuple[Run, Estimate]:
    source, scope = await ordered_scope(order, desk)
    run = manual.made(
        desk.install.clock.now(),
        kind=RunKind.ANALYZE,
        db_profile=source.profile,
        llm_profile=desk.install.settings.llm_profile(order.llm).name,
        scope=scope,
        review_strategy=order.strategy,
        manner=order.manner,
    )
    return run, await estimate(run, desk.install.drafting())
