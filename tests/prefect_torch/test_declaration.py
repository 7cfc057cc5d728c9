from pathlib import Path

import pytest

from prefect_torch.components import Component
from prefect_torch.declaration import Declaration
from prefect_torch.errors import SpecError
from prefect_torch.pipeline import Pipeline


@pytest.fixture
def declaration(tiny: Path) -> Declaration:
    return Pipeline.load(tiny).declaration


def test_sizes_that_the_data_decides_are_filled_in(declaration: Declaration) -> None:
    sizes = {"in_features": 2, "num_classes": 3, "vocabulary_size": 100}
    filled = declaration.filled(Component(class_="tiny_nets.Broken"), "model", sizes)
    assert filled.args == {"in_features": 2, "num_classes": 3}


def test_what_the_spec_says_wins_over_what_the_data_decides(declaration: Declaration) -> None:
    component = Component(class_="tiny_nets.Broken", args={"in_features": 7})
    filled = declaration.filled(component, "model", {"in_features": 2, "num_classes": 3})
    assert filled.args["in_features"] == 7


def test_references_are_resolved_when_built_and_never_in_what_is_kept(
    declaration: Declaration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROWS_PASSWORD", "hunter2")
    source = Component(class_="CsvSource", args={"path": "${env:ROWS_PASSWORD}.csv"})

    assert declaration.filled(source, "source", {}).args == source.args
    assert declaration.build(source, "source")._path == "hunter2.csv"


def test_an_unset_variable_is_named_when_it_is_needed(declaration: Declaration) -> None:
    source = Component(class_="CsvSource", args={"path": "${env:NOT_SET_ANYWHERE}"})
    with pytest.raises(SpecError, match="variable NOT_SET_ANYWHERE is not set"):
        declaration.build(source, "source")


def test_a_component_of_another_kind_is_refused(declaration: Declaration) -> None:
    with pytest.raises(SpecError):
        declaration.build(Component(class_="torch.nn.Linear"), "optimizer")


def test_the_projects_own_modules_may_be_named(declaration: Declaration) -> None:
    component = Component(class_="tiny_nets.Broken")
    model = declaration.build(component, "model", {"in_features": 2, "num_classes": 2})
    assert type(model).__name__ == "Broken"
