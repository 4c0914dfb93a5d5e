"""What a run says while it goes on: lines for people, JSON lines for programs."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from amxwatch.cli.output import Output, dollars, shown
from amxwatch.flows.progress import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

LABELS = {"scope": "Scope", "profile": "Profile", "draft": "LLM", "apply": "Apply"}


class Ticker:
    """Shows the steps of runs as they come. Use as a context; call `report` for each step.

    In a terminal a bar follows the stage below the lines.
    """

    def __init__(self, out: Output) -> None:
        self._out = out
        self._bar: RichProgress | None = None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        if self._out.is_terminal and not self._out.as_json:
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
            from rich.progress import Progress as RichProgress

            self._bar = RichProgress(
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                console=self._out.console,
                transient=True,
            )
            self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def report(self, step: Progress) -> None:
        """Show one step."""
        self._out.line(step.document())
        self._advance(step)
        line = sentence(step)
        if self._bar is not None:
            self._bar.console.print(line, style="red" if step.error else None, soft_wrap=True)
        else:
            self._out.say(line)

    def _advance(self, step: Progress) -> None:
        if self._bar is None or not step.total or step.stage == "scope":
            return
        if step.stage not in self._tasks:
            label = LABELS.get(step.stage, step.stage)
            self._tasks[step.stage] = self._bar.add_task(label, total=step.total)
        self._bar.update(self._tasks[step.stage], completed=step.done, total=step.total)


def sentence(step: Progress) -> str:
    """Return one step as a line: stage, place, object, and what it took."""
    tables = f"{step.total} table{'' if step.total == 1 else 's'}"
    count = tables if step.stage == "scope" else f"{step.done}/{step.total}" if step.total else ""
    objects = f"({step.objects} objects)" if step.objects else ""
    named = shown(step.object) if step.object else ""
    detail = shown(step.detail) if step.detail else ""
    words = [f"[{LABELS.get(step.stage, step.stage)}]", count, named, objects, detail]
    return " ".join(word for word in words if word) + _ending(step)


def _ending(step: Progress) -> str:
    if step.error:
        return f" ... failed: {shown(step.error)}"
    took = []
    if step.seconds is not None:
        took.append(f"{step.seconds:.1f} s")
    if step.recorded:
        took.append("recorded, free")
    elif step.input_tokens or step.output_tokens or step.cost_usd is not None:
        took.append(f"{step.input_tokens:,} in / {step.output_tokens:,} out")
        took.append(dollars(step.cost_usd))
    return f" ... ok ({' · '.join(took)})" if took else ""
