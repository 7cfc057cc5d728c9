"""Where following ends: what is taken whole, what belongs to a package, what is not reached."""

from pathlib import Path

import pytest
from code_project import Project

WIDE = {
    "getattr": ("import sizes\nclass Net:\n    def f(self, n): return getattr(sizes, n)()\n",
                "sizes.py", "getattr with a computed name in nets.py, line 3"),
    "a module as a value": ("import sizes\nclass Net:\n    def f(self): return vars(sizes)\n",
                            "sizes.py", "the module itself is used as a value in nets.py, line 3"),
    "import_module": ("from importlib import import_module\nclass Net:\n"
                      "    def f(self, n): return import_module(n).size()\n",
                      "sizes.py", "nets.py, line 3, imports a module by a computed name"),
    "import_module by another name": ("import importlib\nload = importlib.import_module\n"
                                      "class Net:\n    def f(self, n): return load(n).size()\n",
                                      "sizes.py",
                                      "nets.py, line 2, imports a module by a computed name"),
    "exec": ("from sizes import size\nclass Net:\n    def f(self, n): exec(n)\n",
             "nets.py", "exec in line 3"),
    "globals": ("from sizes import size\nclass Net:\n    def f(self, n): return globals()[n]()\n",
                "nets.py", "globals in line 3"),
    "a name that is nowhere": ("from sizes import size\nclass Net:\n    n = sizee()\n",
                               "nets.py", "sizee (nets.py, line 3) cannot be found"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "file", "reason"), WIDE.values(), ids=WIDE.keys())
def test_what_cannot_be_followed_is_taken_whole_and_said(
    tmp_path: Path, text: str, file: str, reason: str
) -> None:
    project = Project(tmp_path, {"nets.py": text, "sizes.py": "def size(): return 1\n"})

    assert project.reach("nets.Net").widened[file] == reason
    assert project.changed("sizes.py", "return 1", "return 2", "nets.Net") == {"sizes.py: size"}


def test_an_import_by_a_name_that_begins_with_a_literal_takes_what_may_be_meant(
    tmp_path: Path,
) -> None:
    text = "import importlib\nclass Net:\n    def f(s, n): importlib.import_module(f'kinds.{n}')\n"
    files = {"nets.py": text, "kinds/a.py": "A = 1\n", "kinds/b.py": "B = 1\n", "c.py": "C = 1\n"}
    found = Project(tmp_path, files).reach("nets.Net")

    assert {"kinds/a.py: A", "kinds/b.py: B"} <= found.units.keys()
    assert "c.py: C" not in found.units


def test_a_file_that_cannot_be_parsed_is_taken_as_it_is(tmp_path: Path) -> None:
    project = Project(tmp_path, {"nets.py": "import old\nclass Net:\n    n = old.size()\n"})
    project.write("old.py", "print 'Python 2'\n")

    assert "cannot be parsed" in project.reach("nets.Net").widened["old.py"]
    assert project.changed("old.py", "2", "3", "nets.Net") == {"old.py: <file>"}


def test_a_file_that_is_nested_too_deeply_is_taken_as_it_is(tmp_path: Path) -> None:
    project = Project(tmp_path, {"nets.py": "import deep\nclass Net:\n    n = deep.N\n"})
    project.write("deep.py", "N = " + " + ".join("1" * 3000) + "\n")

    assert "nested too deeply" in project.reach("nets.Net").widened["deep.py"]
    assert project.changed("deep.py", "N = 1", "N = 2", "nets.Net") == {"deep.py: <file>"}


def test_names_of_another_packages_star_belong_to_that_package(tmp_path: Path) -> None:
    text = "from torch.nn.functional import *\nclass Net:\n    def f(self, x): return relu(x)\n"
    project = Project(tmp_path, {"nets.py": text})
    found = project.reach("nets.Net")

    assert (found.packages.keys(), found.widened) == ({"torch"}, {})
    assert project.changed("nets.py", "torch.nn.functional", "torch.special", "nets.Net") == {
        "nets.py: Net.f"
    }


