"""Tells a person why a stage failed: their own code's traceback, and none of ours."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from prefect_torch.console import show_stage
from prefect_torch.errors import PrefectTorchError, RunFailed

if TYPE_CHECKING:
    from rich.console import Console

_LIBRARIES = (
    str(Path(__file__).parent),
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
)


def explain(failure: RunFailed, console: Console) -> None:
    """Print the line of the failed stage, and to standard error why it failed.

    An error that began in the person's code comes with the traceback from there on; one that is
    neither of theirs nor foreseen comes with all of its traceback.
    """
    if failure.summary.failed:
        show_stage(console, failure.summary.failed, "failed")
    for error in _chain(failure):
        own = _from_own_code(error.__traceback__)
        if own is not None:
            traceback.print_exception(type(error), error, own, chain=False)
            break
    else:
        if not isinstance(failure.__cause__, PrefectTorchError):
            traceback.print_exception(failure.__cause__)
    print(failure, file=sys.stderr)
    if failure.summary.stages:
        print("the stages before it are kept; the next run reuses them", file=sys.stderr)


def _chain(failure: RunFailed) -> list[BaseException]:
    """Return the errors that led to a failure, the first of all first."""
    errors: list[BaseException] = []
    error = failure.__cause__
    while error is not None:
        errors.append(error)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return errors[::-1]


def _from_own_code(frames: TracebackType | None) -> TracebackType | None:
    """Return the part of a traceback from the first frame outside of libraries on."""
    while frames is not None:
        file = frames.tb_frame.f_code.co_filename
        if not file.startswith((*_LIBRARIES, "<")):
            return frames
        frames = frames.tb_next
    return None
