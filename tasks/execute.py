"""Running one stage: reuse what is still true, else compute it; one computes, the others wait."""

from __future__ import annotations

import logging
import platform
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import datetime, timezone
from importlib import import_module

from prefect_torch.declaration import Declaration
from prefect_torch.errors import ArtifactError, DataError
from prefect_torch.fingerprint import Fingerprint
from prefect_torch.progress import Finished, Started, tell
from prefect_torch.registry import Champion, set_champion
from prefect_torch.results import Outcome, StageResult
from prefect_torch.store import Artifact, StageRecord, Store
from prefect_torch.tasks.context import StageContext
from prefect_torch.tasks.held_code import check_code, import_project_code
from prefect_torch.tasks.reasons import reasons_to_run, remember
from prefect_torch.tasks.stage import Stage, source_identity

logger = logging.getLogger("prefect_torch")


def run_stage(
    stage: Stage,
    declaration: Declaration,
    upstream: Mapping[str, StageResult],
    store: Store,
    *,
    force: bool = False,
    run_id: str = "",
) -> StageResult:
    """Answer from a checked artifact, or compute one and record it.

    Args:
        stage: Which one.
        declaration: The checked spec.
        upstream: Results of the stages it reads.
        store: Where artifacts live.
        force: Compute even if the store holds the answer.
        run_id: Kept in the stage record.

    Raises:
        PrefectTorchError: The stage failed; nothing of it stays in the store.
    """
    started = time.perf_counter()
    digests = {name: upstream[name].artifact for name in stage.inputs}
    with _locked(stage, declaration, digests, store) as key:
        found, damage = reusable(stage, key, store)
        if found is not None and not force:
            remember(store, declaration, stage.name, key)
            after_promotion(stage, declaration, digests, found, store, run_id)
            return _result(stage, "reused", key, found, started, ("same inputs",))
        why = reasons_to_run(stage, key, declaration, store, force, damage)
        tell(Started(stage.name, why))
        if damage:
            logger.warning("%s: %s; computing it again", stage.name, damage)
        artifact = _compute(stage, declaration, digests, key, store, run_id)
        remember(store, declaration, stage.name, key)
        after_promotion(stage, declaration, digests, artifact, store, run_id)
        return _result(stage, "ran", key, artifact, started, why)


@contextmanager
def _locked(
    stage: Stage, declaration: Declaration, digests: Mapping[str, str], store: Store
) -> Iterator[Fingerprint]:
    """Hold the lock of a stage's fingerprint; of several runs that want it, one computes.

    Promote reads and moves the champion, so from before it looks until after, no other run may.
    """
    with ExitStack() as stack:
        if stage.name == "promote":
            stack.enter_context(store.lock(f"champion-{declaration.spec.name}"))
        key = stage.fingerprint(declaration, digests, store)
        stack.enter_context(store.lock(key.key))
        yield key


def reusable(stage: Stage, key: Fingerprint, store: Store) -> tuple[Artifact | None, str]:
    """Return the checked artifact a key gave, and else what is wrong with it (empty: nothing)."""
    if stage.name == "ingest" and key.document["source"] is None:
        return None, ""
    record = store.record(key.key)
    if record is None:
        return None, ""
    try:
        artifact = store.get(record.artifact)
        artifact.verify()
    except ArtifactError as error:
        return None, str(error)
    return artifact, ""


def _compute(
    stage: Stage,
    declaration: Declaration,
    digests: Mapping[str, str],
    key: Fingerprint,
    store: Store,
    run_id: str,
) -> Artifact:
    started = time.perf_counter()
    inputs = {name: store.get(digest) for name, digest in digests.items()}
    for artifact in inputs.values():
        artifact.verify(remembered=False)
    with store.staging(key.key) as output:
        context = StageContext(declaration, inputs, output, store)
        if stage.name == "train" and "torchmetrics" in declaration.code["evaluate"].packages:
            # It takes seconds, and evaluate will ask for it: import it beside the training.
            threading.Thread(target=import_module, args=("torchmetrics",), daemon=True).start()
        import_project_code(declaration)
        check_code(stage.name, declaration)
        stage.compute(context)
        check_code(stage.name, declaration)
        _check_source_stood_still(stage, declaration, key)
        artifact = store.commit(output, stage.name)
    provenance = {
        "finished": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "host": platform.node(),
        "run_id": run_id,
        "seconds": round(time.perf_counter() - started, 3),
        **context.notes,
    }
    store.write_record(StageRecord(stage.name, key.key, artifact.digest, key.document, provenance))
    return artifact


def _check_source_stood_still(stage: Stage, declaration: Declaration, key: Fingerprint) -> None:
    """Refuse what was read while it changed: it would answer for content that it does not hold."""
    if stage.name != "ingest" or key.document["source"] is None:
        return
    if source_identity(declaration) != key.document["source"]:
        raise DataError("data.source: it changed while it was read; run again when it is complete")


def after_promotion(
    stage: Stage,
    declaration: Declaration,
    digests: Mapping[str, str],
    artifact: Artifact,
    store: Store,
    run_id: str,
) -> None:
    """Move the champion pointer to where a promote artifact says, also when it was reused."""
    decision = artifact.json("decision.json") if stage.name == "promote" else {}
    if not decision.get("promoted"):
        return
    champion = Champion(
        train=digests["train"],
        prepare=digests["prepare"],
        evaluate=digests["evaluate"],
        metrics=decision["metrics"],
    )
    moved = {"run_id": run_id, "time": datetime.now(timezone.utc).isoformat(timespec="seconds")}
    set_champion(store, declaration.spec.name, champion, moved)
    settled = stage.fingerprint(declaration, digests, store)
    if store.record(settled.key) is None:
        # The candidate is the champion now, so it has no rival: the same decision stands.
        store.write_record(StageRecord(stage.name, settled.key, artifact.digest, settled.document))


def _result(
    stage: Stage,
    outcome: Outcome,
    key: Fingerprint,
    artifact: Artifact,
    started: float,
    reasons: tuple[str, ...],
) -> StageResult:
    result = StageResult(
        stage=stage.name,
        outcome=outcome,
        fingerprint=key.key,
        artifact=artifact.digest,
        path=str(artifact.path),
        seconds=round(time.perf_counter() - started, 3),
        reasons=reasons,
    )
    tell(Finished(result.stage, result.outcome, result.seconds, result.reasons))
    return result
