"""Which views are dropped, made, or only get a new name."""

from __future__ import annotations

from amxwatch.core.catalog import Table
from amxwatch.core.change import ChangeKind
from amxwatch.core.ddl.plan import Move, Name, Plan, is_view, name_of

REMAKING = frozenset(ChangeKind) - {ChangeKind.COMMENT_CHANGED, ChangeKind.RENAMED}


class ViewMoves:
    """Old views to drop and new ones to make; `renamed` are old names of the rest."""

    def __init__(self, plan: Plan, *, forced: set[Name]) -> None:
        after = {name_of(table): table for table in plan.new.tables}
        moves = {name_of(move.old): move for move in plan.view_moves()}
        remade = {name for name, move in moves.items() if _is_remade(move)}
        # What stands on a view that is made anew must go with it.
        gone = {name_of(table) for table in plan.removed if is_view(table)}
        above = {name_of(view) for view in plan.readers.above(remade | gone)}
        again = (remade | forced | above) - gone
        dropped = gone | again
        self.dropped: list[Table] = [t for t in plan.old.tables if name_of(t) in dropped]
        self.made_again = {plan.now(name) for name in again}
        self.made: list[Table] = [
            after[name] for name in sorted(self.made_again) if name in after
        ] + [table for table in plan.added if is_view(table)]
        self.renamed = {name for name, move in moves.items() if move.is_renamed} - dropped


def _is_remade(move: Move) -> bool:
    columns = {kind for column in move.changed for kind in column.kinds}
    kinds = set(move.kinds) | (columns - {ChangeKind.NULLABILITY_CHANGED})
    renamed_columns = ChangeKind.RENAMED in columns
    return bool(kinds & REMAKING or move.added or move.removed or renamed_columns)
