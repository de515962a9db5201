from __future__ import annotations

import datasets
import numpy as np
import pytest
import torch

from sentiment_lstm.finishing import add_ngrams, best_epoch, calibrate_model
from sentiment_lstm.lessons import Lessons
from sentiment_lstm.prediction import Classifier
from sentiment_lstm.tokens import load_tokenizer
from sentiment_lstm.trainer import EpochRecord
from tests.contracts import small_model

GOOD, BAD, FILLER = 7, 8, 9


def reviews(number: int, seed: int) -> tuple[list[list[int]], np.ndarray]:
    """Reviews of ten tokens, one of which tells the label."""
    random = np.random.default_rng(seed)
    labels = np.arange(number) % 2
    ids = random.integers(FILLER, 50, (number, 10))
    ids[np.arange(number), random.integers(0, 10, number)] = np.where(labels, GOOD, BAD)
    return ids.tolist(), labels


def lessons_of(ids: list[list[int]], labels: np.ndarray, *, labelled: int) -> Lessons:
    rows = datasets.Dataset.from_dict(
        {"input_ids": ids, "length": [len(row) for row in ids], "labels": labels.tolist()}
    )
    return Lessons(rows=rows, reviews=len(ids), labelled=labelled)


def record(epoch: int, accuracy: float | None) -> EpochRecord:
    return EpochRecord(
        epoch=epoch, train_loss=1.0, train_accuracy=0.5, validation_accuracy=accuracy
    )


@pytest.mark.parametrize(
    ("accuracies", "kept"),
    [([0.8, 0.9, 0.85], 2), ([0.8, 0.9, 0.9], 2), ([None, None], 2), ([None, 0.7, 0.6], 2)],
)
def test_the_first_of_the_best_epochs_is_kept_or_without_validation_the_last(
    accuracies: list[float | None], kept: int
):
    assert best_epoch([record(*pair) for pair in enumerate(accuracies, start=1)]) == kept


def test_ngrams_are_fitted_to_the_lessons_and_weighed_by_the_validation_split():
    model = small_model(ngram_buckets=512)
    lessons = lessons_of(*reviews(200, seed=0), labelled=200)
    ids, labels = reviews(60, seed=1)
    silent = np.zeros((60, 2))
    logits = add_ngrams(model, lessons, validation_ids=ids, logits=silent, labels=labels)
    assert (logits.argmax(1) == labels).mean() > 0.95
    assert model.config.ngram_scale > 0
    # An LSTM that knows everything needs no more.
    sure = 20.0 * np.eye(2)[labels]
    kept = add_ngrams(model, lessons, validation_ids=ids, logits=sure, labels=labels)
    np.testing.assert_array_equal(kept.argmax(1), labels)


def test_ngrams_are_fitted_to_no_more_tokens_than_fit_in_memory(
    monkeypatch: pytest.MonkeyPatch,
):
    ids, labels = reviews(100, seed=0)
    tokens = sum(len(review) for review in ids)
    monkeypatch.setattr("sentiment_lstm.finishing._MOST_NGRAM_TOKENS", tokens)
    # What stands behind the hundredth says the opposite, and is ten times as much.
    misled, wrong = reviews(1_000, seed=2)
    validation_ids, truth = reviews(60, seed=1)

    def accuracy(labelled: int) -> float:
        model = small_model(ngram_buckets=512)
        lessons = lessons_of(ids + misled, np.append(labels, 1 - wrong), labelled=labelled)
        fitted = add_ngrams(
            model, lessons, validation_ids=validation_ids, logits=np.zeros((60, 2)), labels=truth
        )
        return float((fitted.argmax(1) == truth).mean())

    assert accuracy(labelled=100) > 0.9
    # Reviews with a label are all read, however many they are.
    assert accuracy(labelled=1_100) < 0.6


def test_a_model_without_ngrams_is_left_as_it_is():
    model = small_model()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    logits = np.array([[0.3, -0.2]])
    lessons = lessons_of(*reviews(10, seed=0), labelled=10)
    given = add_ngrams(model, lessons, validation_ids=[[GOOD]], logits=logits, labels=np.array([0]))
    assert given is logits
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


@pytest.mark.parametrize("words", [150, 20])
def test_short_texts_are_calibrated_by_the_ends_of_long_reviews(
    words: int, monkeypatch: pytest.MonkeyPatch
):
    tokenizer = load_tokenizer()
    classifier = Classifier(small_model(vocab_size=len(tokenizer)), tokenizer)
    texts = [
        f"So begins review {i}. {'On it goes. ' * (words // 3)}It ends here {i}!" for i in (1, 2)
    ]
    validation = datasets.Dataset.from_dict({"text": texts, "label": [0, 1]})
    asked: list[str] = []
    answer = classifier.logits

    def listen(texts: list[str]) -> np.ndarray:
        asked.extend(texts)
        return answer(texts)

    monkeypatch.setattr(classifier, "logits", listen)
    calibrate_model(
        classifier,
        validation,
        logits=answer(texts),
        labels=np.array([0, 1]),
        lengths=np.array([len(ids) for ids in tokenizer(texts)["input_ids"]]),
    )
    ends = ["So begins review 1.", "It ends here 1!", "So begins review 2.", "It ends here 2!"]
    assert sorted(asked) == (sorted(ends) if words > 100 else [])
