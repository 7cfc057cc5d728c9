"""`gc`, `lineage`, `diff` and `rerun`, as a person or a script meets them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from prefect_torch.cli import main
from prefect_torch.pipeline import Pipeline
from prefect_torch.store import Store
from prefect_torch.tasks.runs import find_run

COMMANDS = (["gc"], ["lineage", "tiny"], ["diff", "tiny", "tiny~1"])
HEAVY = ("torch", "prefect", "pandas", "pyarrow", "matplotlib", "sklearn")


class Shell:
    """Runs the command in this process and keeps what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out, self.err = "", ""

    def __call__(self, *arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        self.out, self.err = self._capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code

    def json(self, *arguments: str) -> Any:
        assert self(*arguments, "--json") in (0, 3)
        [line] = self.out.splitlines()
        return json.loads(line)


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


@pytest.fixture
def store(tiny: Path) -> Store:
    """A store with two runs, of which the second learned faster."""
    pipeline = Pipeline.load(tiny)
    for overrides in ((), ("optimizer.lr=0.3",)):
        pipeline.run(local=True, overrides=overrides)
    return Store(tiny.parent / "store")


@pytest.mark.parametrize("command", ["gc", "lineage", "diff", "rerun"])
def test_help_is_short_and_says_what_the_command_does(shell: Shell, command: str) -> None:
    shell("--help")
    listed = [line for line in shell.out.splitlines() if line.startswith(f"│ {command} ")]
    assert len(listed[0].split()) > 5
    assert shell(command, "--help") == 0
    assert len(shell.out.splitlines()) < 30
    assert "()" not in shell.out


@pytest.mark.parametrize("arguments", COMMANDS)
def test_they_import_nothing_heavy(store: Store, arguments: list[str]) -> None:
    code = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print([n for n in {HEAVY} if n in sys.modules]))\n"
        f"from prefect_torch.cli import main\nmain({arguments})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("arguments", [*COMMANDS[1:], ["rerun", "tiny", "--stage", "train"]])
def test_an_empty_store_says_how_to_start(shell: Shell, tiny: Path, arguments: list[str]) -> None:
    assert shell(*arguments) == 1
    assert "start with: prefect-torch run PIPELINE" in shell.err


def test_an_empty_store_has_nothing_to_free(shell: Shell, tiny: Path) -> None:
    assert shell("gc", "--yes") == 0
    assert "freed 0 bytes" in shell.out
    assert shell.json("gc")["bytes"] == 0


def test_gc_tells_what_it_would_free_and_frees_it_when_told_to(shell: Shell, store: Store) -> None:
    old = find_run(store, "tiny~1")
    assert shell("gc", "--keep", "1") == 0
    train = old.stages["train"]["artifact"]
    assert "would free" in shell.out
    assert train[:12] in shell.out
    assert old.run_id in shell.out
    assert shell.out.splitlines()[-1].endswith("prefect-torch gc --yes")
    store.get(train)

    told = shell.json("gc", "--keep", "1", "--yes")
    assert told["freed"] is True
    assert train in {each["name"] for each in told["objects"]}
    assert told["bytes"] == sum(
        e["bytes"] for k in ("objects", "records", "code", "runs", "leftovers") for e in told[k]
    )
    assert not (store.root / "objects" / train).exists()
    assert shell.json("gc", "--keep", "1")["bytes"] == 0


def test_gc_keeps_no_negative_number_of_runs(shell: Shell, store: Store) -> None:
    assert shell("gc", "--keep", "-1") == 2


def test_lineage_is_a_tree_json_or_mermaid(shell: Shell, store: Store) -> None:
    assert shell("lineage", "tiny:evaluate") == 0
    for stage, result in find_run(store, "tiny").stages.items():
        assert (f"{stage} {result['artifact'][:12]}" in shell.out) is (stage != "promote")
    assert 'optimizer {"class": "SGD", "lr": 0.3}' in shell.out
    assert "rows.csv" in shell.out
    assert "versions  " in shell.out
    assert shell("lineage", "tiny:evaluate", "--mermaid") == 0
    assert shell.out.startswith("flowchart TD\n")
    stages = [step["stage"] for step in shell.json("lineage", "tiny:evaluate")["steps"]]
    assert stages == ["evaluate", "train", "prepare", "ingest"]


