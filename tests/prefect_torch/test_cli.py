"""The command line, command by command, as a person or a script meets it."""

import io
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, get_args

import pytest
from rich.console import Console

from prefect_torch.cli import StageName, main
from prefect_torch.console import RunConsole, figure, show_plan
from prefect_torch.progress import Finished, Progress, Started
from prefect_torch.tasks.plan import Decision
from prefect_torch.tasks.stage import STAGES

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

    def last_line(self) -> Any:
        return json.loads(self.out.splitlines()[-1])


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["--version"]])
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import atexit, sys\n"
        f"atexit.register(lambda: print([n for n in {HEAVY} if n in sys.modules]))\n"
        f"from prefect_torch.cli import main\nmain({arguments})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_lists_the_commands_in_the_order_in_which_they_are_needed(shell: Shell) -> None:
    assert shell("--help") == 0

    commands = ["run", "plan", "validate", "show", "schema", "init"]
    found = [line.split()[1] for line in shell.out.splitlines() if line.startswith("│ ")]
    assert [word for word in found if word in commands] == commands


@pytest.mark.parametrize("command", ["run", "plan", "validate", "show", "schema", "init"])
def test_help_of_a_command_shows_no_defaults_that_say_nothing(shell: Shell, command: str) -> None:
    assert shell(command, "--help") == 0
    assert "()" not in shell.out
    assert "default" not in shell.out


def test_the_stages_to_choose_from_are_the_stages_there_are() -> None:
    assert get_args(StageName) == tuple(STAGES)


def test_a_run_prints_a_line_a_stage_then_figures_gate_and_report(shell: Shell, tiny: Path) -> None:
    assert shell("run", "tiny.yaml", "--local") == 0

    lines = shell.out.splitlines()
    assert lines[0] == "tiny  tiny.yaml"
    assert [line.split()[:2] for line in lines[1:6]] == [[name, "ran"] for name in STAGES]
    assert lines[6:8] == ["", "metric      test"]
    assert lines[8].startswith("accuracy  ")
    assert lines[10].startswith("promoted: accuracy ")
    report = lines[11].removeprefix("report: ")
    assert Path(report).is_file()
    assert len(lines) == 12
    assert shell.err == ""


def test_the_second_run_reuses_every_stage(shell: Shell, tiny: Path) -> None:
    shell("run", "tiny.yaml", "--local")
    assert shell("run", "tiny.yaml", "--local", "--json") == 0

    assert {stage["outcome"] for stage in shell.last_line()["stages"].values()} == {"reused"}


def test_json_is_the_only_line_on_standard_output(shell: Shell, tiny: Path) -> None:
    shell("run", "tiny.yaml", "--local", "--json")

    [line] = shell.out.splitlines()
    found = json.loads(line)
    assert list(found["stages"]) == list(STAGES)
    for stage in found["stages"].values():
        assert {"outcome", "fingerprint", "artifact", "path", "seconds"} <= stage.keys()
        assert (Path(stage["path"]) / "manifest.json").is_file()
    assert 0 <= found["metrics"]["accuracy"] <= 1
    assert Path(found["report"]).parent.name == found["run_id"]
    assert "ingest" in shell.err


def test_until_ends_the_run_after_a_stage(shell: Shell, tiny: Path) -> None:
    assert shell("run", "tiny.yaml", "--local", "--json", "--until", "prepare") == 0
    assert list(shell.last_line()["stages"]) == ["ingest", "prepare"]
    assert shell.last_line()["report"] is None


def test_options_repeat(shell: Shell, tiny: Path) -> None:
    shell("run", "tiny.yaml", "--local", "--until", "train")
    sets = ("--set", "train.epochs=3", "--set", "optimizer.lr=0.2")
    force = ("--force", "ingest", "--force", "prepare")
    assert shell("plan", "tiny.yaml", "--json", "--until", "train", *sets, *force) == 0

    stages = shell.last_line()["stages"]
    assert stages["ingest"] == {"decision": "run", "reasons": ["forced"]}
    assert "optimizer.lr 0.1 → 0.2" in stages["train"]["reasons"]
    assert "train.epochs 2 → 3" in stages["train"]["reasons"]


def test_a_plan_runs_nothing(shell: Shell, tiny: Path) -> None:
    assert shell("plan", "tiny.yaml") == 0
    assert [line.split()[:2] for line in shell.out.splitlines()] == [[s, "run"] for s in STAGES]
    assert not (tiny.parent / "store" / "objects").exists()


