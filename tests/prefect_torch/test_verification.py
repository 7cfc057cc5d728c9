"""A changed byte is noticed; a large file that was checked before and stands still is not read."""

import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_torch import verification
from prefect_torch.errors import ArtifactError
from prefect_torch.store import Artifact, Store

LARGE = 1000
LONG_AGO = 10**18
SIZES = st.sampled_from([1, LARGE - 1, LARGE, LARGE + 1, 3 * LARGE])


@contextmanager
def _small_threshold(settled: int = 0) -> Iterator[None]:
    """Let files above a kilobyte be large, and settle at once (ctime cannot be set back)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verification, "LARGE_BYTES", LARGE)
        patch.setattr(verification, "SETTLED_NS", settled)
        yield


@pytest.fixture
def small_threshold() -> Iterator[None]:
    with _small_threshold():
        yield


def _commit(store: Store, size: int = LARGE + 1) -> Artifact:
    with store.staging("test") as folder:
        (folder / "a.bin").write_bytes(b"a" * size)
        (folder / "small").write_bytes(b"small")
        time.sleep(0.02)  # the file system's clock ticks
        return store.commit(folder, "test")


def _memory(artifact: Artifact) -> Path:
    assert artifact.memory is not None
    return artifact.memory


def _change_under(artifact: Artifact) -> None:
    """Change a byte of the large file, and make the memory say that this is what was checked."""
    path = artifact.path / "a.bin"
    path.write_bytes(b"b" + path.read_bytes()[1:])
    memory = json.loads(_memory(artifact).read_text())
    found = path.stat()
    memory["a.bin"] = [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]
    _memory(artifact).write_text(json.dumps(memory))


@given(SIZES, st.data())
@settings(max_examples=60, deadline=None)
def test_any_flipped_byte_of_any_file_is_noticed_also_after_an_earlier_check(
    size: int, data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as root, _small_threshold():
        artifact = _commit(Store(root), size)
        artifact.verify()
        path = artifact.path / data.draw(st.sampled_from(["a.bin", "small"]))
        before, content = path.stat(), bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        if data.draw(st.booleans()):
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        with pytest.raises(ArtifactError, match=path.name):
            Store(root).get(artifact.digest).verify()


@pytest.mark.usefixtures("small_threshold")
def test_a_large_file_that_was_checked_is_not_read_again(tmp_path: Path) -> None:
    artifact = _commit(Store(tmp_path))
    _change_under(artifact)
    artifact.verify()
    with pytest.raises(ArtifactError, match=r"a\.bin: its content has changed"):
        artifact.verify(remembered=False)


@pytest.mark.usefixtures("small_threshold")
def test_a_store_that_verifies_all_reads_what_is_remembered(tmp_path: Path) -> None:
    _change_under(_commit(Store(tmp_path)))
    (digest,) = (path.name for path in (tmp_path / "objects").iterdir())
    with pytest.raises(ArtifactError, match=r"a\.bin: its content has changed"):
        Store(tmp_path, verify_all=True).get(digest).verify()


@pytest.mark.usefixtures("small_threshold")
def test_a_check_that_fails_forgets_the_earlier_ones(tmp_path: Path) -> None:
    artifact = _commit(Store(tmp_path))
    _change_under(artifact)
    for remembered in (False, True):
        with pytest.raises(ArtifactError):
            artifact.verify(remembered)
    assert not _memory(artifact).exists()


@pytest.mark.usefixtures("small_threshold")
@pytest.mark.parametrize("all_by_content", [False, True])
def test_a_check_by_content_is_remembered(tmp_path: Path, all_by_content: bool) -> None:
    artifact = _commit(Store(tmp_path))
    remembered = _memory(artifact).read_text()
    _memory(artifact).unlink()
    artifact.verify(remembered=not all_by_content)
    assert _memory(artifact).read_text() == remembered


def test_a_file_that_changed_just_now_is_read_again_next_time(tmp_path: Path) -> None:
    with _small_threshold(settled=LONG_AGO * 10):
        artifact = _commit(Store(tmp_path))
        artifact.verify()
        assert not _memory(artifact).exists()


@pytest.mark.usefixtures("small_threshold")
def test_a_file_of_the_future_is_not_remembered(tmp_path: Path) -> None:
    artifact = _commit(Store(tmp_path))
    before = json.loads(_memory(artifact).read_text())
    later = time.time_ns() + 3600 * 10**9
    os.utime(artifact.path / "a.bin", ns=(later, later))
    artifact.verify()
    assert json.loads(_memory(artifact).read_text()) == before


@pytest.mark.usefixtures("small_threshold")
@pytest.mark.parametrize("how", ["touch", "replace"])
def test_a_touched_or_replaced_file_of_the_same_content_is_read_and_accepted(
    tmp_path: Path, how: str
) -> None:
    artifact = _commit(Store(tmp_path))
    before = json.loads(_memory(artifact).read_text())
    path = artifact.path / "a.bin"
    found = path.stat()
    if how == "replace":
        path.rename(tmp_path / "old")
        path.write_bytes(b"a" * (LARGE + 1))
    os.utime(path, ns=(LONG_AGO, LONG_AGO if how == "touch" else found.st_mtime_ns))
    time.sleep(0.02)
    artifact.verify()
    assert json.loads(_memory(artifact).read_text()) != before


@pytest.mark.usefixtures("small_threshold")
@pytest.mark.parametrize("text", ["", "[]", "3", '{"a.bin": 3}', '{"a.bin": null}', '{"x": []}'])
def test_a_memory_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    artifact = _commit(Store(tmp_path))
    remembered = _memory(artifact).read_text()
    _memory(artifact).write_text(text)
    artifact.verify()
    assert _memory(artifact).read_text() == remembered


def test_small_files_are_read_every_time_and_leave_no_memory(tmp_path: Path) -> None:
    artifact = _commit(Store(tmp_path))
    artifact.verify()
    assert not (tmp_path / "verified").exists()


def test_a_folder_in_a_file_s_place_is_named(tmp_path: Path) -> None:
    artifact = _commit(Store(tmp_path))
    (artifact.path / "small").unlink()
    (artifact.path / "small").mkdir()
    with pytest.raises(ArtifactError, match=r"small: missing from test artifact .*: it is no file"):
        artifact.verify()
