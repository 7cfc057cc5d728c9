import digits
import pandas as pd

train, test = digits.split(pd.read_parquet("out/rows.parquet"))
train.to_parquet("out/train.parquet")
test.to_parquet("out/test.parquet")
