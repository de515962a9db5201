from __future__ import annotations

import json

import numpy as np
import pytest
from datasets import Dataset, DatasetDict

from sentiment_lstm import evaluation
from sentiment_lstm.errors import DataError, ModelError, TextError
from sentiment_lstm.evaluation import evaluate
from tests.real_classifiers import TfidfClassifier, labelled, of_three_classes


@pytest.fixture(scope="module")
def classifier(sentences: DatasetDict) -> TfidfClassifier:
    return TfidfClassifier(sentences["train"])


@pytest.fixture(scope="module")
def test_split(sentences: DatasetDict) -> Dataset:
    return sentences["test"]


def test_a_real_classifier_is_measured_on_real_sentences(
    classifier: TfidfClassifier, test_split: Dataset
):
    found = evaluate(classifier, test_split)
    predicted = classifier.pipeline.predict(test_split["text"])
    truth = [classifier.labels[label] for label in test_split["label"]]
    assert found.accuracy == np.mean(predicted == np.array(truth))
    assert found.accuracy > found.majority_share
    assert found.reviews == len(test_split)
    for mistake in found.mistakes:
        assert mistake.text == test_split[mistake.index]["text"]
        assert mistake.label == truth[mistake.index] != mistake.predicted
    json.dumps(found.to_dict(), allow_nan=False)


def test_three_classes_are_measured_as_well(sentences: DatasetDict):
    reviews = of_three_classes(sentences)
    found = evaluate(TfidfClassifier(reviews["train"]), reviews["test"])
    assert [scores.label for scores in found.classes] == ["negative", "positive", "whole review"]
    assert [scores.reviews for scores in found.classes] == [60, 60, 50]
    assert np.sum(found.confusion) == found.reviews == 170
    assert len(found.roc) == 3
    assert found.roc_auc == pytest.approx(np.mean([curve.area for curve in found.roc]))
    # Whole reviews are easily told from sentences.
    assert found.classes[2].recall > found.classes[0].recall


def test_labels_are_matched_by_name_whatever_their_numbers(
    classifier: TfidfClassifier, test_split: Dataset
):
    names = [classifier.labels[label] for label in test_split["label"]]
    turned = labelled(list(test_split["text"]), names, classifier.labels[::-1])
    assert turned["label"] != test_split["label"]
    assert evaluate(classifier, turned) == evaluate(classifier, test_split)


def test_labels_that_the_model_does_not_know_are_named_with_those_it_knows(
    classifier: TfidfClassifier,
):
    reviews = labelled(["fine", "dull"], ["Positive", "negative"], ["Positive", "negative"])
    with pytest.raises(DataError) as raised:
        evaluate(classifier, reviews)
    message = str(raised.value)
    assert "labelled 'Positive', 'negative'" in message
    assert "the model knows 'negative', 'positive'" in message
    assert "Did you mean 'positive'?" in message


def test_a_label_that_is_declared_but_never_used_does_no_harm(classifier: TfidfClassifier):
    names = ["neutral", "positive", "negative"]
    found = evaluate(classifier, labelled(["fine", "dull"], ["positive", "negative"], names))
    assert [scores.reviews for scores in found.classes] == [1, 1]


def test_a_label_of_the_model_without_reviews_is_reported(classifier: TfidfClassifier):
    found = evaluate(classifier, labelled(["fine", "good"], ["positive"] * 2, ["positive"]))
    assert found.roc_auc_missing == "there is no review of negative"
    assert found.labels == ["negative", "positive"]


def test_empty_texts_are_left_out_counted_and_reported(
    classifier: TfidfClassifier, test_split: Dataset
):
    names = [classifier.labels[label] for label in test_split["label"]]
    texts = ["", " \n<br />", *test_split["text"]]
    holed = labelled(texts, ["positive", "negative", *names], classifier.labels)
    done: list[int] = []
    found, whole = (
        evaluate(classifier, holed, on_progress=done.append),
        evaluate(classifier, test_split),
    )
    assert found.skipped_empty == 2
    assert (found.reviews, found.accuracy) == (whole.reviews, whole.accuracy)
    assert [m.index - 2 for m in found.mistakes] == [m.index for m in whole.mistakes]
    assert sum(done) == len(holed)


def test_a_sample_is_drawn_by_the_seed_and_keeps_its_row_numbers(
    classifier: TfidfClassifier, test_split: Dataset
):
    first, again, other = (
        evaluate(classifier, test_split, limit=40, seed=seed) for seed in (1, 1, 2)
    )
    assert first.reviews == 40
    assert first == again != other
    for mistake in first.mistakes:
        assert mistake.text == test_split[mistake.index]["text"]
    assert evaluate(classifier, test_split, limit=10_000) == evaluate(classifier, test_split)


def test_progress_moves_while_reviews_are_classified(
    classifier: TfidfClassifier, test_split: Dataset, monkeypatch: pytest.MonkeyPatch
):
    whole = evaluate(classifier, test_split)
    monkeypatch.setattr(evaluation, "_CHUNK_REVIEWS", 50)
    done: list[int] = []
    assert evaluate(classifier, test_split, on_progress=done.append) == whole
    assert done == [50, 50, 20]


@pytest.mark.parametrize(
    ("texts", "message"),
    [([], "The split holds no reviews"), (["", "  ", "<br>"], "All texts of the split are empty")],
)
def test_a_split_without_a_text_to_classify_is_an_error(
    classifier: TfidfClassifier, texts: list[str], message: str
):
    with pytest.raises(DataError, match=message):
        evaluate(classifier, labelled(texts, ["positive"] * len(texts), classifier.labels))


@pytest.mark.parametrize("missing", [-1, None])
def test_reviews_without_a_label_are_counted_in_the_error(
    classifier: TfidfClassifier, test_split: Dataset, missing: int | None
):
    labels = [*test_split["label"][:-3], missing, missing, missing]
    reviews = Dataset.from_dict(
        {"text": test_split["text"][:], "label": labels}, features=test_split.features
    )
    with pytest.raises(DataError, match="3 of the 120 reviews have no label"):
        evaluate(classifier, reviews)


def test_a_text_that_is_null_is_named(classifier: TfidfClassifier, test_split: Dataset):
    reviews = Dataset.from_dict(
        {"text": ["good", None], "label": [1, 0]}, features=test_split.features
    )
    with pytest.raises(TextError, match="Text 2 is null"):
        evaluate(classifier, reviews)


def test_columns_of_another_shape_are_named(classifier: TfidfClassifier, test_split: Dataset):
    for reviews in (
        Dataset.from_dict({"text": ["good"], "label": [1]}),
        test_split.rename_column("text", "review"),
    ):
        with pytest.raises(DataError, match="Expected the columns text and label"):
            evaluate(classifier, reviews)


def test_a_model_whose_weights_are_no_numbers_is_named(sentences: DatasetDict):
    broken = TfidfClassifier(sentences["train"])
    broken.pipeline[-1].intercept_[:] = np.nan
    with pytest.raises(ModelError, match=r"120 of 120 reviews .* not a number, .* row 0"):
        evaluate(broken, sentences["test"])
