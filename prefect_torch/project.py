"""A new project to start from: the files of `templates/project/`, copied into a folder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from prefect_torch.errors import PrefectTorchError

TEMPLATE = Path(__file__).parent / "templates" / "project"


def init_project(folder: Path) -> list[Path]:
    """Copy the example project into a folder, which is made if need be.

    Args:
        folder: Where the project shall live; files of other names in it are left alone.

    Returns:
        The files written, sorted.

    Raises:
        PrefectTorchError: A file of one of the names is there already; nothing has been written.
    """
    if folder.exists() and not folder.is_dir():
        raise PrefectTorchError(f"{folder}: is a file, expected a folder; give another name")
    names = sorted(path.relative_to(TEMPLATE) for path in TEMPLATE.rglob("*") if _is_ours(path))
    taken = [str(folder / name) for name in names if os.path.lexists(folder / name)]
    if taken:
        raise PrefectTorchError(
            f"{', '.join(taken)}: already there, and init overwrites nothing; "
            "give an empty folder, or move what is there away"
        )
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(TEMPLATE / name, folder / name)
    return [folder / name for name in names]


def _is_ours(path: Path) -> bool:
    """Leave out what an installer compiled beside the template's Python files."""
    return path.is_file() and "__pycache__" not in path.parts
