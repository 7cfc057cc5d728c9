"""From tensors back to what a person reads: a sample's columns, and its picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image

from prefect_torch.datasets.texts import PADDING


def readable(sample: Mapping[str, torch.Tensor], fitted: Mapping[str, Any]) -> dict[str, Any]:
    """Return a sample's columns in their own units; pictures are left out (see `picture`).

    Args:
        sample: {field: [*shape]} of `ParquetDataset`.
        fitted: Prepare's `fitted.json`.
    """
    values: dict[str, Any] = {}
    packed = {"number": iter(()), "category": iter(())} | {
        kind: iter(sample[field].tolist())
        for kind, field in (("number", "numbers"), ("category", "categories"))
        if field in sample
    }
    for column, feature in fitted["features"].items():
        if feature["kind"] == "number":
            value = next(packed["number"]) * feature["deviation"] + feature["mean"]
            values[column] = float(f"{value:.6g}")
        elif feature["kind"] == "category":
            code = int(next(packed["category"]))
            values[column] = feature["values"][code - 1] if code else "(unknown)"
        elif feature["kind"] == "text":
            tokens = [int(t) for t in sample[column] if t != PADDING]
            values[column] = " ".join(feature["vocabulary"][t] for t in tokens)
    return values


def picture(sample: Mapping[str, torch.Tensor], fitted: Mapping[str, Any]) -> Image.Image | None:
    """Return the first picture of a sample (grey, RGB or RGBA), or None without one."""
    columns = [c for c, f in fitted["features"].items() if f["kind"] == "image"]
    if not columns:
        return None
    scale = fitted["features"][columns[0]]["scale"]
    pixels = (sample[columns[0]].float() * scale).clamp(0, 1).mul(255).round().to(torch.uint8)
    if pixels.shape[0] not in (1, 3, 4):
        return None
    array = pixels.permute(1, 2, 0).numpy()
    return Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
