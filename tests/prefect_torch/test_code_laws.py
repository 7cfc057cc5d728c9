"""Laws: what does not act never changes a fingerprint, what acts always does."""

import ast
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from code_project import Project
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prefect_torch.code_modules import PACKAGE_FOLDER

SOURCE = '''\
"""A module."""
import torch
from functools import lru_cache, partial
from dataclasses import dataclass

SIZES = [1, 2]
SIZES.append(3)
NAMES = {"a": 1, "b": -2.5}


@dataclass
class Options:
    """Some options."""

    rate: float = 0.1
    """How fast."""
    label: str = "x"


def helper(x: int, *rest: int, sign=-1, **more) -> int:
    """Help."""
    total = 0
    for index, item in enumerate(rest):
        if item > 0 and index % 2 == 0:
            total += item * sign
        elif item == 0:
            continue
        else:
            total -= 1
    while total > 100:
        total //= 2
    return total if x else -total


@lru_cache(maxsize=None)
def cached(text):
    try:
        value = f"{text!r:>10}{len(text)}" "tail"
        with open(text) as file:
            data = [line.strip() for line in file if line]
    except (OSError, ValueError) as error:
        raise RuntimeError("no") from error
    finally:
        print("done")
    return value, data, {k: v for k, v in more().items()}


def more():
    match SIZES:
        case [1, *others] if others:
            return {"others": others}
        case {"a": found}:
            return {"found": found}
        case _:
            return {}


class Net(torch.nn.Module):
    """A net."""

    width: int = 4
    make = partial(helper, sign=2)

    def __init__(self, options=Options()):
        super().__init__()
        self.layers = [helper(n, 1, 2) for n in SIZES]
        self.names = NAMES

    async def forward(self, x):
        y = lambda z: z ** 2 + 1
        assert x is not None, "x"
        self.last = cached("name")[0]
        return not y(x) or (w := x[1:2]) < w <= 3
'''
MAIN = "net.py"
settings.register_profile(
    "files",
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
settings.load_profile("files")


def comment(lines: list[str], pick: random.Random) -> list[str]:
    at = pick.randrange(len(lines) + 1)
    return [*lines[:at], " " * pick.randrange(9) + "# changed", *lines[at:]]


def blank(lines: list[str], pick: random.Random) -> list[str]:
    at = pick.randrange(len(lines) + 1)
    return [*lines[:at], *[""] * pick.randrange(4), *lines[at:]]


def trail(lines: list[str], pick: random.Random) -> list[str]:
    at = pick.randrange(len(lines))
    return [*lines[:at], lines[at] + "   # why" * bool(lines[at]), *lines[at + 1 :]]


def reformat(lines: list[str], pick: random.Random) -> list[str]:
    return ast.unparse(ast.parse("\n".join(lines))).splitlines()


def indent(lines: list[str], pick: random.Random) -> list[str]:
    step = pick.choice([1, 2, 8])
    done = reformat(lines, pick)
    return [" " * (step * ((len(line) - len(line.lstrip())) // 4)) + line.lstrip() for line in done]


def docstrings(lines: list[str], pick: random.Random) -> list[str]:
    tree = ast.parse("\n".join(lines))
    owners = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.ClassDef))]
    body = pick.choice(owners).body
    text = ast.Expr(ast.Constant("said otherwise"))
    is_text = isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    if is_text and len(body) > 1 and pick.random() < 0.5:
        del body[0]
    else:
        body.insert(0, text)
    return ast.unparse(ast.fix_missing_locations(tree)).splitlines()


def annotations(lines: list[str], pick: random.Random) -> list[str]:
    tree = ast.parse("\n".join(lines))
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    function = pick.choice([f for f in functions if f.name != "__init__"])
    function.returns = pick.choice([None, ast.Name("object"), ast.Constant("Missing")])
    for arg in function.args.args:
        arg.annotation = pick.choice([None, ast.Name("object")])
    return ast.unparse(ast.fix_missing_locations(tree)).splitlines()


def parentheses(lines: list[str], pick: random.Random) -> list[str]:
    at = pick.randrange(len(lines))
    start, found, rest = lines[at].partition("return ")
    bracketed = f"{start}return ({rest}\n{start})" if found and "," not in rest else lines[at]
    return [*lines[:at], *bracketed.splitlines(), *lines[at + 1 :]]


SILENT = [comment, blank, trail, reformat, indent, docstrings, annotations, parentheses]


@given(st.lists(st.sampled_from(SILENT), min_size=1, max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_no_comment_docstring_or_format_changes_a_fingerprint(
    tmp_path_factory: pytest.TempPathFactory,
    edits: list[Callable[[list[str], random.Random], list[str]]],
    pick: random.Random,
) -> None:
    lines = SOURCE.splitlines()
    for edit in edits:
        done = edit(lines, pick)
        try:
            ast.parse("\n".join(done))
        except SyntaxError:
            continue  # a comment fell into a text of several lines
        lines = done
    project = Project(tmp_path_factory.mktemp("project"), {MAIN: SOURCE})
    before = project.reach("net.Net")
    (project.folder / MAIN).write_text("\n".join(lines) + "\n", encoding="utf-8")

    assert project.reach("net.Net") == before


def _spots(tree: ast.Module) -> list[ast.AST]:
    """Return the nodes whose change is a change of behaviour."""
    kinds = (ast.Constant, ast.BinOp, ast.Compare, ast.Name, ast.Attribute, ast.arg)
    found = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    texts = [n.value for n in ast.walk(tree) if isinstance(n, ast.Expr)]
    silent: set[ast.AST] = set(texts)
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            notes = [arg.annotation for arg in ast.walk(node.args) if isinstance(arg, ast.arg)]
            for note in [*notes, node.returns]:
                silent |= set(ast.walk(note)) if note else set()
        if isinstance(node, ast.ClassDef) and not node.decorator_list:
            for part in node.body:
                silent |= (
                    set(ast.walk(part.annotation)) if isinstance(part, ast.AnnAssign) else set()
                )
    return [node for node in found if node not in silent]


def _mutate(node: ast.AST) -> None:
    if isinstance(node, ast.Constant):
        text = isinstance(node.value, str)
        node.value = f"{node.value}changed" if text else f"was {node.value!r}"
    elif isinstance(node, ast.BinOp):
        node.op = ast.BitXor()
    elif isinstance(node, ast.Compare):
        node.ops[0] = ast.NotIn()
    elif isinstance(node, ast.Name):
        node.id = f"{node.id}_changed"
    elif isinstance(node, ast.Attribute):
        node.attr = f"{node.attr}_changed"
    elif isinstance(node, ast.arg):
        node.arg = f"{node.arg}_changed"


@given(st.randoms(use_true_random=False))
@settings(max_examples=200)
def test_every_change_of_reached_code_changes_the_fingerprint(
    tmp_path_factory: pytest.TempPathFactory, pick: random.Random
) -> None:
    tree = ast.parse(SOURCE)
    bodies = [
        node.body
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.For, ast.With))
    ]
    if pick.random() < 0.7:
        _mutate(pick.choice(_spots(tree)))
    else:
        body = pick.choice(bodies)
        at = pick.randrange(len(body))
        dropped = body[at]
        if pick.random() < 0.5 or (isinstance(dropped, ast.Expr) and at == 0):
            body.insert(at + 1, ast.parse("print('added')").body[0])
        else:
            body[at] = ast.Pass()
    project = Project(tmp_path_factory.mktemp("project"), {MAIN: SOURCE})
    before = project.reach("net.Net").units
    changed = ast.unparse(ast.fix_missing_locations(tree)) + "\n"
    (project.folder / MAIN).write_text(changed, encoding="utf-8")

    assert project.reach("net.Net").units != before


PYTHONS = sorted(Path.home().glob(".pyenv/versions/3.1[0-3].*/bin/python"))


@pytest.mark.skipif(len(PYTHONS) < 2, reason="needs several Pythons side by side")
def test_every_python_gives_the_same_units(tmp_path: Path) -> None:
    project = Project(tmp_path, {MAIN: SOURCE})
    here = str(Path(PACKAGE_FOLDER).parent)
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from prefect_torch.code_graph import Graph\n"
        "from prefect_torch.code_modules import Finder\n"
        "from prefect_torch.code_resolve import Resolver\n"
        "from prefect_torch.code_tables import Tables\n"
        "graph = Graph(Resolver(Finder(sys.argv[2]), Tables(None)))\n"
        "graph.reach('net.Net')\n"
        "print(sorted(graph.units.items()))\n"
    )
    said = {
        subprocess.run(
            [python, "-I", "-c", code, here, str(tmp_path)],
            capture_output=True, text=True, check=True,
        ).stdout
        for python in map(str, [*PYTHONS, sys.executable])
    }  # fmt: skip

    assert said == {f"{sorted(project.reach('net.Net').units.items())}\n"}
