"""What decides a stage's result is in its fingerprint; what does not, is not."""

import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from prefect_torch import fingerprint as module
from prefect_torch.components import Component, Part
from prefect_torch.fingerprint import (
    Decides,
    EachField,
    canonical_json,
    deciding_fields,
    digest_file,
    digest_files,
    digest_json,
    fingerprint,
    minor_version,
)
from prefect_torch.spec import PipelineSpec

STAGES = ("ingest", "prepare", "train", "evaluate", "promote")
SPEC: dict[str, Any] = {
    "name": "tiny",
    "data": {
        "source": {"class": "CsvSource", "path": "rows.csv"},
        "features": {"x": {"kind": "number"}},
        "target": {"y": {"kind": "category"}},
    },
    "model": {"class": "MLP", "hidden": [8]},
    "metrics": {"accuracy": {"class": "MulticlassAccuracy"}},
    "promote": {"metric": "accuracy"},
}


def _spec(change: dict[str, Any] | None = None) -> PipelineSpec:
    tree = json.loads(json.dumps(SPEC))
    for path, value in (change or {}).items():
        place = tree
        *way, last = path.split(".")
        for name in way:
            place = place.setdefault(name, {})
        place[last] = value
    return PipelineSpec.model_validate_json(json.dumps(tree), strict=True)


def _unmarked(model: type[BaseModel], path: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        place = f"{path}{name}"
        marks = [m for m in field.metadata if isinstance(m, (Decides, EachField))]
        if len(marks) != 1:
            yield place
        parts = [part for part in _types(field.annotation) if issubclass(part, Part)]
        if marks and isinstance(marks[0], EachField):
            if not parts:
                yield f"{place}: EachField on what has no fields"
            for part in parts:
                yield from _unmarked(part, f"{place}.")
        elif marks and not set(marks[0].stages) <= set(STAGES):
            yield f"{place}: {marks[0].stages}"


def _types(annotation: Any) -> list[type]:
    if isinstance(annotation, type):
        return [annotation]
    return [found for argument in getattr(annotation, "__args__", ()) for found in _types(argument)]


def test_every_field_of_the_spec_says_which_stages_it_decides() -> None:
    assert list(_unmarked(PipelineSpec)) == []


@pytest.mark.parametrize(
    ("path", "value", "decides"),
    [
        ("name", "other", {"promote"}),
        ("seed", 1, {"prepare", "train"}),
        ("data.source", {"class": "CsvSource", "path": "b.csv"}, {"ingest"}),
        ("data.expect", {"nulls": 0}, {"ingest"}),
        ("data.features", {"x": {"kind": "number", "nulls": "mean"}}, {"prepare"}),
        ("data.target", {"y": {"kind": "number"}}, {"prepare"}),
        ("data.split", {"train": 0.6, "test": 0.3}, {"prepare"}),
        ("transforms.prepare", ["CenterCrop"], {"prepare"}),
        ("transforms.train", ["RandomRotation"], {"train"}),
        ("loader.batch_size", 3, {"train"}),
        ("loader.shuffle", False, {"train"}),
        ("loader.drop_last", True, {"train"}),
        ("loader.workers", 2, set()),
        ("model", {"class": "MLP", "hidden": [9]}, {"train"}),
        ("loss", "MSELoss", {"train"}),
        ("optimizer", {"class": "AdamW", "lr": 0.1}, {"train"}),
        ("scheduler", {"class": "StepLR", "step_size": 2}, {"train"}),
        ("train.epochs", 3, {"train"}),
        ("train.early_stopping", {"patience": 2}, {"train"}),
        ("train.device", "cpu", set()),
        ("metrics.f1", "MulticlassF1Score", {"evaluate"}),
        ("promote.metric", "loss", {"promote"}),
        ("promote.at_least", 0.5, {"promote"}),
        ("promote.at_most", 0.5, {"promote"}),
        ("promote.not_worse_than_champion", False, {"promote"}),
    ],
)
def test_a_field_decides_the_stages_of_the_design(path: str, value: Any, decides: set[str]) -> None:
    before, after = _spec(), _spec({path: value})
    moved = {s for s in STAGES if deciding_fields(before, s) != deciding_fields(after, s)}
    assert moved == decides


@pytest.mark.parametrize(("one", "other"), [(None, math.inf), (math.inf, -math.inf), (1, None)])
def test_arguments_that_json_cannot_tell_apart_have_different_fingerprints(
    one: Any, other: Any
) -> None:
    keys = set()
    for value in (one, other):
        spec = _spec().model_copy(update={"model": Component(class_="MLP", args={"width": value})})
        keys.add(digest_json(deciding_fields(spec, "train")))
    assert len(keys) == 2


def test_the_order_of_fields_in_the_file_decides_nothing() -> None:
    turned = json.dumps(dict(reversed(SPEC.items())))
    spec = PipelineSpec.model_validate_json(turned)
    for stage in STAGES:
        assert digest_json(deciding_fields(spec, stage)) == digest_json(
            deciding_fields(_spec(), stage)
        )


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def _turned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _turned(item) for key, item in reversed(value.items())}
    return [_turned(item) for item in value] if isinstance(value, list) else value


