from pathlib import Path

import pytest

from sentiment_lstm.errors import ModelError
from sentiment_lstm.teacher_specs import read_spec, split_weight


@pytest.mark.parametrize(
    ("written", "kind", "name", "window_tokens", "weight"),
    [
        ("runs/model", "", "runs/model", None, ""),
        ("runs/model@2", "", "runs/model", None, "@2"),
        ("my_package.teachers:pipeline@0.50", "", "my_package.teachers:pipeline", None, "@0.50"),
        ("self", "self", "", None, ""),
        ("self@3", "self", "", None, "@3"),
        ("finetune:embedded", "finetune", "embedded", None, ""),
        ("finetune-128:an/encoder@2", "finetune", "an/encoder", 128, "@2"),
        ("distil-64:embedded", "distil", "embedded", 64, ""),
        ("finetune-long:embedded", "", "finetune-long:embedded", None, ""),
        ("runs/finetune:embedded", "", "runs/finetune:embedded", None, ""),
    ],
)
def test_a_spec_is_taken_apart(
    written: str, kind: str, name: str, window_tokens: int | None, weight: str
):
    spec = read_spec(written)
    assert (spec.kind, spec.name, spec.window_tokens) == (kind, name, window_tokens)
    assert spec.weight == weight


def test_an_at_sign_in_a_path_that_is_there_is_no_weight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    assert read_spec("finetune:a@3").weight == "@3"
    Path("a@3").mkdir()
    spec = read_spec("finetune:a@3@2")
    assert (spec.name, spec.weight) == ("a@3", "@2")
    assert read_spec("finetune-40:a@3").name == "a@3"


@pytest.mark.parametrize("text", ["", "0", "-1", "inf", "nan", "two"])
def test_a_weight_that_is_no_number_above_0_is_refused(text: str):
    with pytest.raises(ModelError, match="is no weight of a teacher"):
        split_weight(f"runs/model@{text}")
    with pytest.raises(ModelError, match="is no weight of a teacher"):
        read_spec(f"finetune-64:embedded@{text}")


def test_specs_are_equal_whatever_they_weigh():
    one = read_spec("finetune:embedded")
    assert one == read_spec("finetune:embedded@2")
    for other in ("finetune-64:embedded", "distil:embedded", "finetune:another", "embedded"):
        assert one != read_spec(other)
