"""Holds a run to the code that its fingerprints are made of, whatever is edited meanwhile."""

from __future__ import annotations

from prefect_torch.components import Component
from prefect_torch.declaration import Declaration
from prefect_torch.errors import PrefectTorchError
from prefect_torch.project_modules import imported_units, in_project
from prefect_torch.resolve import resolve


def import_project_code(declaration: Declaration) -> None:
    """Import what all stages call of the project, so that an edit from now on changes nothing."""
    project = declaration.project.resolve()
    for path in {path for paths in declaration.roots.values() for path in paths}:
        if in_project(path.split(".")[0], project):
            resolve(Component(class_=path), None, declaration.trust, declaration.project)


def check_code(stage: str, declaration: Declaration) -> None:
    """Refuse to compute a stage with other code than its fingerprint says.

    Raises:
        PrefectTorchError: A file was edited between the start of the run and its import.
    """
    imported = imported_units(declaration.project)
    for unit, digest in declaration.code[stage].units.items():
        file, _, name = unit.partition(": ")
        if file in imported and imported[file].get(name) != digest:
            raise PrefectTorchError(
                f"{unit}: edited after this run had read it and before it was imported, so the "
                "result would not be that of the code which the run was planned with; run again"
            )