@given(json_values)
def test_canonical_json_is_the_value_and_does_not_depend_on_the_order_of_keys(value: Any) -> None:
    assert json.loads(canonical_json(value)) == value
    assert canonical_json(_turned(value)) == canonical_json(value)


@given(st.dictionaries(st.text(), json_values))
def test_a_fingerprint_is_the_digest_of_its_document(document: dict[str, Any]) -> None:
    assert fingerprint(document).key == digest_json(fingerprint(document).document)


def test_nan_has_no_canonical_json() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(math.nan)


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_a_file_has_the_digest_of_its_bytes(tmp_path: Path, size: int) -> None:
    content = b"ab" * (size // 2) + b"c" * (size % 2)
    (tmp_path / "file").write_bytes(content)
    assert digest_file(tmp_path / "file") == blake3(content).hexdigest()


def test_a_version_is_told_without_its_patch_level() -> None:
    assert minor_version("torch").count(".") == 1
    assert minor_version("no-such-package") == "absent"


@pytest.mark.parametrize("large", [20, 1 << 30])
def test_files_have_the_digests_of_each_in_order(
    tmp_path: Path, large: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOGETHER_BYTES", 50)
    monkeypatch.setattr(module, "SMALL_BYTES", 5)
    monkeypatch.setattr(module, "LARGE_BYTES", large)
    monkeypatch.setattr(module, "FILES_AHEAD", 7)
    contents = [bytes([count]) * count for count in range(40)]
    paths = [tmp_path / str(count) for count in range(40)]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    assert list(digest_files(paths)) == [blake3(content).hexdigest() for content in contents]


def test_a_file_that_cannot_be_read_is_told_when_its_turn_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOGETHER_BYTES", 1)
    monkeypatch.setattr(module, "SMALL_BYTES", 1)
    (tmp_path / "a").write_bytes(b"aaa")
    (tmp_path / "c").write_bytes(b"ccc")
    found = digest_files([tmp_path / "a", tmp_path / "b", tmp_path / "c"])
    assert next(found) == blake3(b"aaa").hexdigest()
    with pytest.raises(FileNotFoundError):
        next(found)


FORK = """
import os, sys, warnings
from pathlib import Path
from prefect_torch import fingerprint
warnings.simplefilter("ignore")  # Python warns of forks beside threads, which is what this is
fingerprint.LARGE_BYTES = 10
path = Path(sys.argv[1])
before = fingerprint.digest_file(path)
child = os.fork()
if child == 0:
    os._exit(0 if fingerprint.digest_file(path) == before else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_forked_process_hashes_large_files_after_its_parent_did(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(4 << 20))
    command = [sys.executable, "-c", FORK, str(tmp_path / "file")]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0


def test_importing_the_store_imports_nothing_that_is_slow() -> None:
    slow = ["blake3", "concurrent.futures", "filelock", "importlib.metadata", "pydantic", "shutil"]
    code = f"import sys, prefect_torch.store; print([n for n in {slow} if n in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
