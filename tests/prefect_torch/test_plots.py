import subprocess
import sys
from xml.etree import ElementTree

import pytest

from prefect_torch.plots import confusion_matrix, learning_curves, residuals, svg_data_uri

SVG = "{http://www.w3.org/2000/svg}"
HISTORY = {
    "epoch": [1, 2, 3],
    "train_loss": [2.0, 1.0, 0.5],
    "validation_loss": [2.1, 1.2, 1.3],
    "accuracy": [0.3, 0.6, 0.7],
    "perplexity": [9.0, 4.0, 3.0],
    "learning_rate": [0.1, 0.1, 0.1],
}
DRAW_ALL = f"""
import hashlib
from prefect_torch.plots import *
texts = [
    learning_curves({HISTORY!r}, 2),
    confusion_matrix([[5, 1], [0, 7]], ["a", "b"]),
    residuals([1.0, 2.0, 4.0], [1.5, 2.0, 3.0], "price"),
]
print(hashlib.sha256("".join(texts).encode()).hexdigest())
"""


def texts(svg):
    """All the texts that a reader sees, in drawing order."""
    return [node.text.strip() for node in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def images(svg):
    return list(ElementTree.fromstring(svg).iter(f"{SVG}image"))


def draw(command, **environment):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", command],
        capture_output=True,
        text=True,
        check=True,
        env=environment,
    )
    return done.stdout


def test_the_same_numbers_give_the_same_bytes_in_another_process_and_under_other_settings(tmp_path):
    (tmp_path / "matplotlibrc").write_text(
        "font.size: 20\nlegend.fontsize: 20\nxtick.major.size: 9\nsvg.fonttype: path\n"
    )
    plain = draw(DRAW_ALL, PYTHONHASHSEED="1")
    styled = draw(DRAW_ALL, PYTHONHASHSEED="2", MATPLOTLIBRC=str(tmp_path))
    assert plain == styled


def test_importing_the_module_leaves_matplotlib_and_numpy_alone():
    loaded = draw("import sys, prefect_torch.plots; print('matplotlib' in sys.modules)")
    assert loaded.strip() == "False"


def test_drawing_leaves_the_users_matplotlib_settings_as_they_were():
    import matplotlib

    before = dict(matplotlib.rcParams)
    learning_curves(HISTORY, 2)
    assert dict(matplotlib.rcParams) == before


def test_losses_share_a_panel_and_metrics_of_another_scale_get_their_own():
    shown = texts(learning_curves(HISTORY, 2))
    assert {"Loss", "train", "validation", "accuracy", "perplexity"} <= set(shown)
    assert "learning_rate" not in shown
    assert shown.count("epoch (kept: 2)") == 3


def test_metrics_between_zero_and_one_share_a_panel():
    shown = texts(learning_curves(HISTORY | {"f1": [0.2, 0.5, 0.6]}, None))
    assert "Metrics" in shown
    assert shown.count("epoch") == 3


def test_the_kept_epoch_is_marked_and_described():
    chosen, unchosen = learning_curves(HISTORY, 2), learning_curves(HISTORY, None)
    assert "the weights of epoch 2 were kept" in chosen
    assert "kept" not in unchosen
    assert "stroke-dasharray" in chosen
    assert "stroke-dasharray" not in unchosen


@pytest.mark.parametrize("value", [None, float("nan"), float("inf")])
def test_a_figure_that_is_not_a_number_leaves_a_gap(value):
    history = {"epoch": [1, 2], "train_loss": [0.5, 0.4], "validation_loss": [0.6, value]}
    assert "validation" in texts(learning_curves(history, 1))


def test_a_single_epoch_is_drawn_with_whole_numbers_on_its_axis():
    shown = texts(learning_curves({"epoch": [1], "train_loss": [0.4]}, 1))
    assert {"0", "1", "2"} <= set(shown)


def test_every_count_is_written_into_its_cell_and_zeros_are_left_out():
    shown = texts(confusion_matrix([[51, 3], [0, 47]], ["cat", "dog"]))
    assert {"51", "3", "47", "cat", "dog"} <= set(shown)
    assert "0" not in shown


def test_above_25_classes_only_colours_are_drawn():
    counts = [[777 if row == column else 0 for column in range(26)] for row in range(26)]
    svg = confusion_matrix(counts, [f"class {place}" for place in range(26)])
    assert "777" not in texts(svg)
    assert len(images(svg)) == 1


def test_colours_follow_the_share_of_the_row_not_the_size_of_the_class():
    small = confusion_matrix([[1, 0], [0, 10]], ["a", "b"])
    large = confusion_matrix([[1000, 0], [0, 10]], ["a", "b"])
    assert [i.attrib for i in images(small)] == [i.attrib for i in images(large)]


@pytest.mark.parametrize(
    "label", ["<script>alert(1)</script>", "a $x_$ b", "日本語", "_hidden", "tab\tnul\0", ""]
)
def test_any_class_name_gives_well_formed_svg_without_markup_of_its_own(label):
    root = ElementTree.fromstring(confusion_matrix([[1, 2], [3, 4]], [label, "other"]))
    assert not list(root.iter(f"{SVG}script"))
    assert not list(root.iter("script"))


def test_a_class_name_is_written_as_text_in_its_own_script():
    shown = texts(confusion_matrix([[1, 2], [3, 4]], ["日本語", "a $x_$ b"]))
    assert {"日本語", "a $x_$ b"} <= set(shown)


def test_residuals_name_what_is_predicted_and_count_only_finite_rows():
    svg = residuals([1.0, 2.0, float("nan")], [1.5, 2.5, 3.0], "price [€]")
    assert {"true price [€]", "predicted price [€]", "error of price [€]"} <= set(texts(svg))
    assert "of 2 rows" in svg


def test_many_rows_are_drawn_as_density_in_bounded_size():
    rows = [float(row % 977) for row in range(20_000)]
    svg = residuals(rows, rows, "x")
    assert len(images(svg)) == 1
    assert len(svg) < 200_000


@pytest.mark.parametrize("rows", [[], [3.0], [3.0, 3.0]])
def test_residuals_of_few_or_equal_rows_are_drawn(rows):
    assert f"of {len(rows)} rows" in residuals(rows, rows, "x")


def test_a_picture_is_self_contained_and_adapts_to_a_dark_page():
    svg = learning_curves(HISTORY, 2)
    outside = [
        value
        for node in ElementTree.fromstring(svg).iter()
        for name, value in node.attrib.items()
        if name.endswith("href") and not value.startswith(("#", "data:"))
    ]
    assert outside == []
    assert svg.startswith("<svg ")
    assert "prefers-color-scheme:dark" in svg
    assert 'width="640"' in svg


def test_a_data_uri_holds_the_svg():
    import base64

    head, body = svg_data_uri("<svg>é</svg>").split(",")
    assert head == "data:image/svg+xml;base64"
    assert base64.b64decode(body).decode() == "<svg>é</svg>"
