import subprocess
import sys
from pathlib import Path

import pytest

from prefect_torch.errors import SpecError
from prefect_torch.interpolation import interpolate, redact, references

SECRETS = {"empty": "", "db": "hunter2", "db-long": "hunter22", "number": 42}


def load(name: str) -> object:
    if name not in SECRETS:
        raise ValueError(name)
    return SECRETS[name]


def test_variables_defaults_and_secrets_are_put_in_wherever_text_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("USER_NAME", "ada")
    monkeypatch.delenv("HOST_NAME", raising=False)
    tree = {"a": ["${env:USER_NAME}@${env:HOST_NAME:local:80}", 3], "b": {"c": "${secret:db}"}}
    assert interpolate(tree, load) == {"a": ["ada@local:80", 3], "b": {"c": "hunter2"}}


def test_the_tree_itself_keeps_the_references() -> None:
    tree = {"a": "${secret:db}"}
    interpolate(tree, load)
    assert tree == {"a": "${secret:db}"}


def test_a_doubled_dollar_stands_for_itself() -> None:
    assert interpolate("$${env:HOME} $1", load) == "${env:HOME} $1"


def test_a_value_that_looks_like_a_reference_is_not_resolved_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SLY", "${secret:db}")
    assert interpolate("${env:SLY}", load) == "${secret:db}"


def test_an_unset_variable_is_named_with_its_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOWHERE", raising=False)
    with pytest.raises(SpecError, match=r"data.source.0: the environment variable NOWHERE is not"):
        interpolate({"data": {"source": ["${env:NOWHERE}"]}}, load)


def test_an_unknown_secret_is_named_with_its_field() -> None:
    with pytest.raises(SpecError, match=r'password: there is no Prefect Secret block "nope"'):
        interpolate({"password": "${secret:nope}"}, load)


@pytest.mark.parametrize("text", ["${HOME}", "${env:}", "${secret:a:b}", "${}", "${file:x}"])
def test_what_only_looks_like_a_reference_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match=r"expected \$\{env:NAME\}"):
        references({"a": text})


def test_references_are_listed_with_their_fields() -> None:
    found = references({"a": "${env:X:1} ${secret:db}", "b": ["$${env:Y}"]})
    assert [(r.field, r.kind, r.name, r.default) for r in found] == [
        ("a", "env", "X", "1"),
        ("a", "secret", "db", None),
    ]


def test_secrets_that_were_resolved_are_redacted_the_longest_first() -> None:
    interpolate({"a": "${secret:db} ${secret:db-long}", "b": "${secret:empty}"}, load)

    assert redact("hunter22 and hunter2") == "*** and ***"


@pytest.mark.slow
def test_a_secret_block_is_loaded_from_prefect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = (
        "from prefect.testing.utilities import prefect_test_harness\n"
        "from prefect.blocks.system import Secret\n"
        "from prefect_torch.errors import SpecError\n"
        "from prefect_torch.interpolation import interpolate\n"
        "with prefect_test_harness():\n"
        "    Secret(value='hunter2').save('db')\n"
        "    print(interpolate('${secret:db}'))\n"
        "    try:\n"
        "        interpolate('${secret:nope}')\n"
        "    except SpecError as error:\n"
        "        print(error)\n"
    )
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300
    )
    assert "hunter2" in done.stdout
    assert 'no Prefect Secret block "nope"' in done.stdout
