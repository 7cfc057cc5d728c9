"""An environment for each peer, made once and kept; torch may be shared with another Python's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

NUMERIC = ("torch", "pandas", "pyarrow")
"""What the shared work and the peers' storage import."""

_TOP_LEVEL = """
import json, re, sys
from importlib.metadata import distribution, PackageNotFoundError
found, names, waiting = {}, set(), sys.argv[1:]
while waiting:
    name = re.match(r"[\\w.-]+", waiting.pop())[0].lower()
    if name in names: continue
    names.add(name)
    try: this = distribution(name)
    except PackageNotFoundError: continue
    waiting += [need for need in this.requires or () if "extra ==" not in need]
    for file in this.files or ():
        top = file.parts[0]
        if top not in ("..", "__pycache__", "bin"): found[top] = str(this.locate_file(top))
print(json.dumps(found))
"""


class NotInstalledError(Exception):
    """A peer cannot be compared; the message says why."""


def environment_for(
    name: str, requirements: tuple[str, ...], root: Path, share_packages_of: Path | None
) -> Path:
    """Return the Python of a peer's environment, which is made if it is not there.

    Args:
        name: Of the peer.
        requirements: What to install.
        root: Folder of all environments.
        share_packages_of: A Python that has torch, pandas and pyarrow already. Links to these and
            what they need go behind the peer's own packages, which therefore win. None: they are
            installed as well.

    Raises:
        NotInstalledError: With the end of what the installer said.
    """
    folder = root / name
    python = folder / "bin" / "python"
    if (folder / "complete").exists():
        return python
    wanted = (*requirements, *(() if share_packages_of else NUMERIC))
    _install([sys.executable, "-m", "venv", str(folder)])
    _install([str(python), "-m", "pip", "install", "--quiet", *wanted])
    if share_packages_of:
        [packages] = folder.glob("lib/python*/site-packages")
        links = folder / "shared"
        links.mkdir(exist_ok=True)
        for top, target in _top_level(share_packages_of).items():
            if not (packages / top).exists() and not (links / top).exists():
                (links / top).symlink_to(target)
        (packages / "zz-shared.pth").write_text(f"{links}\n")
    (folder / "complete").touch()
    return python


def _top_level(python: Path) -> dict[str, str]:
    """Return files and folders of the numeric packages and of all that they need, by name."""
    command = [str(python), "-c", _TOP_LEVEL, *NUMERIC]
    found = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return dict(json.loads(found))


def _install(command: list[str]) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if line.strip()]
        raise NotInstalledError(" ".join(lines[-3:]) or f"{command[0]} failed")
