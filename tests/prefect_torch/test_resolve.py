import functools
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torchvision.transforms import v2

from prefect_torch.components import Component, Kind
from prefect_torch.errors import SpecError
from prefect_torch.resolve import Trust, build, resolve

FILE = Trust(project=True)
NET = """\
from torch import nn
class Net(nn.Module):
    size = {size}
"""


@pytest.fixture(autouse=True)
def clean_imports() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if not name.startswith(("torch", "prefect", "numpy", "PIL", "datasets", "sklearn")):
            del sys.modules[name]


def project(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return folder


def get(path: str, kind: Kind, trust: Trust = FILE, folder: Path | None = None) -> Any:
    return resolve(Component(class_=path), kind, trust, folder)


def refused(path: str, kind: Kind, trust: Trust = FILE, folder: Path | None = None) -> str:
    with pytest.raises(SpecError) as caught:
        get(path, kind, trust, folder)
    return str(caught.value)


@pytest.mark.parametrize(
    ("path", "kind", "expected"),
    [
        ("AdamW", "optimizer", torch.optim.AdamW),
        ("OneCycleLR", "scheduler", torch.optim.lr_scheduler.OneCycleLR),
        ("MSELoss", "loss", torch.nn.MSELoss),
        ("Linear", "model", torch.nn.Linear),
        ("resnet18", "model", torchvision.models.resnet18),
        ("RandomAffine", "transform", v2.RandomAffine),
        ("FakeData", "source", torchvision.datasets.FakeData),
        ("torch.optim.SGD", "optimizer", torch.optim.SGD),
        ("torchvision.transforms.ToTensor", "transform", torchvision.transforms.ToTensor),
    ],
)
def test_short_names_and_import_paths_are_found(path: str, kind: Kind, expected: object) -> None:
    assert get(path, kind) is expected


def test_short_metric_names_are_found() -> None:
    assert get("MulticlassAccuracy", "metric").__name__ == "MulticlassAccuracy"
    assert get("MeanSquaredError", "metric").__name__ == "MeanSquaredError"


@pytest.mark.parametrize(
    "path",
    [
        "os.system",
        "builtins.eval",
        "subprocess.Popen",
        "torch.os.system",
        "torch.utils.cpp_extension.subprocess.Popen",
        "torch.load",
        "torch.hub.load",
        "torch.jit.load",
        "torch.serialization.pickle.loads",
        "torchvision.models.get_model",
        "torchvision.datasets.utils.download_url",
        "torch.utils.data.datapipes.iter.FileOpener",
        "torch.nn.__builtins__",
        "torch.nn.Module.__class__",
        "torch.nn",
        "torch",
        "eval",
        "torch..nn",
        "torch.nn.Module",
        "prefect_torch.resolve.resolve",
        "prefect_torch.store.Store",
        "yaml.load",
        "torch.distributed.nn.api.remote_module.RemoteModule",
        "torch.fx.GraphModule",
    ],
)
@pytest.mark.parametrize(
    "kind", ["model", "loss", "optimizer", "scheduler", "metric", "transform", "source"]
)
def test_nothing_but_components_of_trusted_modules_passes(path: str, kind: Kind) -> None:
    assert refused(path, kind)


def test_an_untrusted_module_is_not_even_imported(tmp_path: Path) -> None:
    folder = project(tmp_path / "elsewhere", untrusted_thing="raise SystemExit('imported')")
    sys.path.insert(0, str(folder))
    said = refused("untrusted_thing.Net", "model", FILE, project(tmp_path / "here"))
    assert "PREFECT_INTEGRATIONS_TORCH_TRUSTED_MODULES=untrusted_thing" in said
    assert "untrusted_thing" not in sys.modules


def test_modules_of_the_settings_are_trusted_with_what_lies_below(tmp_path: Path) -> None:
    folder = project(tmp_path / "installed", house_style=NET.format(size=1))
    sys.path.insert(0, str(folder))
    assert get("house_style.Net", "model", Trust(modules=("house_style",))).size == 1
    assert "not trusted" in refused("house_style.Net", "model", Trust(modules=("house",)))


def test_a_form_may_not_name_the_projects_modules(tmp_path: Path) -> None:
    folder = project(tmp_path, own=NET.format(size=1))
    assert "may not name the project's own" in refused("own.Net", "model", Trust(), folder)
    assert get("own.Net", "model", FILE, folder).size == 1
    assert get("own.Net", "model", Trust(modules=("own",)), folder).size == 1


def test_what_a_project_only_imported_is_not_its_own(tmp_path: Path) -> None:
    folder = project(tmp_path, sly="from os import system\nfrom subprocess import Popen\nimport os")
    assert "comes from" in refused("sly.system", "transform", FILE, folder)
    assert "comes from subprocess" in refused("sly.Popen", "source", FILE, folder)
    assert "leads into os" in refused("sly.os.system", "transform", FILE, folder)


def test_a_project_file_named_like_pythons_own_opens_nothing(tmp_path: Path) -> None:
    folder = project(tmp_path, os="", subprocess="")
    assert "rename it" in refused("os.system", "transform", FILE, folder)
    assert "rename it" in refused("subprocess.Popen", "source", FILE, folder)


def test_of_a_projects_own_callables_do_for_transforms(tmp_path: Path) -> None:
    folder = project(
        tmp_path,
        steps="def twice(x, times=2): return x * times\n"
        "class Add:\n    def __call__(self, x): return x + 1\n"
        "class No: pass\n",
    )
    assert get("steps.Add", "transform", FILE, folder)()(1) == 2
    twice = build(
        Component.model_validate({"class": "steps.twice", "times": 3}), "transform", FILE, folder
    )
    assert isinstance(twice, functools.partial)
    assert twice(2) == 6
    assert "expected a torchvision.transforms" in refused("steps.No", "transform", FILE, folder)


def test_of_a_projects_own_what_iterates_or_has_batches_is_a_source(tmp_path: Path) -> None:
    folder = project(
        tmp_path,
        rows="class A:\n    def __iter__(self): yield {}\n"
        "class B:\n    def batches(self): yield {}\nclass C: pass\n",
    )
    assert get("rows.A", "source", FILE, folder)
    assert get("rows.B", "source", FILE, folder)
    assert refused("rows.C", "source", FILE, folder)


def test_two_projects_may_have_modules_of_the_same_name(tmp_path: Path) -> None:
    a = project(tmp_path / "a", net=NET.format(size="__import__('part').SIZE"), part="SIZE = 1")
    b = project(tmp_path / "b", net=NET.format(size="__import__('part').SIZE"), part="SIZE = 2")
    first = get("net.Net", "model", FILE, a)
    assert (first.size, get("net.Net", "model", FILE, b).size) == (1, 2)
    assert sys.modules["net"].__file__ == str(b / "net.py")
    assert get("net.Net", "model", FILE, a) is first
    assert sys.path[0] == str(a)
    assert sys.modules["net"].__file__ == str(a / "net.py")


@pytest.mark.parametrize("first", [True, False])
def test_a_project_may_have_a_datasets_py_beside_hugging_faces(tmp_path: Path, first: bool) -> None:
    code = f"""\
import sys
from pathlib import Path
if {first}:
    import datasets as hugging_face
from prefect_torch.components import Component
from prefect_torch.resolve import Trust, resolve
for name in ("datasets.Mine", "models.Mine", "datasets.Mine"):
    found = resolve(Component(class_=name), "source", Trust(project=True), Path(sys.argv[1]))
    assert found.where == name.split(".")[0], found
import prefect_torch.datasets.spec
if {first}:
    import datasets
    assert datasets is hugging_face
    assert datasets.Dataset.from_dict({{"a": [1, 2]}}).map(lambda row: row)[1] == {{"a": 2}}
"""
    text = "class Mine:\n    where = __name__\n    def __iter__(self): yield {}\n"
    folder = project(tmp_path / "project", datasets=text, models=text)
    command = [sys.executable, "-c", code, str(folder)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_a_folder_that_an_installed_package_would_hide_is_told(tmp_path: Path) -> None:
    project(tmp_path / "datasets", mine=NET.format(size=1))
    assert "__init__.py" in refused("datasets.mine.Net", "model", FILE, tmp_path)


def test_a_package_and_a_plain_folder_of_a_project_work(tmp_path: Path) -> None:
    project(tmp_path / "kit", __init__="", net="from kit.base import Net", base=NET.format(size=3))
    project(tmp_path / "plain", net=NET.format(size=4))
    assert get("kit.net.Net", "model", FILE, tmp_path).size == 3
    assert get("plain.net.Net", "model", FILE, tmp_path).size == 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import torch\n\nimport no_such_thing\n", "own.py:3: ModuleNotFoundError: No module"),
        ("x = 1\ny = 1 / 0\n", "own.py:2: ZeroDivisionError"),
        ("def f(:\n", "own.py:1: invalid syntax"),
        ("raise SystemExit(3)\n", "own.py:1: SystemExit"),
    ],
)
def test_a_broken_module_is_told_with_file_and_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in refused("own.Net", "model", FILE, project(tmp_path, own=text))


