"""An artifact is whole and unchanged, or it is noticed not to be."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_torch.errors import ArtifactError
from prefect_torch.store import Artifact, StageRecord, Store, write_json, write_text

FILES = {"a.txt": b"first", "sub/b.bin": bytes(range(256)), "empty": b""}


def _commit(store: Store, files: dict[str, bytes] = FILES) -> Artifact:
    with store.staging("test") as folder:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
        return store.commit(folder, "test")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def test_an_artifact_has_what_was_put_into_it(store: Store) -> None:
    artifact = _commit(store, {**FILES, "c.json": b'{"a": 1}'})
    artifact.verify()
    assert {name: artifact.file(name).read_bytes() for name in FILES} == FILES
    assert artifact.json("c.json") == {"a": 1}
    assert store.get(artifact.digest) == artifact


def test_a_file_that_is_not_there_is_told_with_those_that_are(store: Store) -> None:
    with pytest.raises(ArtifactError, match=r"no file 'z' in this test artifact; it has a\.txt, e"):
        _commit(store).file("z")


@given(st.dictionaries(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.binary(), max_size=4))
@settings(max_examples=20, deadline=None)
def test_the_digest_is_a_function_of_the_content(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        first, second = _commit(Store(one), files), _commit(Store(other), files)
        assert first.digest == second.digest
        assert _commit(Store(one), {**files, "one-more": b""}).digest != first.digest


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_flipped_bit_cut_or_lost_file_is_noticed_and_named(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as root:
        artifact = _commit(Store(root))
        name = data.draw(st.sampled_from(sorted(FILES)))
        path = artifact.path / name
        content = bytearray(FILES[name])
        how = data.draw(st.sampled_from(["flip", "cut", "grow", "delete"] if content else ["grow"]))
        if how == "flip":
            content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(
                st.integers(0, 7)
            )
        elif how == "cut":
            del content[data.draw(st.integers(0, len(content) - 1)) :]
        elif how == "grow":
            content += b"x"
        path.write_bytes(content)
        if how == "delete":
            path.unlink()
        with pytest.raises(ArtifactError, match=name):
            Store(root).get(artifact.digest).verify()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_changed_manifest_is_refused_or_says_the_same(data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as root:
        artifact = _commit(Store(root))
        manifest = artifact.path / "manifest.json"
        content = bytearray(manifest.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        manifest.write_bytes(content)
        try:
            found = Store(root).get(artifact.digest)
        except ArtifactError:
            return
        assert found == artifact


@pytest.mark.parametrize("text", ["", "[1]", "3", '{"kind": NaN}', '{"kind": "\\ud800"}'])
def test_a_manifest_that_is_none_is_an_artifact_error(store: Store, text: str) -> None:
    artifact = _commit(store)
    (artifact.path / "manifest.json").write_text(text)
    with pytest.raises(ArtifactError, match=r"manifest\.json"):
        store.get(artifact.digest)


def test_a_folder_without_a_manifest_is_no_artifact(store: Store) -> None:
    artifact = _commit(store)
    (artifact.path / "manifest.json").unlink()
    with pytest.raises(ArtifactError, match="no complete artifact"):
        store.get(artifact.digest)


def test_the_same_content_twice_is_one_artifact(store: Store) -> None:
    first = _commit(store)
    written = (first.path / "a.txt").stat().st_ino
    assert _commit(store) == first
    assert (first.path / "a.txt").stat().st_ino == written
    assert len(list((store.root / "objects").iterdir())) == 1


@pytest.mark.parametrize("lost", ["a.txt", "manifest.json"])
def test_a_damaged_artifact_is_replaced_when_its_content_is_committed_again(
    store: Store, lost: str
) -> None:
    (_commit(store).path / lost).unlink()
    _commit(store).verify()


def test_nothing_is_left_of_what_fails_while_it_is_written(store: Store) -> None:
    def fail() -> None:
        with store.staging("test") as folder:
            (folder / "half").write_bytes(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list((store.root / "partial").iterdir()) == []
    assert not (store.root / "objects").exists()


def test_what_a_killed_process_left_is_removed_by_the_next_of_that_name(store: Store) -> None:
    left = store.root / "partial" / "test"
    left.mkdir(parents=True)
    (left / "half").write_bytes(b"half")
    with store.staging("test") as folder:
        assert list(folder.iterdir()) == []


CHILD = """
import os, signal, sys
from pathlib import Path
from prefect_torch import store as module
from prefect_torch.store import Store

calls, last = 0, int(sys.argv[2])
def dying(function):
    def counted(*args, **kwargs):
        global calls
        calls += 1
        if calls == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)
    return counted

for name in ("fsync", "rename", "replace", "open", "mkdir", "unlink"):
    setattr(os, name, dying(getattr(os, name)))
store = Store(sys.argv[1])
with store.staging("test") as folder:
    (folder / "a.txt").write_bytes(b"first")
    store.commit(folder, "test")
"""


def test_a_kill_at_any_point_leaves_an_artifact_that_is_whole_or_none(tmp_path: Path) -> None:
    whole = 0
    for last in range(1, 40):
        store = Store(tmp_path / str(last))
        command = [sys.executable, "-c", CHILD, str(store.root), str(last)]
        died = subprocess.run(command, check=False).returncode != 0
        objects = store.root / "objects"
        for path in objects.iterdir() if objects.exists() else []:
            store.get(path.name).verify()
            whole += 1
        _commit(store).verify()
        if not died:
            break
    assert whole
    assert not died


def test_of_two_processes_that_want_a_lock_one_waits(store: Store) -> None:
    code = (
        "import sys; from prefect_torch.store import Store\n"
        "with Store(sys.argv[1]).lock('one'): print('got it', flush=True)"
    )
    with store.lock("one"):
        child = subprocess.Popen(
            [sys.executable, "-c", code, str(store.root)], stdout=subprocess.PIPE, text=True
        )
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(timeout=1.5)
    assert child.communicate()[0] == "got it\n"


def test_a_record_says_what_a_fingerprint_gave(store: Store) -> None:
    record = StageRecord("train", "f" * 64, "a" * 64, {"spec": {}}, {"host": "here"})
    store.write_record(record)
    assert store.record("f" * 64) == record
    assert store.record("0" * 64) is None


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", '{"stage": "train", "unknown": 1}'])
def test_a_record_that_cannot_be_read_is_none(store: Store, text: str) -> None:
    write_text(store.root / "stages" / "f.json", text)
    assert store.record("f") is None


def test_a_text_file_is_the_old_one_or_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(tmp_path / "a.json", {"b": 1})

    def fail(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="disk full"):
            write_json(tmp_path / "a.json", {"b": 2})
    assert json.loads((tmp_path / "a.json").read_text()) == {"b": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_store_that_is_no_local_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="only local folders"):
        Store("s3://bucket/store")
    assert Store(f"file://{tmp_path}").root == tmp_path
