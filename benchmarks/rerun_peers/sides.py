"""How each side is set up and started: ours, the plain script, and the peers."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from rerun_peers.environments import environment_for
from rerun_peers.processes import Ended, clean_environment, run

HERE = Path(__file__).parent

_DIGITS = """
from sklearn.datasets import load_digits
digits = load_digits()
print(*(f"p{i}" for i in range(64)), "digit", sep=",")
for pixels, digit in zip(digits.data, digits.target):
    print(*(int(value) for value in pixels), digit, sep=",")
"""


@dataclass(frozen=True)
class Side:
    """One way to run the four stages."""

    name: str
    source: str
    """Its folder here."""
    command: tuple[str, ...]
    """First word: a program beside the side's Python. `{project}` is the side's folder."""
    setup: tuple[tuple[str, ...], ...] = ()
    """Commands that prepare an empty project."""
    environment: Mapping[str, str] = field(default_factory=dict)
    parameters: str = "params.json"
    """The file that holds the learning rate and the epochs."""
    requirements: tuple[str, ...] = ()
    """What its environment needs; empty: it runs in this one."""
    watched: str = "pipe.py"
    """The file whose train stage gets another comment."""
    training_part: str = "out/train.parquet"
    """Pattern of the file that holds the part to learn from."""
    result: str = "out/report.json"
    """Pattern of the file that a person reads."""
    python: Path = Path(sys.executable)

    def installed(self, root: Path, share_packages_of: Path | None) -> Side:
        """Return the side with the Python of its environment.

        Raises:
            NotInstalledError: It cannot be compared here.
        """
        if not self.requirements:
            return self
        python = environment_for(self.source, self.requirements, root, share_packages_of)
        return replace(self, python=python)

    def new_project(self, folder: Path, csv: Path) -> Project:
        """Return an empty project in a folder that does not exist yet."""
        shutil.copytree(HERE / "shared", folder)
        shutil.copytree(HERE / self.source, folder, dirs_exist_ok=True)
        shutil.copy(csv, folder / "digits.csv")
        project = Project(self, folder)
        for command in self.setup:
            ended = project.call(command)
            if ended.code:
                raise RuntimeError(f"{self.name}: {' '.join(command)} failed: {ended.output}")
        return project


@dataclass(frozen=True)
class Project:
    """A side's files in a folder of their own."""

    side: Side
    folder: Path

    def choose(self, lr: float, epochs: int) -> None:
        """Write the learning rate and the epochs where this side reads them."""
        file = self.folder / self.side.parameters
        text = re.sub(r'(\blr"?: )[\d.]+', rf"\g<1>{lr}", file.read_text())
        file.write_text(re.sub(r'(\bepochs"?: )\d+', rf"\g<1>{epochs}", text))

    def run(self, lr: float = 0.05, epochs: int = 5) -> Ended:
        """Run the pipeline as a whole process."""
        self.choose(lr, epochs)
        (self.folder / "marks.txt").unlink(missing_ok=True)
        return self.call(self.side.command)

    def call(self, command: tuple[str, ...]) -> Ended:
        return run(self.program(command), self.folder, self.environment())

    def program(self, command: tuple[str, ...]) -> list[str]:
        beside = self.side.python.with_name(command[0])
        return [str(beside) if beside.exists() else command[0], *command[1:]]

    def environment(self) -> dict[str, str]:
        own = {k: v.format(project=self.folder) for k, v in self.side.environment.items()}
        path = f"{self.side.python.parent}{os.pathsep}{os.environ['PATH']}"
        modules = {"PYTHONPATH": str(self.folder), "RERUN_MARKS": str(self.folder / "marks.txt")}
        return clean_environment() | {"PATH": path} | modules | own

    def ran(self, ended: Ended) -> list[str]:
        """Return the stages that the last run computed."""
        if self.side.source == "ours":
            stages = self._summary(ended).get("stages", {})
            return [name for name, stage in stages.items() if stage["outcome"] == "ran"]
        marks = self.folder / "marks.txt"
        return marks.read_text().split() if marks.exists() else []

    def metrics(self, ended: Ended) -> dict[str, float]:
        """Return what the person is told; empty if nothing."""
        if self.side.source == "ours":
            return dict(self._summary(ended).get("metrics", {}))
        report = self.folder / self.side.result
        return dict(json.loads(report.read_text())) if report.exists() else {}

    def files(self, pattern: str) -> list[Path]:
        """Return the files that match, oldest first."""
        return sorted(self.folder.glob(pattern), key=lambda file: file.stat().st_mtime_ns)

    @staticmethod
    def _summary(ended: Ended) -> dict[str, dict]:
        """Return the line of `run --json`."""
        for line in reversed(ended.output.splitlines()):
            if line.startswith("{"):
                return dict(json.loads(line))
        return {}


