"""What a killed process left is named and swept; what is complete or in the making is not."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from prefect_torch import store as store_module
from prefect_torch.store import Artifact, StageRecord, Store, write_json, write_text


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store in which something of everything lies, all of it complete."""
    found = Store(tmp_path / "store")
    artifact = _commit(found)
    found.write_record(StageRecord("train", "f" * 64, artifact.digest, {}))
    artifact.remember({"a.txt": [1, 2, 3, 4]})
    write_json(found.root / "registry" / "tiny" / "champion.json", {})
    write_json(found.root / "latest" / "tiny" / "train.json", {})
    write_text(found.run_folder("run") / "report.html", "a report")
    write_text(found.root / "notes.txt", "not of the store's making")
    write_text(found.root / "my project" / ".mine.tmp", "nor this")
    return found


def _commit(store: Store) -> Artifact:
    with store.staging("test") as folder:
        (folder / "a.txt").write_bytes(b"first")
        return store.commit(folder, "test")


def _object(store: Store) -> Path:
    (path,) = (store.root / "objects").iterdir()
    return path


def test_a_store_after_a_run_has_no_leftovers(store: Store) -> None:
    assert store.leftovers() == []


def _lose_file(store: Store) -> Path:
    (_object(store) / "a.txt").unlink()
    return _object(store)


def _lose_manifest(store: Store) -> Path:
    (_object(store) / "manifest.json").unlink()
    return _object(store)


def _cut_file(store: Store) -> Path:
    (_object(store) / "a.txt").write_bytes(b"firs")
    return _object(store)


def _write(*parts: str) -> Callable[[Store], Path]:
    def write(store: Store) -> Path:
        path = store.root.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
        return path

    return write


def _partial(name: str) -> Callable[[Store], Path]:
    def write(store: Store) -> Path:
        return _write("partial", name, "half.bin")(store).parent

    return write


@pytest.mark.parametrize(
    "leave",
    [
        _lose_file,
        _lose_manifest,
        _cut_file,
        _partial("f" * 64),
        _partial(f"{'a' * 64}.12345678.removed"),
        _write("stages", f"{'e' * 64}.json"),
        _write("stages", ".f.json.12345678.tmp"),
        _write("verified", f"{'e' * 64}.json"),
        _write("verified", ".f.json.12345678.tmp"),
        _write("registry", "tiny", ".champion.json.12345678.tmp"),
        _write("latest", "tiny", ".train.json.12345678.tmp"),
        _write("runs", "run", ".report.html.12345678.tmp"),
        _write("code", ".f.json.12345678.tmp"),
        _write("live", "run.12345678"),
    ],
)
def test_what_a_killed_process_left_is_named_and_swept(
    store: Store, leave: Callable[[Store], Path]
) -> None:
    path = leave(store)
    assert path in store.leftovers()
    freed = [store.sweep(found) for found in store.leftovers()]
    assert sum(freed) > 0
    assert store.leftovers() == []
    assert not path.exists()
    assert (store.root / "my project" / ".mine.tmp").exists()


def test_what_the_holder_of_a_lock_fills_is_no_leftover_and_is_not_swept(store: Store) -> None:
    with store.lock("one"), store.staging("one") as folder:
        (folder / "half").write_bytes(b"half")
        assert store.leftovers() == []
        assert store.sweep(folder) == 0
        assert (folder / "half").exists()


def test_a_file_in_the_making_is_no_leftover_and_is_not_swept(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def look(_: int) -> None:
        (path,) = (store.root / "runs" / "run").glob(".*.tmp")
        seen.append((store.leftovers(), store.sweep(path), path.exists()))
        monkeypatch.undo()

    monkeypatch.setattr(os, "fsync", look)
    write_text(store.root / "runs" / "run" / "run.json", "{}")
    assert seen == [([], 0, True)]


def test_a_writer_whose_file_is_swept_before_it_was_locked_writes_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock

    def sweep_first(file: int, how: int) -> None:
        monkeypatch.undo()
        for path in tmp_path.glob(".*.tmp"):
            path.unlink()
        lock(file, how)

    monkeypatch.setattr(store_module.fcntl, "flock", sweep_first)
    write_text(tmp_path / "a.txt", "whole")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["whole"]


def test_an_artifact_that_was_made_whole_again_is_not_swept(store: Store) -> None:
    path = _lose_file(store)
    (named,) = store.leftovers()
    _commit(store)
    assert store.sweep(named) == 0
    store.get(path.name).verify()


def test_a_broken_artifact_that_a_live_run_uses_is_not_swept(store: Store) -> None:
    path = _lose_file(store)
    with store.in_use("run"):
        store.hold(path.name)
        assert store.sweep(path) == 0
    assert store.sweep(path) > 0
