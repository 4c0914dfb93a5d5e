"""What a run says while it goes on: lines for people, JSON lines for programs."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from amxwatch.cli.output import Output, dollars, shown
from amxwatch.flows.progress import Progress

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

LABELS = {"draft": "LLM"}
"""How a stage is called for people, where that is not its own name."""

WIDTH = 56
"""Where the ends of lines begin, if they are not longer."""


class Ticker:
    """Shows the steps of runs as they come. Use as a context; call `report` for each step.

    In a terminal a bar follows the stage below the lines.
    """

    def __init__(self, out: Output) -> None:
        self._out = out
        self._bar: RichProgress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._objects = 0
        self._is_drafting = False

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
        if step.stage == "scope":
            self._objects = step.objects
        if step.stage == "draft" and not self._is_drafting:
            self._is_drafting = True
            self._print(heading(step, self._objects), step)
        self._print(sentence(step), step)

    def _print(self, line: str, step: Progress) -> None:
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
    label = f"[{LABELS.get(step.stage, step.stage.capitalize())}]"
    detail = shown(step.detail) if step.detail else ""
    if step.stage == "scope":
        tables = f"{step.total:,} table{'' if step.total == 1 else 's'}"
        objects = f"{step.objects:,} object{'' if step.objects == 1 else 's'}"
        return f"{label} {tables} · {objects}" + (f" · {detail}" if detail else "")
    if step.stage == "draft":
        objects = f"{step.objects} object{'' if step.objects == 1 else 's'}"
        line = f"  batch {step.done}/{step.total}: {shown(step.object)} ({objects})"
        return _dotted(line, step)
    if step.stage == "confidence":
        return _dotted(f"  how sure: {shown(step.object)}", step)
    count = f"{step.done}/{step.total}" if step.total else ""
    words = [label, count, detail, "" if not step.object else shown(step.object)]
    if step.stage == "profile" and detail:
        words = [label, detail, "from" if " " in detail else "", shown(step.object)]
    return _dotted(" ".join(word for word in words if word), step)


def heading(step: Progress, objects: int) -> str:
    """Return the line above the batches of a run."""
    batches = f"{step.total:,} batch{'' if step.total == 1 else 'es'}"
    return f"[LLM] drafting {objects:,} description{'' if objects == 1 else 's'} in {batches}"


def _dotted(line: str, step: Progress) -> str:
    """Put dots between what was done and how it ended, so that the ends stand below each other."""
    ending = _ending(step)
    return f"{line} {'.' * max(3, WIDTH - len(line))} {ending}" if ending else line


def _ending(step: Progress) -> str:
    if step.error:
        return f"failed: {shown(step.error)}"
    took = []
    if step.seconds is not None:
        took.append(f"{step.seconds:.1f} s")
    if step.recorded:
        took = ["answered before, free"]
    elif step.input_tokens or step.output_tokens or step.cost_usd is not None:
        took.append(f"{step.input_tokens:,} in / {step.output_tokens:,} out")
        took.append(dollars(step.cost_usd))
    return f"ok ({' · '.join(took)})" if took else ""
