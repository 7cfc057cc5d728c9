import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prefect_torch.checking import Origin, check, load_spec, trust_for
from prefect_torch.documents import Document, document_from, read_document
from prefect_torch.errors import SpecError
from prefect_torch.settings import Settings

SETTINGS = Settings(Path("store"))
RIGHT = """\
name: digits
data:
  source: {class: torchvision.datasets.FakeData, size: 100}
  features: {image: {kind: image, shape: [1, 8, 8], scale: 0.0625}}
  target: {label: {kind: category}}
  split: {train: 0.8, validation: 0.1, test: 0.1, stratify: label}
transforms:
  train: [{class: torchvision.transforms.v2.RandomAffine, degrees: 10, translate: [0.1, 0.1]}]
model: {class: torch.nn.Linear}
loss: torch.nn.CrossEntropyLoss
optimizer: {class: torch.optim.AdamW, lr: 0.002, betas: [0.9, 0.95]}
scheduler: {class: torch.optim.lr_scheduler.OneCycleLR, max_lr: 0.01}
train: {epochs: 12, early_stopping: {metric: accuracy, patience: 4}}
metrics: {accuracy: {class: torchmetrics.classification.MulticlassAccuracy}}
promote: {metric: accuracy, at_least: 0.97}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield tmp_path
    sys.path[:] = path


def document(*changes: tuple[str, str]) -> Document:
    text = RIGHT
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    Path("digits.yaml").write_text(text)
    return read_document(Path("digits.yaml"))


def told(found: Document, origin: Origin = "file", settings: Settings = SETTINGS) -> list[str]:
    return [str(problem) for problem in check(found, settings, origin)[1]]


def test_a_right_file_gives_its_spec() -> None:
    spec, problems = check(document(), SETTINGS)
    assert problems == []
    assert spec is not None
    assert spec.optimizer.args == {"lr": 0.002, "betas": [0.9, 0.95]}
    assert load_spec(document(), SETTINGS) == spec


def test_the_same_pipeline_from_python_gives_the_same_spec() -> None:
    found = document()
    assert load_spec(document_from(found.tree), SETTINGS, "python") == load_spec(found, SETTINGS)


def test_five_different_mistakes_are_told_in_one_pass_in_file_order() -> None:
    found = document(
        ("shape: [1, 8, 8]", "shape: [1, 8]"),
        ("degrees: 10", "degres: 10"),
        ("lr: 0.002", "lr: fast"),
        ("epochs: 12", "epochs: ten"),
        ("promote: {metric: accuracy", "promote: {metric: acuracy"),
    )
    with pytest.raises(SpecError) as caught:
        load_spec(found, SETTINGS)
    assert str(caught.value).splitlines() == [
        "digits.yaml:4:35: data.features.image.shape: has 2 values, expected 3. shape: "
        "[channels, height, width]; encoded pictures are converted and resized to it.",
        "digits.yaml:8:59: transforms.train.0.degres: RandomAffine has no argument "
        '"degres"; did you mean "degrees"? It takes degrees, translate, scale, shear, '
        "interpolation, fill, center",
        'digits.yaml:11:39: optimizer.lr: found "fast"; AdamW expects a number',
        'digits.yaml:13:9: train.epochs: expected a whole number, found "ten". epochs: '
        "Passes over the train split.",
        'digits.yaml:15:11: promote.metric: "acuracy" is not declared under metrics; '
        'did you mean "accuracy"?',
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name: digits", "name: My Digits", '1:1: name: found "My Digits". name: Name of the'),
        ("name: digits", "seed: 3", "1:1: name: is missing. name: Name of the pipeline"),
        (
            "name: digits",
            "name: digits\nsede: 1",
            '2:1: sede: there is no such field; did you mean "seed"?',
        ),
        ("epochs: 12", "epochs: 0", "train.epochs: expected a number of at least 1, found 0"),
        ("epochs: 12", "epochs: 1.5", "train.epochs: expected a whole number, found 1.5"),
        (
            "epochs: 12",
            "device: gpu",
            'expected one of "auto", "cpu", "cuda" or "mps", found "gpu"',
        ),
        (
            "kind: image",
            "kind: imge",
            'found "imge", expected one of number, category, image, text; did',
        ),
        ("kind: image, ", "", "image.kind: is missing; say what the column holds, one of number"),
        ("kind: category", "kind: cat", 'label.kind: expected one of "category" or "number"'),
        ("{label: {kind: category}}", "{}", "data.target: has 0 entries, expected at least 1"),
        ("train: 0.8", "train: 0.9", "data.split: train + validation + test is 1.1, expected 1"),
        ("class: torch.optim.AdamW, ", "", "optimizer.class: is missing; a component is {class:"),
        ("scale: 0.0625", "scale: 0", "image.scale: expected a number above 0, found 0"),
        ("patience: 4", "patience: '4'", 'patience: expected a whole number, found "4"'),
        ("metric: accuracy, p", "metric: acc, p", 'early_stopping.metric: "acc" is not declared'),
        ("validation: 0.1, test: 0.1", "validation: 0, test: 0.2", "watches the validation split"),
        ("{image:", "{label: {kind: number}, image:", 'data.features.label: "label" is the target'),
        ("torch.nn.Linear", "torch.nn.Liner", '9:9: model.class: torch.nn has no "Liner"; did you'),
        ("size: 100", "size: '${HOME}'", "data.source.size: found ${HOME}; expected ${env:NAME}"),
        (
            "max_lr: 0.01",
            "gamma: 1",
            "scheduler: OneCycleLR also needs max_lr; add it beside class",
        ),
        ("data:\n", "data: 3\nwas:\n", "data: expected a mapping, found 3"),
    ],
)
def test_each_mistake_is_told_in_its_place(old: str, new: str, said: str) -> None:
    messages = told(document((old, new)))
    assert any(said in message for message in messages), messages
    text = "\n".join(messages)
    assert "pydantic" not in text
    assert "https" not in text
    assert all(message.startswith("digits.yaml:") for message in messages)


@pytest.mark.parametrize("evil", ["os.system", "builtins.eval", "subprocess.Popen", "torch.load"])
def test_what_runs_code_is_refused_however_deep_it_hides(evil: str) -> None:
    deep = f"{{a: [{{b: {{class: torch.nn.Identity, c: {{class: {evil}}}}}}}]}}"
    messages = told(document(("class: torch.nn.Linear", f"class: torch.nn.Linear, bias: {deep}")))
    assert any("model.bias.a.0.b.c.class" in m and evil in m for m in messages), messages


def test_nested_components_are_checked_like_others() -> None:
    two = "[{class: LinearLR, start_factr: 1}, {class: ExponentialLR}]"
    new = f"class: SequentialLR, milestones: [3], schedulers: {two}"
    old = "class: torch.optim.lr_scheduler.OneCycleLR, max_lr: 0.01"
    assert [m.split(": ", 1)[1] for m in told(document((old, new)))] == [
        "scheduler.schedulers.0.start_factr: LinearLR has no argument "
        '"start_factr"; did you mean "start_factor"? It takes start_factor, end_factor, '
        "total_iters, last_epoch",
        "scheduler.schedulers.1: ExponentialLR also needs gamma; add it beside class",
    ]


def test_a_wrong_override_is_told_in_its_own_words() -> None:
    found = document().with_overrides(["optimizer.lr=fast", "train.epochs=many"])
    assert told(found) == [
        '--set optimizer.lr=fast: optimizer.lr: found "fast"; AdamW expects a number',
        '--set train.epochs=many: train.epochs: expected a whole number, found "many". '
        "epochs: Passes over the train split.",
    ]


def test_checking_code_is_imported_without_torch_and_prefect() -> None:
    code = (
        "import sys, prefect_torch.checking\n"
        "heavy = {'torch', 'prefect', 'pandas', 'pyarrow', 'sklearn'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_misspelled_module_gets_the_nearest(own: Document) -> None:
    own.tree["model"]["class"] = "hose_net.Net"
    assert 'did you mean "house_net"?' in told(own)[0]


NET = "from torch import nn\nclass Net(nn.Module):\n    def __init__(self, width: int): ...\n"


@pytest.fixture
def own(folder: Path) -> Document:
    Path("house_net.py").write_text(NET)
    return document(("class: torch.nn.Linear", "class: house_net.Net, width: 3"))


def test_a_file_may_name_the_modules_beside_it_and_a_form_may_not(own: Document) -> None:
    assert told(own) == []
    assert "may not name the project's own modules" in told(own, "form")[0]
    assert told(own, "form", Settings(Path("store"), ("house_net",))) == []


@pytest.mark.parametrize(
    "override",
    [
        "model={class: house_net.Net, width: 3}",
        "model.class=house_net.Net",
        "loss={class: house_net.Net, width: 1}",
    ],
)
def test_an_override_may_not_name_the_modules_beside_the_file(own: Document, override: str) -> None:
    (said,) = told(own.with_overrides([override]))
    assert "may not name the project's own modules" in said
    assert told(own.with_overrides([override]), settings=Settings(Path("s"), ("house_net",))) == []


def test_a_component_nested_by_an_override_may_not_either(own: Document) -> None:
    messages = told(own.with_overrides(["model.width={class: house_net.Net, width: 3}"]))
    assert any("may not name the project's own" in message for message in messages)


def test_an_override_of_an_argument_leaves_the_file_its_trust(own: Document) -> None:
    assert told(own.with_overrides(["model.width=5"])) == []
    assert trust_for(own, ("model",), SETTINGS).project


def test_what_python_builds_may_name_everything_until_it_is_overridden() -> None:
    tree: dict[str, Any] = document().tree
    tree["data"]["source"] = {"class": "collections.deque"}
    found = document_from(tree)
    assert told(found, "python") == []
    assert "not trusted" in told(found)[0]
    assert (
        "not trusted" in told(found.with_overrides(["data.source=collections.deque"]), "python")[0]
    )
