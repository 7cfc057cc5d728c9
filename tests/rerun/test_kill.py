"""Killed at any instant, a run leaves nothing that is wrong, and the next one ends well.

`KILLS=100 pytest` kills so many times.
"""

import json
import os
import random
import time
from pathlib import Path
from typing import Any

import pytest

from prefect_torch.store import Store

KILLS = int(os.environ.get("KILLS", "12"))


@pytest.fixture(scope="session")
def seconds(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long a whole run takes on this machine."""
    store = str(tmp_path_factory.mktemp("timed"))
    started = time.monotonic()
    finished[0].run(store=store)
    return time.monotonic() - started


@pytest.fixture(scope="session")
def touches(finished: Any, tmp_path_factory: pytest.TempPathFactory) -> int:
    """How often a whole run touches a file of its store, through Python."""
    found: int = finished[0].run(store=str(tmp_path_factory.mktemp("counted")))["touches"]
    assert found > 300
    return found


@pytest.fixture
def unspoilt(finished: Any, tmp_path: Path) -> dict[str, Any]:
    return {"example": finished[0], "store": tmp_path / "store", "expected": _bytes(finished[1])}


def _bytes(run: Any) -> dict[str, str]:
    return {name: result["artifact"] for name, result in run["stages"].items()}


@pytest.mark.parametrize("seed", range(0, KILLS, 2))
def test_after_a_kill_at_any_instant_the_store_is_whole_and_the_next_run_ends_well(
    unspoilt: Any, seconds: float, seed: int
) -> None:
    child = unspoilt["example"].start(store=str(unspoilt["store"]))
    time.sleep(random.Random(seed).uniform(0, seconds))
    child.kill()
    _check_what_is_left(Store(unspoilt["store"]))
    _check_the_next_run(unspoilt)


@pytest.mark.parametrize("seed", range(1, KILLS, 2))
def test_after_a_kill_between_any_two_writes_the_store_is_whole_and_the_next_run_ends_well(
    unspoilt: Any, touches: int, seed: int
) -> None:
    moment = random.Random(seed).randint(1, touches * 49 // 50)
    child = unspoilt["example"].start(store=str(unspoilt["store"]), die_at=moment)
    assert child.ended() == -9
    _check_what_is_left(Store(unspoilt["store"]))
    _check_the_next_run(unspoilt)


def _check_what_is_left(store: Store) -> None:
    """Each file belongs to something whole, or is named as a leftover."""
    leftovers = store.leftovers()
    for path in [path for path in store.root.rglob("*") if path.is_file()]:
        if any(path == each or each in path.parents for each in leftovers):
            continue
        folder, *inner = path.relative_to(store.root).parts
        if folder == "objects":
            store.get(inner[0]).verify()
        elif folder == "stages":
            record = store.record(path.stem)
            assert record is not None, path
            store.get(record.artifact).verify()
        elif path.suffix in (".json", ".jsonl"):
            text = path.read_text()
            for each in [text] if path.suffix == ".json" else text.splitlines():
                json.loads(each)
        else:
            assert folder == "locks" or path.name == "report.html", path


def _check_the_next_run(unspoilt: Any) -> None:
    run = unspoilt["example"].run(store=str(unspoilt["store"]))
    assert _bytes(run) == unspoilt["expected"]
    store = Store(unspoilt["store"])
    for path in (store.root / "objects").iterdir():
        if path not in store.leftovers():
            store.get(path.name).verify()
    again = unspoilt["example"].run(store=str(unspoilt["store"]))
    assert {result["outcome"] for result in again["stages"].values()} == {"reused"}
