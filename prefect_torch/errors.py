"""Everything that prefect-torch raises on purpose.

```
PrefectTorchError
├── SpecError        the pipeline file (or an override) says something that cannot be
├── DataError        the data is missing, broken, or not what the file says it is
├── ArtifactError    the store holds something incomplete, changed or unreadable
├── TrainingError    training or evaluation cannot go on
└── RunFailed        a run ended early; its cause is one of the above or an error of user code
```

Every message gives the place, the value found, what was expected, and the way out.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


class PrefectTorchError(Exception):
    """Base of all errors of this package; catching it catches no programming mistake."""


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake in a spec: where it stands, which field it is, and what to do about it."""

    place: str
    """`file:line:column`, or where else the value came from (`--set optimizer.lr=fast`)."""

    field: str
    """Dotted path of the field, such as `optimizer.lr`; empty for the whole document."""

    message: str
    """What was found, what was expected, and the way out."""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, self.field, self.message) if part)


class SpecError(PrefectTorchError):
    """A pipeline file is wrong; `problems` holds every mistake found, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[type[SpecError], tuple[tuple[Problem, ...]]]:
        return type(self), (self.problems,)


class DataError(PrefectTorchError):
    """The data is missing, broken, or not what the pipeline says it is."""


class ArtifactError(PrefectTorchError):
    """An artifact is missing, incomplete, changed or unreadable."""


class TrainingError(PrefectTorchError):
    """Training or evaluation cannot go on."""


class RunFailed(PrefectTorchError):  # noqa: N818 - it reads as what happened
    """A stage of a run failed; `__cause__` is why, `summary` tells what was done before."""

    def __init__(self, message: str, summary: Any) -> None:
        self.summary = summary
        super().__init__(message)

    def __reduce__(self) -> tuple[type[RunFailed], tuple[str, Any]]:
        return type(self), (str(self), self.summary)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `did you mean "lr"?` for a near miss, else the sorted list of what is known."""
    names = sorted(set(known))
    near = difflib.get_close_matches(word, names, n=1, cutoff=0.6)
    if near:
        return f'did you mean "{near[0]}"?'
    if not names:
        return "it takes none"
    return "known: " + ", ".join(names)
