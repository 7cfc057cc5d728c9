"""What a rerun costs, ours beside the plain script and other orchestrators; and who gets it wrong.

The same digits classifier (CSV, split, 64-64-10 network, SGD, accuracy) on every side, each run a
whole process, the sides in turn. Without options: the plain script, ours and plain Prefect.
`--peers all` adds DVC, Kedro, Metaflow, Dagster and ZenML, each in an environment of its own under
`--environments` (made once; `--share-packages-of PYTHON` links that Python's torch, pandas and
pyarrow into them instead of installing these again). `--cases` tries edits, damage, a kill and two
at once. `--long` adds a job of about a minute. A peer that does not install is named and left out.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from rerun_peers import sides
from rerun_peers.cases import show_cases
from rerun_peers.environments import NotInstalledError
from rerun_peers.processes import Ended, machine, prefect_server
from rerun_peers.sides import Project, Side

LONG_EPOCHS = 5000
KINDS = ("cold", "no-op", "learning rate")


@dataclass
class Figures:
    """What was measured of one side, a value per round."""

    runs: dict[str, list[Ended]] = field(default_factory=dict)
    stored: list[int] = field(default_factory=list)
    """Bytes that a learning-rate run added to our store beside the model's own."""
    failure: str = ""
    ran: dict[str, list[str]] = field(default_factory=dict)

    def seconds(self, kind: str) -> float:
        return statistics.median(run.seconds for run in self.runs[kind])

    def spread(self, kind: str) -> str:
        values = [run.seconds for run in self.runs[kind]]
        return f"{min(values):.2f} to {max(values):.2f}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=5, help="rounds; medians are shown (5)")
    parser.add_argument(
        "--peers", default="prefect", help="all, none, or names such as dvc,kedro (prefect)"
    )
    parser.add_argument("--environments", type=Path, default=Path("~/.cache/prefect-torch-peers"))
    parser.add_argument("--share-packages-of", type=Path, metavar="PYTHON")
    parser.add_argument("--cases", action="store_true", help="try edits, damage, kills (minutes)")
    parser.add_argument("--long", action="store_true", help="also a training of about a minute")
    return parser


def main() -> None:
    options = _parser().parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the server on the way out
    print(f"{machine()}; medians of {options.repeat}\n", flush=True)
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rerun-")))
        csv = root / "digits.csv"
        sides.write_digits(csv)
        url = stack.enter_context(prefect_server(root / "server"))
        compared, missing = _sides(options, url)
        projects = _Projects(root, csv)
        if options.repeat:
            _show_times(_measure(compared, projects, options.repeat))
        for line in missing:
            print(f"Left out: {line}")
        if options.long:
            _show_long(compared, projects)
        if options.cases:
            show_cases([side for side in compared if _is_judged(side)], projects.new)


def _sides(options: argparse.Namespace, url: str) -> tuple[list[Side], list[str]]:
    """Return what is compared, and a line for each peer that is not."""
    wanted = [
        sides.PLAIN,
        sides.OURS,
        sides.OURS_EMBEDDED,
        sides.with_server(sides.OURS_EMBEDDED, "ours, server", url),
    ]
    names = options.peers.split(",")
    if "all" in names or "prefect" in names:
        wanted += [
            sides.PREFECT,
            sides.with_server(sides.PREFECT, "Prefect, server", url),
            sides.with_server(sides.EMPTY, "Prefect, four empty tasks, server", url),
        ]
    wanted += [peer for peer in sides.PEERS if "all" in names or peer.source in names]
    compared, missing = [], []
    root = options.environments.expanduser().absolute()
    for side in wanted:
        try:
            compared.append(side.installed(root, options.share_packages_of))
        except NotInstalledError as error:
            missing.append(f"{side.name}: {error}")
    return compared, missing


