"""A small user project on disk, whose files a test edits."""

import textwrap
from pathlib import Path

from prefect_torch.code_fingerprint import CodeFingerprint, fingerprint_code


class Project:
    """Files in a folder, and what roots in them reach."""

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        self.folder = folder
        for name, text in files.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text), encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text(encoding="utf-8")
        assert old in text, f"{name} has no {old!r}"
        (self.folder / name).write_text(text.replace(old, new), encoding="utf-8")

    def reach(self, *roots: str) -> CodeFingerprint:
        return fingerprint_code(roots, self.folder)

    def changed(self, name: str, old: str, new: str, *roots: str) -> set[str]:
        """Edit a file and return the units that differ, appeared or went."""
        before = self.reach(*roots).units
        self.edit(name, old, new)
        after = self.reach(*roots).units
        return {
            unit for unit in before.keys() | after.keys() if before.get(unit) != after.get(unit)
        }
