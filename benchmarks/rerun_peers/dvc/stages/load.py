from pathlib import Path

import digits

Path("out").mkdir(exist_ok=True)
digits.load().to_parquet("out/rows.parquet")
