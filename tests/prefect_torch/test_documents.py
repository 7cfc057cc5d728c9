from pathlib import Path

import pytest

from prefect_torch.documents import Document, document_from, read_document
from prefect_torch.errors import SpecError

YAML = """\
name: digits
optimizer: {class: AdamW, lr: 1e-3}
transforms:
  train:
    - class: RandomAffine
      degrees: 10
born: 2020-01-01
"""
TOML = """\
name = "digits"
text = \"\"\"
lr = 3
\"\"\"
[optimizer]
class = "AdamW"
  lr = 1e-3
[[transforms.train]]
class = "A"
[[transforms.train]]
class = "B"
degrees = 10
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(text: str | bytes, name: str = "pipeline.yaml") -> Document:
    Path(name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_document(Path(name))


def refused(text: str | bytes, name: str = "pipeline.yaml") -> str:
    with pytest.raises(SpecError) as caught:
        read(text, name)
    return str(caught.value)


def test_yaml_is_read_as_version_1_2_and_dates_stay_text() -> None:
    tree = read(YAML + "no: no\noctal: 010\n").tree
    assert tree["optimizer"]["lr"] == 0.001
    assert (tree["born"], tree["no"], tree["octal"]) == ("2020-01-01", "no", 10)


def test_a_place_is_line_and_column_of_the_field() -> None:
    document = read(YAML)
    assert document.place(("optimizer", "lr")) == "pipeline.yaml:2:27"
    assert document.place(("transforms", "train", 0, "degrees")) == "pipeline.yaml:6:7"


def test_the_place_of_a_missing_field_is_that_of_what_it_is_missing_in() -> None:
    assert read(YAML).place(("optimizer", "eps")) == "pipeline.yaml:2:1"


def test_toml_has_places_too() -> None:
    document = read(TOML, "pipeline.toml")
    assert document.tree["transforms"]["train"][1]["degrees"] == 10
    assert document.place(("optimizer", "lr")) == "pipeline.toml:7:3"
    assert document.place(("transforms", "train", 1, "degrees")) == "pipeline.toml:12:1"
    assert ("lr",) not in document.positions


def test_json_has_places_too() -> None:
    document = read('{\n\t"name": "\\ud83d\\ude00",\n\t"lr": 1\n}', "pipeline.json")
    assert document.tree == {"name": "😀", "lr": 1}
    assert document.place(("lr",)) == "pipeline.json:3:2"


def test_the_three_formats_say_the_same() -> None:
    same = read("a: {b: [1, 2.5, x]}\n").tree
    assert read('{"a": {"b": [1, 2.5, "x"]}}', "p.json").tree == same
    assert read('[a]\nb = [1, 2.5, "x"]\n', "p.toml").tree == same


def test_an_anchor_may_be_used_again() -> None:
    assert read("a: &x 1\nb: &x 2\nc: *x\n").tree == {"a": 1, "b": 2, "c": 2}


def test_an_alias_stands_for_a_copy() -> None:
    document = read("a: &x {b: 1}\nc: *x\n").with_overrides(["c.b=2"])
    assert document.tree == {"a": {"b": 1}, "c": {"b": 2}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\na: 2\n", 'pipeline.yaml:2:1: a: "a" stands here twice, first in line 1'),
        ("a: !!python/object/apply:os.system [x]\n", "pipeline.yaml:1:4: a: the tag !!python/"),
        ("a: !Thing 1\n", "the tag !Thing is not allowed"),
        ("a: &x [*x]\n", "the alias *x contains itself"),
        ("a: *nowhere\n", "pipeline.yaml:1:4: is not YAML"),
        ("a: [1\n", "pipeline.yaml:2:1: is not YAML"),
        ("1: a\n", "the key 1 is not text"),
        ("? [a, b]\n: 1\n", "is not text"),
        ("a: .nan\n", "pipeline.yaml:1:1: a: found nan"),
        ("a: [1, -.inf]\n", "pipeline.yaml:1:8: a.1: found -inf"),
        ("- a\n", "expected a mapping"),
        ("", "found nothing"),
        ("a: 1\n---\nb: 1\n", "is not YAML"),
        ("<<: {a: 1}\n", "merging with <<"),
        ("a: \x01\n", "is not YAML"),
        ("a: " + "[" * 70 + "]" * 70, "nested deeper than 64"),
        ("a: " + "[" * 5000, "nested deeper than 64"),
        (b"a: 1\nb: \xff\n", "pipeline.yaml:2:4: byte 0xff is not UTF-8"),
        ("#" * (1 << 20) + "\n", "larger than 1 MiB"),
        ('a: "\\ud800"\n', "a: found '\\ud800', half of a character"),
        ("a: 1\n\tb: 2\n", "pipeline.yaml:2:1: is not YAML"),
        ("a:\n\tb: 2\n", "indent with spaces, not tabs"),
        ("model: {class: x\ntrain: 3\n", "it begins in line 1"),
        ("a: 1e999\n", "found inf"),
        (f"a: {'9' * 5000}\n", "pipeline.yaml:1:4: a: cannot be read as int"),
        ("a: {lr: ${env:LR}}\n", "put ${…} in quotes"),
    ],
)
def test_broken_yaml_is_refused_with_its_place(text: str | bytes, said: str) -> None:
    assert said in refused(text)


def test_aliases_cannot_make_a_small_file_large() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert "more than 100,000 values" in refused("\n".join(lines))


@pytest.mark.parametrize(
    ("text", "name", "said"),
    [
        ("a = 1\na = 2\n", "p.toml", "p.toml:2:6: is not TOML"),
        ("a = nan\n", "p.toml", "p.toml:1:1: a: found nan"),
        ('{"a": 1, "a": 2}', "p.json", "twice"),
        ('{"a": NaN}', "p.json", "p.json:1:2: a: found nan"),
        ('{"a": 1,}', "p.json", "is not JSON"),
        ("[" * 100_000, "p.json", "nested deeper"),
        ("a", "p.txt", "expected its name to end in .yaml, .yml, .toml, .json"),
    ],
)
def test_broken_toml_and_json_are_refused_with_their_place(text: str, name: str, said: str) -> None:
    assert said in refused(text, name)


def test_a_missing_file_names_what_lies_nearby() -> None:
    Path("digits.yaml").write_text("a: 1")
    with pytest.raises(SpecError, match=r'digts.yaml: there is no such file; did you mean "digits'):
        read_document(Path("digts.yaml"))


def test_overrides_set_fields_and_make_mappings_on_the_way() -> None:
    overrides = ["optimizer.lr=2e-3", "transforms.train.0.degrees=5", "train.epochs=3"]
    document = read(YAML).with_overrides(overrides)
    assert document.tree["optimizer"]["lr"] == 0.002
    assert document.tree["transforms"]["train"][0]["degrees"] == 5
    assert document.tree["train"] == {"epochs": 3}


def test_an_overridden_field_has_the_override_as_its_place() -> None:
    document = read(YAML).with_overrides(["optimizer.lr=fast", "model={class: A, b: [1]}"])
    assert document.place(("optimizer", "lr")) == "--set optimizer.lr=fast"
    assert document.place(("model", "b", 0)) == "--set model={class: A, b: [1]}"
    assert document.place(("optimizer", "class")) == "pipeline.yaml:2:13"


def test_an_override_leaves_the_document_it_was_made_from_alone() -> None:
    document = read(YAML)
    document.with_overrides(["optimizer.lr=5"])
    assert document.tree["optimizer"]["lr"] == 0.001


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.epochs", "expected field=value"),
        ("=3", "expected field=value"),
        ("name.first=x", "--set name.first=x: name: is \"digits\", which has no field 'first'"),
        ("transforms.train.7.degrees=1", "transforms.train: is a list of 1; '7' is none"),
        ("a=[1", "is not YAML"),
        ("a=!!python/name:os.system x", "is not allowed"),
        ("a=.inf", "finite"),
    ],
)
def test_an_override_that_cannot_be_is_refused(override: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        read(YAML).with_overrides([override])
    assert said in str(caught.value)
    assert caught.value.problems[0].place == f"--set {override}"


def test_all_wrong_overrides_are_told_at_once() -> None:
    with pytest.raises(SpecError) as caught:
        read(YAML).with_overrides(["x", "y"])
    assert len(caught.value.problems) == 2


def test_a_document_from_python_has_no_places_and_plain_values_only() -> None:
    document = document_from({"a": (1, 2)})
    assert (document.tree, document.place(("a",)), document.project) == ({"a": [1, 2]}, "", None)
    with pytest.raises(SpecError, match="a: found a object"):
        document_from({"a": object()})
