"""The code that decides each stage's result, read from source files; nothing is imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from prefect_torch.code_fingerprint import CodeFingerprint, CodeReader

ARGUMENTS = (
    "prefect_torch.interpolation.interpolate",
    "prefect_torch.signatures.as_declared",
    "prefect_torch.signatures.fill",
)
"""What decides the arguments that components are built with. (How a class is found by its name
decides nothing: what was found is read itself.)"""


def read_code(
    roots: Mapping[str, Iterable[str]], project: Path, cache: Path
) -> dict[str, CodeFingerprint]:
    """Return the code of each stage: its own function's, and that of its components.

    `packages` are those that the components reach; `widened` names the project's files that were
    taken whole.

    Args:
        roots: Import paths of the components that each stage uses, by stage.
        project: The folder whose modules are the user's own.
        cache: Where what was read of a file is kept until the file changes.
    """
    reader = CodeReader(project, cache)
    codes = {}
    for stage, paths in roots.items():
        theirs = reader.fingerprint(paths)
        ours = reader.fingerprint([f"prefect_torch.tasks.{stage}.{stage}", *ARGUMENTS])
        widened = {k: v for k, v in theirs.widened.items() if not k.startswith("prefect_torch/")}
        codes[stage] = CodeFingerprint({**ours.units, **theirs.units}, theirs.packages, widened)
    return codes
