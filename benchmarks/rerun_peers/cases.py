"""What each side makes of an edit, of damage, of a kill and of a second run at the same time."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from rerun_peers.processes import Ended, kill_tree, start
from rerun_peers.sides import PLAIN, Project, Side

NewProject = Callable[[Side], Project]
Change = Callable[[Project], None]
LONGER = 3000
"""Epochs of a training that is long enough to be killed in."""
LONGER_LR = 0.001


def _replace(name: str, old: str, new: str) -> Change:
    def change(project: Project) -> None:
        file = project.folder / name
        text = file.read_text()
        if old not in text:
            raise RuntimeError(f"{file}: there is no {old!r}")
        file.write_text(text.replace(old, new, 1))

    return change


def edit_comment(project: Project) -> None:
    """Put another comment into the file that the train stage stands in."""
    file = project.folder / project.side.watched
    text = file.read_text()
    old = "# a comment to edit"
    file.write_text(text.replace(old, f"{old}, edited") if old in text else f"{text}\n{old}\n")


def touch(project: Project) -> None:
    later = time.time() + 5
    os.utime(project.folder / "digits.csv", (later, later))


def change_value(project: Project) -> None:
    file = project.folder / "digits.csv"
    lines = file.read_text().splitlines()
    fields = lines[5].split(",")
    fields[20] = str((int(fields[20]) + 7) % 17)
    lines[5] = ",".join(fields)
    file.write_text("\n".join(lines) + "\n")


def _training_part(project: Project) -> Path:
    """Return the stored part to learn from; Prefect stores a file per task, this one second."""
    found = project.files(project.side.training_part)
    return found[1] if project.side.source == "prefect" else found[0]


def delete_training_part(project: Project) -> None:
    _training_part(project).unlink()


def delete_report(project: Project) -> None:
    project.files(project.side.result)[-1].unlink()


def flip_byte(project: Project) -> None:
    file = _training_part(project)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.chmod(0o644)
    file.write_bytes(content)


def nothing(project: Project) -> None:
    """Leave everything as it is."""


edit_helper = _replace("scaling.py", "16.0", "15.0")
EDITS: tuple[tuple[str, Change, float, Change], ...] = (
    ("nothing changed", nothing, 0.05, nothing),
    ("comment edited", edit_comment, 0.05, nothing),
    ("function two imports away edited", edit_helper, 0.05, edit_helper),
    ("data touched", touch, 0.05, nothing),
    ("one data value changed", change_value, 0.05, change_value),
    ("training part deleted", delete_training_part, 0.05, nothing),
    ("training part deleted, other learning rate", delete_training_part, 0.1, nothing),
    ("byte of it flipped, other learning rate", flip_byte, 0.1, nothing),
    ("report deleted", delete_report, 0.05, nothing),
)
"""Name, what is done, the learning rate of the run after it, and what a right result knows of."""


def show_cases(judged: Sequence[Side], new: NewProject) -> None:
    """Print a row for each case and a column for each side."""
    right = _RightResults(new)
    columns = [_cells(side, new, right) for side in judged]
    print(f"| case | {' | '.join(side.name for side in judged)} |")
    print(f"|---|{'---|' * len(judged)}")
    for name in columns[0]:
        print(f"| {name} | {' | '.join(column[name] for column in columns)} |")
    print(flush=True)


def _cells(side: Side, new: NewProject, right: _RightResults) -> dict[str, str]:
    """Return what a side made of each case, by the name of the case."""
    attempts: dict[str, Callable[[], str]] = {
        name: partial(_edited, side, new, right, change, lr, wanted)
        for name, change, lr, wanted in EDITS
    }
    attempts["started twice at once"] = partial(_twice, side, new)
    attempts["killed in training, then again"] = partial(_killed, side, new)
    cells = {}
    for name, attempt in attempts.items():
        try:
            cells[name] = attempt()
        except (OSError, IndexError, ValueError, RuntimeError) as error:
            cells[name] = f"could not be tried: {error}"
        print(f"{side.name}: {name}: {cells[name]}", file=sys.stderr, flush=True)
    return cells


class _RightResults:
    """Metrics of a run that had nothing to reuse, for each change once."""

    def __init__(self, new: NewProject) -> None:
        self._new = new
        self._known: dict[tuple[bool, float, Change], dict[str, float]] = {}

    def of(self, side: Side, lr: float, change: Change) -> dict[str, float]:
        """Return what a side should tell; all sides but ours run the plain script's numbers."""
        ours = side.source == "ours"
        key = (ours, lr, change)
        if key not in self._known:
            project = self._new(side if ours else PLAIN)
            change(project)
            self._known[key] = project.metrics(project.run(lr))
        return self._known[key]


def _edited(
    side: Side, new: NewProject, right: _RightResults, change: Change, lr: float, wanted: Change
) -> str:
    project = new(side)
    first = project.run()
    if first.code:
        return f"first run failed: {_last_words(first)}"
    # Sides that look at the times of files need to see that one of them is later.
    time.sleep(1.1)
    change(project)
    ended = project.run(lr)
    if ended.code:
        return f"failed: {_last_words(ended)}"
    if not project.files(side.result):
        verdict = "**no report**"
    else:
        verdict = _verdict(project.metrics(ended), right.of(side, lr, wanted))
    return f"{verdict}; computed {', '.join(project.ran(ended)) or 'nothing'}"


def _twice(side: Side, new: NewProject) -> str:
    project = new(side)
    project.choose(0.05, LONGER // 6)
    command, environment = project.program(side.command), project.environment()
    processes = [start(command, project.folder, environment, f"{i}.txt") for i in range(2)]
    codes = [process.wait() for process in processes]
    outputs = [(project.folder / f"{i}.txt").read_text(errors="replace") for i in range(2)]
    ended = [Ended(0, 0, code, output) for code, output in zip(codes, outputs, strict=True)]
    # The peers' stages leave their marks in one file, ours say it in each run's output.
    told = ended if side.source == "ours" else ended[:1]
    trained = sum(project.ran(one).count("train") for one in told)
    failed = [f"; one failed: {_last_words(one)}" for one in ended if one.code]
    return f"trained {trained} times{''.join(failed)}"


def _killed(side: Side, new: NewProject) -> str:
    """Kill a run at half of its time, which lies in its training, and run it again."""
    reference = new(side)
    whole = reference.run(LONGER_LR, LONGER)
    if whole.code:
        return f"first run failed: {_last_words(whole)}"
    project = new(side)
    project.choose(LONGER_LR, LONGER)
    process = start(project.program(side.command), project.folder, project.environment())
    time.sleep(0.5 * whole.seconds)
    if process.poll() is not None:
        return "it had ended before it was killed"
    kill_tree(process)
    again = project.run(LONGER_LR, LONGER)
    if again.code:
        return f"failed: {_last_words(again)}"
    verdict = _verdict(project.metrics(again), reference.metrics(whole))
    stages = ", ".join(project.ran(again)) or "nothing"
    return f"{verdict}; computed {stages} in {again.seconds:.1f} s of {whole.seconds:.1f} s"


def _verdict(found: dict[str, float], right: dict[str, float]) -> str:
    return "right" if found == right else "**wrong result**"


def _last_words(ended: Ended) -> str:
    lines = [line.strip() for line in ended.output.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("{")]  # the line of `run --json`
    return lines[-1][:80].replace("|", "/") if lines else f"exit code {ended.code}"
