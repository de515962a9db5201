from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sentiment_lstm

PACKAGE = Path(sentiment_lstm.__file__).parent
LIGHT = [
    "sentiment_lstm",
    "sentiment_lstm.abstention",
    "sentiment_lstm.artefact",
    "sentiment_lstm.behaviour",
    "sentiment_lstm.calibration",
    "sentiment_lstm.card",
    "sentiment_lstm.classifier",
    "sentiment_lstm.cli",
    "sentiment_lstm.encoder_settings",
    "sentiment_lstm.errors",
    "sentiment_lstm.explain.faithfulness",
    "sentiment_lstm.explain.occlusion",
    "sentiment_lstm.figures",
    "sentiment_lstm.files",
    "sentiment_lstm.hub",
    "sentiment_lstm.ordinal",
    "sentiment_lstm.metric_pictures",
    "sentiment_lstm.metrics",
    "sentiment_lstm.ranges",
    "sentiment_lstm.recipes",
    "sentiment_lstm.reliability",
    "sentiment_lstm.report",
    "sentiment_lstm.runs",
    "sentiment_lstm.runtime",
    "sentiment_lstm.serving.app",
    "sentiment_lstm.serving.settings",
    "sentiment_lstm.serving.static",
    "sentiment_lstm.soft_labels",
    "sentiment_lstm.teacher_labels",
    "sentiment_lstm.teacher_specs",
    "sentiment_lstm.text",
    "sentiment_lstm.token_budget",
    "sentiment_lstm.torchrun",
    "sentiment_lstm.transformers_js",
    "sentiment_lstm.tuning.pictures",
    "sentiment_lstm.tuning.space",
    "sentiment_lstm.tuning.study",
]


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_load_no_training_library(module: str):
    heavy = "{'torch', 'transformers', 'datasets', 'sklearn'}"
    code = f"import sys, {module}; print(*sorted({heavy} & sys.modules.keys()))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert loaded.stdout.split() == []


def test_every_public_name_is_there_and_no_other_is():
    for name in sentiment_lstm.__all__:
        assert getattr(sentiment_lstm, name).__name__ == name
    assert set(sentiment_lstm.__all__) <= set(dir(sentiment_lstm))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = sentiment_lstm.nothing


def test_type_checkers_see_the_same_public_names_as_the_interpreter():
    tree = ast.parse((PACKAGE / "__init__.py").read_text())
    guarded = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {
        alias.name: node.module
        for node in guarded.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    homes = {name: f"sentiment_lstm.{home}" for name, home in sentiment_lstm._HOMES.items()}
    assert imported == homes
    assert sorted(homes) == sentiment_lstm.__all__


def test_the_model_files_import_nothing_of_the_package_but_each_other():
    for path in (PACKAGE / "model").glob("*.py"):
        if path.name == "__init__.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("sentiment_lstm"), path.name
                assert node.level <= 1, path.name
