"""What a run remembers of its document, so that it can be run again as it was."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect_torch.checking import Origin
from prefect_torch.documents import Document, read_document
from prefect_torch.errors import PrefectTorchError, SpecError
from prefect_torch.store import write_json
from prefect_torch.tasks.job import Job
from prefect_torch.tasks.runs import PastRun
from prefect_torch.tasks.stage import STAGES

FILE = "document.json"


@dataclass(frozen=True)
class Remembered:
    """What a run ran."""

    document: Document
    origin: Origin
    project: Path
    """The folder that relative paths of the document start from."""
    until: str | None
    """The last stage that was wanted; None for all."""
    remark: str
    """How the pipeline's file is no longer what it was then; empty if it is, or there is none."""

    @property
    def overrides(self) -> list[str]:
        """What was set over the file."""
        return list(self.document.overridden.values())

    def until_at_least(self, stages: tuple[str, ...]) -> str | None:
        """Return where to stop so that none of some stages is left out."""
        if self.until is None:
            return None
        return max((self.until, *stages), key=list(STAGES).index)


def remember_document(job: Job, folder: Path) -> None:
    """Write a run's document into its folder; references to secrets stay references."""
    document = job.document
    if document is None:
        return
    content = {
        "pipeline": str(document.path.absolute()) if document.path else None,
        "project": str(job.declaration.project.absolute()),
        "origin": job.origin,
        "until": job.until,
        "overrides": list(document.overridden.values()),
        "tree": document.tree,
    }
    write_json(folder / FILE, content)


def recall(run: PastRun) -> Remembered:
    """Return what a run ran: the file as it stands if it still says the same, else as it was then.

    Raises:
        PrefectTorchError: The run remembers no document.
    """
    path = run.folder / FILE
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        file = Path(kept["pipeline"]) if kept["pipeline"] else None
        document = Document(file, kept["tree"]).with_overrides(kept["overrides"])
        remark = ""
        if file is not None:
            document, remark = _today(document, file, kept["overrides"])
        return Remembered(document, kept["origin"], Path(kept["project"]), kept["until"], remark)
    except FileNotFoundError as error:
        raise PrefectTorchError(
            f"{path}: not there, so run {run.run_id} does not say what it ran; run its pipeline "
            "file instead: prefect-torch run PIPELINE --force STAGE"
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise PrefectTorchError(
            f"{path}: not the document of a run ({error!r}); run its pipeline file instead: "
            "prefect-torch run PIPELINE --force STAGE"
        ) from error


def _today(then: Document, file: Path, overrides: list[Any]) -> tuple[Document, str]:
    """Return the file's own document if it says what the run's said, for the places it knows."""
    told = "running what it said then"
    if not file.is_file():
        return then, f"{file} is no longer there; {told}"
    try:
        now = read_document(file).with_overrides(overrides)
    except SpecError as error:
        return then, f"{file} cannot be read today ({error}); {told}"
    if now.tree != then.tree:
        return then, f"{file} has changed since that run; {told}"
    return now, ""
