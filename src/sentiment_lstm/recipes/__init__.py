"""Recipes: small, readable, named settings of a training, one TOML file each.

A recipe is looked up by name, or read from a file of the same form; single settings are overridden
as ``section.key=value``. Every key is checked when the recipe is made, and the run saves its own.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from sentiment_lstm.errors import RecipeError, nearest
from sentiment_lstm.recipes.settings import SECTIONS, Recipe

__all__ = [
    "Recipe",
    "load_recipe",
    "override",
    "recipe_from_dict",
    "recipe_names",
    "recipe_text",
    "recipe_toml",
    "to_toml",
]


def recipe_names() -> list[str]:
    """List the recipes that come with the package."""
    return sorted(
        entry.name.removesuffix(".toml")
        for entry in resources.files(__name__).iterdir()
        if entry.name.endswith(".toml")
    )


def recipe_text(name: str) -> str:
    """Give a recipe's file as it was written, comments and all, to print or to copy.

    Raises:
        RecipeError: there is no recipe of that name.
    """
    if name not in recipe_names():
        raise RecipeError(
            f"There is no recipe {name!r}; there are {', '.join(recipe_names())}."
            f"{nearest(name, recipe_names())} A recipe of your own is named by its path, "
            "which ends in .toml."
        )
    return (resources.files(__name__) / f"{name}.toml").read_text(encoding="utf-8")


def load_recipe(name_or_path: str | Path) -> Recipe:
    """Read a recipe by its name, or from a TOML file of the same form.

    Raises:
        RecipeError: the name or the file is unknown, the file is not TOML, or a setting in it is
            unknown, of another type or out of its range.
    """
    path = Path(name_or_path)
    if path.suffix == ".toml":
        name, origin = path.stem, str(path)
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RecipeError(f"{path}: the recipe cannot be read ({error}).") from error
    else:
        name, origin = str(name_or_path), f"recipe {name_or_path}"
        text = recipe_text(name)
    try:
        return recipe_from_dict({"name": name, **tomllib.loads(text)})
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{origin}: not a TOML file ({error}). Correct it there.") from error
    except RecipeError as error:
        raise RecipeError(f"{origin}: {error}") from error


def recipe_from_dict(values: Mapping[str, Any]) -> Recipe:
    """Build a recipe from nested plain values, and check every one of them.

    Raises:
        RecipeError: a key is unknown, or a value is of another type or out of its range.
    """
    known = [field_.name for field_ in dataclasses.fields(Recipe)]
    for key in values:
        if key not in known:
            raise RecipeError(
                f"There is no setting {key!r} in a recipe; there are {', '.join(known)}."
                f"{nearest(key, known)}"
            )
    if "summary" not in values:
        raise RecipeError("The recipe lacks a summary, one line that says what it is.")
    sections = {name: _section(name, cls, values.get(name, {})) for name, cls in SECTIONS.items()}
    return Recipe(name=str(values["name"]), summary=str(values["summary"]), **sections)


def override(recipe: Recipe, assignments: Sequence[str]) -> Recipe:
    """Change single settings, each given as ``section.key=value`` with a TOML value.

    A value that is no TOML is taken as a string, so that ``model.pooling=max`` needs no quotes.

    Raises:
        RecipeError: an assignment has another form, or its setting or value does not fit.
    """
    values = recipe.to_dict()
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        section, dot, key = path.strip().partition(".")
        if not (equals and dot and section in SECTIONS):
            raise RecipeError(
                f"{assignment!r} is no setting of the form section.key=value, with one of the "
                f"sections {', '.join(SECTIONS)}."
            )
        values[section][key] = _toml_value(text.strip())
    return recipe_from_dict(values)


def recipe_toml(recipe: Recipe) -> str:
    """Write a recipe as a file that :func:`load_recipe` reads back, all but its name.

    Every setting is written down, so that the file means the same when a default changes; only one
    that is None is left out, since TOML has no word for it.
    """
    lines = [f"summary = {to_toml(recipe.summary)}"]
    for section in dataclasses.fields(recipe):
        settings = getattr(recipe, section.name)
        if dataclasses.is_dataclass(settings):
            lines += ["", f"[{section.name}]"]
            for field_ in dataclasses.fields(settings):
                value = getattr(settings, field_.name)
                if value is not None:
                    lines.append(f"{field_.name} = {to_toml(value)}")
    return "\n".join(lines) + "\n"


def to_toml(value: object) -> str:
    """Write one setting's value as TOML: text, a number, true or false, or a list of such.

    Raises:
        TypeError: the value is of another type.
    """
    if isinstance(value, str):
        # JSON's escapes are all TOML's too, but JSON leaves this one character bare.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)  # the shortest digits that read back as the same number
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(to_toml, value))}]"
    raise TypeError(f"{value!r} is of type {type(value).__name__}, which no setting is.")


def _section(name: str, cls: type, values: object) -> Any:  # noqa: ANN401 - one of SECTIONS
    if not isinstance(values, Mapping):
        raise RecipeError(f"{name} is {values!r}; expected a section [{name}] with settings in it.")
    kinds = {field_.name: str(field_.type) for field_ in dataclasses.fields(cls)}
    checked = {}
    for key, value in values.items():
        if key not in kinds:
            raise RecipeError(
                f"There is no setting {name}.{key}; there are {', '.join(kinds)}."
                f"{nearest(key, kinds)}"
            )
        checked[key] = _typed(f"{name}.{key}", value, kinds[key])
    return cls(**checked)


def _typed(name: str, value: object, kind: str) -> object:
    """Return the value if it is of the kind that the dataclass writes down; an int is a float."""
    if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind == "list[str]":
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise RecipeError(f"{name} is {value!r}; expected a list of strings.")
        return value
    if type(value).__name__ != kind:
        raise RecipeError(f"{name} is {value!r}; expected a value of type {kind}.")
    return value


def _toml_value(text: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