def test_diff_tells_fields_and_metrics(shell: Shell, store: Store) -> None:
    assert shell("diff", "tiny~1", "tiny") == 0
    assert "    optimizer.lr 0.1 → 0.3\n" in shell.out
    [loss] = [line for line in shell.out.splitlines() if line.startswith("loss ")]
    assert loss.split()[-1] in ("better", "worse")
    assert "epoch chosen" in shell.out
    found = shell.json("diff", "tiny~1", "tiny")
    assert found["stages"]["train"]["differences"] == ["optimizer.lr 0.1 → 0.3"]


def test_rerun_computes_the_stage_and_reuses_the_rest(shell: Shell, store: Store) -> None:
    told = shell.json("rerun", "tiny~1", "--stage", "evaluate", "--local")
    outcomes = {name: stage["outcome"] for name, stage in told["stages"].items()}
    assert outcomes.pop("evaluate") == "ran"
    assert outcomes["train"] == "reused"
    assert (
        told["stages"]["train"]["artifact"] == find_run(store, "tiny~2").stages["train"]["artifact"]
    )
    assert find_run(store, "tiny").run_id == told["run_id"]


def test_rerun_runs_what_the_file_said_then_and_says_so(
    shell: Shell, store: Store, tiny: Path
) -> None:
    tiny.write_text(tiny.read_text().replace("hidden: [4]", "hidden: [5]"))
    assert shell("rerun", "tiny", "--stage", "evaluate", "--local") == 0
    assert "tiny.yaml has changed since that run; running what it said then" in shell.out.replace(
        "\n", " "
    )
    first, second = find_run(store, "tiny~1").stages, find_run(store, "tiny").stages
    assert first["train"]["artifact"] == second["train"]["artifact"]


def test_rerun_of_a_pipeline_built_in_python_works_from_any_folder(
    shell: Shell, store: Store, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tiny.parent / "rerun_nets.py").write_text(
        "from prefect_torch.models.mlp import MLP\n\n\nclass Net(MLP):\n    pass\n"
    )
    monkeypatch.syspath_prepend(tiny.parent)
    tree = json.loads((find_run(store, "tiny").folder / "document.json").read_text())["tree"]
    Pipeline({**tree, "model": {"class": "rerun_nets.Net"}}).run(local=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    arguments = ["rerun", "tiny", "--stage", "train", "--local", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "prefect_torch", *arguments],
        capture_output=True,
        text=True,
        cwd=elsewhere,
    )
    assert done.returncode == 0, done.stderr
    stages = json.loads(done.stdout)["stages"]
    assert [name for name in stages if stages[name]["outcome"] == "ran"] == ["train"]


def test_rerun_without_a_stage_and_of_an_unknown_stage_is_a_mistake(
    shell: Shell, store: Store
) -> None:
    assert shell("rerun", "tiny") == 2
    assert "--stage" in shell.err
    assert shell("rerun", "tiny", "--stage", "trian") == 2


def test_a_failed_rerun_exits_as_a_run_does(shell: Shell, store: Store, tiny: Path) -> None:
    (tiny.parent / "rows.csv").unlink()
    assert shell("rerun", "tiny", "--stage", "ingest", "--local") == 1


def test_a_run_made_by_prefect_is_run_again_through_prefect(shell: Shell, tiny: Path) -> None:
    assert shell("run", "tiny.yaml", "--until", "prepare") == 0
    told = shell.json("rerun", "tiny", "--stage", "prepare")
    assert told["stages"]["prepare"]["outcome"] == "ran"
    assert told["stages"]["ingest"]["outcome"] == "reused"
    assert list(told["stages"]) == ["ingest", "prepare"]
