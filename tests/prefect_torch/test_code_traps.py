# ruff: noqa: E501 - one case a line reads better
"""What usually escapes a code fingerprint; each case edits one place and names what must change."""

from pathlib import Path
from typing import NamedTuple

import pytest
from code_project import Project


class Trap(NamedTuple):
    files: dict[str, str]
    edit: tuple[str, str, str]
    units: set[str]
    """What must differ."""
    root: str = "nets.Net"


def one(text: str, old: str, new: str, *units: str) -> Trap:
    return Trap({"nets.py": text}, ("nets.py", old, new), {f"nets.py: {unit}" for unit in units})


TRAPS = {
    "a mixin's method": one("""
        class Mixin:
            def scale(self): return 1
        class Base: pass
        class Net(Mixin, Base): pass
    """, "return 1", "return 2", "Mixin.scale"),
    "a property": one("""
        class Net:
            @property
            def size(self): return 1
            @size.setter
            def size(self, value): self.value = value
    """, "self.value = value", "self.value = -value", "Net.size"),
    "__init_subclass__": one("""
        class Base:
            def __init_subclass__(cls): cls.extra = 1
        class Net(Base): pass
    """, "extra = 1", "extra = 2", "Base.__init_subclass__"),
    "a metaclass": one("""
        class Meta(type):
            def __call__(cls): return super().__call__()
        class Net(metaclass=Meta): pass
    """, "return super", "return not super", "Meta.__call__"),
    "a conditional definition": one("""
        import sys
        if sys.platform == "linux":
            def size(): return 1
        else:
            def size(): return 2
        class Net:
            def __init__(self): self.size = size()
    """, "return 2", "return 3", "size"),
    "the condition of a conditional definition": one("""
        import sys
        if sys.platform == "linux":
            def size(): return 1
        else:
            def size(): return 2
        class Net:
            def __init__(self): self.size = size()
    """, '"linux"', '"darwin"', "<module>"),
    "a name bound again": one("""
        def twice(f): return lambda: 2 * f()
        def size(): return 1
        size = twice(size)
        class Net:
            def __init__(self): self.size = size()
    """, "2 * f", "3 * f", "twice"),
    "binding a name again": one("""
        def twice(f): return lambda: 2 * f()
        def size(): return 1
        size = size
        class Net:
            def __init__(self): self.size = size()
    """, "size = size\nclass", "size = twice(size)\nclass", "size", "twice"),
    "a patched class": one("""
        def other(self): return 1
        class Net:
            def forward(self): return 0
        Net.forward = other
    """, "return 1", "return 2", "other"),
    "a patch of a class": one("""
        class Net:
            def forward(self): return 0
        Net.forward = lambda self: 1
    """, "self: 1", "self: 2", "Net"),
    "a patch of another package": one("""
        import torch
        torch.relu = lambda x: x
        class Net: pass
    """, "x: x", "x: -x", "<module>"),
    "a patch of an imported module": Trap({
        "nets.py": "import blocks\nblocks.size = lambda: 1\nclass Net:\n    n = blocks.size()\n",
        "blocks.py": "def size():\n    return 0\n",
    }, ("nets.py", "lambda: 1", "lambda: 2"), {"nets.py: <module>"}),
    "a patch in a module that is only imported": Trap({
        "nets.py": "import patches\nclass Net: pass\n",
        "patches.py": "import torch\ndef relu(x): return x\ntorch.relu = relu\n",
    }, ("patches.py", "return x", "return -x"), {"patches.py: relu"}),
    "what a package's __init__ runs": Trap({
        "nets.py": "from pkg.inner import size\nclass Net:\n    n = size()\n",
        "pkg/__init__.py": "import torch\ntorch.manual_seed(1)\n",
        "pkg/inner.py": "def size(): return 1\n",
    }, ("pkg/__init__.py", "(1)", "(2)"), {"pkg/__init__.py: <module>"}),
    "modules that import each other": Trap({
        "nets.py": "import blocks\nclass Net(blocks.Base):\n    n = 1\ndef size(): return 1\n",
        "blocks.py": "import nets\nclass Base:\n    def f(self): return nets.size()\n",
    }, ("nets.py", "return 1", "return 2"), {"nets.py: size"}),
    "stars that import each other": Trap({
        "nets.py": "from blocks import *\nclass Net(Base): pass\ndef size(): return 1\n",
        "blocks.py": "from nets import *\nclass Base:\n    def f(self): return size()\n",
    }, ("nets.py", "return 1", "return 2"), {"nets.py: size"}),
    "a decorated class": one("""
        def tagged(cls):
            cls.tag = 1
            return cls
        @tagged
        class Net: pass
    """, "tag = 1", "tag = 2", "tagged"),
    "a match statement": one("""
        def one(): return 1
        class Net:
            def f(self, x):
                match x:
                    case {"a": int(one_), **rest} if rest: return one()
                    case [first, *others]: return others
    """, "return 1", "return 2", "one"),
    "a walrus": one("""
        def one(): return 1
        class Net:
            def f(self, xs):
                return [y for x in xs if (y := one() + x)]
    """, "return 1", "return 2", "one"),
    "a walrus at the top": one("""
        def one(): return 1
        if (n := one()) > 0:
            m = n
        class Net:
            size = m
    """, "return 1", "return 2", "one"),
    "async code": one("""
        async def one(): return 1
        class Net:
            async def f(self):
                async with a() as b:
                    return [x async for x in b if await one()]
        def a(): pass
    """, "return 1", "return 2", "one"),
    "a type alias that pydantic reads": one("""
        from typing import Annotated
        from pydantic import BaseModel, Field
        Size = Annotated[int, Field(gt=0)]
        class Net(BaseModel):
            size: "Size"
    """, "gt=0", "gt=1", "Size"),
    "del": one("""
        x = 1
        y = x
        del x
        class Net:
            size = y
    """, "x = 1", "x = 2", "x"),
    "a shadowed global": one("""
        def size(): return 1
        class Net:
            def f(self, size): return size()
    """, "return 1", "return 2"),
    "a nested function": one("""
        def make():
            total = 0
            def inner():
                nonlocal total
                total += step()
                return total
            return inner
        def step(): return 1
        class Net:
            make = make
    """, "return 1", "return 2", "step"),
    "a function that sets a global": one("""
        def setup():
            global SIZE
            SIZE = 3
        class Net:
            def __init__(self):
                setup()
                self.size = SIZE
    """, "SIZE = 3", "SIZE = 4", "setup"),
    "a constant filled later": one("""
        SIZES = []
        SIZES.append(1)
        SIZES += [2]
        class Net:
            sizes = SIZES
    """, "append(1)", "append(3)", "SIZES"),
    "a constant filled in a loop": one("""
        SIZES = {}
        for n in range(3):
            SIZES[n] = make(n)
        def make(n): return n
        class Net:
            sizes = SIZES
    """, "return n", "return -n", "make"),
    "an item set elsewhere": Trap({
        "nets.py": "from sizes import SIZES\nimport more\nclass Net:\n    n = SIZES\n",
        "sizes.py": "SIZES = {}\n",
        "more.py": "from sizes import SIZES\nSIZES['a'] = 1\n",
    }, ("more.py", "= 1", "= 2"), {"more.py: <module>"}),
    "a subclass that registers itself": one("""
        KINDS = {}
        class Kind:
            def __init_subclass__(cls, **how): KINDS[cls.__name__] = cls
        class Small(Kind):
            size = 1
        class Net:
            def f(self, name): return KINDS[name]()
    """, "size = 1", "size = 2", "Small"),
    "subclasses that are asked for": one("""
        class Kind: pass
        class Small(Kind):
            size = 1
        class Net:
            def f(self, name): return Kind.__subclasses__()
    """, "size = 1", "size = 2", "Small"),
    "a registry object": one("""
        class Registry:
            def __init__(self): self.all = {}
            def register(self, f):
                self.all[f.__name__] = f
                return f
        registry = Registry()
        @registry.register
        def small(): return 1
        class Net:
            def f(self, name): return registry.all[name]()
    """, "return 1", "return 2", "small"),
    "a call that registers": one("""
        ALL = {}
        def register(f): ALL[f.__name__] = f; return f
        def small(): return 1
        handle = register(small)
        class Net:
            def f(self, name): return ALL[name]()
    """, "return 1", "return 2", "small"),
    "singledispatch": one("""
        from functools import singledispatch
        @singledispatch
        def size(x): return 0
        @size.register
        def _(x: int): return 1
        class Net:
            def f(self, x): return size(x)
    """, "x: int", "x: float", "_"),
    "what another package registers": one("""
        from timm.models import register_model
        @register_model
        def small(): return 1
        class Net: pass
    """, "return 1", "return 2", "small"),
    "an import inside a function": Trap({
        "nets.py": "class Net:\n    def f(self):\n        from sizes import size as s\n        return s()\n",
        "sizes.py": "def size(): return 1\n",
    }, ("sizes.py", "return 1", "return 2"), {"sizes.py: size"}),
    "an import by a relative name": Trap({
        "nets.py": "from pkg.one import load\nclass Net:\n    n = load()\n",
        "pkg/__init__.py": "",
        "pkg/one.py": "from importlib import import_module\n"
                      "def load(): return import_module('.two', __package__).size()\n",
        "pkg/two.py": "def size(): return 1\n",
    }, ("pkg/two.py", "return 1", "return 2"), {"pkg/two.py: size"}),
    "a global beside a local of its name": one("""
        def size(): return 1
        class Net:
            def f(self):
                size = 3
                def inner():
                    global size
                    return size()
                return inner() + size
    """, "return 1", "return 2", "size"),
    "a helper kept in a tuple": one("""
        def one(): return 1
        def two(): return 2
        STEPS = (one, two)
        class Net:
            def f(self): return [step() for step in STEPS]
    """, "return 2", "return 3", "two"),
    "an exception's class": one("""
        class Wrong(Exception):
            code = 1
        class Net:
            def f(self):
                try: pass
                except Wrong as error: return error.code
    """, "code = 1", "code = 2", "Wrong"),
    "a context manager": one("""
        from contextlib import contextmanager
        @contextmanager
        def quiet(): yield 1
        class Net:
            def f(self):
                with quiet() as q: return q
    """, "yield 1", "yield 2", "quiet"),
    "a method borrowed from an unrelated class": one("""
        class Other:
            def f(self): return 1
        class Net:
            f = Other.f
    """, "return 1", "return 2", "Other.f"),
    "a patch by setattr": one("""
        class Net: pass
        def size(self): return 1
        setattr(Net, "size", size)
    """, "return 1", "return 2", "size"),
    "an import by a literal name": Trap({
        "nets.py": "import importlib\nclass Net:\n    n = importlib.import_module('sizes').size()\n",
        "sizes.py": "def size(): return 1\ndef other(): return 1\n",
    }, ("sizes.py", "size(): return 1", "size(): return 2"), {"sizes.py: size"}),
    "a third-party name behind the same alias": one("""
        from torch.nn.functional import relu as act
        class Net:
            def f(self, x): return act(x)
    """, "import relu", "import gelu", "Net.f"),
    "the default of a keyword": one("""
        SIZE = 1
        class Net:
            def f(self, *, size=SIZE): return size
    """, "SIZE = 1", "SIZE = 2", "SIZE"),
    "a class attribute that takes a global of its own name": one("""
        def size(): return 1
        class Net:
            size = size
    """, "return 1", "return 2", "size"),
    "a method that calls a global of its own name": one("""
        def size(): return 1
        class Net:
            def size(self): return size()
    """, "size(): return 1", "size(): return 2", "size"),
    "a nested class": one("""
        class Net:
            class Inner:
                def f(self): return 1
    """, "return 1", "return 2", "Net.Inner.f"),
    "a function only in `if __name__`": one("""
        def demo(): return 1
        class Net: pass
        if __name__ == "__main__":
            demo()
    """, "return 1", "return 2"),
    "a submodule beside a package's own name": Trap({
        "nets.py": "import pkg.sizes\nclass Net:\n    n = pkg.sizes.size()\n",
        "pkg/__init__.py": "",
        "pkg/sizes.py": "def size(): return 1\n",
    }, ("pkg/sizes.py", "return 1", "return 2"), {"pkg/sizes.py: size"}),
    "a folder without __init__": Trap({
        "nets.py": "from parts.sizes import size\nclass Net:\n    n = size()\n",
        "parts/sizes.py": "def size(): return 1\n",
    }, ("parts/sizes.py", "return 1", "return 2"), {"parts/sizes.py: size"}),
    "a name imported through a package": Trap({
        "nets.py": "from parts import size\nclass Net:\n    n = size()\n",
        "parts/__init__.py": "from parts.sizes import size\n",
        "parts/sizes.py": "def size(): return 1\n",
    }, ("parts/sizes.py", "return 1", "return 2"), {"parts/sizes.py: size"}),
    "getattr with a literal name": Trap({
        "nets.py": "import sizes\nclass Net:\n    n = getattr(sizes, 'size')()\n",
        "sizes.py": "def size(): return 1\n",
    }, ("sizes.py", "return 1", "return 2"), {"sizes.py: size"}),
    "a C extension": Trap({
        "nets.py": "import fast\nclass Net:\n    n = fast.size()\n",
        "fast.so": "bytes",
    }, ("fast.so", "bytes", "other bytes"), {"fast.so: <file>"}),
}  # fmt: skip


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS.keys())
def test_an_edit_is_noticed_where_it_stands(tmp_path: Path, trap: Trap) -> None:
    project = Project(tmp_path, trap.files)

    assert project.changed(*trap.edit, trap.root) == trap.units


@pytest.mark.parametrize("trap", TRAPS.values(), ids=TRAPS.keys())
def test_what_can_be_followed_is_not_widened(tmp_path: Path, trap: Trap) -> None:
    assert Project(tmp_path, trap.files).reach(trap.root).widened == {}
