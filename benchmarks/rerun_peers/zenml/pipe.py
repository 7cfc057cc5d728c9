"""The four stages as ZenML steps, cached."""

from typing import Annotated

import digits
import pandas as pd
from zenml import pipeline, step


@step
def load(path: str) -> pd.DataFrame:
    return digits.load(path)


@step
def split(
    table: pd.DataFrame,
) -> tuple[Annotated[pd.DataFrame, "train"], Annotated[pd.DataFrame, "test"]]:
    rows, test_rows = digits.split(table)
    return rows, test_rows


@step
def train(table: pd.DataFrame, lr: float, epochs: int) -> bytes:
    return digits.train(table, lr, epochs)


@step
def evaluate(checkpoint: bytes, table: pd.DataFrame) -> dict:
    metrics = digits.evaluate(checkpoint, table)
    digits.report(metrics)
    return metrics


@pipeline(enable_cache=True)
def pipe(lr: float, epochs: int):
    rows, test_rows = split(load("digits.csv"))
    evaluate(train(rows, lr, epochs), test_rows)


if __name__ == "__main__":
    pipe(**digits.parameters())
