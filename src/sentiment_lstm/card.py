"""The model card: what a model is, how it was trained, what was measured; in the hub's form."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any

__all__ = ["model_card"]

_TASK = "text-classification"


def model_card(
    *,
    name: str,
    labels: Sequence[str],
    metrics: Mapping[str, Mapping[str, Any]],
    training: Mapping[str, Any],
    calibration: Mapping[str, Any] | None,
    bundled: bool = False,
) -> str:
    """Write the card in the hub's form: YAML metadata, then Markdown.

    Args:
        name: of the model, as the examples load it.
        labels: the label names.
        metrics: what was measured, by split.
        training: the content of training.json.
        calibration: the content of calibration.json, if the model was calibrated.
        bundled: whether it is the model of this package: loaded without a name, and without the
            weights for PyTorch and the picture of its training.

    Source: https://huggingface.co/docs/hub/model-cards
    """
    from huggingface_hub import EvalResult, ModelCardData
    from jinja2 import Environment, StrictUndefined

    source = str(training["data"]["source"]) or "reviews"
    results = [
        EvalResult(
            task_type=_TASK,
            dataset_type=source,
            dataset_name=source,
            dataset_split=split,
            metric_type="accuracy",
            metric_value=round(values["accuracy"], 4),
        )
        for split, values in metrics.items()
        if values.get("accuracy") is not None
    ]
    data = ModelCardData(
        library_name="sentiment-lstm" if bundled else "transformers",
        pipeline_tag=_TASK,
        tags=["sentiment-lstm", "sentiment-analysis", "lstm"],
        model_name=name,
        eval_results=results or None,
    )
    template = (resources.files("sentiment_lstm") / "templates" / "card.md.jinja").read_text(
        "utf-8"
    )
    # As written with the model: a setting added since then is none that it was trained with.
    settings = {key: training["recipe"][key] for key in ("tokens", "model", "training")}
    # Markdown, not HTML: escaping would put entities into the card.
    environment = Environment(trim_blocks=False, undefined=StrictUndefined, autoescape=False)
    return (
        environment.from_string(template).render(
            card_data=data.to_yaml().strip(),
            name=name,
            labels=labels,
            metrics={split: _with_gaps(values) for split, values in metrics.items()},
            training=training,
            test=metrics.get("test"),
            calibration=calibration,
            bundled=bundled,
            thresholds=_reached(calibration or {}),
            settings=json.dumps(settings, indent=2),
            percent=_percent,
            number=_number,
            interval=_interval,
        )
        + "\n"
    )


def _with_gaps(values: Mapping[str, Any]) -> dict[str, Any]:
    # Validation and test are measured by different means; what one lacks is shown as a dash.
    columns = ("reviews", "accuracy", "accuracy_interval", "loss", "log_loss")
    return {**dict.fromkeys((*columns, "expected_calibration_error")), **values}


def _reached(calibration: Mapping[str, Any]) -> list[str]:
    """The target accuracies that the folder keeps a threshold for, as `--abstain` takes them."""
    kept = calibration.get("thresholds", {})
    return [f"{100 * float(goal):g}%" for goal, threshold in kept.items() if threshold is not None]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f} %"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _interval(values: Mapping[str, Any]) -> str:
    interval = values["accuracy_interval"]
    return "–" if interval is None else f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f} %"
