from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from prepare_cases import Prepare

from prefect_torch.datasets.prepare import prepare
from prefect_torch.datasets.spec import DataSpec


@pytest.fixture
def run(tmp_path: Path) -> Prepare:
    """Prepare a table and return the folder of what came out."""

    def prepared(
        data: pa.Table, declared: DataSpec, seed: int = 0, transforms: Any = (), cut: int = 25
    ) -> Path:
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        pq.write_table(data, folder / "source.parquet", row_group_size=cut)
        (folder / "out").mkdir()
        ingested = pads.dataset(str(folder / "source.parquet"), format="parquet")
        prepare(declared, seed, list(transforms), ingested, folder / "out")
        return folder / "out"

    return prepared
