from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from numpy.typing import NDArray

from sentiment_lstm.errors import DataError
from sentiment_lstm.lessons import draw_sentences, first_and_last_sentences, prepare_lessons
from sentiment_lstm.negation import draw_clauses, opposite, polar_words
from sentiment_lstm.passages import cut_into_passages
from sentiment_lstm.recipes import Recipe, override
from sentiment_lstm.tokens import load_tokenizer
from sentiment_lstm.unlabelled import unlabelled_texts


class LengthTeacher:
    """A real, if narrow-minded, teacher: long texts are positive."""

    name = "length"
    identity = "length-1"

    def predict_proba(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        positive = np.array([min(len(text), 200) / 200 for text in texts], dtype=np.float32)
        return np.stack([1 - positive, positive], axis=1)


NOUNS = [f"{first}{second}" for first in "abcde" for second in "vwxyz"]
REVIEW = "I liked it a lot. The ending, though! Was it needed? Perhaps so."


@pytest.fixture
def train(sentences: DatasetDict) -> Dataset:
    return sentences["train"].select(range(30))


@pytest.fixture
def unlabelled(sentences: DatasetDict) -> Dataset:
    texts = [*sentences["test"]["text"][:20], " ", "<br />"]
    return unlabelled_texts(Dataset.from_dict({"text": texts}), sentences["train"].features)


def lessons(train: Dataset, unlabelled: Dataset | None, recipe: Recipe, folder: Path, teacher):
    return prepare_lessons(
        train, unlabelled, recipe, load_tokenizer(), teacher=teacher, folder=folder
    )


def test_without_teacher_and_sentences_the_labels_are_learnt_and_nothing_else(
    train: Dataset, unlabelled: Dataset, quick_recipe: Recipe, tmp_path: Path
):
    recipe = override(quick_recipe, ["training.sentences=0"])
    plain = lessons(train, unlabelled, recipe, tmp_path, None)
    assert len(plain.rows) == plain.reviews == 30
    assert plain.targets.tolist() == list(train["label"])


def test_a_teacher_adds_the_unlabelled_texts_and_its_share_of_every_labelled_target(
    train: Dataset, unlabelled: Dataset, quick_recipe: Recipe, tmp_path: Path
):
    recipe = override(quick_recipe, ["training.sentences=0", "distillation.teacher_share=0.25"])
    taught = lessons(train, unlabelled, recipe, tmp_path, LengthTeacher())
    assert taught.reviews == len(taught.rows) == 50
    said = LengthTeacher().predict_proba([*train["text"], *unlabelled["text"]])
    truth = np.eye(2)[train["label"]]
    expected = np.concatenate([0.25 * said[:30] + 0.75 * truth, said[30:]])
    np.testing.assert_allclose(taught.targets, expected, atol=1e-6)
    assert [len(ids) for ids in taught.rows["input_ids"]] == taught.rows["length"][:]
    alone = override(recipe, ["distillation.unlabelled=false"])
    assert len(lessons(train, unlabelled, alone, tmp_path, LengthTeacher()).rows) == 30


def test_unlabelled_texts_are_learnt_in_passages_and_sentences_are_drawn_from_whole_ones(
    train: Dataset, quick_recipe: Recipe, tmp_path: Path
):
    texts = [f"{REVIEW} {sentence}" for sentence in train["text"][:5]]
    unlabelled = unlabelled_texts(Dataset.from_dict({"text": texts}), train.features)
    settings = ["training.sentences=20", "distillation.passage_tokens=10"]
    recipe = override(quick_recipe, [*settings, "distillation.teacher_share=1.0"])
    found = lessons(train, unlabelled, recipe, tmp_path, LengthTeacher())
    tokenizer = load_tokenizer()
    passages = list(cut_into_passages(unlabelled, tokenizer, length_tokens=10)["text"])
    assert len(passages) > 2 * len(texts)
    assert (found.labelled, found.reviews) == (30, 30 + len(passages))
    assert found.rows["input_ids"][30 : found.reviews] == tokenizer(passages)["input_ids"]
    said = LengthTeacher().predict_proba([*train["text"], *passages])
    np.testing.assert_allclose(found.targets, said, atol=1e-6)
    drawn = draw_sentences([train, unlabelled], 20, features=train.features)
    ids = tokenizer(list(drawn["text"]))["input_ids"]
    assert found.rows["input_ids"][found.reviews :] == ids
    alone = lessons(train, unlabelled, recipe, tmp_path, None)
    assert alone.reviews == 30, "without a teacher nothing is known of the passages"


@pytest.mark.parametrize("with_unlabelled", [True, False])
def test_passages_of_labelled_texts_are_learnt_as_the_teacher_judges_them(
    train: Dataset, unlabelled: Dataset, quick_recipe: Recipe, tmp_path: Path, with_unlabelled: bool
):
    settings = ["distillation.passage_tokens=10", "distillation.labelled_passages=true"]
    recipe = override(
        quick_recipe, [*settings, "distillation.teacher_share=0.0", "training.sentences=12"]
    )
    others = unlabelled if with_unlabelled else None
    found = lessons(train, others, recipe, tmp_path, LengthTeacher())
    cut = partial(cut_into_passages, tokenizer=load_tokenizer(), length_tokens=10)
    passages = [*([] if others is None else cut(others)["text"]), *cut(train)["text"]]
    assert len(cut(train)) > len(train)
    assert (found.labelled, found.reviews) == (30, 30 + len(passages))
    assert found.rows["input_ids"][30 : found.reviews] == load_tokenizer()(passages)["input_ids"]
    truth = np.eye(2)[train["label"]]
    expected = np.concatenate([truth, LengthTeacher().predict_proba(passages)])
    np.testing.assert_allclose(found.targets, expected, atol=1e-6)
    assert len(found.rows) == found.reviews + 12
    alone = lessons(train, others, recipe, tmp_path, None)
    assert alone.reviews == 30, "without a teacher nothing is known of the passages"


@pytest.mark.parametrize("teacher", [None, LengthTeacher()])
def test_sentences_stand_behind_the_reviews_and_are_no_reviews(
    train: Dataset, quick_recipe: Recipe, tmp_path: Path, teacher
):
    recipe = override(quick_recipe, ["training.sentences=12"])
    both = lessons(train, None, recipe, tmp_path, teacher)
    assert (both.reviews, len(both.rows)) == (30, 42)
    drawn = draw_sentences([train], 12, features=train.features)
    tokenizer = load_tokenizer()
    assert both.rows["input_ids"][30:] == tokenizer(list(drawn["text"]))["input_ids"]
    labels = np.asarray(both.rows["labels"][30:])
    expected = drawn["label"][:] if teacher is None else teacher.predict_proba(drawn["text"])
    np.testing.assert_allclose(labels, expected, atol=1e-6)


def test_soft_labels_of_other_texts_are_refused(
    train: Dataset, quick_recipe: Recipe, tmp_path: Path
):
    lessons(train, None, quick_recipe, tmp_path, LengthTeacher())
    with pytest.raises(DataError, match="texts"):
        lessons(train.select(range(29)), None, quick_recipe, tmp_path, LengthTeacher())


@pytest.mark.parametrize("teacher", [None, LengthTeacher()])
def test_clauses_stand_behind_the_reviews_and_denied_ones_are_learnt_as_the_opposite(
    train: Dataset, quick_recipe: Recipe, tmp_path: Path, teacher: LengthTeacher | None
):
    texts = 2 * [f"The {noun} was {word}." for noun in NOUNS for word in ("dull", "great")]
    texts += [f"The {noun} was not {word}." for noun in NOUNS for word in ("great", "dull")]
    source = Dataset.from_dict({"text": texts, "label": [0, 1] * 3 * len(NOUNS)}, train.features)
    recipe = override(quick_recipe, ["training.sentences=0", "training.negations=20"])
    found = lessons(source, None, recipe, tmp_path, teacher)
    assert found.reviews == found.labelled == len(source)
    assert len(found.rows) == len(source) + 2 * 20
    affirmed, denied = found.rows[len(source) : -20], found.rows[-20:]
    said = np.asarray(affirmed["labels"])
    np.testing.assert_allclose(opposite(said), denied["labels"], atol=1e-6)
    if teacher is None:
        drawn = draw_clauses(source, 20, polar=polar_words(source))
        words = ["great" in text for text in drawn.affirmed["text"]]
        np.testing.assert_array_equal(said.argmax(1), words)
        np.testing.assert_array_equal(found.targets, np.eye(2)[source["label"]])
    assert np.all(np.asarray(affirmed["length"]) < denied["length"]), "a word denies each"


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (("dull", "fair", "great"), ["1", "2", "3"]),
        (("musical", "political"), ["arts", "politics"]),
    ],
)
def test_nothing_is_denied_where_the_labels_are_not_one_anothers_opposite(
    quick_recipe: Recipe,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    words: tuple[str, ...],
    names: list[str],
):
    texts = [f"The {noun} was{no} {w}." for noun in NOUNS for no in ("", " not") for w in words]
    labels = list(range(len(words))) * 2 * len(NOUNS)
    features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
    source = Dataset.from_dict({"text": texts, "label": labels}, features)
    recipe = override(quick_recipe, ["training.sentences=0", "training.negations=20"])
    with caplog.at_level("INFO", logger="sentiment_lstm"):
        found = lessons(source, None, recipe, tmp_path, None)
    assert len(found.rows) == len(source)
    assert found.targets.tolist() == source["label"][:]
    assert "No denied clauses are learnt" in caplog.text


