"""The rules of the house that a reader would otherwise have to check by eye."""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import prefect_torch

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("datasets", "flows", "models", "tasks", "training")

# Who may import whom: a layer imports those it names, and its own modules.
PARTS = ("core", "datasets", "models", "training")
LAYERS: dict[str, tuple[str, ...]] = {
    "core": (),  # plain modules that know no stage
    "datasets": ("core",),  # usable in a plain script or a notebook
    "models": ("core",),  # the same
    "training": ("core",),  # the same; what it trains on comes as an argument
    "spec": PARTS,  # composes the specs that stand beside what they configure
    "tasks": (*PARTS, "spec"),  # a stage joins all of them
    "flows": (*PARTS, "spec", "tasks"),  # the order of stages, and what a person may change
    "face": (*PARTS, "spec", "tasks", "flows"),  # what people call
}
# Modules of prefect_torch/ that are not core. One named nowhere is core, which may import least.
# The five folders are layers by their name.
MODULES: dict[str, tuple[str, ...]] = {
    "spec": ("checking", "declaration", "spec", "spec_errors", "unchanged"),
    "face": (
        "__init__",
        "__main__",
        "cli",
        "console",
        "embedded_server",
        "failure",
        "launch",
        "lineage_views",
        "overview",
        "pipeline",
        "prefect_settings",
        "project",
        "store_commands",
        "store_views",
    ),
}
WITHOUT_PREFECT = ("datasets", "models", "training")
HEAVY = ("matplotlib", "pandas", "prefect", "pyarrow", "sklearn", "torch", "torchvision")
MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 60
VAGUE_NAMES = ("common", "helper", "helpers", "util", "utils")


def _python_files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for where, _, names in os.walk(ROOT / folder):  # does not follow the five links
            yield from (Path(where, name) for name in sorted(names) if name.endswith(".py"))


def _package_files() -> list[Path]:
    files = _python_files("prefect_torch", *FOLDERS)
    return [path for path in files if "templates" not in path.parts]


def _all_files() -> list[Path]:
    return list(_python_files("prefect_torch", *FOLDERS, "tests", "pipelines", "benchmarks"))


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


def _module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts if parts[0] == "prefect_torch" else ("prefect_torch", *parts))


def _known_modules() -> set[str]:
    return {_module_name(path) for path in _package_files()}


def _layer(module: str) -> str:
    first = (*module.split("."), "__init__")[1]
    if first in FOLDERS:
        return first
    return next((layer for layer, names in MODULES.items() if first in names), "core")


def _imports(path: Path) -> Iterator[tuple[int, str]]:
    """Give line and module of every import, wherever in the file it stands."""
    known = _known_modules()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield node.lineno, whole if whole in known else str(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            for argument in node.args:
                if isinstance(argument, ast.Constant):
                    yield node.lineno, str(argument.value)


def test_imports_point_one_way() -> None:
    wrong = set()
    for path in _package_files():
        own = _layer(_module_name(path))
        for line, module in _imports(path):
            if module.split(".")[0] != "prefect_torch":
                continue
            layer = _layer(module)
            if layer != own and layer not in LAYERS[own]:
                wrong.add(f"{_name(path)}:{line}: {own} imports {module} ({layer})")

    assert not wrong, "\n".join(sorted(wrong))


def test_data_models_and_training_work_without_prefect() -> None:
    wrong = [
        f"{_name(path)}:{line}: imports {module}"
        for path in _python_files(*WITHOUT_PREFECT)
        for line, module in _imports(path)
        if module.split(".")[0] == "prefect"
    ]

    assert not wrong, "\n".join(wrong)


def test_all_imports_are_absolute() -> None:
    wrong = [
        f"{_name(path)}:{node.lineno}"
        for path in _all_files()
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.ImportFrom) and node.level
    ]

    assert not wrong, f"write `from prefect_torch…`: {wrong}"


def test_the_package_imports_itself_by_its_full_name() -> None:
    wrong = [
        f"{_name(path)}:{line}: {module}"
        for path in _package_files()
        for line, module in _imports(path)
        if module.split(".")[0] in FOLDERS
    ]

    assert not wrong, "`datasets` alone is somebody else's package:\n" + "\n".join(wrong)


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_is_no_package_of_its_own(folder: str) -> None:
    assert not list((ROOT / folder).rglob("__init__.py")), "it would shadow other packages"


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_package_links_to_the_folder_beside_it(folder: str) -> None:
    link = ROOT / "prefect_torch" / folder

    assert link.is_symlink()
    assert os.readlink(link) == f"../{folder}"


def test_no_name_says_nothing() -> None:
    assert not [_name(path) for path in _all_files() if path.stem in VAGUE_NAMES]


def _reasons() -> dict[str, str]:
    """Return what ARCHITECTURE.md allows: lines such as "- `training/loop.py:fit`: why"."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^- `([\w./:]+\.py(?::\w+)?)`: (\S.{9,})$", text, re.MULTILINE))


def test_no_file_is_longer_than_the_rule_unless_a_reason_is_given() -> None:
    lengths = {_name(path): len(path.read_text().splitlines()) for path in _all_files()}
    long = {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES}

    assert not long.keys() - _reasons().keys(), long


def test_no_function_is_longer_than_the_rule_unless_a_reason_is_given() -> None:
    long = {}
    for path in _all_files():
        for node in ast.walk(_tree(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    long[f"{_name(path)}:{node.name}"] = lines

    assert not long.keys() - _reasons().keys(), long


def test_public_names_are_sorted_and_can_be_imported() -> None:
    assert prefect_torch.__all__ == sorted(prefect_torch.__all__)
    for name in prefect_torch.__all__:
        assert getattr(prefect_torch, name).__name__ == name


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Pipelin'"):
        _ = prefect_torch.Pipelin


@pytest.mark.parametrize("module", ["prefect_torch", "prefect_torch.spec", "prefect_torch.store"])
def test_importing_what_a_terminal_needs_first_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd="/"
    )

    assert done.stdout.split() == []
