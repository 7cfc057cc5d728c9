"""What a live run uses is not removed; what a dead one used is free at once."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from prefect_torch.errors import ArtifactError
from prefect_torch.store import Artifact, StageRecord, Store

RUN = """
import os, signal, sys
from prefect_torch.store import Store
store = Store(sys.argv[1])
with store.in_use("child"):
    store.hold(sys.argv[2])
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def _commit(store: Store, content: bytes = b"first") -> Artifact:
    with store.staging("test") as folder:
        (folder / "a.txt").write_bytes(content)
        return store.commit(folder, "test")


def _live_child(store: Store, digest: str) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", RUN, str(store.root), digest],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    return child


def test_what_another_live_process_uses_is_kept_until_it_is_killed(store: Store) -> None:
    artifact = _commit(store)
    child = _live_child(store, artifact.digest)
    try:
        assert store.live_digests() == {artifact.digest}
        assert store.leftovers() == []
        with pytest.raises(ArtifactError, match="a live run uses it"):
            store.remove(artifact.digest)
        artifact.verify()
    finally:
        child.kill()
        child.communicate()
    assert len(store.leftovers()) == 1
    assert store.live_digests() == set()
    assert store.leftovers() == []
    assert store.remove(artifact.digest) > 0
    with pytest.raises(ArtifactError, match="no complete artifact"):
        store.get(artifact.digest)


def test_what_a_run_gets_or_commits_is_in_use_until_it_ends(store: Store) -> None:
    before = _commit(store)
    with store.in_use("run"):
        assert store.live_digests() == set()
        Store(store.root).get(before.digest)
        made = _commit(store, b"second")
        assert Store(store.root).live_digests() == {before.digest, made.digest}
    assert store.live_digests() == set()
    assert list((store.root / "live").iterdir()) == []


def test_the_end_of_one_run_leaves_the_marks_of_another(store: Store) -> None:
    digest = _commit(store).digest
    with store.in_use("one"):
        with store.in_use("other"):
            store.hold(digest)
        assert store.live_digests() == {digest}


def test_a_run_that_fails_frees_its_marks(store: Store) -> None:
    digest = _commit(store).digest

    def fail() -> None:
        with store.in_use("run"):
            store.hold(digest)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert store.remove(digest) > 0


def test_removing_takes_the_records_that_name_it_and_no_others(store: Store) -> None:
    gone, kept = _commit(store), _commit(store, b"second")
    store.write_record(StageRecord("train", "1" * 64, gone.digest, {}))
    store.write_record(StageRecord("train", "2" * 64, kept.digest, {}))
    store.remove(gone.digest, ["1" * 64, "2" * 64, "3" * 64])
    assert store.record("1" * 64) is None
    assert store.record("2" * 64) is not None
    assert store.leftovers() == []


def test_removing_frees_what_was_on_the_disk(store: Store) -> None:
    artifact = _commit(store, b"x" * 5000)
    size = sum(path.stat().st_size for path in artifact.path.iterdir())
    assert store.remove(artifact.digest) == size
    assert store.remove(artifact.digest) == 0
    assert list((store.root / "partial").iterdir()) == []


@pytest.mark.parametrize("digest", ["", ".", "..", "a/b", "A" * 64, "a" * 63])
def test_what_is_no_digest_removes_nothing(store: Store, digest: str) -> None:
    artifact = _commit(store)
    with pytest.raises(ArtifactError, match="not the digest of an artifact"):
        store.remove(digest)
    artifact.verify()


def test_marking_and_removing_at_once_never_loses_what_was_marked(store: Store) -> None:
    lost = []
    for round_ in range(40):
        artifact = _commit(store, str(round_).encode())
        start = threading.Barrier(2)

        def remove(artifact: Artifact = artifact, start: threading.Barrier = start) -> None:
            start.wait()
            try:
                store.remove(artifact.digest)
            except ArtifactError as error:
                assert "a live run uses it" in str(error)  # noqa: PT017

        remover = threading.Thread(target=remove)
        remover.start()
        with store.in_use("run"):
            start.wait()
            try:
                found = store.get(artifact.digest)
            except ArtifactError:
                found = None  # removed first, and said so
            remover.join()
            if found is not None and not (found.path / "a.txt").exists():
                lost.append(round_)
    assert lost == []


def test_a_name_with_marks_says_which_run(store: Store) -> None:
    with store.in_use("run-7"):
        (marks,) = os.listdir(store.root / "live")
    assert marks.startswith("run-7.")
