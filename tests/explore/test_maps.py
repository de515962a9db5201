from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from tests.tiny_encoders import save_encoder

from sentiment_lstm.errors import ModelError, TextError
from sentiment_lstm.explore import explore_reviews, explore_tokens, load_encoder, project

REVIEW = (
    "An unforgettable film, though O'Neal's acting is uneven: the well-made first half drags, the "
    "second doesn't.<br /><br />10/10 for the photography."
)


@pytest.fixture(scope="module")
def encoder():
    return load_encoder()


@pytest.fixture(scope="module")
def classifier(sentences):
    train = sentences["train"]
    pipeline = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10))
    return _Classifier(pipeline.fit(train["text"][:], train["label"][:]))


class _Classifier:
    """A real classifier with the two members that a map asks for."""

    labels = ("negative", "positive")

    def __init__(self, pipeline: Pipeline) -> None:
        self.predict_proba = pipeline.predict_proba


def test_every_word_is_one_point_that_points_back_into_the_text(encoder):
    words = explore_tokens(REVIEW, encoder=encoder)
    labels = [point.label for point in words.points]
    assert labels[:3] == ["An", "unforgettable", "film"]
    assert {"O'Neal's", "well-made", "doesn't", "10/10"} <= set(labels)
    assert "br" not in labels
    assert [REVIEW[point.start : point.end] for point in words.points] == labels
    assert [point.position for point in words.points] == list(range(1, len(labels) + 1))


def test_word_pieces_and_special_tokens_are_shown_on_request(encoder):
    pieces = explore_tokens(
        "unforgettable film!", encoder=encoder, merge_word_pieces=False, special_tokens=True
    )
    labels = [point.label for point in pieces.points]
    assert labels[0] == "[CLS]"
    assert labels[-1] == "[SEP]"
    assert labels[-2] == "!"
    assert len(labels) > 4, "unforgettable is more than one piece"


def test_the_same_seed_gives_the_same_map_and_another_seed_another_tsne():
    vectors = np.random.default_rng(0).normal(size=(40, 12))
    one, same, other = (project(vectors, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(one.tsne, same.tsne)
    assert np.array_equal(one.pca, same.pca)
    assert np.array_equal(one.pca, other.pca)
    assert not np.array_equal(one.tsne, other.tsne)


@pytest.mark.parametrize("points", [2, 3, 5, 50, 200])
def test_perplexity_fits_into_few_points_and_never_exceeds_thirty(points: int):
    vectors = np.random.default_rng(0).normal(size=(points, 8))
    projection = project(vectors)
    assert projection.pca.shape == projection.tsne.shape == (points, 2)
    assert np.isfinite(projection.tsne).all()
    assert projection.perplexity == min(30, max(1, (points - 1) / 3))
    assert 1 >= sum(projection.explained_variance) > 0


def test_pca_finds_the_plane_that_the_points_lie_in():
    plane = np.random.default_rng(0).normal(size=(30, 2))
    embedded = np.concatenate([plane, np.full((30, 1), 20.0)], axis=1)
    assert sum(project(embedded).explained_variance) == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize("text", ["film", "  film!! ", "unforgettable", "🙂"])
def test_a_single_word_gets_a_clear_error(encoder, text: str):
    with pytest.raises(TextError, match="two"):
        explore_tokens(text, encoder=encoder)


def test_other_scripts_and_emoji_are_placed(encoder):
    words = explore_tokens("這部電影很好看 🙂 фильм رائع", encoder=encoder)
    assert len(words.points) >= 3
    assert np.isfinite(words.projection.tsne).all()


def test_a_text_longer_than_the_encoder_says_what_is_shown(encoder):
    words = explore_tokens("good bad " * 400, encoder=encoder, merge_word_pieces=False)
    assert words.truncated
    assert (words.shown_tokens, words.length_tokens) == (512, 802)


def test_words_are_coloured_by_what_the_classifier_relies_on(encoder, classifier):
    words = explore_tokens("a dull film", encoder=encoder, classifier=classifier)
    assert words.pull_label == "positive"
    assert words.probabilities.keys() == {"negative", "positive"}
    pulls = {point.label: point.pull for point in words.points}
    assert min(pulls, key=pulls.get) == "dull"
    assert pulls["dull"] < 0


def test_reviews_are_placed_with_their_labels(encoder, sentences):
    sample = sentences["train"].select(range(30))
    names = sample.features["label"].names
    reviews = explore_reviews(sample["text"][:], sample["label"][:], names, encoder=encoder, seed=1)
    assert reviews.labels == tuple(names[label] for label in sample["label"])
    assert reviews.projection.tsne.shape == (30, 2)
    assert 0 <= reviews.agreement <= 1


def test_reviews_and_labels_must_match(encoder):
    with pytest.raises(ValueError, match="2 texts and 1 labels"):
        explore_reviews(["a b", "c d"], [0], ["x"], encoder=encoder)
    with pytest.raises(TextError, match="two at least"):
        explore_reviews(["a b"], [0], ["x"], encoder=encoder)


def test_a_folder_without_an_encoder_is_named(tmp_path):
    with pytest.raises(ModelError, match=str(tmp_path)):
        load_encoder(tmp_path)


def test_weights_in_a_pickle_are_not_read(tmp_path: Path):
    folder = save_encoder(tmp_path / "bert")
    weights = folder / "model.safetensors"
    torch.save(load_file(weights), folder / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(ModelError, match=rf"^{folder}: no encoder .*model.safetensors"):
        load_encoder(folder)


def test_a_hub_name_without_a_hub_gets_the_local_ways(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="hub cannot be reached"):
        load_encoder("nobody/no-such-bert")
