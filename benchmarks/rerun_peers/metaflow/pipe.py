"""The four stages as Metaflow steps."""

from pathlib import Path

import digits
from metaflow import FlowSpec, step

HERE = Path(__file__).parent


class Pipe(FlowSpec):
    @step
    def start(self):
        self.rows = digits.load(HERE / "digits.csv")
        self.next(self.split)

    @step
    def split(self):
        self.train_rows, self.test_rows = digits.split(self.rows)
        self.next(self.train)

    @step
    def train(self):
        self.model = digits.train(self.train_rows, **digits.parameters())
        self.next(self.end)

    @step
    def end(self):
        digits.report(digits.evaluate(self.model, self.test_rows), HERE / "out" / "report.json")


if __name__ == "__main__":
    Pipe()
