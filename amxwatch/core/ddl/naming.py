"""Steps that give things new names one after the other, though names may be taken or swapped."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

T = TypeVar("T", str, tuple[str, str])


def rename_steps(
    wanted: Mapping[T, T],
    taken: Iterable[T],
    *,
    fold: Callable[[T], object],
    spare: Callable[[T, int], T],
) -> list[tuple[T, T]]:
    """Return (from, to) in an order in which every target is free when its turn comes.

    `taken` are all names that stand now; `fold` says which of them are one to the database.
    Where names are swapped or stand in a ring, one goes through a `spare` name. What is in the
    way and does not move makes no step: then the last target is not reached.
    """
    moves = {source: target for source, target in wanted.items() if source != target}
    standing = {fold(name) for name in taken}
    steps: list[tuple[T, T]] = []
    number = 0

    def take(source: T, target: T) -> None:
        steps.append((source, target))
        standing.discard(fold(source))
        standing.add(fold(target))

    while moves:
        free = [(s, t) for s, t in moves.items() if fold(t) not in standing or fold(s) == fold(t)]
        if free and any(fold(s) != fold(t) for s, t in free):
            for source, target in free:
                if fold(target) not in standing:
                    take(source, target)
                    del moves[source]
            continue
        first = next((name for name in moves if name in wanted), None)
        if first is None:
            return steps
        source = first
        number += 1
        while fold(spare(source, number)) in standing:
            number += 1
        aside = spare(source, number)
        take(source, aside)
        moves[aside] = moves.pop(source)
    return steps
