"""Why a stage runs: what moved between two fingerprints, down to the field."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from prefect_torch.declaration import Declaration
from prefect_torch.fingerprint import Fingerprint
from prefect_torch.store import Store, write_json
from prefect_torch.tasks.stage import Stage

SHOWN_CHARACTERS = 60
SHOWN_UNITS = 5


def remember(store: Store, declaration: Declaration, stage: str, key: Fingerprint) -> None:
    """Keep a stage's fingerprint as this pipeline's latest, for the next run's reasons."""
    units = store.root / "code" / f"{key.document['code']}.json"
    if not units.exists():
        write_json(units, declaration.code[stage].units)
    path = store.root / "latest" / declaration.spec.name / f"{stage}.json"
    if _read(path) != key.document:
        write_json(path, key.document)


def code_units(store: Store, digest: str) -> Mapping[str, str]:
    """Return the units of code behind a digest in a fingerprint's document; empty if unknown."""
    return _read(store.root / "code" / f"{digest}.json") or {}


def latest(store: Store, pipeline: str, stage: str) -> Mapping[str, Any] | None:
    """Return what a stage's latest fingerprint was made of, or None before the first run."""
    return _read(store.root / "latest" / pipeline / f"{stage}.json")


def _read(path: Any) -> Mapping[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def reasons_to_run(
    stage: Stage,
    key: Fingerprint,
    declaration: Declaration,
    store: Store,
    force: bool = False,
    damage: str = "",
) -> tuple[str, ...]:
    """Return why a stage computes its result, the most telling reason first."""
    if force:
        return ("forced",)
    if damage:
        return (damage,)
    if stage.name == "ingest" and key.document["source"] is None:
        return ("the source has no fingerprint(), so it cannot be known unchanged",)
    before = latest(store, declaration.spec.name, stage.name)
    if before is None:
        return ("no earlier result",)
    old = code_units(store, before.get("code", ""))
    new = declaration.code[stage.name].units
    changes = (*differences(before, key.document), *code_differences(old, new))
    return changes or ("its earlier result is no longer in the store",)


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """Yield what moved between two fingerprint documents but for code, one sentence each."""
    yield from _changes(before.get("spec", {}), after.get("spec", {}), "")
    if before.get("source") != after.get("source"):
        yield from _changes(before.get("source") or {}, after.get("source") or {}, "source ")
    old, new = before.get("upstream", {}), after.get("upstream", {})
    yield from (f"the result of {name} changed" for name in new if new[name] != old.get(name))
    yield from _changes(before.get("versions", {}), after.get("versions", {}), "")
    if before.get("champion") != after.get("champion"):
        yield "the champion changed"


def code_differences(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """Yield the units of code that moved, such as `nets.py: Block.forward changed`."""
    if before == after:
        return
    told = [
        f"{unit} {'added' if unit not in before else 'removed' if unit not in after else 'changed'}"
        for unit in dict.fromkeys([*after, *before])
        if before.get(unit) != after.get(unit)
    ]
    yield from told[:SHOWN_UNITS]
    if len(told) > SHOWN_UNITS:
        yield f"and {len(told) - SHOWN_UNITS} more changes of code"


def _changes(before: Any, after: Any, path: str) -> Iterator[str]:
    before, after = _by_name(before), _by_name(after)
    if before == after:
        return
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            inner = f"{path}.{key}" if path and not path.endswith(" ") else f"{path}{key}"
            yield from _changes(before.get(key), after.get(key), inner)
    else:
        yield f"{path} {_shown(before)} → {_shown(after)}"


def _by_name(value: Any) -> Any:
    """Turn a list of `{"name": …, "blake3": …}` into a mapping: files have names."""
    if isinstance(value, list) and value and all(_is_file(item) for item in value):
        return {item["name"]: item["blake3"] for item in value}
    return value


def _is_file(item: Any) -> bool:
    return isinstance(item, dict) and set(item) == {"name", "blake3"}


def _shown(value: Any) -> str:
    if value is None:
        return "(none)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if len(text) == 64 and all(c in "0123456789abcdef" for c in text):
        return text[:12]
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 1] + "…"
