"""The champion of each pipeline: one pointer, moved atomically, and the history of its moves."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from prefect_torch.errors import ArtifactError
from prefect_torch.store import Store, write_json


@dataclass(frozen=True)
class Champion:
    """The checkpoint a pipeline has promoted, and what it was evaluated on."""

    train: str
    """Digest of the checkpoint artifact."""
    prepare: str
    """Digest of the prepared data, whose test split the metrics were measured on."""
    evaluate: str
    """Digest of the evaluation."""
    metrics: dict[str, float]
    """Figures on the test split."""


def champion_of(store: Store, pipeline: str) -> Champion | None:
    """Return a pipeline's champion, or None while it has none.

    Raises:
        ArtifactError: The pointer is unreadable.
    """
    path = store.root / "registry" / pipeline / "champion.json"
    try:
        return Champion(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise ArtifactError(
            f"{path}: unreadable ({error}); restore it from history.jsonl beside it, or delete it "
            f"and promote again"
        ) from error


def rival_of(store: Store, pipeline: str, candidate: str) -> Champion | None:
    """Return the champion that a candidate (a checkpoint's digest) would replace, or None."""
    champion = champion_of(store, pipeline)
    return None if champion is None or champion.train == candidate else champion


def set_champion(
    store: Store, pipeline: str, champion: Champion, provenance: Mapping[str, Any]
) -> None:
    """Point at a new champion and add a line to the history; nothing if it is the champion already.

    Args:
        store: Where the registry lies.
        pipeline: Its name.
        champion: The new one.
        provenance: JSON for the history alone: which run moved the pointer, and when.
    """
    if champion_of(store, pipeline) == champion:
        return
    folder = store.root / "registry" / pipeline
    folder.mkdir(parents=True, exist_ok=True)
    # The history first: it is what an unreadable pointer is restored from.
    with (folder / "history.jsonl").open("a", encoding="utf-8") as history:
        history.write(json.dumps({**asdict(champion), **provenance}, sort_keys=True) + "\n")
        history.flush()
        os.fsync(history.fileno())
    write_json(folder / "champion.json", asdict(champion))
