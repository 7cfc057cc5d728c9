"""A project with modules of its own, each run in a process of its own."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from prefect_torch.store import Store

SPEC = """
name: shades
seed: 1
data:
  source: {class: pictures.Pictures, path: pictures.txt}
  features: {image: {kind: image, shape: [1, 4, 4]}}
  target: {shade: {kind: category}}
  split: {train: 0.6, validation: 0.2, test: 0.2}
transforms:
  prepare: [augment.brighten]
  train: [{class: augment.Jitter, strength: 0.01}]
model: {class: nets.Net, width: 8}
optimizer: {class: SGD, lr: 0.1}
train: {epochs: 2, device: cpu}
loader: {batch_size: 16}
metrics:
  accuracy: {class: MulticlassAccuracy}
  share: {class: judges.Share}
promote: {metric: accuracy, not_worse_than_champion: false}
"""

MODULES = {
    "pictures.py": '''
import hashlib
from pathlib import Path

import pyarrow as pa


class Pictures:
    """Lines of a shade and 16 numbers."""

    def __init__(self, path: str, project: Path) -> None:
        self.file = project / path

    def batches(self):
        rows = [line.split() for line in self.file.read_text().splitlines()]
        pictures = [[int(number) for number in row[1:]] for row in rows]
        image = pa.array(pictures, pa.list_(pa.uint8(), 16))
        yield pa.table({"image": image, "shade": [row[0] for row in rows]})

    def identity(self):
        return {self.file.name: hashlib.sha256(self.file.read_bytes()).hexdigest()}
''',
    "augment.py": '''
import torch

import shapes


def brighten(picture):
    """Deterministic: while preparing."""
    return shapes.clipped(picture.int() + 3)


class Jitter:
    """Random: while training."""

    def __init__(self, strength: float) -> None:
        self.strength = strength

    def __call__(self, picture):
        return picture + self.strength * torch.randn(picture.shape)
''',
    "shapes.py": """
import torch


def clipped(picture):
    return picture.clamp(0, 250).to(torch.uint8)


def nobody_calls_this():
    return 1
""",
    "nets.py": '''
import functools

from torch import nn

from blocks import Base, Block
from limits import bounded
from tracing import counted

SLOPE = 0.25
halved = lambda x: x * 0.5
narrowed = functools.partial(bounded, low=-4.0)


class Net(Base):
    """A block, and what is done around it."""

    def __init__(self, num_classes: int, width: int = 8) -> None:
        super().__init__()
        self.block = Block(16, width)
        self.last = nn.Linear(width, num_classes)

    @counted
    def forward(self, image):
        x = halved(self.block(self.flat(image)))  # a comment
        return self.last(narrowed(x + SLOPE))


def nobody_calls_this():
    return 1
''',
    "blocks.py": """
from torch import nn

from mixing import mixed


class Base(nn.Module):
    def flat(self, image):
        return image.flatten(1)


class Block(nn.Module):
    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(size, width)

    def forward(self, x):
        return mixed(self.layer(x))
""",
    "mixing.py": """
def mixed(x):
    return x.relu() + 0.1 * x
""",
    "limits.py": """
def bounded(x, low, high=4.0):
    return x.clamp(low, high)
""",
    "tracing.py": """
import functools


def counted(function):
    @functools.wraps(function)
    def call(*args, **named):
        return function(*args, **named) * 1.0

    return call
""",
    "judges.py": '''
import torch
from torchmetrics import Metric


class Share(Metric):
    """The share of right answers."""

    higher_is_better = True

    def __init__(self) -> None:
        super().__init__()
        self.add_state("right", torch.tensor(0.0), dist_reduce_fx="sum")
        self.add_state("all", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, preds, target) -> None:
        chosen = preds.argmax(1) if preds.ndim > 1 else preds
        self.right += (chosen == target).sum()
        self.all += target.numel()

    def compute(self):
        return self.right / self.all
''',
    "unused.py": """
def nobody_calls_this():
    return 1
""",
}


def picture_lines(count: int = 80) -> str:
    draw = random.Random(0)
    lines = []
    for _ in range(count):
        shade = draw.choice(["dark", "light"])
        low = 0 if shade == "dark" else 100
        lines.append(" ".join([shade, *(str(draw.randint(low, low + 140)) for _ in range(16))]))
    return "\n".join(lines) + "\n"


class Server:
    """A process that has imported torch, and the runs it forked."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        script = Path(__file__).with_name("fork_server.py")
        self._process = subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, **request: Any) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        found: dict[str, Any] = json.loads(self._process.stdout.readline())
        return found

    def start(self, **request: Any) -> "Child":
        answer = self._folder / f"{uuid.uuid4()}.json"
        return Child(self, self.ask(answer=str(answer), **request)["pid"], answer)

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


class Child:
    """One run, going on in a process of its own."""

    def __init__(self, server: Server, pid: int, answer: Path) -> None:
        self.pid = pid
        self._server = server
        self._answer = answer

    def kill(self) -> bool:
        """Kill it; tell whether it had not ended before."""
        os.kill(self.pid, signal.SIGKILL)
        return self.ended() == -signal.SIGKILL

    def ended(self) -> int:
        """Wait for its end and return its exit status."""
        status: int = self._server.ask(wait=self.pid)["status"]
        return status

    def has_ended(self) -> bool:
        return self._answer.exists()

    def result(self) -> Any:
        status = self.ended()
        assert status == 0, status
        found = json.loads(self._answer.read_text())
        assert "error" not in found, found["error"]
        return found


class Example:
    """A project folder with its store."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.file = folder / "shades.yaml"
        self.data = folder / "pictures.txt"
        self.store = Store(folder / "store")
        self._server = server

    def fill(self) -> None:
        for name, text in MODULES.items():
            (self.folder / name).write_text(text.lstrip("\n"))
        self.file.write_text(SPEC)
        self.data.write_text(picture_lines())

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text that stands in a file once."""
        path = self.folder / name
        text = path.read_text()
        assert text.count(old) == 1, (name, old)
        path.write_text(text.replace(old, new))

    def start(self, *overrides: str, act: str = "run", **options: Any) -> Child:
        request = {"act": act, "file": str(self.file), "store": str(self.store.root), **options}
        return self._server.start(overrides=list(overrides), **request)

    def run(self, *overrides: str, **options: Any) -> Any:
        return self.start(*overrides, **options).result()

    def plan(self, *overrides: str, **options: Any) -> Any:
        return self.start(*overrides, act="plan", **options).result()

    def verify(self) -> None:
        """Check every artifact of the store by content."""
        for path in (self.store.root / "objects").iterdir():
            self.store.get(path.name).verify()


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    found = Server(tmp_path_factory.mktemp("answers"))
    yield found
    found.close()


@pytest.fixture
def example(tmp_path: Path, server: Server) -> Example:
    """A project in which nothing has run."""
    folder = tmp_path / "example"
    folder.mkdir()
    found = Example(folder, server)
    found.fill()
    return found


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, server: Server) -> Any:
    """A project in which everything has run once, not to be touched, and what that gave."""
    example = Example(tmp_path_factory.mktemp("finished"), server)
    example.fill()
    return example, example.run()


@pytest.fixture
def done(finished: Any, tmp_path: Path, server: Server) -> Example:
    """A copy of a project in which everything has run once."""
    shutil.copytree(finished[0].folder, tmp_path / "done")
    return Example(tmp_path / "done", server)
