"""Checks the rows against the spec's `data.expect` while they stream by; tells all that fails."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from prefect_torch.datasets.spec import Expect
from prefect_torch.datasets.statistics import is_number
from prefect_torch.errors import DataError, did_you_mean


@dataclass
class _Violation:
    """Values of one column beyond one bound: the first of them, and how many."""

    text: str
    count: int


class Expectations:
    """What must hold of a source, and what has been found not to."""

    def __init__(self, expect: Expect, schema: pa.Schema) -> None:
        """Check what the schema alone tells: that the columns exist and hold numbers."""
        self._expect = expect
        self._nulls = dict.fromkeys(schema.names, 0)
        self._violations: dict[tuple[str, str], _Violation] = {}
        self._problems: list[str] = []
        self._bounds: dict[tuple[str, str], float] = {}
        for name, bounds in expect.columns.items():
            if name not in schema.names:
                self._problems.append(
                    f"columns.{name}: no such column; {did_you_mean(name, schema.names)}"
                )
            elif not is_number(schema.field(name).type):
                self._problems.append(
                    f"columns.{name}: is {schema.field(name).type}; bounds need a column of numbers"
                )
            else:
                for side, bound in (("min", bounds.min), ("max", bounds.max)):
                    if bound is not None:
                        self._bounds[name, side] = bound

    def add(self, table: pa.Table, first_row: int) -> None:
        """Check one row group whose first row has the number `first_row`."""
        for name in table.column_names:
            self._nulls[name] += table.column(name).null_count
        for (name, side), bound in self._bounds.items():
            values = table.column(name)
            beyond = pc.less(values, bound) if side == "min" else pc.greater(values, bound)
            count = pc.sum(beyond).as_py() or 0
            if count and (name, side) in self._violations:
                self._violations[name, side].count += count
            elif count:
                index = pc.index(beyond, True).as_py()
                self._violations[name, side] = _Violation(
                    f"columns.{name}: {values[index].as_py():g} in row {first_row + index}, "
                    f"expected at {'least' if side == 'min' else 'most'} {bound:g}",
                    count,
                )

    def finish(self, rows: int) -> None:
        """Tell all that fails, once every row has been seen.

        Raises:
            DataError: Something does.
        """
        problems = [*self._row_problems(rows), *self._null_problems(), *self._problems]
        for found in self._violations.values():
            more = f" (and {found.count - 1} more)" if found.count > 1 else ""
            problems.append(found.text + more)
        if problems:
            raise DataError(
                f"the source is not what data.expect says ({_counted(len(problems))}; "
                "rows are counted from 0):\n"
                + "\n".join(f"  {problem}" for problem in problems)
                + "\ncorrect the source, or data.expect if it is right"
            )

    def _row_problems(self, rows: int) -> list[str]:
        bounds = self._expect.rows
        problems = []
        if bounds and bounds.min is not None and rows < bounds.min:
            problems.append(f"rows: {rows}, expected at least {bounds.min:g}")
        if bounds and bounds.max is not None and rows > bounds.max:
            problems.append(f"rows: {rows}, expected at most {bounds.max:g}")
        return problems

    def _null_problems(self) -> list[str]:
        total = sum(self._nulls.values())
        if self._expect.nulls is None or total <= self._expect.nulls:
            return []
        return [f"nulls: {total} ({_most(self._nulls)}), expected at most {self._expect.nulls}"]


def _most(nulls: Mapping[str, int]) -> str:
    """Name the columns with missing values, most first."""
    ranked = sorted(((n, name) for name, n in nulls.items() if n), key=lambda p: (-p[0], p[1]))
    shown = [f"{name}: {count}" for count, name in ranked[:10]]
    return ", ".join([*shown, "…"] if len(ranked) > 10 else shown)


def _counted(problems: int) -> str:
    return "1 problem" if problems == 1 else f"{problems} problems"