def test_sentences_are_drawn_from_many_reviews_once_each_and_keep_their_label(
    train: Dataset,
):
    reviews = Dataset.from_dict(
        {"text": [REVIEW, "Dull from start to end. Avoid this film.", "No."], "label": [1, 0, 0]},
        features=train.features,
    )
    # As many as would take for ever if it went on after the last one.
    drawn = draw_sentences([reviews], 10**12, features=train.features)
    assert dict(zip(drawn["text"], drawn["label"], strict=True)) == {
        "I liked it a lot.": 1,
        "The ending, though!": 1,
        "Was it needed?": 1,
        "Dull from start to end.": 0,
        "Avoid this film.": 0,
    }
    two = draw_sentences([reviews], 2, features=train.features)
    assert sorted(two["label"]) == [0, 1], "of two sentences, each comes from a review of its own"


def test_reviews_are_quoted_by_their_first_and_their_last_sentence():
    texts = [
        "I liked this one. The plot is set in Rome. Go and see it!",
        "Hm. An awful lot of noise.",  # the first sentence is too short to say anything
        "No.",
    ]
    reviews = Dataset.from_dict({"text": texts, "label": [1, 0, 0]})
    found = first_and_last_sentences(reviews, 10)
    assert dict(zip(found["text"], found["label"], strict=True)) == {
        "I liked this one.": 1,
        "Go and see it!": 1,
        "An awful lot of noise.": 0,
    }
    assert len(first_and_last_sentences(reviews, 1)) == 1
