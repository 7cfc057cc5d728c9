"""The tables that are kept on disk only ever save time."""

import hashlib
import json
import os
import sys
import time
from pathlib import Path

import pytest
from code_project import Project

from prefect_torch.code_fingerprint import CodeFingerprint, CodeReader, fingerprint_code

FILES = {
    "nets.py": "from blocks import Block\nclass Net(Block):\n    size = 1\n",
    "blocks.py": "import numpy\nclass Block:\n    def f(self): return numpy.zeros(1)\n",
}
ROOT = "nets.Net"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Files older than the clock's ticks (here short ones), so that their tables are kept."""
    monkeypatch.setattr("prefect_torch.code_tables.SETTLED_SECONDS", 0.02)
    project = Project(tmp_path / "project", FILES)
    time.sleep(0.03)
    return project


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def _reach(project: Project, cache: Path) -> CodeFingerprint:
    return fingerprint_code([ROOT], project.folder, cache)


def test_kept_tables_give_the_same_answer(project: Project, cache: Path) -> None:
    first = _reach(project, cache)

    assert len(list(cache.glob("*.json"))) == 3
    assert _reach(project, cache) == first == fingerprint_code([ROOT], project.folder)


def test_kept_tables_are_used(project: Project, cache: Path) -> None:
    first = _reach(project, cache)
    for path in cache.glob("*.json"):
        head, _, body = path.read_bytes().partition(b"\n")
        if body:
            body = body.replace(b'"hash":"', b'"hash":"0')
            key = [*json.loads(head)[:-1], hashlib.sha256(body).hexdigest()[:16]]
            path.write_bytes(json.dumps(key).encode() + b"\n" + body)

    assert all(digest.startswith("0") for digest in _reach(project, cache).units.values())
    assert _reach(project, cache) != first


def test_an_edit_that_keeps_size_and_modification_time_is_seen(
    project: Project, cache: Path
) -> None:
    first = _reach(project, cache)
    at = (project.folder / "blocks.py").stat()
    project.edit("blocks.py", "zeros", "empty")
    os.utime(project.folder / "blocks.py", ns=(at.st_atime_ns, at.st_mtime_ns))

    changed = _reach(project, cache)
    assert changed.units["blocks.py: Block.f"] != first.units["blocks.py: Block.f"]


def test_an_edit_is_seen_through_kept_tables(project: Project, cache: Path) -> None:
    first = _reach(project, cache)
    project.edit("blocks.py", "zeros(1)", "zeros(2)")

    changed = _reach(project, cache)
    assert changed.units["blocks.py: Block.f"] != first.units["blocks.py: Block.f"]


def test_a_file_that_was_just_written_is_not_kept(project: Project, cache: Path) -> None:
    soon = time.time() + 60
    os.utime(project.folder / "blocks.py", (soon, soon))
    _reach(project, cache)

    kept = "".join(path.read_text() for path in cache.glob("*.json"))
    assert "nets.py" in kept
    assert str(project.folder / "blocks.py") not in kept


@pytest.mark.parametrize("broken", [b"", b"{", b"\xff\xfe", b"[]\n[]", None])
def test_broken_tables_are_written_anew(
    project: Project, cache: Path, broken: bytes | None
) -> None:
    first = _reach(project, cache)
    good = {path: path.read_bytes() for path in cache.glob("*.json")}
    for path, content in good.items():
        # None: one digit of a digest is flipped, which is still JSON.
        path.write_bytes(content.replace(b'"hash":"', b'"hash":"0') if broken is None else broken)

    assert _reach(project, cache) == first
    assert {path: path.read_bytes() for path in cache.glob("*.json")} == good


def test_a_table_of_another_schema_or_python_is_not_used(project: Project, cache: Path) -> None:
    first = _reach(project, cache)
    for path in cache.glob("*.json"):
        head, _, body = path.read_bytes().partition(b"\n")
        if body:
            key = json.loads(head)
            assert key[-2] == sys.version_info[1]
            path.write_bytes(json.dumps([*key[:-3], -1, *key[-2:]]).encode() + b"\n{}")

    assert _reach(project, cache) == first


def test_a_cache_that_cannot_be_written_only_costs_time(project: Project, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("a file stands where the folder should be")

    assert _reach(project, blocked) == fingerprint_code([ROOT], project.folder)


def test_one_reader_answers_for_several_roots(project: Project) -> None:
    reader = CodeReader(project.folder)

    assert (
        reader.fingerprint([ROOT]).units.keys() > reader.fingerprint(["blocks.Block"]).units.keys()
    )


def test_reading_code_imports_nothing_of_it(project: Project) -> None:
    project.write("blocks.py", "class Block: pass\nraise SystemExit('was imported')\n")
    before = set(sys.modules)

    assert "nets.py: Net" in project.reach(ROOT).units
    assert not (set(sys.modules) - before) & {"nets", "blocks"}
