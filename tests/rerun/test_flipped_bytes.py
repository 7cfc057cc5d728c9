"""One flipped bit in any file of any artifact is noticed, named and mended."""

import random
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.parametrize("stage", ["ingest", "prepare", "train", "evaluate", "promote"])
def test_a_flipped_bit_of_any_file_is_noticed_named_and_mended(
    done: Any, finished: Any, stage: str
) -> None:
    expected = {name: result["artifact"] for name, result in finished[1]["stages"].items()}
    folder = done.store.root / "objects" / expected[stage]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert folder / "manifest.json" in files
    draw = random.Random(stage)
    for path in files:
        _flip(path, draw)
        run = done.run()
        results = run["stages"]
        assert [name for name, result in results.items() if result["outcome"] == "ran"] == [stage]
        assert str(path) in results[stage]["reasons"][0]
        assert str(path) in run["log"]
        assert {name: result["artifact"] for name, result in results.items()} == expected
    done.verify()
    assert done.store.leftovers() == []


def _flip(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