def write_digits(file: Path) -> None:
    """Write scikit-learn's digits as CSV, in another process so that this one stays small."""
    with file.open("w") as output:
        subprocess.run([sys.executable, "-c", _DIGITS], check=True, stdout=output)


OURS = Side(
    "ours, `--local`",
    "ours",
    ("prefect-torch", "run", "pipeline.yaml", "--local", "--json"),
    environment={"PREFECT_HOME": "{project}/home"},
    parameters="pipeline.yaml",
    watched="nets.py",
    training_part="home/torch/objects/*/train.parquet",
    result="home/torch/objects/*/metrics.json",
)
OURS_EMBEDDED = replace(
    OURS, name="ours, embedded server", command=("prefect-torch", "run", "pipeline.yaml", "--json")
)
PLAIN = Side("plain script", "plain", ("python", "pipe.py"))
PREFECT = Side(
    "Prefect, ephemeral server",
    "prefect",
    ("python", "pipe.py"),
    environment={"PREFECT_HOME": "{project}/home"},
    training_part="home/storage/*",
)
EMPTY = replace(PREFECT, name="Prefect, four empty tasks", command=("python", "empty.py"))
KEDRO = Side(
    "Kedro",
    "kedro",
    ("kedro", "run"),
    setup=(("mkdir", "conf/local"),),  # Kedro insists on it, and git keeps no empty folder
    environment={"KEDRO_DISABLE_TELEMETRY": "1"},
    parameters="conf/base/parameters.json",
    requirements=("kedro>=1,<2", "kedro-datasets"),
    watched="src/digits_kedro/pipeline_registry.py",
)
PEERS = (
    Side(
        "DVC",
        "dvc",
        ("dvc", "repro", "--quiet"),
        setup=(("git", "init", "--quiet"), ("dvc", "init", "--quiet")),
        environment={"DVC_NO_ANALYTICS": "1"},
        requirements=("dvc",),
        watched="stages/train.py",
    ),
    KEDRO,
    replace(KEDRO, name="Kedro, only missing", command=("kedro", "run", "--only-missing-outputs")),
    Side(
        "Metaflow",
        "metaflow",
        ("python", "pipe.py", "--quiet", "run"),
        environment={
            "METAFLOW_USER": "benchmark",
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": "{project}/store",
        },
        requirements=("metaflow",),
    ),
    Side(
        "Dagster",
        "dagster",
        ("dagster", "asset", "materialize", "-f", "pipe.py", "--select", "*"),
        setup=(("mkdir", "home"), ("touch", "home/dagster.yaml")),
        environment={"DAGSTER_HOME": "{project}/home"},
        requirements=("dagster",),
    ),
    Side(
        "ZenML",
        "zenml",
        ("python", "pipe.py"),
        setup=(("zenml", "init"),),
        environment={
            "ZENML_CONFIG_PATH": "{project}/home",
            "ZENML_ANALYTICS_OPT_IN": "false",
            "ZENML_LOGGING_VERBOSITY": "WARN",
        },
        requirements=("zenml[local]",),
    ),
)


def with_server(side: Side, name: str, url: str) -> Side:
    """Return a side that uses a running Prefect server."""
    return replace(side, name=name, environment={**side.environment, "PREFECT_API_URL": url})
