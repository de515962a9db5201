from __future__ import annotations

import dataclasses
import re
import tomllib

import pytest

from sentiment_lstm.errors import RecipeError
from sentiment_lstm.recipes import (
    Recipe,
    load_recipe,
    override,
    recipe_from_dict,
    recipe_names,
    recipe_text,
    recipe_toml,
    to_toml,
)
from sentiment_lstm.recipes.settings import (
    SECTIONS,
    ModelSettings,
    TokenSettings,
    TrainingSettings,
)


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_read_and_survives_its_own_dictionary(name: str):
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe_from_dict(recipe.to_dict()) == recipe


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_says_only_what_it_changes_or_explains(name: str):
    assert tomllib.loads(recipe_text(name)).keys() <= {"summary", *SECTIONS}


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_is_written_and_read_back(tmp_path, name: str):
    path = tmp_path / f"{name}.toml"
    path.write_text(recipe_toml(load_recipe(name)), encoding="utf-8")
    assert load_recipe(path) == load_recipe(name)


def test_odd_values_survive_their_way_through_a_file(tmp_path):
    recipe = dataclasses.replace(
        override(
            load_recipe("default"),
            ["training.learning_rate=0.00012345678901234567", "training.weight_decay=1e-12"],
        ),
        summary='A "quoted" \\ line,\nanother\x7f, and \u201ccurly\u201d.',
    )
    recipe = override(recipe, ["distillation.teachers=['a, \"b\"', 'self']"])
    path = tmp_path / "default.toml"
    path.write_text(recipe_toml(recipe), encoding="utf-8")
    assert load_recipe(path) == recipe


def test_a_value_that_no_setting_has_is_not_written():
    assert to_toml([True, 1, 1.0, "a"]) == '[true, 1, 1.0, "a"]'
    with pytest.raises(TypeError, match="type dict"):
        to_toml({})


def test_classic_is_the_notebook():
    classic = load_recipe("classic")
    assert classic.tokens == TokenSettings(
        clean_markup=False, max_length_tokens=128, fixed_length=True
    )
    assert (classic.model.pooling, classic.model.mask_padding) == ("last", False)
    assert (classic.model.hidden_size, classic.model.num_hidden_layers) == (128, 1)
    assert not classic.model.bidirectional
    training = classic.training
    assert (training.epochs, training.learning_rate, training.schedule) == (10, 1e-3, "constant")
    assert (training.validation_size, training.weight_decay) == (0.0, 0.0)


def test_a_copied_file_is_the_recipe_under_its_new_name(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(recipe_text("default"))
    mine = load_recipe(path)
    assert mine == dataclasses.replace(load_recipe("default"), name="mine")


def test_an_override_changes_one_setting_and_keeps_the_rest():
    classic = load_recipe("classic")
    changed = override(
        classic, ["training.epochs=3", "model.pooling=mean", "training.learning_rate=1"]
    )
    assert changed.training == dataclasses.replace(classic.training, epochs=3, learning_rate=1.0)
    assert changed.model == dataclasses.replace(classic.model, pooling="mean")
    assert changed.tokens == classic.tokens


@pytest.mark.parametrize(
    ("assignment", "complaint"),
    [
        ("training.epoch=3", "no setting training.epoch; .* Did you mean 'epochs'"),
        ("training.epochs=three", "training.epochs is 'three'; expected a value of type int"),
        ("training.epochs=2.5", "training.epochs is 2.5; expected a value of type int"),
        ("training.epochs=0", "training.epochs is 0; expected at least 1"),
        ("training.schedule=cosin", "Did you mean 'cosine'"),
        ("training.ordinal=1", "training.ordinal is 1; expected a value of type bool"),
        ("training.ordinal_slope=0", "training.ordinal_slope is 0.0; expected above 0 and below"),
        ("training.ordinal_slope=-1.5", "training.ordinal_slope is -1.5; expected above 0"),
        ("training.ordinal_slope=inf", "training.ordinal_slope is inf; .* below 100"),
        ("training.ordinal_slope=nan", "training.ordinal_slope is nan; expected above 0"),
        ("training.ordinal_slop=2", "Did you mean 'ordinal_slope'"),
        ("training.warmup_share=1.0", "expected at least 0 and below 1"),
        ("model.bidirectional=1", "model.bidirectional is 1; expected a value of type bool"),
        ("epochs=3", "no setting of the form section.key=value"),
        ("training.epochs", "no setting of the form section.key=value"),
        ("optimizer.name=sgd", "one of the sections tokens, model, pre"),
    ],
)
def test_a_wrong_override_is_named(assignment: str, complaint: str):
    with pytest.raises(RecipeError, match=complaint):
        override(load_recipe("classic"), [assignment])


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("summary = ", "not a TOML file"),
        ("[training]\nepochs = 1\n", "lacks a summary"),
        ("summary = 'x'\n[trainin]\n", "no setting 'trainin'.* Did you mean 'training'"),
        ("summary = 'x'\ntraining = 3\n", "expected a section"),
        ("summary = 'x'\n[training]\npatience = 1\nvalidation_size = 0.0", "patience needs"),
        ("summary = 'x'\n[tokens]\nfixed_length = true", "no length to pad to"),
        (
            "summary = 'x'\n[model]\nsegment_length = 0\n[training]\nsegments = 2",
            "a review is one segment",
        ),
        (
            "summary = 'x'\n[tokens]\nfixed_length = true\nmax_length_tokens = 128\n"
            "[training]\nsegments = 2",
            "training.segments and tokens.fixed_length contradict",
        ),
        (
            "summary = 'x'\n[tokens]\nfixed_length = true\nmax_length_tokens = 128\n"
            "[training]\nsentence_group = 2",
            "training.sentence_group and tokens.fixed_length contradict",
        ),
        (
            "summary = 'x'\n[training]\nsentence_group = 0",
            "sentence_group is 0; expected at least 1",
        ),
        ("summary = 'x'\n[training]\nsegments = -1", "segments is -1; expected at least 0"),
    ],
)
def test_a_wrong_file_is_named_with_its_fault(tmp_path, content: str, complaint: str):
    path = tmp_path / "mine.toml"
    path.write_text(content)
    with pytest.raises(RecipeError, match=rf"^{re.escape(str(path))}: .*{complaint}"):
        load_recipe(path)


def test_an_unknown_name_gets_the_nearest_one():
    with pytest.raises(RecipeError, match=r"no recipe 'clasic'; .*Did you mean 'classic'"):
        load_recipe("clasic")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RecipeError, match=r"mine\.toml: the recipe cannot be read"):
        load_recipe(tmp_path / "mine.toml")


@pytest.mark.parametrize("cls", [Recipe, TokenSettings, ModelSettings, TrainingSettings])
def test_settings_are_frozen(cls: type):
    instance = load_recipe("classic") if cls is Recipe else cls()
    field = dataclasses.fields(cls)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(instance, field, None)
