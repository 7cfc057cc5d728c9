from pathlib import Path

import digits
import pandas as pd

checkpoint = Path("out/model.pt").read_bytes()
digits.report(digits.evaluate(checkpoint, pd.read_parquet("out/test.parquet")))
