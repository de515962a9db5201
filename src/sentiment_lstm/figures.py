"""The look that every picture shares."""

from __future__ import annotations

from pathlib import Path

__all__ = ["plot_learning_curves"]


def plot_learning_curves(history: list[dict], path: Path) -> None:
    """Draw loss and accuracy, epoch by epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.5))
    axes = figure.subplots(1, 2)
    for axis, kind in zip(axes, ("loss", "accuracy"), strict=True):
        for split in ("train", "validation"):
            values = [record.get(f"{split}_{kind}") for record in history]
            if values[0] is not None:
                axis.plot([record["epoch"] for record in history], values, label=split)
        axis.set_title(kind)
        axis.legend()
    figure.savefig(path)
