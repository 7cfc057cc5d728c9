"""Promote: the gate against fixed bounds and against the champion; it moves the pointer."""

from __future__ import annotations

import json
from collections.abc import Mapping

from prefect_torch.declaration import Declaration
from prefect_torch.errors import ArtifactError
from prefect_torch.registry import Champion, champion_of, set_champion
from prefect_torch.store import Artifact, Store
from prefect_torch.tasks.evaluate import metric_improves, outputs_on_test, test_metrics
from prefect_torch.tasks.stage import StageContext, rival
from prefect_torch.training.spec import PromoteSpec


def promote(context: StageContext) -> None:
    """Write `decision.json`: whether the candidate becomes the champion, and why."""
    declaration, inputs = context.declaration, context.inputs
    metrics = inputs["evaluate"].json("metrics.json")
    gate = declaration.spec.promote
    reasons: list[str] = []
    against: dict[str, float] | None = None
    refused = False
    if gate is not None:
        refused, reasons = check_bounds(gate, metrics[gate.metric])
        champion = champion_of(context.store, declaration.spec.name)
        if champion and rival(declaration, inputs["train"].digest, context.store):
            against, told = _champion_metrics(context, champion)
            worse, said = _compare(declaration, metrics[gate.metric], against, told)
            refused, reasons = refused or worse, [*reasons, said]
    decision = {
        "promoted": not refused,
        "reasons": reasons or ["no gate is declared"],
        "metrics": metrics,
        "champion": against,
    }
    text = json.dumps(decision, indent=1, ensure_ascii=False)
    (context.output / "decision.json").write_text(text + "\n", encoding="utf-8")


def check_bounds(gate: PromoteSpec, value: float) -> tuple[bool, list[str]]:
    """Return whether a bound refuses a value, and a sentence for each bound."""
    refused, reasons = False, []
    if gate.at_least is not None:
        below = not value >= gate.at_least
        sign = "is below" if below else "is at least"
        reasons.append(f"{gate.metric} {value:.6g} {sign} {gate.at_least:g}")
        refused |= below
    if gate.at_most is not None:
        above = not value <= gate.at_most
        sign = "is above" if above else "is at most"
        reasons.append(f"{gate.metric} {value:.6g} {sign} {gate.at_most:g}")
        refused |= above
    return refused, reasons


def _champion_metrics(
    context: StageContext, champion: Champion
) -> tuple[dict[str, float] | None, str]:
    """Return the champion's figures on the candidate's test split, measured again if need be."""
    declaration, prepared = context.declaration, context.inputs["prepare"]
    gate = declaration.spec.promote
    assert gate is not None
    if champion.prepare == prepared.digest and gate.metric in champion.metrics:
        return champion.metrics, "on the same test split"
    try:
        trained = context.store.get(champion.train)
        trained.verify()
        if _encoding(context.store.get(champion.prepare)) != _encoding(prepared):
            return None, "the columns or categories it was trained on are not today's"
    except ArtifactError as error:
        return None, f"it is not in the store whole ({error})"
    outputs = outputs_on_test(declaration, prepared, trained)
    return test_metrics(declaration, prepared, outputs), "measured again on today's test split"


def _encoding(prepared: Artifact) -> object:
    """Return what a model's inputs mean: fitted features, target and fields."""
    fitted = prepared.json("fitted.json")
    return [fitted[key] for key in ("features", "target", "fields")]


def _compare(
    declaration: Declaration, value: float, against: Mapping[str, float] | None, told: str
) -> tuple[bool, str]:
    """Return whether a value is worse than the champion's, and a sentence about it."""
    gate = declaration.spec.promote
    assert gate is not None
    if against is None:
        return False, f"not compared with the champion: {told}"
    other = against[gate.metric]
    higher = metric_improves(declaration, gate.metric) is not False
    worse = not (value >= other if higher else value <= other)
    word = "worse than" if worse else "not worse than"
    return worse, f"{gate.metric} {value:.6g} is {word} the champion's {other:.6g} ({told})"


def apply_decision(
    declaration: Declaration,
    digests: Mapping[str, str],
    artifact: Artifact,
    store: Store,
    run_id: str,
) -> None:
    """Point at the candidate if the decision promoted it (again, if the pointer was elsewhere)."""
    decision = artifact.json("decision.json")
    if decision["promoted"]:
        champion = Champion(**dict(digests), metrics=decision["metrics"])
        set_champion(store, declaration.spec.name, champion, {"run_id": run_id})
