"""The search space: which settings of a recipe are tried, and with which values.

A TOML file holds a table for each setting, named as in a recipe, with a range (`low`, `high`, and
`log` or `step`) or with `choices`. `space.toml`, beside this file, is the one used by default.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentiment_lstm.errors import RecipeError, SentimentError, nearest
from sentiment_lstm.recipes import Recipe, override, to_toml

if TYPE_CHECKING:
    from optuna import Trial

__all__ = ["Choices", "Range", "Space", "default_space_text", "load_space", "with_settings"]

_RANGE_KEYS = ("low", "high", "log", "step")
_MOST_COMBINATIONS = 1000


@dataclass(frozen=True, kw_only=True)
class Range:
    """Numbers from `low` to `high`, both in it; whole ones where both are."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    def ends(self) -> list[float]:
        """Give the values that must fit the recipe, for all between them to fit."""
        return [self.low, self.high]

    def suggest(self, trial: Trial, name: str) -> float:
        """Let Optuna choose a value."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            step = 1 if self.step is None else int(self.step)
            return trial.suggest_int(name, self.low, self.high, log=self.log, step=step)
        return trial.suggest_float(name, self.low, self.high, log=self.log, step=self.step)

    def read(self, stored: float) -> float:
        """Give the value that Optuna stored."""
        return stored

    def to_dict(self) -> dict[str, Any]:
        """Give the table that this was read from."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, kw_only=True)
class Choices:
    """Values of any type, with no order among them."""

    choices: tuple[Any, ...]

    def ends(self) -> list[Any]:
        """Give the values that must fit the recipe."""
        return list(self.choices)

    def suggest(self, trial: Trial, name: str) -> Any:  # noqa: ANN401 - whatever a setting holds
        """Let Optuna choose a value, known to it by its TOML: it stores no lists."""
        return self.read(trial.suggest_categorical(name, [to_toml(at) for at in self.choices]))

    def read(self, stored: str) -> Any:  # noqa: ANN401
        """Give the value that Optuna stored."""
        return next(value for value in self.choices if to_toml(value) == stored)

    def to_dict(self) -> dict[str, Any]:
        """Give the table that this was read from."""
        return {"choices": list(self.choices)}


Space = dict[str, Range | Choices]  # by `section.key`


def default_space_text() -> str:
    """Give the default space as it was written, comments and all, to print or to copy."""
    return (resources.files(__package__ or __name__) / "space.toml").read_text(encoding="utf-8")


def load_space(
    path: str | Path | None,
    recipe: Recipe,
    *,
    try_recipe: Callable[[Recipe], object] = lambda _: None,
) -> Space:
    """Read a search space and check every value in it against the recipe it starts from.

    A value may need another setting beside it, so it fits if it does so together with any values
    of the other settings of the space.

    Args:
        path: a TOML file; None for the default space.
        recipe: whose settings are searched.
        try_recipe: called with changed recipes; raises a `SentimentError` at one that cannot be
            built.

    Raises:
        RecipeError: the file cannot be read, or a table in it names no setting, has another form,
            or holds a value of another type or out of the setting's range.
    """
    origin = "the default search space" if path is None else str(path)
    try:
        text = default_space_text() if path is None else Path(path).read_text(encoding="utf-8")
        space = _parse(tomllib.loads(text), recipe)
        for name in space:
            _check_values(name, space, recipe, try_recipe)
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(f"{origin}: the search space cannot be read ({error}).") from error
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"{origin}: not a TOML file ({error}). Correct it there.") from error
    except RecipeError as error:
        raise RecipeError(f"{origin}: {error}") from error
    return space


def with_settings(recipe: Recipe, values: Mapping[str, object]) -> Recipe:
    """Change settings of a recipe, each named `section.key`.

    Raises:
        RecipeError: a value does not fit its setting, or the others.
    """
    return override(recipe, [f"{name}={to_toml(value)}" for name, value in values.items()])


def _parse(tables: Mapping[str, Any], recipe: Recipe) -> Space:
    known = _settings(recipe)
    space: Space = {}
    for section, settings in tables.items():
        if not isinstance(settings, Mapping):
            raise RecipeError(
                f"{section} is {settings!r}; expected tables such as [training.learning_rate]."
            )
        for key, table in settings.items():
            name = f"{section}.{key}"
            if name not in known:
                raise RecipeError(f"There is no setting {name} to search.{nearest(name, known)}")
            if name == "training.validation_size":
                raise RecipeError(
                    f"{name} cannot be searched: the trials are compared on the validation "
                    "reviews, which must be the same for all of them. Leave it out."
                )
            if section == "distillation":
                raise RecipeError(
                    f"{name} cannot be searched: a search asks no teachers. Leave it out."
                )
            space[name] = _entry(name, table, known[name])
    if not space:
        raise RecipeError("There is no setting to search. Add a table such as [model.hidden_size].")
    return space


