"""Where an artifact comes from: back to the source's digest, the spec, the code and the versions.

How it is shown is in `prefect_torch/lineage_views.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect_torch.errors import ArtifactError, PrefectTorchError, did_you_mean
from prefect_torch.registry import champion_of
from prefect_torch.store import MANIFEST, StageRecord, Store
from prefect_torch.tasks.reasons import code_units
from prefect_torch.tasks.runs import find_run, past_runs, pipeline_name
from prefect_torch.tasks.stage import STAGES

LEAST_DIGITS = 6
MOST_CANDIDATES = 8


@dataclass(frozen=True)
class Step:
    """One artifact on the way back to the source."""

    artifact: str
    stage: str
    """Name of the stage that made it; empty where nothing says."""
    record: StageRecord | None
    """How it came to be; None where the store does not remember."""
    bytes: int | None
    """Size of its files; None if it is no longer in the store."""
    code: Mapping[str, str]
    """Units of code that computed it, `nets.py: Block.forward` to digest; empty if unknown."""
    others: int
    """How many other fingerprints gave the same bytes."""

    @property
    def upstream(self) -> Mapping[str, str]:
        """Digest of each artifact it was computed from, by stage, the last stage first."""
        found = self.record.document.get("upstream", {}) if self.record else {}
        return {stage: found[stage] for stage in [*STAGES][::-1] if stage in found}


class Records:
    """The stage records of a store, by the artifact that they gave."""

    def __init__(self, store: Store) -> None:
        self._present = set(artifact_digests(store))
        self.by_artifact: dict[str, list[StageRecord]] = {}
        for record in stage_records(store):
            self.by_artifact.setdefault(record.artifact, []).append(record)

    def of(self, digest: str) -> StageRecord | None:
        """Return how an artifact came to be: of several ways, one that the store still has whole.

        Of several of these, the latest.
        """

        def merit(record: StageRecord) -> tuple[bool, str]:
            whole = all(each in self._present for each in upstream_of(record))
            return whole, str(record.provenance.get("finished", ""))

        return max(self.by_artifact.get(digest, ()), key=merit, default=None)


def stage_records(store: Store) -> Iterator[StageRecord]:
    """Yield every readable stage record of a store."""
    for path in sorted(store.root.glob("stages/*.json")):
        record = store.record(path.stem)
        if record is not None:
            yield record


def artifact_digests(store: Store) -> Iterator[str]:
    """Yield the digest of every artifact in a store."""
    for path in sorted(store.root.glob(f"objects/*/{MANIFEST}")):
        yield path.parent.name


def upstream_of(record: StageRecord) -> Iterable[str]:
    """Return the digests that a record's artifact was computed from."""
    return tuple(record.document.get("upstream", {}).values())


def lineage(store: Store, digest: str) -> dict[str, Step]:
    """Return an artifact's way back: each step by its digest, the artifact itself first.

    Args:
        store: Where to look.
        digest: Of the artifact, in full.
    """
    records = Records(store)
    steps: dict[str, Step] = {}
    waiting = [digest]
    while waiting:
        each = waiting.pop()
        if each not in steps:
            steps[each] = _step(store, records, each)
            waiting += [*steps[each].upstream.values()][::-1]
    return steps


def _step(store: Store, records: Records, digest: str) -> Step:
    record = records.of(digest)
    others = max(len(records.by_artifact.get(digest, ())) - 1, 0)
    code = code_units(store, str(record.document.get("code"))) if record else {}
    try:
        artifact = store.get(digest)
    except ArtifactError:  # gone or damaged; how it came to be is remembered all the same
        return Step(digest, record.stage if record else "", record, None, code, others)
    size = sum(file["bytes"] for file in artifact.files.values())
    return Step(digest, artifact.kind, record, size, code, others)


