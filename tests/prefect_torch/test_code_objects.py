"""Live objects that no file holds, such as those of a notebook."""

import functools
import linecache
from pathlib import Path
from typing import Any

from code_project import Project

from prefect_torch.code_objects import units_of_object

CELL = """
SIZE = 3

def helper(x):
    return x * SIZE

class Base:
    def forward(self, x):
        return helper(x)

class Net(Base):
    width = 4
    def __init__(self, size=2):
        self.size = size
"""


def _cell(text: str, *, with_source: bool = True) -> dict[str, Any]:
    """Run a cell as a notebook does; its text is known to `linecache` alone."""
    name = f"<cell {len(linecache.cache)}>"
    if with_source:
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(text, name, "exec"), space)
    return space


def _changed(old: str, new: str, what: str = "Net", **how: bool) -> set[str]:
    before = units_of_object(_cell(CELL, **how)[what]).units
    after = units_of_object(_cell(CELL.replace(old, new), **how)[what]).units
    return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}


def test_a_function_is_known_by_its_source() -> None:
    assert _changed("x * SIZE", "x + SIZE", "helper") == {"__main__: helper"}
    assert _changed("    return x", "    # why\n    return x", "helper") == set()


def test_a_global_that_it_reads_counts() -> None:
    assert _changed("SIZE = 3", "SIZE = 4", "helper") == {"__main__: SIZE"}


def test_without_source_bytecode_counts_and_this_is_said() -> None:
    assert _changed("x * SIZE", "x + SIZE", "helper", with_source=False) == {"__main__: helper"}
    assert _changed("    return x", "\n\n    return x", "helper", with_source=False) == set()

    found = units_of_object(_cell(CELL, with_source=False)["helper"])
    assert "bytecode" in found.widened["__main__: helper"]


def test_a_class_brings_its_bases_and_what_they_call() -> None:
    changed = _changed("x * SIZE", "x + SIZE", with_source=False)

    assert changed == {"__main__: helper"}


def test_a_partial_counts_with_its_arguments() -> None:
    helper = _cell(CELL)["helper"]

    one, two = (units_of_object(functools.partial(helper, n)).units for n in (1, 2))
    assert one != two
    assert one["__main__: helper"] == two["__main__: helper"]


def test_what_a_file_holds_is_followed_there(tmp_path: Path, monkeypatch: Any) -> None:
    project = Project(tmp_path, {"sizes_of_cells.py": "def size():\n    return 1\n"})
    monkeypatch.syspath_prepend(str(tmp_path))
    cell = _cell("from sizes_of_cells import size\ndef f():\n    return size()\n")

    found = units_of_object(cell["f"], project.folder)
    assert {"__main__: f", "sizes_of_cells.py: size"} <= found.units.keys()
