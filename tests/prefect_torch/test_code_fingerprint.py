# ruff: noqa: E501 - one case a line reads better
"""Each edit of a user's project names the unit it changed, and nothing else."""

from pathlib import Path

import pytest
from code_project import Project

from prefect_torch.code_fingerprint import fingerprint_code
from prefect_torch.errors import SpecError

FILES = {
    "nets.py": '''
        """The network."""
        import torch
        from functools import partial
        from torch import nn
        from blocks import Block, WIDTH, scaled
        from parts.heads import Head
        from options import Options
        import activations as act

        make_norm = partial(nn.LayerNorm, eps=1e-5)
        squash = lambda x: act.soft(x) + 1

        class Shared(nn.Module):
            """A base."""
            depth = 2

            def reset(self):
                return fill(self, 0.5)

        def fill(module, value):
            return value * 2

        class MyNet(Shared):
            def __init__(self, width: int = WIDTH, options=Options()):
                super().__init__()
                self.block = Block(width)
                self.head = Head(width)
                self.norm = make_norm(width)

            @scaled
            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return squash(self.head(self.block(x)))

        def unused():
            return 1
    ''',
    "blocks.py": """
        from torch import nn

        WIDTH = 8
        UNUSED = 3

        def scaled(function):
            def inner(self, x):
                return function(self, x) * FACTOR
            return inner

        FACTOR = 2.0

        class Block(nn.Module):
            kernel = 3

            def __init__(self, width):
                super().__init__()
                self.linear = nn.Linear(width, width)

            def forward(self, x):
                return self.linear(x)
    """,
    "options.py": """
        from dataclasses import dataclass, field

        @dataclass
        class Options:
            rate: float = 0.1
            sizes: list = field(default_factory=lambda: [1, 2])
    """,
    "activations.py": """
        try:
            from fast_activations import soft
        except ImportError:
            from slow_activations import soft
    """,
    "slow_activations.py": """
        def soft(x):
            return x / (1 + abs(x))

        def hard(x):
            return x > 0
    """,
    "parts/__init__.py": "",
    "parts/heads.py": """
        from .deep.sizes import *
        from . import names

        class Head:
            label = names.LABEL

            def __call__(self, x):
                return x[:size_of(x)]
    """,
    "parts/names.py": 'LABEL = "head"\nOTHER = "tail"\n',
    "parts/deep/sizes.py": """
        from ..names import OTHER as other

        def size_of(x):
            return half(len(x))

        def half(n):
            return n // 2

        def double(n):
            return n * 2, other
    """,
    "transforms.py": """
        import helpers_of_mine
        from registry import TRANSFORMS
        import more_transforms

        def my_function(rows, key=lambda row: row["a"], limit=helpers_of_mine.LIMIT):
            return sorted(map(helpers_of_mine.clean, rows), key=key)[:limit]

        def by_name(name):
            return TRANSFORMS[name]
    """,
    "helpers_of_mine.py": """
        LIMIT = 10

        def clean(row):
            return {k: v for k, v in row.items() if v}

        def dirty(row):
            return row
    """,
    "registry.py": """
        TRANSFORMS = {}

        def register(name):
            def add(function):
                TRANSFORMS[name] = function
                return function
            return add
    """,
    "more_transforms.py": """
        from registry import register

        @register("flip")
        def flip(x):
            return x[::-1]
    """,
}
NET, TRANSFORM, BY_NAME = "nets.MyNet", "transforms.my_function", "transforms.by_name"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path, FILES)


