import subprocess
import sys
from pathlib import Path

import pytest
from prefect.cli.deploy._models import PrefectYamlModel
from prefect.client.schemas.schedules import construct_schedule
from ruamel.yaml import YAML

from prefect_torch.errors import PrefectTorchError
from prefect_torch.project import TEMPLATE, init_project
from prefect_torch.spec import PipelineSpec


def test_a_new_project_has_every_file_of_the_template(tmp_path: Path) -> None:
    written = init_project(tmp_path / "new")

    names = [path.relative_to(tmp_path / "new").as_posix() for path in written]
    assert names == sorted(
        [
            ".gitignore",
            "README.md",
            "data.py",
            "nets.py",
            "pipeline.yaml",
            "prefect.yaml",
            "test_pipeline.py",
        ]
    )
    assert all(path.read_bytes() == (TEMPLATE / path.name).read_bytes() for path in written)


def test_files_of_other_names_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")

    init_project(tmp_path)

    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_nothing_is_written_where_a_file_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text("mine")

    with pytest.raises(PrefectTorchError, match=r"nets\.py: already there"):
        init_project(tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["nets.py"]


def test_a_link_to_nowhere_is_in_the_way_too(tmp_path: Path) -> None:
    (tmp_path / "nets.py").symlink_to(tmp_path / "elsewhere.py")

    with pytest.raises(PrefectTorchError, match=r"nets\.py: already there"):
        init_project(tmp_path)


def test_a_file_where_the_folder_should_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "new").write_text("mine")

    with pytest.raises(PrefectTorchError, match=r"new: is a file, expected a folder"):
        init_project(tmp_path / "new")


def test_the_template_is_a_valid_pipeline() -> None:
    spec = PipelineSpec.model_validate(YAML(typ="safe").load(TEMPLATE / "pipeline.yaml"))

    assert spec.model.class_ == "nets.SpiralNet"


def test_the_deployment_of_the_template_is_one_that_prefect_accepts() -> None:
    project = PrefectYamlModel.model_validate(YAML(typ="safe").load(TEMPLATE / "prefect.yaml"))

    (deployment,) = project.deployments
    (schedule,) = deployment.schedules or []
    made = construct_schedule(cron=schedule.cron, timezone=schedule.timezone)
    assert made.timezone == "Europe/Berlin"
    assert deployment.parameters == {"pipeline": "pipeline.yaml"}


@pytest.mark.slow
def test_a_new_project_passes_its_own_test(tmp_path: Path) -> None:
    init_project(tmp_path)

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"], cwd=tmp_path, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout
