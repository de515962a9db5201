from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from datasets import Dataset, DatasetDict, concatenate_datasets

from sentiment_lstm.errors import DataError
from sentiment_lstm.recipes import Recipe, override
from sentiment_lstm.training import train
from sentiment_lstm.unlabelled import (
    texts_to_learn_from,
    texts_to_pretrain_on,
    unlabelled_texts,
)


def test_without_unlabelled_text_a_recipe_that_asks_for_it_says_so_and_makes_do(
    reviews: DatasetDict, quick_recipe: Recipe, caplog: pytest.LogCaptureFixture
):
    asks = override(quick_recipe, ["pretraining.objective=region"])
    alone = DatasetDict(train=reviews["train"])
    assert texts_to_learn_from(alone, None, override(asks, ["pretraining.unlabelled=true"])) is None
    assert "learns from unlabelled text, and there is none" in caplog.text
    caplog.clear()
    assert (
        texts_to_learn_from(alone, None, override(asks, ["pretraining.unlabelled=false"])) is None
    )
    assert caplog.text == ""


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        ([], r"pretraining\.objective=region --set pretraining\.unlabelled=true, or .* --teacher"),
        (
            ["pretraining.objective=region", "pretraining.unlabelled=false"],
            r"Let it by --set pretraining\.unlabelled=true, or .* --teacher",
        ),
        (
            ['distillation.teachers=["tfidf"]', "distillation.unlabelled=false"],
            r"Let it by --set distillation\.unlabelled=true\.$",
        ),
    ],
)
def test_texts_that_are_given_in_vain_are_said_to_be(
    reviews: DatasetDict,
    quick_recipe: Recipe,
    caplog: pytest.LogCaptureFixture,
    settings: list[str],
    remedy: str,
):
    recipe = override(quick_recipe, settings)
    assert texts_to_learn_from(reviews, None, recipe) is None
    assert caplog.text == "", "those of the source are nobody's wish"
    assert texts_to_learn_from(reviews, Dataset.from_dict({"text": ["one"]}), recipe) is None
    assert re.search(f"--unlabelled is left unread.*{remedy}", caplog.messages[0])


def test_pretraining_reads_the_training_reviews_and_unlabelled_texts_if_it_is_to(
    reviews: DatasetDict, quick_recipe: Recipe
):
    train, more = reviews["train"], Dataset.from_dict({"text": ["one"]})
    asks = override(quick_recipe, ["pretraining.unlabelled=true"])
    without = override(quick_recipe, ["pretraining.unlabelled=false"])
    assert texts_to_pretrain_on(asks, train, more) == [train, more]
    assert texts_to_pretrain_on(asks, train, None) == [train]
    assert texts_to_pretrain_on(without, train, more) == [train]


def test_texts_that_are_given_go_before_the_split_of_the_source(
    reviews: DatasetDict, quick_recipe: Recipe
):
    asks = override(quick_recipe, ['distillation.teachers=["tfidf"]'])
    given = Dataset.from_dict({"text": ["one", "two"]})
    found = texts_to_learn_from(reviews, given, asks)
    assert found is not None
    assert list(found["text"]) == ["one", "two"]
    of_source = texts_to_learn_from(reviews, None, asks)
    assert of_source is not None
    assert list(of_source["text"]) == list(reviews["unsupervised"]["text"])


def test_held_out_reviews_are_left_out_of_the_texts_that_are_given(
    reviews: DatasetDict, quick_recipe: Recipe, caplog: pytest.LogCaptureFixture
):
    asks = override(quick_recipe, ['distillation.teachers=["tfidf"]'])
    held_out = [reviews["train"].select([3, 5]), Dataset.from_dict({"text": ["So dull.", ":-)"]})]
    own, other = reviews["train"]["text"][3].upper(), reviews["train"]["text"][4]
    given = Dataset.from_dict(
        {"text": [own, other, "so<br />dull", ":-)", "so dull, so what", "!"]}
    )
    found = texts_to_learn_from(reviews, given, asks, held_out=held_out)
    assert found is not None
    assert list(found["text"]) == [other, "so dull, so what", "!"]
    assert caplog.messages[0].startswith("3 of 6 unlabelled texts are left out")
    with pytest.raises(DataError, match=r"All 2 unlabelled texts .* Name other texts"):
        texts_to_learn_from(reviews, held_out[0], asks, held_out=held_out)
    of_source = DatasetDict(train=reviews["train"], unsupervised=given)
    whole = texts_to_learn_from(of_source, None, asks, held_out=held_out)
    assert whole is not None
    assert list(whole["text"]) == list(given["text"])


def test_a_training_on_the_file_it_came_from_teaches_nothing_that_is_held_out(
    sentences: DatasetDict, quick_recipe: Recipe, tmp_path: Path
):
    recipe = override(quick_recipe, ['distillation.teachers=["tfidf"]', "training.epochs=1"])
    splits = DatasetDict(train=sentences["train"].select(range(100)), test=sentences["test"])
    every = concatenate_datasets(list(splits.values())).select_columns("text")
    kept = tmp_path / "soft"
    result = train(
        splits,
        recipe,
        tmp_path / "model",
        unlabelled=every,
        soft_labels_folder=kept,
        evaluate_test=False,
    )
    assert result.reviews["validation"] == 10
    taught = json.loads((kept / "unlabelled" / "manifest.json").read_text())["rows"]
    assert taught == result.reviews["train"] == 90


def test_an_unlabelled_source_without_text_is_refused_before_any_training(
    reviews: DatasetDict, quick_recipe: Recipe, tmp_path: Path
):
    recipe = override(quick_recipe, ['distillation.teachers=["tfidf"]'])
    with pytest.raises(DataError, match="no column 'text', only review"):
        train(reviews, recipe, tmp_path / "model", unlabelled=Dataset.from_dict({"review": ["a"]}))
    assert list(tmp_path.iterdir()) == []


def test_unlabelled_texts_need_a_text_column_with_text_in_it(reviews: DatasetDict):
    with pytest.raises(DataError, match="no column 'text', only review"):
        unlabelled_texts(Dataset.from_dict({"review": ["a"]}), reviews["train"].features)
    with pytest.raises(DataError, match="hold no text"):
        unlabelled_texts(Dataset.from_dict({"text": ["", "<br />"]}), reviews["train"].features)
