"""The pictures of a trained model, as SVG text that is the same bytes for the same numbers.

Each picture is a card with a background of its own, light or dark as the reader prefers, so it
sits well in any page. Texts stay texts: they need no font file, can be searched and read aloud,
and show class names in any script. See `report.py` for the page they end up in.
"""

from __future__ import annotations

import base64
import io
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH = 640
"""Natural width of every picture, in CSS pixels."""

INK, MUTED, GRID, CARD = "#1d2433", "#667085", "#e4e7ec", "#ffffff"
ON_COLOR = "#fffffe"
"""Text on a deep colour: as good as white, yet not the card's white, which turns dark."""
BLUE, ORANGE, GREEN, PURPLE, SKY = "#0072b2", "#d55e00", "#009e73", "#b5568a", "#4aa8dc"
SERIES = (BLUE, ORANGE, GREEN, PURPLE, SKY)
"""Distinguishable with any colour vision; after Okabe and Ito, "Color Universal Design" (2008)."""

ON_DARK = {
    INK: "#e8ebf2",
    MUTED: "#98a2b5",
    GRID: "#2d3340",
    CARD: "#171b23",
    BLUE: "#4ea8e8",
    ORANGE: "#ff8f4a",
    GREEN: "#35c79b",
    PURPLE: "#dd8fb8",
    SKY: "#8fd0f5",
}
"""What each colour becomes for a reader who prefers dark pages."""

COUNTED_CLASSES = 25
"""With more classes than this, counts no longer fit into the cells of a confusion matrix."""
NAMED_CLASSES = 40
"""With more classes than this, not every class name fits beside a confusion matrix."""
SINGLE_POINTS = 2000
"""With more rows than this, a scatter plot shows density instead of points."""


def learning_curves(history: Mapping[str, Sequence[float | None]], chosen_epoch: int | None) -> str:
    """Draw loss per epoch and, beside it, every further metric.

    Args:
        history: One list per column, all of one length: `epoch`, `train_loss`, `validation_loss`
            (if there is a validation split) and metrics by name. None and NaN leave a gap.
        chosen_epoch: The epoch whose weights were kept; marked in every panel.

    Returns:
        SVG text.
    """
    panels = _panels(history)
    columns = min(2, len(panels))
    rows = math.ceil(len(panels) / columns)
    description = ", ".join(name for _, curves in panels for name in curves) + " per epoch"
    if chosen_epoch is not None:
        description += f"; the weights of epoch {chosen_epoch} were kept"
    with _figure(height=rows * 270) as figure:
        for place, (title, curves) in enumerate(panels, start=1):
            axes = figure.add_subplot(rows, columns, place)
            _draw_curves(axes, history["epoch"], curves, chosen_epoch)
            _title(axes, title)
        return _svg(figure, "Learning curves", description)


