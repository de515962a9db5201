"""Whether a setting is in its range; an error names it, its value, and what was expected."""

from __future__ import annotations

from collections.abc import Sequence

from sentiment_lstm.errors import RecipeError, nearest

__all__ = ["check_choice", "check_range"]


def check_range(
    name: str,
    value: float,
    *,
    low: float | None = None,
    above: float | None = None,
    below: float | None = None,
    high: float | None = None,
    unit: str = "",
) -> None:
    """Check a setting against its bounds; `low` and `high` are within them.

    Raises:
        RecipeError: it lies outside, or is no number.
    """
    bounds = []
    if low is not None:
        bounds.append((value >= low, f"at least {low:g}"))
    if above is not None:
        bounds.append((value > above, f"above {above:g}"))
    if below is not None:
        bounds.append((value < below, f"below {below:g}"))
    if high is not None:
        bounds.append((value <= high, f"at most {high:g}"))
    if not all(holds for holds, _ in bounds):
        expected = " and ".join(bound for _, bound in bounds)
        raise RecipeError(f"{name} is {value!r}; expected {expected}{unit and ' '}{unit}.")


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Check that a setting is one of those that there are.

    Raises:
        RecipeError: it is another one.
    """
    if value not in choices:
        raise RecipeError(
            f"{name} is {value!r}, expected one of {', '.join(choices)}.{nearest(value, choices)}"
        )