EDITS = {
    "a method of the root": ("nets.py", "self.head(self.block(x))", "self.block(x)", NET, "nets.py: MyNet.forward"),
    "a method of a block in another file": ("blocks.py", "self.linear(x)", "-self.linear(x)", NET, "blocks.py: Block.forward"),
    "a class attribute": ("blocks.py", "kernel = 3", "kernel = 5", NET, "blocks.py: Block"),
    "a default argument's constant": ("blocks.py", "WIDTH = 8", "WIDTH = 9", NET, "blocks.py: WIDTH"),
    "a decorator": ("blocks.py", "function(self, x) *", "function(self, x) +", NET, "blocks.py: scaled"),
    "a constant in a decorator's closure": ("blocks.py", "FACTOR = 2.0", "FACTOR = 2.5", NET, "blocks.py: FACTOR"),
    "an inherited method": ("nets.py", "fill(self, 0.5)", "fill(self, 0.6)", NET, "nets.py: Shared.reset"),
    "an inherited class attribute": ("nets.py", "depth = 2", "depth = 3", NET, "nets.py: Shared"),
    "what an inherited method calls": ("nets.py", "value * 2", "value * 3", NET, "nets.py: fill"),
    "a partial": ("nets.py", "eps=1e-5", "eps=1e-6", NET, "nets.py: make_norm"),
    "a lambda": ("nets.py", "act.soft(x) + 1", "act.soft(x) + 2", NET, "nets.py: squash"),
    "a helper behind a conditional import": ("slow_activations.py", "1 + abs", "2 + abs", NET, "slow_activations.py: soft"),
    "a dataclass's default": ("options.py", "rate: float = 0.1", "rate: float = 0.2", NET, "options.py: Options"),
    "a dataclass's annotation": ("options.py", "rate: float", "rate: int", NET, "options.py: Options"),
    "a constant through a relative import": ("parts/names.py", '"head"', '"HEAD"', NET, "parts/names.py: LABEL"),
    "a function through a star import": ("parts/deep/sizes.py", "half(len(x))", "half(len(x) + 1)", NET, "parts/deep/sizes.py: size_of"),
    "a helper two imports away": ("parts/deep/sizes.py", "n // 2", "n // 3", NET, "parts/deep/sizes.py: half"),
    "a helper passed as an argument": ("helpers_of_mine.py", "if v}", "if not v}", TRANSFORM, "helpers_of_mine.py: clean"),
    "a constant in a default": ("helpers_of_mine.py", "LIMIT = 10", "LIMIT = 11", TRANSFORM, "helpers_of_mine.py: LIMIT"),
    "a lambda in a default": ("transforms.py", 'row["a"]', 'row["b"]', TRANSFORM, "transforms.py: my_function"),
    "what a decorator put into a registry": ("more_transforms.py", "x[::-1]", "x[::-2]", BY_NAME, "more_transforms.py: flip"),
}  # fmt: skip


@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS.keys())
def test_an_edit_changes_the_unit_it_stands_in_and_nothing_else(
    project: Project, edit: tuple[str, ...]
) -> None:
    file, old, new, root, unit = edit

    assert project.changed(file, old, new, root) == {unit}


UNREACHED = {
    "another function": ("nets.py", "return 1\n", "return 2\n", NET),
    "another constant": ("blocks.py", "UNUSED = 3", "UNUSED = 4", NET),
    "a name beside the one imported": ("slow_activations.py", "x > 0", "x >= 0", NET),
    "a name beside, behind a star": ("parts/deep/sizes.py", "n * 2", "n * 3", NET),
    "a helper nobody calls": ("helpers_of_mine.py", "return row\n", "return 1\n", TRANSFORM),
    "a registered function, where the registry is not read": ("more_transforms.py", "[::-1]", "[1:]", TRANSFORM),
    "another root": ("nets.py", "self.head(self.block(x))", "self.block(x)", TRANSFORM),
    "a docstring": ("nets.py", "A base.", "The base.", NET),
    "an annotation that nothing reads": ("nets.py", "def fill(module,", "def fill(module: object,", NET),
}  # fmt: skip


@pytest.mark.parametrize("edit", UNREACHED.values(), ids=UNREACHED.keys())
def test_an_edit_of_what_no_root_reaches_changes_nothing(
    project: Project, edit: tuple[str, ...]
) -> None:
    assert project.changed(*edit) == set()


def test_packages_are_those_that_reached_code_uses(project: Project) -> None:
    found = project.reach(NET).packages

    assert found.keys() == {"fast_activations", "torch"}
    assert found["fast_activations"] == "absent"
    assert project.reach(TRANSFORM).packages == {}


def test_a_project_that_can_be_followed_widens_nothing(project: Project) -> None:
    assert project.reach(NET, TRANSFORM, BY_NAME).widened == {}


def test_a_root_that_does_not_exist_is_an_error_that_names_it(project: Project) -> None:
    with pytest.raises(SpecError, match=r'found "nets.YourNet", but nets.py has no YourNet'):
        project.reach("nets.YourNet")


def test_our_own_components_are_followed() -> None:
    found = fingerprint_code(["prefect_torch.models.cnn.SmallCNN"], None)

    assert "prefect_torch/models/cnn.py: SmallCNN.__init__" in found.units
    assert found.packages.keys() == {"torch"}


def test_a_public_name_of_ours_is_followed_through_the_lazy_module() -> None:
    found = fingerprint_code(["prefect_torch.PipelineSpec"], None)

    assert "prefect_torch/spec.py: PipelineSpec" in found.units
    assert "prefect_torch/__init__.py: __getattr__" in found.units
    assert found.widened == {}
