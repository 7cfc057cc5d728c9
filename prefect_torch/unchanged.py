"""The answer to a run of which nothing has changed: checked in full, without importing torch.

After a run, what its result depends on is kept as one answer: the document, the settings, the
code, the versions, the source's content, the champion, and every stage's artifact. The next run of
the same file compares each of these, checks every artifact, and is done. Anything else, and
whatever is not certain, takes the long way.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from prefect_torch.datasets.source import files_identity, find_files
from prefect_torch.errors import PrefectTorchError
from prefect_torch.fingerprint import digest_json, minor_version
from prefect_torch.results import RunSummary
from prefect_torch.settings import Settings, load_settings
from prefect_torch.stage_code import read_code
from prefect_torch.store import Store, write_json, write_text

FILE_SOURCES = (
    "prefect_torch.datasets.csv_source.CsvSource",
    "prefect_torch.datasets.parquet_source.ParquetSource",
)
"""Sources that are known by the content of the files that `path` names."""


@dataclass(frozen=True)
class Question:
    """What is asked for: a file as it stands, overrides, and where to stop."""

    path: Path
    text: str
    overrides: tuple[str, ...]
    until: str | None
    store: Store
    settings: Settings

    @property
    def key(self) -> str:
        """The digest of all that was asked."""
        trusted = list(self.settings.trusted_modules)
        asked = [str(self.path), self.text, list(self.overrides), self.until, trusted]
        return digest_json(asked)

    @property
    def place(self) -> Path:
        """Where the name of the pipeline is kept that answers this question."""
        return self.store.root / "latest" / "documents" / f"{self.key}.json"


def ask(
    pipeline: Path, overrides: Sequence[str], until: str | None, store: str | Path | None
) -> Question | None:
    """Return the question a command asks; None if the file cannot be read as text.

    Raises:
        PrefectTorchError: The settings or the store's path are wrong.
    """
    try:
        text = pipeline.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None  # told by whoever reads it for real
    settings = load_settings()
    root = Store(store or settings.store)
    return Question(pipeline.resolve(), text, tuple(overrides), until, root, settings)


def keep_answer(
    question: Question,
    roots: Mapping[str, Sequence[str]],
    source: tuple[str, Mapping[str, Any]],
    summary: RunSummary,
) -> None:
    """Keep what a run's result depends on, for `answer`.

    Args:
        question: What was asked for.
        roots: Import paths of the components of each stage.
        source: Class and arguments of the source.
        summary: What came of the run.
    """
    store = question.store
    records = [store.record(stage.fingerprint) for stage in summary.stages.values()]
    documents = {record.stage: record.document for record in records if record}
    if set(documents) != set(summary.stages) or documents["ingest"]["source"] is None:
        return
    name, args = source
    kept = {
        "key": question.key,
        "roots": {stage: list(roots[stage]) for stage in documents},
        "code": {stage: document["code"] for stage, document in documents.items()},
        "versions": {k: v for each in documents.values() for k, v in each["versions"].items()},
        "source": {"class": name, "args": dict(args), "identity": documents["ingest"]["source"]},
        "champion": _champion(store, summary.pipeline),
        "summary": summary.model_dump_json(),  # as text: the order of the stages counts
    }
    write_json(_answer_of(store, summary.pipeline), kept)
    write_json(question.place, {"pipeline": summary.pipeline})


def answer(question: Question) -> RunSummary | None:
    """Return the summary of a run in which every stage is reused, or None to take the long way."""
    try:
        name = json.loads(question.place.read_text(encoding="utf-8"))["pipeline"]
        kept = json.loads(_answer_of(question.store, name).read_text(encoding="utf-8"))
        if kept["key"] != question.key or not _still_true(kept, name, question):
            return None
        last = RunSummary.model_validate_json(kept["summary"])
        for result in last.stages.values():
            question.store.get(result.artifact).verify()
    except (OSError, ValueError, KeyError, TypeError, PrefectTorchError):
        return None  # what is wrong is told, or mended, on the long way
    if last.report is None or not Path(last.report).is_file():
        return None
    return _again(last, question.store)


def _still_true(kept: Mapping[str, Any], name: str, question: Question) -> bool:
    """Compare all that a run's result depends on with what it is now."""
    if kept["champion"] != _champion(question.store, name):
        return False
    if any(minor_version(package) != then for package, then in kept["versions"].items()):
        return False
    project = question.path.parent
    code = read_code(kept["roots"], project, question.settings.cache / "code")
    if any(digest_json(code[stage].units) != then for stage, then in kept["code"].items()):
        return False
    source = kept["source"]
    return bool(_identity(source["class"], source["args"], project) == source["identity"])


def _identity(name: str, args: Mapping[str, Any], project: Path) -> Any:
    """Return what a source's content is known by; None for one that must be built to tell."""
    if name in FILE_SOURCES:
        return files_identity(find_files(args["path"], project), project)
    if name == "prefect_torch.datasets.sklearn_source.SklearnSource":
        from prefect_torch.datasets.sklearn_source import SklearnSource

        return SklearnSource(**args).identity()
    if name == "prefect_torch.datasets.image_folder_source.ImageFolderSource":
        from prefect_torch.datasets.image_folder_source import ImageFolderSource

        return ImageFolderSource(**args).within(project).identity()
    return None


def _again(last: RunSummary, store: Store) -> RunSummary:
    """Return (and write) the summary of a run that reuses everything of the last one."""
    stages = {
        name: result.model_copy(
            update={"outcome": "reused", "seconds": 0.0, "reasons": ("same inputs",)}
        )
        for name, result in last.stages.items()
    }
    summary = last.model_copy(update={"run_id": str(uuid.uuid4()), "stages": stages})
    folder = store.run_folder(summary.run_id)
    document = store.root / "runs" / last.run_id / "document.json"
    if document.is_file():
        write_text(folder / document.name, document.read_text(encoding="utf-8"))
    write_text(folder / "run.json", summary.model_dump_json(indent=1) + "\n")
    return summary


def _champion(store: Store, pipeline: str) -> str | None:
    path = store.root / "registry" / pipeline / "champion.json"
    return sha256(path.read_bytes()).hexdigest() if path.exists() else None


def _answer_of(store: Store, pipeline: str) -> Path:
    return store.root / "latest" / pipeline / "answer.json"
