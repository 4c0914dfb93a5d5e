"""Say in the audit trail which kinds of data went to a model."""

from __future__ import annotations

from collections.abc import Iterable

from amxwatch.core.completion import CompletionRequest
from amxwatch.core.disclosure import Kind, kinds_of
from amxwatch.ports.clock import Clock
from amxwatch.ports.engine import RunContext
from amxwatch.ports.provider import Provider


async def disclose(
    context: RunContext, clock: Clock, provider: Provider, requests: Iterable[CompletionRequest]
) -> None:
    """Note what these requests hold, just before they are sent; rules keep it on this machine."""
    if provider.is_free:
        return
    sent = list(requests)
    held = {kind for request in sent for kind in kinds_of(request)}
    tables = {_table(request) for request in sent}
    run, now = context.run, clock.now()
    await context.write(
        lambda tx: tx.events.add(
            "request_sent",
            at=now,
            run_id=run.id,
            schedule=run.schedule,
            db_profile=run.db_profile,
            model=provider.name,
            requests=len(sent),
            objects=sorted(tables - {""})[:20],
            holds=[kind.value for kind in Kind if kind in held],
        )
    )


def _table(request: CompletionRequest) -> str:
    for subject in request.subjects:
        facts = subject.facts.get("table", subject.facts)
        if isinstance(facts, dict):
            return f"{facts.get('schema', '')}.{facts.get('name', '')}"
    return ""
