"""The champion's pointer and the history of its moves."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from prefect_torch.errors import ArtifactError
from prefect_torch.registry import Champion, champion_of, set_champion
from prefect_torch.store import Store

FIRST = Champion("a" * 64, "b" * 64, "c" * 64, {"accuracy": 0.9})
SECOND = Champion("d" * 64, "b" * 64, "e" * 64, {"accuracy": 0.95})


def _history(store: Store) -> list[dict[str, object]]:
    path = store.root / "registry" / "tiny" / "history.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_pipeline_without_promotion_has_no_champion(tmp_path: Path) -> None:
    assert champion_of(Store(tmp_path), "tiny") is None


def test_the_pointer_moves_and_the_history_keeps_every_move(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for champion in (FIRST, FIRST, SECOND, FIRST):
        set_champion(store, "tiny", champion, {"run_id": "r"})
        assert champion_of(store, "tiny") == champion
    expected = [{**asdict(champion), "run_id": "r"} for champion in (FIRST, SECOND, FIRST)]
    assert _history(store) == expected
    assert champion_of(store, "another") is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"train": "a"}', "\udcff"])
def test_an_unreadable_pointer_is_told_with_the_way_out(tmp_path: Path, text: str) -> None:
    path = tmp_path / "registry" / "tiny" / "champion.json"
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ArtifactError, match=r"champion\.json: unreadable .*history\.jsonl"):
        champion_of(Store(tmp_path), "tiny")