def find_artifact(store: Store, text: str) -> str:
    """Return the digest of the artifact that a person means.

    Args:
        store: Where to look.
        text: The beginning of a digest, a path inside the store, `PIPELINE` for its champion's
            checkpoint, or `PIPELINE:STAGE` for what that stage gave in its last run.

    Raises:
        PrefectTorchError: None or several are meant; the message names candidates.
    """
    if _is_path(text):
        return _at_path(store, Path(text))
    name, colon, stage = text.partition(":")
    pipelines = {run.pipeline for run in past_runs(store)}
    pipelines |= {path.name for path in store.root.glob("registry/*") if path.is_dir()}
    if pipeline_name(name) in pipelines:
        pipeline = pipeline_name(name)
        return _of_last_run(store, pipeline, stage) if colon else _champion(store, pipeline)
    return _by_digits(store, text, pipelines)


def _is_path(text: str) -> bool:
    # A file beside us may bear the name of a pipeline; only one with a folder is taken for a path.
    return "/" in text and ":" not in text and not text.endswith((".yaml", ".yml", ".toml"))


def _at_path(store: Store, path: Path) -> str:
    objects = store.root / "objects"
    for base in (objects, objects.resolve()):
        for whole in (path.absolute(), path.resolve()):
            if whole != base and whole.is_relative_to(base):
                return whole.relative_to(base).parts[0]
    raise PrefectTorchError(
        f"{path}: no artifact: expected a path below {objects}; is --store the right one?"
    )


def _champion(store: Store, pipeline: str) -> str:
    champion = champion_of(store, pipeline)
    if champion is None:
        raise PrefectTorchError(
            f"{pipeline} has no champion yet; for its last run's checkpoint say {pipeline}:train"
        )
    return champion.train


def _of_last_run(store: Store, pipeline: str, stage: str) -> str:
    run = find_run(store, pipeline)
    if stage not in run.stages:
        near = did_you_mean(stage, run.stages)
        raise PrefectTorchError(f'{pipeline}: its last run gave nothing at "{stage}"; {near}')
    return str(run.stages[stage]["artifact"])


def _by_digits(store: Store, text: str, pipelines: Iterable[str]) -> str:
    """Find an artifact by the beginning of its digest; a deleted one is remembered by records."""
    records = Records(store)
    known = sorted({*artifact_digests(store), *records.by_artifact})
    digits = re.fullmatch(r"[0-9a-f]{1,64}", text)
    found = [digest for digest in known if digits and digest.startswith(text)]
    if digits and len(text) < LEAST_DIGITS and found:
        raise PrefectTorchError(
            f'"{text}": give at least {LEAST_DIGITS} digits of the digest; '
            f"they begin {_candidates(store, records, found)}"
        )
    if len(found) == 1:
        return found[0]
    if found:
        raise PrefectTorchError(
            f'several artifacts begin with "{text}": {_candidates(store, records, found)}'
        )
    if not known:
        raise PrefectTorchError(
            f"{store.root}: no artifacts yet; start with: prefect-torch run PIPELINE, or name the "
            "store with --store"
        )
    raise PrefectTorchError(
        f'{store.root}: no artifact "{text}"; expected a pipeline ({did_you_mean(text, pipelines)})'
        f", PIPELINE:STAGE, a path inside the store, or the beginning of a digest: "
        f"{_candidates(store, records, known)}"
    )


def _candidates(store: Store, records: Records, digests: Sequence[str]) -> str:
    told = []
    for digest in digests[:MOST_CANDIDATES]:
        step = _step(store, records, digest)
        told.append(f"{digest[:12]} ({step.stage or 'unknown'})")
    more = len(digests) - len(told)
    return ", ".join(told) + (f" and {more} more" if more > 0 else "")


def lineage_json(steps: Mapping[str, Step]) -> dict[str, Any]:
    """Return a lineage as JSON values: the artifact first, its sources last."""
    return {"artifact": next(iter(steps)), "steps": [_step_json(s) for s in steps.values()]}


def _step_json(step: Step) -> dict[str, Any]:
    document = step.record.document if step.record else {}
    return {
        "artifact": step.artifact,
        "stage": step.stage or None,
        "bytes": step.bytes,
        "fingerprint": step.record.fingerprint if step.record else None,
        **{name: document.get(name) for name in ("spec", "source", "versions", "champion")},
        "code": {"digest": document.get("code"), "units": dict(step.code)},
        "upstream": dict(step.upstream),
        "provenance": dict(step.record.provenance) if step.record else None,
        "other_fingerprints": step.others,
    }
