from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib
import pytest
from matplotlib.figure import Figure
from PIL import Image

from sentiment_lstm.errors import SaveError
from sentiment_lstm.figures import (
    DPI,
    add_headline,
    class_colours,
    figure_to_svg,
    new_figure,
    plot_learning_curves,
    save_figure,
    style_axes,
)

HISTORY = [
    {
        "epoch": epoch,
        "train_loss": 0.5 / epoch,
        "train_accuracy": 1 - 0.3 / epoch,
        "validation_loss": 0.4,
        "validation_accuracy": accuracy,
    }
    for epoch, accuracy in enumerate([0.7, 0.9, 0.9], start=1)
]


def drawn(label: str = "a label") -> Figure:
    figure = new_figure(4, 3)
    axes = figure.subplots()
    style_axes(axes, xlabel="epoch", ylabel=label, title="A title")
    axes.plot([1, 2, 3], [1, 3, 2], "o-")
    return figure


def test_a_saved_figure_has_its_size_and_the_same_bytes_each_time(tmp_path: Path):
    first, second = (
        save_figure(drawn(), tmp_path / "a.png"),
        save_figure(drawn(), tmp_path / "b.png"),
    )
    with Image.open(first) as picture:
        assert picture.size == (4 * DPI, 3 * DPI)
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert first.read_bytes() == second.read_bytes()


def test_an_svg_is_whole_xml_and_the_same_each_time():
    svg = figure_to_svg(drawn(), description="A line that rises & falls: 1 < 3")
    assert svg == figure_to_svg(drawn(), description="A line that rises & falls: 1 < 3")
    root = ElementTree.fromstring(svg)
    assert root.attrib["aria-label"] == "A line that rises & falls: 1 < 3"
    assert root.attrib["viewBox"] == "0 0 288 216"
    assert "width" not in root.attrib  # so that the page sets it


def test_an_svg_leaves_the_page_it_stands_in_alone():
    svg = figure_to_svg(drawn(), description="one")
    assert "<style" not in svg  # its rules would reach the whole page
    assert "<metadata" not in svg
    assert "currentColor" in svg
    assert "DejaVu" not in svg
    other = figure_to_svg(drawn(), description="two")
    ids, others = (set(re.findall(r' id="([^"]+)"', text)) for text in (svg, other))
    assert ids
    assert not ids & others
    assert set(re.findall(r"(?:url\(|href=\")#([^)\"]+)", svg)) == ids


def test_drawing_leaves_the_settings_of_matplotlib_alone(tmp_path: Path):
    before = dict(matplotlib.rcParams)
    figure_to_svg(drawn())
    save_figure(drawn(), tmp_path / "figure.png")
    assert dict(matplotlib.rcParams) == before


def test_drawing_never_loads_pyplot(tmp_path: Path):
    code = (
        "import sys; from sentiment_lstm.figures import plot_learning_curves as plot; "
        f"plot([dict(epoch=1, train_loss=1, train_accuracy=0.5)], {str(tmp_path / 'a.png')!r}); "
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_scripts_that_the_font_lacks_are_drawn_without_a_warning(tmp_path: Path):
    assert "正面" in figure_to_svg(drawn("正面"))
    save_figure(drawn("正面"), tmp_path / "figure.png")


def test_dollar_signs_in_a_headline_are_no_mathematics(tmp_path: Path):
    figure = drawn()
    add_headline(figure, "The $_model is 90.0% right, $ or not")
    assert "The $_model is 90.0% right" in figure_to_svg(figure)


def test_a_long_headline_is_folded_and_the_figure_grows_by_its_lines():
    figure = drawn()
    add_headline(figure, "word " * 30)
    lines = re.findall(r">(?:word ?)+<", figure_to_svg(figure))
    assert len(lines) > 2
    assert figure.get_figheight() == pytest.approx(3.12 + 0.2 * len(lines))


def test_what_stands_there_survives_a_picture_that_cannot_be_written(tmp_path: Path):
    folder = tmp_path / "figure.png"
    (folder / "inside").mkdir(parents=True)
    with pytest.raises(SaveError, match=r"figure\.png: cannot be written \(Is a directory\)"):
        save_figure(drawn(), folder)
    assert [path.name for path in tmp_path.iterdir()] == ["figure.png"]
    assert (folder / "inside").is_dir()


def test_negative_and_positive_have_their_colours_and_many_classes_are_told_apart():
    assert class_colours(["negative", "positive"]) == ["#C8553D", "#2A7F9E"]
    assert len(set(class_colours([str(number) for number in range(10)]))) == 10
    assert len(class_colours([str(number) for number in range(25)])) == 25


def test_learning_curves_name_the_first_of_the_best_epochs(tmp_path: Path):
    path = plot_learning_curves(HISTORY, tmp_path / "curves.svg")
    svg = path.read_text()
    assert "Epoch 2 of 3 is kept: it classifies 90.0% of the validation reviews rightly" in svg
    assert "kept: epoch 2" in svg


@pytest.mark.parametrize("empty", [{}, {"validation_loss": None, "validation_accuracy": None}])
def test_learning_curves_without_validation_say_so(tmp_path: Path, empty: dict):
    history = [
        {key: value for key, value in record.items() if "validation" not in key} | empty
        for record in HISTORY
    ]
    svg = plot_learning_curves(history, tmp_path / "curves.svg").read_text()
    assert "No reviews were held out" in svg
    assert "kept" not in svg


def test_the_curves_of_a_single_epoch_are_drawn(tmp_path: Path):
    with Image.open(plot_learning_curves(HISTORY[:1], tmp_path / "curves.png")) as picture:
        assert picture.size[0] == 9 * DPI