def test_store_is_where_artifacts_go(shell: Shell, tiny: Path) -> None:
    shell("run", "tiny.yaml", "--local", "--until", "ingest", "--store", "elsewhere")
    assert (tiny.parent / "elsewhere" / "objects").is_dir()
    assert not (tiny.parent / "store" / "objects").exists()


def test_a_store_that_is_no_local_folder_is_refused_by_name(shell: Shell, tiny: Path) -> None:
    assert shell("run", "tiny.yaml", "--local", "--store", "s3://bucket/torch") == 1
    assert shell.err.startswith("store 's3://bucket/torch': only local folders")
    assert not (tiny.parent / "s3:").exists()


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_store_that_cannot_be_written_is_named_without_a_traceback(
    shell: Shell, tiny: Path, command: str
) -> None:
    local = ["--local"] if command == "run" else []
    assert shell(command, "tiny.yaml", "--store", "rows.csv", "--json", *local) == 1
    assert "Traceback" not in shell.err
    assert f"{tiny.parent}/rows.csv/" in shell.err
    assert "--store" in shell.err
    assert shell.last_line()["stages"] == {}


def test_a_gate_that_says_no_is_exit_code_3(shell: Shell, tiny: Path) -> None:
    assert shell("run", "tiny.yaml", "--local", "--set", "promote.at_least=1.1") == 3
    assert "not promoted: accuracy " in shell.out


def test_a_wrong_spec_is_exit_code_2_with_every_problem_in_its_place(
    shell: Shell, tiny: Path
) -> None:
    arguments = ("tiny.yaml", "--set", "optimizer.lr=fast", "--set", "train.epochs=0", "--json")
    assert shell("run", *arguments, "--local") == 2

    line = shell.last_line()
    assert [p["place"] for p in line["problems"]] == [
        "--set optimizer.lr=fast",
        "--set train.epochs=0",
    ]
    assert (line["run_id"], line["stages"], line["metrics"]) == (None, {}, {})
    assert shell.err.splitlines() == line["error"].splitlines()


def test_a_missing_file_is_exit_code_2_before_anything_is_started(shell: Shell, tiny: Path) -> None:
    assert shell("run", "tiney.yaml") == 2
    assert shell.err == 'tiney.yaml: there is no such file; did you mean "tiny.yaml"?\n'
    assert not (tiny.parent / "home").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run"], "PIPELINE"),
        (["rum"], 'Did you mean "run"?'),
        (["run", "tiny.yaml", "--forse", "train"], "Did you mean --force?"),
        (["run", "tiny.yaml", "--force", "trian"], 'Did you mean "train"?'),
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(
    shell: Shell, arguments: list[str], told: str
) -> None:
    assert shell(*arguments) == 2
    assert told in shell.err
    assert len(shell.err.splitlines()) == 1


def test_a_failed_stage_is_exit_code_1_and_keeps_what_was_done(shell: Shell, tiny: Path) -> None:
    (tiny.parent / "rows.csv").unlink()
    assert shell("run", "tiny.yaml", "--local", "--json") == 1

    line = shell.last_line()
    assert (line["failed"], line["stages"]) == ("ingest", {})
    assert line["error"].startswith("DataError: rows.csv: no such file")
    assert "Traceback" not in shell.err
    run = tiny.parent / "store" / "runs" / line["run_id"] / "run.json"
    assert json.loads(run.read_text())["failed"] == "ingest"


def test_an_error_in_ones_own_code_shows_that_code_and_none_of_ours(
    shell: Shell, tiny: Path
) -> None:
    assert shell("run", "broken.yaml", "--local") == 1

    frames = [line for line in shell.err.splitlines() if line.startswith("  File ")]
    assert frames == [f'  File "{tiny.parent}/tiny_nets.py", line 11, in forward']
    assert "RuntimeError: out of [bold] ideas" in shell.err
    assert shell.err.count("Traceback") == 1
    assert [line.split()[:2] for line in shell.out.splitlines()[1:]] == [
        ["ingest", "ran"],
        ["prepare", "ran"],
        ["train", "failed"],
    ]


def test_validate_says_yes_or_every_problem(shell: Shell, tiny: Path) -> None:
    assert shell("validate", "tiny.yaml") == 0
    assert shell.out == "tiny.yaml: tiny is a valid pipeline\n"
    tiny.write_text(tiny.read_text().replace("lr: 0.1", "rl: 0.1").replace("epochs", "epoks"))
    assert shell("validate", "tiny.yaml") == 2
    assert [line.split(":")[0:2] for line in shell.err.splitlines()] == [
        ["tiny.yaml", "8"],
        ["tiny.yaml", "9"],
    ]


