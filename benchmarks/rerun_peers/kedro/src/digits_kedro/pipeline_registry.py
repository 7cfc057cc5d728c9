"""The four stages as Kedro nodes."""

import digits
from kedro.pipeline import node, pipeline


def load(table):
    digits.mark("load")
    return table


def train(table, lr, epochs):
    # a comment to edit
    return digits.train(table, lr, epochs)


def register_pipelines():
    return {
        "__default__": pipeline(
            [
                node(load, "digits", "rows"),
                node(digits.split, "rows", ["train", "test"]),
                node(train, ["train", "params:lr", "params:epochs"], "model"),
                node(digits.evaluate, ["model", "test"], "report"),
            ]
        )
    }