def test_a_lazy_module_is_followed_as_type_checkers_follow_it(tmp_path: Path) -> None:
    lazy = """
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            from lazy.sizes import size
        def __getattr__(name):
            import importlib
            return getattr(importlib.import_module("lazy.sizes"), name)
    """
    files = {"nets.py": "from lazy import size\nclass Net:\n    n = size()\n"}
    project = Project(tmp_path, files)
    project.write("lazy/__init__.py", lazy)
    project.write("lazy/sizes.py", "def size(): return 1\n")

    assert project.changed("lazy/sizes.py", "return 1", "return 2", "nets.Net") == {
        "lazy/sizes.py: size"
    }


def test_a_lazy_name_that_nothing_declares_widens_its_module(tmp_path: Path) -> None:
    files = {"nets.py": "import lazy\nclass Net:\n    n = lazy.size()\n"}
    project = Project(tmp_path, files)
    project.write("lazy.py", "import sizes\ndef __getattr__(name): return getattr(sizes, name)\n")
    project.write("sizes.py", "def size(): return 1\n")

    assert project.reach("nets.Net").widened["lazy.py"] == "its __getattr__ decides what size is"
    assert project.changed("sizes.py", "return 1", "return 2", "nets.Net") == {"sizes.py: size"}


def test_a_lazy_module_may_declare_its_names_by_a_star(tmp_path: Path) -> None:
    files = {"nets.py": "from lazy import size\nclass Net:\n    n = size()\n"}
    project = Project(tmp_path, files)
    project.write(
        "lazy/__init__.py",
        """
        import typing
        if typing.TYPE_CHECKING:
            from .sizes import *
        def __getattr__(name): return globals()[name]
        """,
    )
    project.write("lazy/sizes.py", "def size(): return 1\n")

    assert project.reach("nets.Net").widened == {}
    assert project.changed("lazy/sizes.py", "return 1", "return 2", "nets.Net") == {
        "lazy/sizes.py: size"
    }


def test_a_folder_of_files_does_not_hide_the_installed_package_of_its_name(tmp_path: Path) -> None:
    files = {"nets.py": "import torch\nclass Net(torch.nn.Module): pass\n", "torch/model.txt": ""}
    found = Project(tmp_path, files).reach("nets.Net")

    assert (found.packages.keys(), found.widened) == ({"torch"}, {})


def test_links_that_lead_in_a_circle_are_walked_once(tmp_path: Path) -> None:
    text = "class Net:\n    def f(self, n): return __import__(n)\n"
    project = Project(tmp_path, {"nets.py": text, "pkg/a.py": "A = 1\n"})
    (tmp_path / "pkg" / "again").symlink_to(tmp_path)

    assert "pkg/a.py: A" in project.reach("nets.Net").units


def test_what_only_an_import_for_types_names_is_not_reached(tmp_path: Path) -> None:
    text = """
        from __future__ import annotations
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            import pandas
            from sizes import Size
        class Net:
            size: Size
            def f(self, x: pandas.DataFrame) -> Size: return x
    """
    project = Project(tmp_path, {"nets.py": text, "sizes.py": "class Size: pass\n"})
    found = project.reach("nets.Net")

    assert list(found.units) == ["nets.py: Net", "nets.py: Net.f"]
    assert (found.packages, found.widened) == ({}, {})


def test_a_parameter_annotation_of_a_root_counts_since_it_is_built_by_it(tmp_path: Path) -> None:
    text = "class Base:\n    def __init__(self, sizes: list): pass\nclass Net(Base): pass\n"
    project = Project(tmp_path, {"nets.py": text})

    assert project.changed("nets.py", "sizes: list", "sizes: tuple", "nets.Net") == {
        "nets.py: Base.__init__ (annotations)"
    }


def test_a_module_as_a_root_is_taken_whole(tmp_path: Path) -> None:
    project = Project(tmp_path, {"nets.py": "A = 1\nB = 2\n"})
    found = project.reach("nets")

    assert found.units.keys() == {"nets.py: A", "nets.py: B"}
    assert found.widened == {"nets.py": "the module itself is used as a value in the pipeline"}


def test_a_package_counts_if_reached_code_uses_it_or_importing_it_is_all(tmp_path: Path) -> None:
    text = """
        import torch
        import pandas
        import numpy
        class Net(torch.nn.Module): pass
        def other(): return pandas.DataFrame()
    """
    found = Project(tmp_path, {"nets.py": text}).reach("nets.Net")

    assert found.packages.keys() == {"numpy", "torch"}