def test_schema_is_json_schema(shell: Shell) -> None:
    assert shell("schema") == 0
    assert json.loads(shell.out)["title"] == "prefect-torch pipeline"


def test_output_that_nobody_reads_to_the_end_is_no_error() -> None:
    command = f"{sys.executable} -m prefect_torch schema | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)

    assert done.stdout.splitlines()[0] == "{"
    assert done.stderr == ""


def test_init_writes_a_project_and_says_what_to_do_next(shell: Shell, tmp_path: Path) -> None:
    assert shell("init", str(tmp_path / "new")) == 0
    assert shell.out.splitlines()[-1].startswith("now: cd ")
    assert shell("validate", str(tmp_path / "new" / "pipeline.yaml")) == 0


def test_show_tells_of_the_last_run_and_the_champion(shell: Shell, tiny: Path) -> None:
    shell("run", "tiny.yaml", "--local")
    assert shell("show", "tiny") == 0
    assert [line.split()[0] for line in shell.out.splitlines()[3:8]] == list(STAGES)
    assert shell.out.splitlines()[-1].startswith("champion: checkpoint ")
    assert shell("show", "--json") == 0
    assert list(shell.last_line()["pipelines"]) == ["tiny"]


@pytest.mark.slow
@pytest.mark.parametrize("local", [True, False], ids=["local", "through Prefect"])
def test_ctrl_c_is_exit_code_130_without_noise_and_the_store_stays_usable(
    shell: Shell, tiny: Path, local: bool
) -> None:
    arguments = ["run", "tiny.yaml", "--set", "train.epochs=1000000", *["--local"] * local]
    process = _start(arguments)
    folder = tiny.parent / "store" / "latest" / "tiny"
    for _ in range(1200):
        if (folder / "prepare.json").exists() or process.poll() is not None:
            break
        time.sleep(0.1)
    time.sleep(1)  # into the training
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    assert err == "interrupted; the stages that had finished are kept\n"
    assert "prepare" in out
    assert shell("run", "tiny.yaml", "--local", "--json") == 0
    outcomes = [stage["outcome"] for stage in shell.last_line()["stages"].values()]
    assert outcomes == ["reused", "reused", "ran", "ran", "ran"]


@pytest.mark.slow
def test_a_first_run_through_prefect_needs_no_server_and_shows_no_more_than_a_local_one(
    shell: Shell, tiny: Path
) -> None:
    process = _start(["run", "tiny.yaml"])
    out, err = process.communicate(timeout=240)
    told = [line for line in out.splitlines() if "embedded server is starting" not in line]

    assert (process.returncode, err) == (0, "")
    assert [line.split()[:2] for line in told[1:6]] == [[name, "ran"] for name in STAGES]
    assert len(told) == 12


@pytest.mark.slow
def test_a_failure_through_prefect_is_told_once(tiny: Path) -> None:
    process = _start(["run", "broken.yaml", "--json"])
    out, err = process.communicate(timeout=240)

    assert process.returncode == 1
    assert json.loads(out)["failed"] == "train"
    assert err.count("Traceback") == 1
    assert err.count("RuntimeError: out of [bold] ideas") == 1


def _start(arguments: list[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "prefect_torch", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_plan_names_a_file_of_which_every_edit_counts(shell: Shell, tiny: Path) -> None:
    nets = tiny.parent / "tiny_nets.py"
    nets.write_text(nets.read_text() + "\n\ndef pick(name):\n    return globals()[name]\n")
    nets.write_text(nets.read_text().replace("raise", "pick('nn')\n        raise"))

    assert shell("plan", "broken.yaml", "--json", "--until", "train") == 0
    assert list(shell.last_line()["widened"]) == ["tiny_nets.py"]


def test_brackets_in_reasons_and_names_are_printed_as_they_are() -> None:
    console = Console(file=io.StringIO(), width=60, force_terminal=True, color_system=None)
    reasons = ("data.source.path [/old] → [/new], channels [32, 64]",)
    with RunConsole(console) as shown:
        shown(Started("ingest", reasons))
        shown(Progress("ingest", 1, 2, "[/rows]", {"loss": 0.5}))
        shown(Finished("ingest", "ran", 1.0, reasons))
    show_plan(console, {"ingest": Decision("run", reasons)}, {})

    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert lines[-1] == f"  ingest    run      {reasons[0]}"
    assert any(line.endswith(f"ran        1.00 s  {reasons[0]}") for line in lines)


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.91666, "0.9167"), (0.0, "0.0000"), (1.5e-7, "1.5e-07"), (12345.678, "1.235e+04")],
)
def test_a_figure_never_hides_its_value(value: float, shown: str) -> None:
    assert figure(value) == shown
