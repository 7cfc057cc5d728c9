"""The plain script: the same work, no orchestrator."""

from pathlib import Path

import digits

chosen = digits.parameters()
rows, test_rows = digits.split(digits.load())
checkpoint = digits.train(rows, chosen["lr"], chosen["epochs"])
digits.report(digits.evaluate(checkpoint, test_rows))
Path("out/model.pt").write_bytes(checkpoint)
