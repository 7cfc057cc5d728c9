"""What the data decides about a model: sizes that constructors ask for by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def data_facts(fitted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the sizes that prepare's `fitted.json` gives, by the names constructors use.

    `num_classes`, `out_features` and `num_labels` (1 for regression), `in_features` (columns of
    `numbers`), `cardinalities` (sizes of the category columns, the unknown one included),
    `in_channels` and `image_size` (of the first picture), `vocabulary_size`, `vocab_size` and
    `num_embeddings` (of the first text), `max_length`.
    """
    facts: dict[str, Any] = {}
    target = fitted["target"]
    outputs = len(target["values"]) if target["kind"] == "category" else 1
    facts |= {"num_classes": outputs, "out_features": outputs, "num_labels": outputs}
    shapes = {field["name"]: field["shape"] for field in fitted["fields"]}
    facts["in_features"] = shapes.get("numbers", [0])[0]
    features = fitted["features"]
    facts["cardinalities"] = [
        len(f["values"]) + f["unknown"] for f in features.values() if f["kind"] == "category"
    ]
    for column, feature in reversed(features.items()):
        if feature["kind"] == "image":
            channels, height, width = shapes[column]
            facts |= {"in_channels": channels, "image_size": [height, width]}
        elif feature["kind"] == "text":
            size = len(feature["vocabulary"])
            facts |= dict.fromkeys(("vocabulary_size", "vocab_size", "num_embeddings"), size)
            facts["max_length"] = feature["max_length"]
    return facts
