"""A file of behavioural cases -> `BehaviourCase`, every entry checked.

A file holds one capability, in groups of one kind of test each:

- `minimum functionality`: `texts`, each of which has the label of the group;
- `directional`: `pairs` of a weaker and a stronger text, and a `relation`: the stronger one must be
  taken to lean `above` the weaker one to the label of the group, or `at least` as far;
- `invariance`: `pairs` of texts that differ in a `change` which must not move the label.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from sentiment_lstm.errors import DataError, nearest
from sentiment_lstm.text import is_blank

__all__ = ["KINDS", "LABELS", "BehaviourCase", "capability_names", "fingerprint", "load_cases"]

LABELS = ("negative", "positive")
KINDS = ("minimum functionality", "directional", "invariance")
_RELATIONS = ("at least", "above")
# In the order in which they are reported, from the plainest to the hardest, invariance apart.
_CAPABILITIES = ("plain", "negation", "contrast", "intensity", "invariance")
_FILE_KEYS = ("capability", "about", "groups")
_GROUP_KEYS = {
    "minimum functionality": ("kind", "label", "texts"),
    "directional": ("kind", "label", "relation", "pairs"),
    "invariance": ("kind", "label", "change", "pairs"),
}


@dataclass(frozen=True, kw_only=True)
class BehaviourCase:
    """One thing that is asked of a classifier."""

    capability: str
    about: str  # what the capability is, in a line
    kind: str  # one of KINDS
    label: str  # what the texts say
    texts: tuple[str, ...]  # one, or a pair
    detail: str = ""  # the relation of a directional pair, or what changes in an invariant one


def capability_names() -> list[str]:
    """List the capabilities of the cases that come with the package, in the order of reports."""
    return list(_CAPABILITIES)


def load_cases(paths: Sequence[str | Path] | None = None) -> list[BehaviourCase]:
    """Read the cases that come with the package, or those of files of the same form.

    Raises:
        DataError: a file is missing, is no TOML, or holds an entry that is no case.
    """
    if paths is None:
        folder = resources.files("sentiment_lstm.behaviour") / "cases"
        files = [(f"{name}.toml", folder / f"{name}.toml") for name in _CAPABILITIES]
    else:
        files = [(str(path), Path(path)) for path in paths]
    cases: list[BehaviourCase] = []
    for name, file in files:
        try:
            values = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{name}: the cases cannot be read ({error}).") from error
        except tomllib.TOMLDecodeError as error:
            raise DataError(f"{name}: not a TOML file ({error}). Correct it there.") from error
        cases += _cases_of(name, values)
    return cases


def fingerprint(cases: Iterable[BehaviourCase]) -> str:
    """Identify cases by their content, so that pass rates of different ones are told apart.

    Returns:
        16 hex digits.
    """
    lines = [repr((one.capability, one.kind, one.label, one.texts, one.detail)) for one in cases]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _cases_of(name: str, values: Mapping[str, Any]) -> list[BehaviourCase]:
    _check_keys(name, values, _FILE_KEYS)
    for key in ("capability", "about"):
        if not isinstance(values[key], str) or not values[key].strip():
            raise DataError(f"{name}: {key} is {values[key]!r}, expected a line of text.")
    groups = values["groups"]
    if not isinstance(groups, list) or not groups:
        raise DataError(f"{name}: holds no groups of cases. Add one under [[groups]].")
    cases: list[BehaviourCase] = []
    for number, group in enumerate(groups, start=1):
        cases += _cases_of_group(f"{name}, group {number}", values, group)
    return cases


def _cases_of_group(
    where: str,
    values: Mapping[str, Any],
    group: Any,  # noqa: ANN401 - whatever the file holds
) -> list[BehaviourCase]:
    if not isinstance(group, Mapping) or "kind" not in group:
        raise DataError(f"{where}: has no kind of test. Expected kind = {_any_of(KINDS)}.")
    kind = _one_of(where, group, "kind", KINDS)
    _check_keys(where, group, _GROUP_KEYS[kind])
    label = _one_of(where, group, "label", LABELS)
    if kind == "directional":
        detail = _one_of(where, group, "relation", _RELATIONS)
    else:
        detail = str(group.get("change", ""))
    key, size = ("texts", 1) if kind == "minimum functionality" else ("pairs", 2)
    entries = group[key]
    if not isinstance(entries, list) or not entries:
        raise DataError(f"{where}: {key} is {entries!r:.60}, expected a list with entries in it.")
    cases = []
    for place, entry in enumerate(entries, start=1):
        texts: tuple[Any, ...] = (entry,)
        if size == 2 and isinstance(entry, list):
            texts = tuple(entry)
        if len(texts) != size or not all(isinstance(t, str) and not is_blank(t) for t in texts):
            expected = "a text" if size == 1 else "a list of two texts"
            raise DataError(
                f"{where}: entry {place} of {key} is {entry!r:.60}, expected {expected}. "
                "Correct it there."
            )
        cases.append(
            BehaviourCase(
                capability=values["capability"],
                about=values["about"],
                kind=kind,
                label=label,
                texts=texts,
                detail=detail,
            )
        )
    return cases


def _check_keys(where: str, values: Mapping[str, Any], expected: Sequence[str]) -> None:
    for key in values:
        if key not in expected:
            raise DataError(
                f"{where}: there is no entry {key!r}; there are {', '.join(expected)}."
                f"{nearest(key, expected)}"
            )
    missing = [key for key in expected if key not in values]
    if missing:
        raise DataError(f"{where}: lacks {', '.join(missing)}. Add it there.")


def _one_of(where: str, values: Mapping[str, Any], key: str, known: Sequence[str]) -> str:
    value = values[key]
    if value not in known:
        raise DataError(
            f"{where}: {key} is {value!r:.60}, expected {_any_of(known)}."
            f"{nearest(str(value), known)}"
        )
    return value


def _any_of(names: Sequence[str]) -> str:
    return " or ".join(repr(name) for name in names)