def _is_judged(side: Side) -> bool:
    """Say whether the cases are tried on a side: one way to start each program is enough."""
    if side.source == "prefect":
        return "PREFECT_API_URL" in side.environment and side.command == sides.PREFECT.command
    return side is sides.OURS or side.source in ("dvc", "kedro")


class _Projects:
    """Makes empty projects, each in a folder of its own."""

    def __init__(self, root: Path, csv: Path) -> None:
        self._root, self._csv, self._numbers = root, csv, count()

    def new(self, side: Side) -> Project:
        return side.new_project(self._root / f"{next(self._numbers)}-{side.source}", self._csv)


def _measure(compared: Sequence[Side], projects: _Projects, repeat: int) -> dict[str, Figures]:
    figures = {side.name: Figures() for side in compared}
    for number in range(-1, repeat):  # the first round fills the disk cache and compiles bytecode
        for side in compared:
            found = figures[side.name]
            if not found.failure:
                print(f"round {number + 1} of {repeat}: {side.name}", file=sys.stderr, flush=True)
                _round(projects.new(side), found, keep=number >= 0)
    return figures


def _round(project: Project, figures: Figures, keep: bool) -> None:
    for kind, lr in zip(KINDS, (0.05, 0.05, 0.1), strict=True):
        before = dict(_sizes(project.folder / "home" / "torch"))
        ended = project.run(lr)
        if ended.code:
            figures.failure = f"{kind}: {' '.join(ended.output.split())[-300:]}"
            return
        if not keep:
            return
        figures.runs.setdefault(kind, []).append(ended)
        figures.ran[kind] = project.ran(ended)
    if project.side.source == "ours":
        after = dict(_sizes(project.folder / "home" / "torch"))
        grown = [
            size
            for file, size in after.items()
            if file not in before and file.name != "model.safetensors"
        ]
        figures.stored.append(sum(grown))


def _sizes(folder: Path) -> Iterator[tuple[Path, int]]:
    yield from ((file, file.stat().st_size) for file in folder.rglob("*") if file.is_file())


def _show_times(figures: dict[str, Figures]) -> None:
    plain = figures[sides.PLAIN.name].seconds("cold")
    print("| side | cold | more than plain | no-op | its range | lr | times plain | no-op MiB |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    for name, found in figures.items():
        if found.failure or not found.runs:
            continue
        cold, noop, other = (found.seconds(kind) for kind in KINDS)
        memory = statistics.median(run.mebibytes for run in found.runs["no-op"])
        print(
            f"| {name} | {cold:.2f} s | {cold - plain:+.2f} s | {noop:.2f} s "
            f"| {found.spread('no-op')} s | {other:.2f} s | {other / plain:.2f} | {memory:.0f} |"
        )
    print(f"\nThe plain script takes {figures[sides.PLAIN.name].spread('cold')} s.")
    for name, found in figures.items():
        if found.stored:
            stored = statistics.median(found.stored) / 1024
            print(f"{name}: {stored:.1f} KiB of store per learning-rate run beside the model.")
        for kind in KINDS[1:] if not found.failure else ():
            print(f"{name}, {kind}: computed {', '.join(found.ran[kind]) or 'nothing'}")
        if found.failure:
            print(f"{name} failed: {found.failure}")
    print(flush=True)


def _show_long(compared: Sequence[Side], projects: _Projects) -> None:
    """One training of about a minute per side: what share is not the plain script's."""
    print("| a minute of training | first run | bookkeeping | same again |")
    print("|---|---:|---:|---:|", flush=True)
    plain = 0.0
    for side in compared:
        project = projects.new(side)
        runs = [project.run(0.001, LONG_EPOCHS) for _ in range(2)]
        if any(run.code for run in runs):
            continue
        first, again = (run.seconds for run in runs)
        plain = plain or first
        share = (first - plain) / first
        print(f"| {side.name} | {first:.1f} s | {share:+.1%} | {again:.1f} s |", flush=True)
    print()


if __name__ == "__main__":
    main()