def confusion_matrix(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    """Draw how often each true class (row) was predicted as each class (column).

    The colour is the share of the row, blue where prediction and truth agree, orange elsewhere.

    Args:
        counts: [class, class] numbers of samples, true class first.
        labels: [class] names.

    Returns:
        SVG text.
    """
    import numpy as np

    table = np.asarray(counts, dtype=np.int64).reshape(len(labels), len(labels))
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    right, total = int(np.trace(table)), int(table.sum())
    with _figure(height=min(WIDTH, 100 + 46 * len(labels))) as figure:
        axes = figure.add_subplot()
        axes.imshow(_cells(table, shares), interpolation="none", aspect="auto")
        if len(labels) <= COUNTED_CLASSES:
            _write_counts(axes, table, shares)
        _name_classes(axes, labels)
        description = f"{right:,} of {total:,} samples on the diagonal of {len(labels)} classes"
        return _svg(figure, "Confusion matrix", description)


def residuals(target: Sequence[float], prediction: Sequence[float], name: str) -> str:
    """Draw predicted against true values, and the distribution of their differences.

    Args:
        target: [row] true values.
        prediction: [row] predicted values.
        name: What is predicted, with its unit if it has one; labels the axes.

    Returns:
        SVG text.
    """
    import numpy as np

    true = np.asarray(target, dtype=np.float64)
    predicted = np.asarray(prediction, dtype=np.float64)
    finite = np.isfinite(true) & np.isfinite(predicted)
    true, predicted = true[finite], predicted[finite]
    name = _legible(name, 40)
    with _figure(height=310) as figure:
        scatter, histogram = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
        _draw_agreement(scatter, true, predicted)
        _title(scatter, "Predicted against true")
        scatter.set(xlabel=f"true {name}", ylabel=f"predicted {name}")
        histogram.hist(predicted - true, bins=_bins(len(true)), color=BLUE, edgecolor=CARD)
        histogram.axvline(0, color=ORANGE, linewidth=1.5)
        _title(histogram, "Predicted minus true")
        histogram.set(xlabel=f"error of {name}", ylabel="rows")
        return _svg(figure, "Residuals", f"predicted and true {name} of {len(true):,} rows")


def svg_data_uri(svg: str) -> str:
    """Return SVG text as a `data:` URI, for an image in HTML or Markdown."""
    return "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode("ascii")


def _panels(history: Mapping[str, Sequence[Any]]) -> list[tuple[str, dict[str, Sequence[Any]]]]:
    """Group the columns: losses, then metrics within 0..1 together, then each other one alone."""
    losses = {k.removesuffix("_loss"): v for k, v in history.items() if k.endswith("_loss")}
    metrics = {
        name: values
        for name, values in history.items()
        if name not in ("epoch", "learning_rate") and not name.endswith("_loss")
    }
    shares = {k: v for k, v in metrics.items() if all(0 <= x <= 1 for x in v if _is_number(x))}
    panels = [("Loss", losses)]
    if shares:
        panels.append((_legible(next(iter(shares)), 30) if len(shares) == 1 else "Metrics", shares))
    return panels + [(_legible(k, 30), {k: v}) for k, v in metrics.items() if k not in shares]


def _draw_curves(
    axes: Axes, epochs: Sequence[Any], curves: Mapping[str, Sequence[Any]], chosen: int | None
) -> None:
    from matplotlib.ticker import MaxNLocator

    for place, (name, values) in enumerate(curves.items()):
        color = SERIES[place % len(SERIES)]
        dashes = ("-", "--", ":")[place // len(SERIES) % 3]
        numbers = [float(value) if _is_number(value) else math.nan for value in values]
        axes.plot(epochs, numbers, dashes, color=color, label=f" {_legible(name, 24)}")
        if len(epochs) < 40:
            axes.plot(epochs, numbers, "o", color=color, markersize=3)
        if chosen is not None and chosen in epochs:
            axes.plot([chosen], [numbers[list(epochs).index(chosen)]], "o", **_ring(color))
    if chosen is not None:
        axes.axvline(chosen, color=MUTED, linewidth=1, linestyle=(0, (3, 3)), zorder=1)
    kept = "" if chosen is None else f" (kept: {chosen})"
    axes.set_xlabel(f"epoch{kept}")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if len(epochs) == 1:
        axes.set_xlim(epochs[0] - 1, epochs[0] + 1)
    if len(curves) > 1:
        axes.legend()


def _ring(color: str) -> dict[str, Any]:
    """Return how a marker looks that stands out from the other points of its curve."""
    return {
        "markersize": 8,
        "markerfacecolor": CARD,
        "markeredgecolor": color,
        "markeredgewidth": 2,
        "zorder": 5,
    }


def _cells(table: Any, shares: Any) -> Any:
    """Return [class, class, 4] colours: hue says right or wrong, opacity the share of the row."""
    import numpy as np
    from matplotlib.colors import to_rgb

    colors = np.empty((*table.shape, 4))
    right = np.eye(len(table), dtype=bool)
    colors[..., :3] = np.where(right[..., None], to_rgb(BLUE), to_rgb(ORANGE))
    # The floor keeps a single mistake among thousands visible.
    colors[..., 3] = np.where(table > 0, 0.15 + 0.85 * shares, 0.0)
    return colors


def _write_counts(axes: Axes, table: Any, shares: Any) -> None:
    size = min(12.0, 220 / len(table))
    for row, column in zip(*table.nonzero(), strict=True):
        color = ON_COLOR if shares[row, column] > 0.45 else INK
        text = f"{table[row, column]}" if table[row, column] < 10_000 else "…"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=size)
    edges = [place - 0.5 for place in range(1, len(table))]
    axes.hlines(edges, -0.5, len(table) - 0.5, color=CARD, linewidth=2)
    axes.vlines(edges, -0.5, len(table) - 0.5, color=CARD, linewidth=2)


def _name_classes(axes: Axes, labels: Sequence[str]) -> None:
    step = math.ceil(len(labels) / NAMED_CLASSES)
    places = list(range(0, len(labels), step))
    names = [_legible(labels[place], 16) for place in places]
    size = min(11.0, 420 / len(names))
    turned = 90 if max(map(len, names)) * len(names) > 60 else 0
    axes.set_xticks(places, names, rotation=turned, fontsize=size)
    axes.set_yticks(places, names, fontsize=size)
    key = "blue right, orange wrong; the deeper, the larger the share of its row"
    axes.set(xlabel=f"predicted ({key})", ylabel="true")
    axes.grid(False)
    axes.spines["left"].set_visible(False)
    axes.spines["bottom"].set_visible(False)


def _draw_agreement(axes: Axes, true: Any, predicted: Any) -> None:
    import numpy as np
    from matplotlib.colors import to_rgb

    if len(true) <= SINGLE_POINTS:
        axes.plot(true, predicted, "o", color=BLUE, alpha=0.45, markersize=4, markeredgewidth=0)
    else:
        counts, *edges = np.histogram2d(true, predicted, bins=60)
        colors = np.empty((*counts.T.shape, 4))
        colors[..., :3] = to_rgb(BLUE)
        share = np.log1p(counts.T) / np.log1p(counts.max())
        colors[..., 3] = np.where(counts.T > 0, 0.1 + 0.9 * share, 0.0)
        extent = (edges[0][0], edges[0][-1], edges[1][0], edges[1][-1])
        axes.imshow(colors, extent=extent, origin="lower", interpolation="none", aspect="auto")
    if len(true):
        ends = [min(true.min(), predicted.min()), max(true.max(), predicted.max())]
        axes.plot(ends, ends, color=ORANGE, linewidth=1.5)
        axes.autoscale()


def _bins(rows: int) -> int:
    """Return a number of bars that grows with the square root of the rows, within 8..60."""
    return max(8, min(60, int(math.sqrt(rows))))


def _is_number(value: Any) -> bool:
    return value is not None and math.isfinite(value)


def _legible(text: str, length: int) -> str:
    """Return one printable line of at most `length` characters."""
    line = "".join(c if c.isprintable() else "\ufffd" for c in text)
    return line if len(line) <= length else line[: length - 1] + "…"


@contextmanager
def _figure(height: int) -> Iterator[Figure]:
    """Give an empty figure in the one style, whatever the user's own Matplotlib settings say."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with matplotlib.rc_context(), warnings.catch_warnings():
        # The bundled font only measures the texts; the reader's fonts have the glyphs.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(cast(Any, _STYLE))
        layout = ConstrainedLayoutEngine(w_pad=10 / 72, h_pad=10 / 72)
        yield Figure(figsize=(WIDTH / 72, height / 72), layout=layout)


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left")


def _svg(figure: Figure, title: str, description: str) -> str:
    """Return the figure as SVG text with a title, a description and its colours on dark."""
    file = io.StringIO()
    metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(file, format="svg", metadata=metadata)
    svg = file.getvalue()
    svg = svg[svg.index("<svg") :]
    # Half the size: a hundredth of a pixel is enough, and nobody reads the indentation.
    svg = re.sub(r"(\d\.\d\d)\d+", r"\1", re.sub(r"\n\s*", "\n", svg))
    head, body = svg[: svg.index(">") + 1], svg[svg.index(">") + 1 :]
    head = re.sub(r'(width|height)="([\d.]+)pt"', r'\1="\2"', head)
    head = head.replace("<svg ", '<svg role="img" ', 1)
    texts = f"<title>{escape(title)}</title><desc>{escape(description)}</desc>"
    return f"{head}\n {texts}\n <style>{_css()}</style>{body}"


def _css() -> str:
    dark = "".join(
        f'[style*="{paint}: {light}"]{{{paint}:{dark}!important}}'
        for light, dark in ON_DARK.items()
        for paint in ("fill", "stroke")
    )
    font = "text{font-family:system-ui,-apple-system,'Segoe UI',Roboto,sans-serif!important}"
    return f"{font}@media(prefers-color-scheme:dark){{{dark}}}"


_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "prefect-torch",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 11,
    "text.color": INK,
    "figure.facecolor": CARD,
    "axes.facecolor": CARD,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlepad": 10,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "xtick.color": GRID,
    "ytick.color": GRID,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "lines.linewidth": 2,
    "legend.frameon": False,
    "legend.labelcolor": INK,
}
