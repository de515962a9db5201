"""An evaluation as files: metrics.json, pictures, and one self-contained page to look at."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sentiment_lstm.classifier import Explanation
from sentiment_lstm.errors import SaveError
from sentiment_lstm.figures import (
    add_headline,
    class_colours,
    figure_to_svg,
    save_figure,
)
from sentiment_lstm.files import write_file
from sentiment_lstm.metric_pictures import metric_pictures
from sentiment_lstm.metrics import Evaluation, Mistake
from sentiment_lstm.text import MARKUP_PATTERN, shorten

__all__ = ["check_folder", "report_json", "write_report"]

_METRICS, _PAGE = "metrics.json", "report.html"
_MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".svg": "image/svg+xml"}
_MAX_SHOWN_CHARACTERS = 20_000
_REASONS = 6  # words a mistake


def write_report(
    evaluation: Evaluation,
    folder: str | Path,
    *,
    title: str,
    facts: Mapping[str, str],
    pictures: Sequence[Path] = (),
    notes: Sequence[str] = (),
    explain: Callable[[str, str], Explanation] | None = None,
) -> Path:
    """Write `metrics.json`, the pictures as PNG, and `report.html`.

    The pictures are `confusion-matrix`, `roc`, `reliability` and `accuracy-coverage`. The page
    needs no other file and no network. The same evaluation gives the same bytes.

    Args:
        evaluation: what to report.
        folder: made where it is missing; other files in it stay.
        title: what was measured on what.
        facts: on the model, the data and how the model was trained, in the order shown.
        pictures: more of them, to be shown at the end.
        notes: what a reader must know before believing a figure; shown first.
        explain: gives the reasons for a label of a text; with it, each mistake shows the words that
            misled the model.

    Returns:
        The page.

    Raises:
        SaveError: a file cannot be written, or a picture cannot be read.
    """
    folder = Path(folder)
    check_folder(folder)
    more = [_picture(path) for path in pictures]
    drawn = []
    for picture in metric_pictures(evaluation):
        # Before the headline is drawn into it: in the page, it stands above as text.
        svg = figure_to_svg(picture.figure, description=picture.description)
        drawn.append({"picture": picture, "svg": svg})
        add_headline(picture.figure, picture.headline)
        save_figure(picture.figure, folder / f"{picture.name}.png")
    content = report_json(evaluation, title=title, facts=facts, notes=notes)
    write_file(folder / _METRICS, f"{content}\n".encode())
    page = _render(
        title=title,
        evaluation=evaluation,
        notes=[*notes, *_own_notes(evaluation)],
        drawn=drawn,
        colours=dict(zip(evaluation.labels, class_colours(evaluation.labels), strict=True)),
        mistakes=[_mistake(mistake, explain) for mistake in evaluation.mistakes],
        mistaken=evaluation.reviews - sum(row[i] for i, row in enumerate(evaluation.confusion)),
        facts=facts,
        pictures=more,
    )
    return write_file(folder / _PAGE, page.encode())


def report_json(
    evaluation: Evaluation,
    *,
    title: str,
    facts: Mapping[str, str],
    notes: Sequence[str] = (),
) -> str:
    """Give the content of `metrics.json`: the evaluation, and what it is one of."""
    values = {
        "title": title,
        "facts": dict(facts),
        "notes": list(notes),
        **evaluation.to_dict(),
    }
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)


def check_folder(folder: str | Path) -> None:
    """Refuse, before minutes of classifying, a place where no report can be written.

    Raises:
        SaveError: the folder, or a parent of it, is a file.
    """
    folder = Path(folder)
    for place in (folder, *folder.parents):
        if place.exists() and not place.is_dir():
            raise SaveError(
                f"{place}: is a file. Choose another folder for the report by --output."
            )


def _own_notes(evaluation: Evaluation) -> list[str]:
    notes = []
    if evaluation.skipped_empty == 1:
        notes.append("1 review has an empty text and was left out.")
    elif evaluation.skipped_empty:
        notes.append(f"{evaluation.skipped_empty:,} reviews have empty texts and were left out.")
    if evaluation.roc_auc_missing:
        notes.append(f"The ROC AUC is left out: {evaluation.roc_auc_missing}.")
    return notes


def _mistake(mistake: Mistake, explain: Callable[[str, str], Explanation] | None) -> dict[str, Any]:
    misled, warned = [], []
    if explain is not None:
        for word in explain(mistake.text, mistake.predicted).top(_REASONS):
            (misled if word.score > 0 else warned).append(word.text)
    text = re.sub(rf"(?:\s*{MARKUP_PATTERN})+\s*", "\n\n", mistake.text).strip()
    left_out = max(0, len(text) - _MAX_SHOWN_CHARACTERS)
    return {
        "mistake": mistake,
        "beginning": shorten(mistake.text, 160),
        "text": text[:_MAX_SHOWN_CHARACTERS],
        "left_out": left_out,
        "misled": misled,
        "warned": warned,
    }


def _picture(path: Path) -> dict[str, str]:
    """A picture as a data URI, named after its file."""
    try:
        content = base64.b64encode(path.read_bytes()).decode()
    except OSError as error:
        raise SaveError(
            f"{path}: cannot be read for the report ({error.strerror}). Name another picture."
        ) from error
    media_type = _MEDIA_TYPES.get(path.suffix.lower(), "image/png")
    name = re.sub(r"[-_]+", " ", path.stem).capitalize()
    return {"name": name, "uri": f"data:{media_type};base64,{content}"}


def _render(**values: Any) -> str:  # noqa: ANN401 - whatever the template shows
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("sentiment_lstm"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share, digits=2: f"{share:.{digits}%}"
    environment.filters["log"] = math.log
    return environment.get_template("report.html.jinja").render(values)
