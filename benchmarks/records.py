"""The file of what `accuracy.py` measured: one record a row and seed, each with its conditions.

A record says on which machine, with how many threads, with which versions and at which commit it
was measured. Records of one place (all of these but the commit and this package's own version) may
be averaged; those of different places stand side by side, marked.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from common import counted, differences, machine_line, read_json
from sentiment_lstm.errors import DataError

__all__ = ["FIGURES", "places", "plain", "read_records", "same_machine", "where"]

# What a record of today holds beside accuracy and times; None where it could not be measured.
FIGURES = ("sentences", "behaviour", "expected_calibration_error", "coverage")
_OWN_PACKAGE = "sentiment-lstm"


def read_records(path: Path, reviews: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """Read the records, or None where there are none yet.

    Args:
        path: accuracy.json.
        reviews: `reviews` and `data` (sizes and fingerprints) of the splits that are about to be
            measured, if any.

    Raises:
        DataError: the file holds something else, or records of other reviews.
    """
    content = read_json(path)
    if content is None:
        return None
    runs = content.get("runs")
    if not isinstance(runs, list) or not all(isinstance(run, dict) for run in runs):
        raise DataError(f"{path}: holds no results of a benchmark. Delete it, and measure again.")
    if reviews is not None:
        changed = differences({key: content.get(key) for key in reviews}, reviews)
        if changed and runs:
            raise DataError(
                f"{path}: holds {counted(len(runs), 'record')} of other reviews "
                f"({'; '.join(changed)}). Name another folder by --results, or delete it."
            )
    # Before records carried their conditions, the file had them once for all.
    shared = {key: content.pop(key) for key in ("machine", "threads", "versions") if key in content}
    for run in runs:
        run.setdefault("conditions", {**shared, "commit": None})
    return content


def same_machine(run: Mapping[str, Any], conditions: Mapping[str, Any]) -> bool:
    """Tell whether a record's times may stand for a measurement under these conditions."""
    ours = run["conditions"]
    return all(ours.get(key) == conditions.get(key) for key in ("machine", "threads"))


def places(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """List the different places of the records, that of the most of them first.

    Returns:
        Keys that :func:`where` gives of single records.
    """
    keys = [where(run) for run in runs]
    counts = Counter(keys)
    # Of equally many, the one measured last.
    return sorted(counts, key=lambda key: (counts[key], keys[::-1].index(key) * -1), reverse=True)


def where(run: Mapping[str, Any]) -> str:
    """Say in a line on which machine and with which versions a record was measured."""
    conditions = run["conditions"]
    versions = dict(conditions["versions"])
    versions.pop(_OWN_PACKAGE, None)
    listed = ", ".join(f"{name} {version}" for name, version in versions.items())
    return f"{machine_line(conditions['machine'], conditions['threads'])}; {listed}"


def plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Give settings as JSON reads them back."""
    return json.loads(json.dumps(settings))
