"""The built wheel, installed in an environment of its own, away from this checkout."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("datasets", "flows", "models", "tasks", "training")
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]

pytestmark = pytest.mark.slow


def _run(*command: str | Path, cwd: Path, **variables: str) -> str:
    """Run a command to its end, away from this checkout, and return its standard output."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=inherited | variables,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy of what it is made of (links stay links)."""
    source = tmp_path_factory.mktemp("source")
    compiled = shutil.ignore_patterns("__pycache__")
    for folder in ("prefect_torch", *FOLDERS):
        shutil.copytree(ROOT / folder, source / folder, symlinks=True, ignore=compiled)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", cwd=source)
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel in a fresh environment that sees our third-party packages.

    A path line in a .pth file does not make Python read the .pth files of that folder, so the
    editable installation of this checkout stays out of sight.
    """
    folder = tmp_path_factory.mktemp("environment")
    _run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    python = folder / "bin" / "python"
    _run(*PIP, "--python", python, "install", "--no-deps", "--no-index", wheel, cwd=folder)
    ask = "import sysconfig; print(sysconfig.get_path('purelib'))"
    packages = Path(_run(python, "-c", ask, cwd=folder).strip())
    shared = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (packages / "shared.pth").write_text("\n".join(sorted(shared)) + "\n")
    return python


def _inside(wheel: Path) -> list[PurePosixPath]:
    with zipfile.ZipFile(wheel) as archive:
        return [PurePosixPath(name) for name in archive.namelist()]


def _expected() -> list[str]:
    """Return each module and template of this checkout by the path it has in the wheel."""
    files = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    names = [f"prefect_torch/{path.relative_to(ROOT).as_posix()}" for path in files]
    own = (*(ROOT / "prefect_torch").glob("*.py"), ROOT / "prefect_torch" / "py.typed")
    templates = (ROOT / "prefect_torch" / "templates").rglob("*")
    names += [path.relative_to(ROOT).as_posix() for path in (*own, *templates) if path.is_file()]
    return sorted(name for name in names if "__pycache__" not in name)


def test_the_wheel_holds_every_module_and_template_once_and_nothing_else(wheel: Path) -> None:
    inside = _inside(wheel)

    assert sorted(str(path) for path in inside if "dist-info" not in path.parts[0]) == _expected()


def test_the_wheel_takes_no_name_but_its_own(wheel: Path) -> None:
    tops = {path.parts[0] for path in _inside(wheel) if "dist-info" not in path.parts[0]}

    assert tops == {"prefect_torch"}


def test_the_installed_package_is_the_wheel_beside_hugging_face_datasets(
    python: Path, tmp_path: Path
) -> None:
    code = """
import datasets, prefect_torch, prefect_torch.datasets.spec
print(prefect_torch.__file__, prefect_torch.datasets.spec.__file__, sep="\\n")
print(hasattr(datasets, "load_dataset"))
"""
    package, part, is_hugging_face = _run(python, "-c", code, cwd=tmp_path).splitlines()

    environment = python.parents[1]
    assert environment in Path(package).parents
    assert environment in Path(part).parents
    assert is_hugging_face == "True"


def test_a_checkout_in_the_working_directory_shadows_no_other_datasets(python: Path) -> None:
    code = "import datasets; print(hasattr(datasets, 'load_dataset'))"

    assert _run(python, "-c", code, cwd=ROOT).strip() == "True"


def test_prefect_finds_the_collection(python: Path, tmp_path: Path) -> None:
    code = """
from importlib.metadata import entry_points
print(*[point.load().__name__ for point in entry_points(group="prefect.collections")])
"""
    assert "prefect_torch" in _run(python, "-c", code, cwd=tmp_path).split()


def test_the_installed_command_trains_the_digits_pipeline_in_an_empty_folder(
    python: Path, tmp_path: Path
) -> None:
    shutil.copy(ROOT / "pipelines" / "digits.yaml", tmp_path)
    command = (python, "-m", "prefect_torch", "run", "digits.yaml", "--local", "--json")
    printed = _run(*command, cwd=tmp_path, PREFECT_HOME=str(tmp_path / "prefect"))

    result = json.loads(printed.splitlines()[-1])
    assert {stage["outcome"] for stage in result["stages"].values()} == {"ran"}
    assert result["metrics"]["accuracy"] >= 0.97
    assert Path(tmp_path, result["report"]).is_file()
