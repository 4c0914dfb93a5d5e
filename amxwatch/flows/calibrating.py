"""How reviewers answered the drafts of one llm profile."""

from __future__ import annotations

from amxwatch.core.calibration import JUDGED, Judgement, judgement_of
from amxwatch.core.draft import Draft
from amxwatch.ports.ledger import DraftFilter, Ledger, Tx


async def judgements(ledger: Ledger, llm_profile: str) -> list[Judgement]:
    """Return every answer of a person; what schedules accepted by themselves is not among them."""

    def work(tx: Tx) -> list[Draft]:
        drafts = tx.drafts.list(DraftFilter(statuses=JUDGED))
        runs = {run_id: tx.runs.get(run_id) for run_id in {draft.run_id for draft in drafts}}
        return [
            draft
            for draft in drafts
            if runs[draft.run_id].llm_profile == llm_profile
            and runs[draft.run_id].review_strategy != "auto"
        ]

    found = (judgement_of(draft) for draft in await ledger.read(work))
    return [each for each in found if each is not None]
