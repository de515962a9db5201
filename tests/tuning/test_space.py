from __future__ import annotations

import re
from pathlib import Path

import pytest

from sentiment_lstm.errors import RecipeError
from sentiment_lstm.recipes import Recipe, load_recipe, override, recipe_names
from sentiment_lstm.tuning.space import (
    Choices,
    Range,
    default_space_text,
    load_space,
    with_settings,
)


def read(text: str, folder: Path, recipe: Recipe | None = None, **options):
    path = folder / "space.toml"
    path.write_text(text)
    return load_space(path, recipe or load_recipe("default"), **options)


@pytest.mark.parametrize("name", recipe_names())
def test_the_default_space_fits_every_recipe_and_keeps_its_comments(name: str, tmp_path: Path):
    space = load_space(None, load_recipe(name))
    assert {"training.learning_rate", "model.hidden_size"} <= space.keys()
    assert "# Where `sentiment-lstm tune` looks" in default_space_text()
    assert read(default_space_text(), tmp_path) == space


def test_ranges_and_choices_are_read_with_the_type_of_their_setting(tmp_path: Path):
    space = read(
        "[training]\n"
        "learning_rate = { low = 1e-3, high = 1, log = true }\n"
        "epochs = { low = 1, high = 3 }\n"
        "[model.pooling]\nchoices = ['mean', 'max']\n",
        tmp_path,
    )
    assert space["training.learning_rate"] == Range(low=0.001, high=1.0, log=True)
    assert isinstance(space["training.learning_rate"].ends()[1], float)
    assert space["training.epochs"] == Range(low=1, high=3)
    assert space["model.pooling"] == Choices(choices=("mean", "max"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[training.learning_rat]\nlow = 1", "no setting training.learning_rat.*'training.learn"),
        ("[trainin.epochs]\nlow = 1", "Did you mean 'training.epochs'"),
        ("[training]\nepochs = 3", "training.epochs is 3; expected a range"),
        ("training = 3", "training is 3; expected tables"),
        ("[training.epochs]\nlo = 1\nhigh = 2", "a key 'lo'.*Did you mean 'low'"),
        ("[training.epochs]\nlow = 1", "expected a range .* found low"),
        ("[training.epochs]\nlow = 0\nhigh = 3", "holds 0, .* expected at least 1"),
        ("[training.epochs]\nlow = 1.5\nhigh = 3", "low is 1.5; expected a value of type int"),
        ("[training.epochs]\nlow = 3\nhigh = 3", "low is 3, not below high"),
        ("[training.epochs]\nlow = 1\nhigh = 4\nstep = 2", "a whole number of steps"),
        ("[training.epochs]\nchoices = ['two']", "'two'; expected a value of type int"),
        ("[training.epochs]\nchoices = []", "a list of at least one value"),
        ("[training.epochs]\nchoices = [1, 2, 1]", "stands twice"),
        ("[training.epochs]\nchoices = [{}]", "of type dict"),
        ("[training.epochs]\nchoices = [1]\nlow = 1", "expected choices alone"),
        ("[training.learning_rate]\nlow = 0.0\nhigh = 1.0\nlog = true", "a low above 0"),
        ("[training.learning_rate]\nlow = 1e-3\nhigh = inf", "expected a finite number"),
        ("[training.learning_rate]\nlow = 1e-3\nhigh = 1\nlog = 1", "expected true or false"),
        ("[training.learning_rate]\nlow = 'a'\nhigh = 1", "low is 'a'; expected .* type float"),
        ("[training.epochs]\nlow = 1\nhigh = 4\nstep = 1\nlog = true", "exclude each other"),
        ("[model.bidirectional]\nlow = 0\nhigh = 1", "no number; give it choices"),
        ("[training.schedule]\nchoices = ['cosin']", "Did you mean 'cosine'"),
        ("[training.validation_size]\nchoices = [0.1]", "must be the same for all"),
        ("[distillation.teacher_share]\nlow = 0.1\nhigh = 0.9", "asks no teachers"),
        ("", "no setting to search"),
        ("[training", "not a TOML file"),
    ],
)
def test_a_wrong_space_is_named_with_its_fault(tmp_path: Path, text: str, complaint: str):
    with pytest.raises(
        RecipeError, match=rf"^{re.escape(str(tmp_path))}/space.toml: .*{complaint}"
    ):
        read(text, tmp_path)


def test_a_missing_space_is_named(tmp_path: Path):
    with pytest.raises(RecipeError, match=r"none\.toml: the search space cannot be read"):
        load_space(tmp_path / "none.toml", load_recipe("default"))


def test_a_value_may_need_another_setting_of_the_space_beside_it(tmp_path: Path):
    whole = ["training.segments=0", "training.sentence_group=1", "model.ngram_buckets=0"]
    recipe = override(load_recipe("default"), whole)
    fixed = "[tokens.fixed_length]\nchoices = [false, true]\n"
    with pytest.raises(RecipeError, match=r"\[tokens.fixed_length\] holds True, .*no length"):
        read(fixed, tmp_path, recipe)
    space = read(fixed + "[tokens.max_length_tokens]\nchoices = [0, 64]\n", tmp_path, recipe)
    assert list(space) == ["tokens.fixed_length", "tokens.max_length_tokens"]


def test_a_list_of_texts_is_a_value_like_any_other():
    choices = Choices(choices=(["one", 'tw"o'], []))
    assert choices.read('["one", "tw\\"o"]') == ["one", 'tw"o']
    recipe = with_settings(load_recipe("default"), {"distillation.teachers": ["one", 'tw"o']})
    assert recipe.distillation.teachers == ["one", 'tw"o']
