"""The four stages as Dagster assets."""

import digits
from dagster import AssetOut, Definitions, asset, multi_asset


@asset
def rows():
    return digits.load()


@multi_asset(outs={"train_rows": AssetOut(), "test_rows": AssetOut()})
def split(rows):
    return digits.split(rows)


@asset
def model(train_rows):
    return digits.train(train_rows, **digits.parameters())


@asset
def report(model, test_rows):
    metrics = digits.evaluate(model, test_rows)
    digits.report(metrics)
    return metrics


defs = Definitions(assets=[rows, split, model, report])
