"""A process that lives while files are edited computes with the code that is recorded."""

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prefect_torch.errors import RunFailed, SpecError
from prefect_torch.pipeline import Pipeline
from prefect_torch.project_modules import forget_changed, have_changed
from prefect_torch.tasks.chain import run_chain, without_prefect


@pytest.fixture(autouse=True)
def _imports_are_left_as_they_were(example: Any) -> Iterator[None]:
    path = list(sys.path)
    yield
    sys.path[:] = path
    for module in example.folder.glob("*.py"):
        sys.modules.pop(module.stem, None)


def _run(example: Any, *overrides: str, **options: Any) -> Any:
    """Run in this process."""
    pipeline = Pipeline.load(example.file)
    return pipeline.run(local=True, overrides=overrides, store=example.store.root, **options)


def _trained(run: Any) -> str:
    found: str = run.stages["train"].artifact
    return found


def _in_a_new_process(example: Any, tmp_path: Path) -> str:
    """What the code as it stands gives, told by a process that has seen no other."""
    found = example.run(store=str(tmp_path / "other"), until="train")
    digest: str = found["stages"]["train"]["artifact"]
    return digest


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("nets.py", "x * 0.5", "x * 0.7"), ("mixing.py", "0.1 * x", "0.3 * x")],
)
def test_an_edited_module_and_its_importers_are_imported_anew(
    example: Any, tmp_path: Path, file: str, old: str, new: str
) -> None:
    before = _run(example, until="train")
    example.edit(file, old, new)
    after = _run(example, until="train")
    assert after.stages["train"].outcome == "ran"
    assert _trained(after) != _trained(before)
    assert _trained(after) == _in_a_new_process(example, tmp_path)


def test_a_pipeline_that_was_loaded_before_the_edit_runs_the_new_code(
    example: Any, tmp_path: Path
) -> None:
    pipeline = Pipeline.load(example.file)
    options = {"local": True, "until": "train", "store": example.store.root}
    before = pipeline.run(**options)
    example.edit("blocks.py", "image.flatten(1)", "image.flatten(1) * 0.5")
    after = pipeline.run(**options)
    assert _trained(after) != _trained(before)
    assert _trained(after) == _in_a_new_process(example, tmp_path)


@pytest.mark.parametrize("age_seconds", [0, 3600])
def test_an_edit_that_keeps_size_and_time_is_seen(
    example: Any, tmp_path: Path, age_seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)  # a .pyc looks at size and time alone
    at = int(time.time()) - age_seconds
    for path in example.folder.glob("*.py"):
        os.utime(path, (at, at))
    before = _run(example, until="train")
    example.edit("nets.py", "x * 0.5", "x * 0.7")
    os.utime(example.folder / "nets.py", (at, at))
    after = _run(example, until="train")
    assert _trained(after) != _trained(before)
    assert _trained(after) == _in_a_new_process(example, tmp_path)


def test_worker_processes_compute_with_the_new_code(example: Any, tmp_path: Path) -> None:
    before = _run(example, "loader.workers=1", until="train")
    example.edit("augment.py", "+ self.strength", "- self.strength")
    after = _run(example, "loader.workers=1", until="train")
    assert _trained(after) != _trained(before)
    assert _trained(after) == _in_a_new_process(example, tmp_path)


def test_a_pipeline_built_in_python_keeps_up_with_modules_that_the_program_imported(
    example: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(example.folder)
    monkeypatch.syspath_prepend(str(example.folder))
    import augment  # type: ignore[import-not-found]
    import nets  # type: ignore[import-not-found]
    import pictures  # type: ignore[import-not-found]

    parts = {
        "name": "shades",
        "data": {
            "source": {"class": pictures.Pictures, "path": "pictures.txt"},
            "features": {"image": {"kind": "image", "shape": [1, 4, 4]}},
            "target": {"shade": {"kind": "category"}},
        },
        "transforms": {"prepare": [augment.brighten]},
        "model": {"class": nets.Net},
        "train": {"epochs": 1, "device": "cpu"},
        "loader": {"batch_size": 16},
    }

    def trained(store: str) -> str:
        return _trained(Pipeline(parts).run(local=True, until="train", store=tmp_path / store))

    # Edited before anything of ours had seen the module.
    example.edit("mixing.py", "0.1 * x", "0.3 * x")
    first = trained("store")
    example.edit("mixing.py", "0.3 * x", "0.5 * x")
    second = trained("store")
    example.edit("mixing.py", "0.5 * x", "0.1 * x")
    assert len({first, second, trained("store")}) == 3
    example.edit("mixing.py", "0.1 * x", "0.3 * x")
    for name in ("nets", "blocks", "mixing"):
        del sys.modules[name]
    assert trained("afresh") == first


def test_a_run_refuses_code_that_was_edited_after_it_was_planned(example: Any) -> None:
    _run(example, until="train")
    job = Pipeline.load(example.file).job(store=example.store.root, force=["train"])
    for name in [name for name in sys.modules if name in ("nets", "blocks", "mixing")]:
        del sys.modules[name]
    example.edit("mixing.py", "0.1 * x", "0.3 * x")
    # As in a worker of another machine that has imported nothing yet.
    forget_changed(example.folder)
    with pytest.raises(RunFailed, match=r"mixing\.py: mixed: edited after this run had read it"):
        run_chain(job, without_prefect)


def test_an_edit_after_the_import_changes_nothing_of_a_run(example: Any, tmp_path: Path) -> None:
    before = _run(example)
    job = Pipeline.load(example.file).job(store=example.store.root, force=["train", "evaluate"])
    example.edit("mixing.py", "0.1 * x", "0.3 * x")
    after = run_chain(job, without_prefect)
    assert after.stages["train"].artifact == _trained(before)
    assert after.metrics == before.metrics


def test_what_later_stages_call_is_imported_with_the_first(example: Any, tmp_path: Path) -> None:
    expected = _in_a_new_process(example, tmp_path)
    Pipeline.load(example.file)  # so that the next time nothing need be imported to check it
    for path in example.folder.glob("*.py"):
        sys.modules.pop(path.stem, None)
    stages = without_prefect(Pipeline.load(example.file).job(store=example.store.root))
    next(stages)
    example.edit("mixing.py", "0.1 * x", "0.3 * x")
    assert [result.artifact for result in stages if result.stage == "train"] == [expected]


def test_a_module_that_was_deleted_is_missed(example: Any) -> None:
    _run(example, until="train")
    (example.folder / "mixing.py").unlink()
    with pytest.raises(SpecError, match="No module named 'mixing'"):
        _run(example)


def test_what_did_not_change_stays_imported(example: Any) -> None:
    _run(example, until="train")
    nets = sys.modules["nets"]
    example.data.write_text(example.data.read_text() + example.data.read_text())
    os.utime(example.folder / "nets.py", (1, 1))
    _run(example, until="train")
    assert sys.modules["nets"] is nets
    assert not have_changed(example.folder)


def test_modules_beside_the_project_are_left_alone(example: Any, tmp_path: Path) -> None:
    _run(example, until="train")
    nets, ours = sys.modules["nets"], sys.modules["prefect_torch.store"]
    (tmp_path / "nets.py").write_text("WIDTH = 1\n")
    example.edit("mixing.py", "0.1 * x", "0.3 * x")
    forget_changed(tmp_path)
    assert sys.modules["nets"] is nets
    forget_changed(example.folder)
    assert "nets" not in sys.modules
    assert sys.modules["prefect_torch.store"] is ours