def test_misspelled_names_get_the_nearest_of_their_kind(tmp_path: Path) -> None:
    folder = project(tmp_path, own=NET.format(size=1))
    assert 'did you mean "AdamW"?' in refused("torch.optim.AdmW", "optimizer")
    assert 'did you mean "AdamW"?' in refused("AdmW", "optimizer")
    assert 'own has no "Nett"; did you mean "Net"?' in refused("own.Nett", "model", FILE, folder)


def test_the_wrong_kind_is_told_with_the_right_one() -> None:
    said = refused("torch.nn.Linear", "optimizer")
    assert said == '"torch.nn.Linear" is a class (Module); expected a torch.optim.Optimizer class'
    assert "expected a loss" in refused("torch.nn.Linear", "loss")


def test_nested_components_are_built_under_the_same_trust_and_share_what_is_given() -> None:
    model = torch.nn.Linear(2, 2)
    optimizer = build(
        Component.model_validate({"class": "SGD", "lr": 0.1}),
        "optimizer",
        FILE,
        None,
        params=model.parameters(),
    )
    raw = {
        "class": "SequentialLR",
        "schedulers": [{"class": "LinearLR"}, {"class": "ExponentialLR", "gamma": 0.9}],
        "milestones": [2],
    }
    built = build(Component.model_validate(raw), "scheduler", FILE, None, optimizer=optimizer)
    assert type(built).__name__ == "SequentialLR"
    raw["schedulers"] = [{"class": "subprocess.Popen", "args": ["true"]}]
    with pytest.raises(SpecError, match="not trusted"):
        build(Component.model_validate(raw), "scheduler", FILE, None, optimizer=optimizer)


def test_a_model_function_is_called_and_a_refusal_of_a_constructor_told() -> None:
    model = build(
        Component.model_validate({"class": "resnet18", "num_classes": 3}), "model", FILE, None
    )
    assert model.fc.out_features == 3
    component = Component.model_validate({"class": "SGD", "lr": -1})
    with pytest.raises(SpecError, match="SGD cannot be made: Invalid learning rate: -1"):
        build(component, "optimizer", FILE, None, params=model.parameters())


def test_names_of_enums_reach_the_constructor_as_members() -> None:
    raw = {"class": "AutoAugment", "policy": "CIFAR10", "interpolation": "bilinear"}
    built = build(Component.model_validate(raw), "transform", FILE, None)
    assert built.policy is torchvision.transforms.AutoAugmentPolicy.CIFAR10


def test_a_pipeline_from_python_may_name_everything_of_the_right_kind() -> None:
    everything = Trust(everything=True)
    assert get("collections.deque", "source", everything).__name__ == "deque"
    assert "expected a torch.nn.Module" in refused("os.system", "model", everything)
