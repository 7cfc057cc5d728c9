"""What nobody reaches any more in a store: found, told, and freed on demand.

Kept is what a champion, a live run, a run that can be resumed, or the last runs of each pipeline
reach: their artifacts, those they were computed from, and the records and code that tell how.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prefect_torch.errors import ArtifactError
from prefect_torch.fingerprint import digest_json
from prefect_torch.leftovers import REMOVED, discard, size_of
from prefect_torch.registry import champion_of
from prefect_torch.store import Store
from prefect_torch.tasks.lineage import Records, upstream_of
from prefect_torch.tasks.runs import PastRun, past_runs
from prefect_torch.tasks.stage import STAGES

Kind = Literal["runs", "records", "code", "objects", "leftovers"]
KINDS: tuple[Kind, ...] = ("objects", "records", "code", "runs", "leftovers")

RESUMABLE_SECONDS = 30 * 24 * 3600.0
"""Unfinished training that nobody has gone on with for so long is given up."""

CHECKPOINTS = "checkpoint*"
"""What a folder in `partial/` holds if training can go on from there."""

_DIGEST = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Garbage:
    """One thing that can go."""

    kind: Kind
    name: str
    path: Path
    bytes: int
    told: str = ""
    """What a person knows it by, beside the name."""


@dataclass(frozen=True)
class Findings:
    """What can go from a store, and how much stays."""

    garbage: tuple[Garbage, ...]
    artifacts_kept: int
    runs_kept: int
    resumable: tuple[str, ...]
    """Fingerprints of training that can go on."""

    def of(self, kind: Kind) -> list[Garbage]:
        """Return what can go of one kind."""
        return [each for each in self.garbage if each.kind == kind]


@dataclass(frozen=True)
class _Reach:
    """What must stay."""

    artifacts: set[str]
    runs: set[str]


def find_garbage(store: Store, keep: int) -> Findings:
    """Return what can go from a store.

    Args:
        store: Where to look; nothing but marks of dead processes is changed.
        keep: How many runs of each pipeline keep what they reach.

    Raises:
        ArtifactError: A run's summary or a champion is unreadable, so that it cannot be known what
            it reaches.
    """
    # What exists is listed before what is needed: what comes in between is not on the list.
    objects = [path for path in _below(store, "objects") if _DIGEST.fullmatch(path.name)]
    codes = [path for path in _below(store, "code") if path.suffix == ".json"]
    runs = [run for run in past_runs(store) if not run.folder.is_symlink()]
    # Marks of dead runs go by themselves whenever somebody asks which runs live, as here.
    leftovers = [path for path in store.leftovers() if path.parent.name != "live"]
    known = Records(store)
    resumable = [path for path in _below(store, "partial") if _can_resume(store, path)]
    reach = _reach(store, keep, known, bool(resumable))
    needed = {*resumable, *(store.root / "objects" / digest for digest in reach.artifacts)}
    garbage = [
        *_objects(objects, known, reach, {*leftovers}),
        *_records(store, known, reach),
        *_codes(store, codes, known, reach),
        *(_of_run(run) for run in runs if run.run_id not in reach.runs),
        *(_leftover(store, path) for path in leftovers if path not in needed),
    ]
    return Findings(
        tuple(garbage),
        len({path.name for path in objects} & reach.artifacts),
        len({run.run_id for run in runs} & reach.runs),
        tuple(path.name for path in resumable),
    )


def free(store: Store, findings: Findings) -> tuple[list[Garbage], list[str]]:
    """Remove what was found, each thing in one step; what a live run has taken up meanwhile stays.

    Returns:
        What is gone, with the bytes it took; and what stays after all, one sentence each.
    """
    freed: list[Garbage] = []
    stays: list[str] = []
    # What names comes before what is named: killed at any point, nothing points to what is gone.
    for each in findings.of("runs"):
        _set_aside(store, each.path)
        freed.append(each)
    by_artifact: dict[str, list[Garbage]] = {}
    for each in (*findings.of("records"), *findings.of("objects")):
        by_artifact.setdefault(each.told if each.kind == "records" else each.name, []).append(each)
    for digest, things in by_artifact.items():
        try:
            store.remove(digest, [each.name for each in things if each.kind == "records"])
        except ArtifactError as error:
            stays.append(str(error))
        else:
            freed += things
    for each in findings.of("code"):
        discard(each.path)
        freed.append(each)
    for each in findings.of("leftovers"):
        store.sweep(each.path)
        freed.append(each)
    return freed, stays


def _set_aside(store: Store, folder: Path) -> None:
    """Remove a folder that readers see whole or not at all; a kill leaves a leftover."""
    aside = store.root / "partial" / f"{folder.name}.{os.urandom(4).hex()}{REMOVED}"
    aside.parent.mkdir(exist_ok=True)
    try:
        folder.rename(aside)
    except FileNotFoundError:
        return  # somebody else removes it too
    discard(aside)


def _reach(store: Store, keep: int, known: Records, resumable: bool) -> _Reach:
    """Return what the champions, the live, the resumable and the last runs need."""
    artifacts = {*store.live_digests(), *_champions(store)}
    live = {path.stem for path in _below(store, "live")}
    runs: dict[str, list[PastRun]] = {}
    for run in reversed(past_runs(store)):
        of_pipeline = runs.setdefault(run.pipeline, [])
        if len(of_pipeline) < keep or run.run_id in live:
            of_pipeline.append(run)
    kept = [run for of_pipeline in runs.values() for run in of_pipeline]
    artifacts |= {stage["artifact"] for run in kept for stage in run.stages.values()}
    for digest, records in known.by_artifact.items():
        if any(record.provenance.get("run_id") in live for record in records):
            artifacts.add(digest)
    if resumable or keep:
        # A killed run leaves no summary, and unfinished training names nothing: what each pipeline
        # came to last is what the next run of it goes on from.
        artifacts |= {*_latest(store)}
    # A run that was answered from another one shows that one's report.
    reports = {Path(run.summary.get("report") or "").parent.name for run in kept}
    return _Reach(_with_upstream(artifacts, known), reports | {run.run_id for run in kept})


def _champions(store: Store) -> Iterator[str]:
    for folder in store.root.glob("registry/*"):
        champion = champion_of(store, folder.name)
        if champion is not None:
            yield from (champion.train, champion.prepare, champion.evaluate)


def _latest(store: Store) -> Iterator[str]:
    for document in _latest_documents(store):
        record = store.record(digest_json(document))
        if record is not None:
            yield record.artifact


def _latest_documents(store: Store) -> Iterator[dict[str, Any]]:
    for path in store.root.glob("latest/*/*.json"):
        if path.stem not in STAGES:
            continue
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            continue  # it tells reasons, and its absence costs no more than one
        if isinstance(found, dict):
            yield found


def _with_upstream(digests: Iterable[str], known: Records) -> set[str]:
    found: set[str] = set()
    waiting = [*digests]
    while waiting:
        digest = waiting.pop()
        if digest not in found:
            found.add(digest)
            record = known.of(digest)
            waiting += upstream_of(record) if record else ()
    return found


def _can_resume(store: Store, path: Path) -> bool:
    """Tell whether a folder holds training that is unfinished and not yet given up."""
    if not _DIGEST.fullmatch(path.name) or store.record(path.name) is not None:
        return False
    try:
        latest = max((each.stat().st_mtime for each in path.glob(CHECKPOINTS)), default=0.0)
    except FileNotFoundError:
        return True  # it moves while we look, so somebody is at it
    return latest > time.time() - RESUMABLE_SECONDS


def _objects(
    paths: Iterable[Path], known: Records, reach: _Reach, leftovers: set[Path]
) -> Iterator[Garbage]:
    for path in paths:
        if path.name not in reach.artifacts and path not in leftovers:
            stages = {record.stage for record in known.by_artifact.get(path.name, ())}
            told = ", ".join(sorted(stages)) or "no record names it"
            yield Garbage("objects", path.name, path, size_of(path), told)


def _records(store: Store, known: Records, reach: _Reach) -> Iterator[Garbage]:
    """Yield records of artifacts that go or are gone."""
    for digest, records in known.by_artifact.items():
        if digest not in reach.artifacts or not (store.root / "objects" / digest).exists():
            for record in records:
                path = store.root / "stages" / f"{record.fingerprint}.json"
                yield Garbage("records", record.fingerprint, path, size_of(path), digest)


def _codes(store: Store, paths: Iterable[Path], known: Records, reach: _Reach) -> Iterator[Garbage]:
    """Yield lists of code that neither a record that stays nor a pipeline's latest state names."""
    named = {document.get("code") for document in _latest_documents(store)}
    for digest in reach.artifacts:
        named |= {record.document.get("code") for record in known.by_artifact.get(digest, ())}
    for path in paths:
        if path.stem not in named:
            yield Garbage("code", path.stem, path, size_of(path))


def _of_run(run: PastRun) -> Garbage:
    return Garbage("runs", run.run_id, run.folder, size_of(run.folder), run.pipeline)


def _leftover(store: Store, path: Path) -> Garbage:
    return Garbage("leftovers", str(path.relative_to(store.root)), path, size_of(path))


def _below(store: Store, folder: str) -> list[Path]:
    """Return what lies in a folder of the store; links lead out of it and are left alone."""
    try:
        return sorted(path for path in (store.root / folder).iterdir() if not path.is_symlink())
    except FileNotFoundError:
        return []
