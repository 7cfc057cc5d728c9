"""Four cached tasks in the way Prefect's documentation shows."""

import digits
from prefect import flow, task
from prefect.cache_policies import INPUTS, TASK_SOURCE

cached = task(cache_policy=INPUTS + TASK_SOURCE, persist_result=True)


@cached
def load(path):
    return digits.load(path)


@cached
def split(table):
    return digits.split(table)


@cached
def train(table, lr, epochs):
    # a comment to edit
    return digits.train(table, lr, epochs)


@cached
def evaluate(checkpoint, table):
    metrics = digits.evaluate(checkpoint, table)
    digits.report(metrics)
    return metrics


@flow
def pipe(lr: float, epochs: int):
    rows, test_rows = split(load("digits.csv"))
    evaluate(train(rows, lr, epochs), test_rows)


if __name__ == "__main__":
    pipe(**digits.parameters())
