from pathlib import Path

import digits
import pandas as pd

# a comment to edit
chosen = digits.parameters()
rows = pd.read_parquet("out/train.parquet")
Path("out/model.pt").write_bytes(digits.train(rows, chosen["lr"], chosen["epochs"]))