def _entry(name: str, table: object, current: object) -> Range | Choices:
    shape = "expected a range (low and high) or choices"
    if not isinstance(table, Mapping):
        raise RecipeError(f"{name} is {table!r}; {shape}, in a table [{name}].")
    for key in table:
        if key not in (*_RANGE_KEYS, "choices"):
            near = nearest(key, (*_RANGE_KEYS, "choices"))
            raise RecipeError(f"[{name}] has a key {key!r}; {shape}.{near}")
    if "choices" in table:
        values = table["choices"]
        if len(table) > 1 or not isinstance(values, list) or not values:
            raise RecipeError(f"[{name}]: expected choices alone, a list of at least one value.")
        try:
            different = {to_toml(value) for value in values}
        except TypeError as error:
            raise RecipeError(f"[{name}]: among the choices, {error}") from error
        if len(different) < len(values):
            raise RecipeError(f"[{name}]: a value stands twice among the choices {values!r}.")
        return Choices(choices=tuple(values))
    if "low" not in table or "high" not in table:
        raise RecipeError(f"[{name}]: {shape}, found {', '.join(table) or 'nothing'}.")
    return _range(name, dict(table), current)


def _range(name: str, table: dict[str, Any], current: object) -> Range:
    if isinstance(current, bool) or not isinstance(current, int | float):
        raise RecipeError(f"[{name}]: is {current!r} in the recipe, no number; give it choices.")
    for key in ("low", "high", "step"):
        value, whole = table.get(key), isinstance(current, int)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            kind = "int" if whole else "float"
            raise RecipeError(f"[{name}]: {key} is {value!r}; expected a value of type {kind}.")
        if not math.isfinite(value):
            raise RecipeError(f"[{name}]: {key} is {value!r}; expected a finite number.")
        table[key] = int(value) if whole else float(value)
    entry = Range(**table)
    if not isinstance(entry.log, bool):
        raise RecipeError(f"[{name}]: log is {entry.log!r}; expected true or false.")
    if not entry.low < entry.high:
        raise RecipeError(f"[{name}]: low is {entry.low!r}, not below high, {entry.high!r}.")
    if entry.log and entry.low <= 0:
        raise RecipeError(f"[{name}]: log needs a low above 0, found {entry.low!r}.")
    if entry.log and entry.step is not None:
        raise RecipeError(f"[{name}]: log and step exclude each other. Leave one of them out.")
    if entry.step is not None:
        # Decimal: in binary, 0.4 is not eight times 0.05.
        low, high, step = (Decimal(repr(at)) for at in (entry.low, entry.high, entry.step))
        if step <= 0 or (high - low) % step:
            raise RecipeError(
                f"[{name}]: step is {entry.step!r}; expected above 0, and a whole number of steps "
                f"from {entry.low!r} to {entry.high!r}."
            )
    return entry


def _settings(recipe: Recipe) -> dict[str, object]:
    """Name every setting that a recipe has, with the value it has there."""
    return {
        f"{section}.{key}": value
        for section, settings in recipe.to_dict().items()
        if isinstance(settings, dict)
        for key, value in settings.items()
    }


def _check_values(
    name: str, space: Space, recipe: Recipe, try_recipe: Callable[[Recipe], object]
) -> None:
    others = [key for key in space if key != name]
    for value in space[name].ends():
        complaints = []
        for settings in _combinations(others, [space[key].ends() for key in others]):
            try:
                try_recipe(with_settings(recipe, {name: value, **settings}))
            except SentimentError as error:
                complaints.append(str(error))
            else:
                break
        else:
            raise RecipeError(f"[{name}] holds {value!r}, which fits no recipe: {complaints[0]}")


def _combinations(
    names: Sequence[str], values: Sequence[Sequence[object]]
) -> itertools.islice[dict[str, object]]:
    """Give the recipe's own values first, then mixtures of the space's."""
    mixtures = (dict(zip(names, row, strict=True)) for row in itertools.product(*values))
    return itertools.islice(itertools.chain([{}], mixtures), _MOST_COMBINATIONS)
