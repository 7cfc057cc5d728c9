"""Errors say all there is to say, and survive the way between processes."""

import pickle

import pytest

from prefect_torch import errors
from prefect_torch.errors import PrefectTorchError, Problem, RunFailed, SpecError, did_you_mean


def test_every_error_of_the_package_is_in_the_one_tree_and_in_its_drawing() -> None:
    found = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, Exception)
    ]
    assert len(found) == 6
    for error in found:
        assert issubclass(error, PrefectTorchError)
        assert error.__name__ in str(errors.__doc__)


def test_a_spec_error_shows_each_problem_on_a_line_of_its_own() -> None:
    error = SpecError([Problem("a.yaml:1:2", "seed", "found -1"), Problem("", "", "no name")])
    assert str(error) == "a.yaml:1:2: seed: found -1\nno name"


def test_errors_with_more_than_a_message_survive_pickling() -> None:
    spec = pickle.loads(pickle.dumps(SpecError([Problem("a", "b", "c")])))
    assert spec.problems == (Problem("a", "b", "c"),)
    failed = pickle.loads(pickle.dumps(RunFailed("train failed", {"run": 1})))
    assert (str(failed), failed.summary) == ("train failed", {"run": 1})


@pytest.mark.parametrize(
    ("word", "known", "told"),
    [
        ("lrr", ["lr", "betas"], 'did you mean "lr"?'),
        ("zzz", ["lr", "betas"], "known: betas, lr"),
        ("zzz", [], "it takes none"),
    ],
)
def test_a_near_miss_gets_the_word_it_missed(word: str, known: list[str], told: str) -> None:
    assert did_you_mean(word, known) == told
