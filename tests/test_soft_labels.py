from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sentiment_lstm import soft_labels as module
from sentiment_lstm.errors import DataError, ModelError, SaveError
from sentiment_lstm.soft_labels import soft_labels
from tests.processes import start_code

NAMES = ["negative", "positive"]
TEXTS = [f"text {number} {'x' * (number % 7)}" for number in range(25)]

# Labels slowly, in a process of its own that can be killed.
SLOW_SCRIPT = """
import sys, time
from pathlib import Path
from sentiment_lstm import soft_labels as module
from tests.test_soft_labels import NAMES, TEXTS, LengthTeacher
class Slow(LengthTeacher):
    def predict_proba(self, texts):
        time.sleep(0.2)
        return super().predict_proba(texts)
module.CHUNK_ROWS = 10
module.soft_labels(
    Slow(), TEXTS * 20, folder=Path(sys.argv[1]), label_names=NAMES,
    on_progress=lambda count: print(count, flush=True),
)
"""


@dataclass
class LengthTeacher:
    """Takes long texts for good ones, and remembers what it was asked."""

    name: str = "length"
    identity: str = "0123"
    asked: list[str] = field(default_factory=list)

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        good = np.array([len(text) for text in texts]) / 20
        return np.stack([1 - good, good], axis=1).astype(np.float32)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "CHUNK_ROWS", 10)


def label(teacher: LengthTeacher, folder: Path, texts: Sequence[str] = TEXTS, names=NAMES):
    return soft_labels(teacher, texts, folder=folder, label_names=names)


def test_every_text_gets_the_teachers_probabilities_in_order(tmp_path: Path):
    done: list[int] = []
    given = soft_labels(
        LengthTeacher(), TEXTS, folder=tmp_path / "a" / "b", label_names=NAMES,
        on_progress=done.append,
    )  # fmt: skip
    assert given.dtype == np.float32
    np.testing.assert_array_equal(given, LengthTeacher().predict_proba(TEXTS))
    assert done == [10, 10, 5]


def test_what_stands_on_disk_is_not_asked_again(tmp_path: Path):
    first, again = LengthTeacher(), LengthTeacher()
    given = label(first, tmp_path)
    np.testing.assert_array_equal(label(again, tmp_path), given)
    assert first.asked == TEXTS
    assert again.asked == []


def test_a_teacher_by_another_name_is_not_asked_again(tmp_path: Path):
    given = label(LengthTeacher(name="runs/t"), tmp_path)
    again = LengthTeacher(name="./runs/t")
    np.testing.assert_array_equal(label(again, tmp_path), given)
    assert again.asked == []


def test_a_killed_run_goes_on_where_it_was(tmp_path: Path):
    folder = tmp_path / "labels"
    running = start_code(SLOW_SCRIPT, folder, cwd=Path(__file__).parents[1])
    running.wait_until(lambda: running.read().splitlines().count("10") == 3)
    time.sleep(0.05)
    running.kill()
    whole = len(list(folder.glob("part-*")))
    assert 3 <= whole < 50
    teacher = LengthTeacher()
    given = label(teacher, folder, TEXTS * 20)
    assert teacher.asked == (TEXTS * 20)[10 * whole :]
    np.testing.assert_array_equal(given, LengthTeacher().predict_proba(TEXTS * 20))


@pytest.mark.parametrize("damage", ["cut", "bit", "empty", "missing"])
def test_a_damaged_part_is_computed_again(tmp_path: Path, damage: str):
    given = label(LengthTeacher(), tmp_path)
    path = tmp_path / "part-00001.safetensors"
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    elif damage == "bit":
        content[-3] ^= 1
        path.write_bytes(content)
    else:
        path.write_bytes(content[: len(content) // 2 if damage == "cut" else 0])
    teacher = LengthTeacher()
    np.testing.assert_array_equal(label(teacher, tmp_path), given)
    assert teacher.asked == TEXTS[10:20]


def test_a_part_under_the_name_of_another_is_computed_again(tmp_path: Path):
    given = label(LengthTeacher(), tmp_path)
    (tmp_path / "part-00001.safetensors").write_bytes(
        (tmp_path / "part-00000.safetensors").read_bytes()
    )
    np.testing.assert_array_equal(label(LengthTeacher(), tmp_path), given)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"texts": TEXTS[:-1]}, r"25 texts .* label now are 24"),
        ({"texts": [*TEXTS[:-1], "other"]}, "fingerprint"),
        ({"teacher": LengthTeacher("second", "4567")}, r"'length' \(0123\).*'second' \(4567\)"),
        ({"names": ["positive", "negative"]}, r"\['negative', 'positive'\], and now \['positive'"),
    ],
)
def test_a_cache_of_something_else_is_refused_by_name(tmp_path: Path, change: dict, named: str):
    label(LengthTeacher(), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(DataError, match=rf"{named}.*Delete that folder, or .*by --soft-labels\.$"):
        label(**{"teacher": LengthTeacher(), "folder": tmp_path, **change})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(DataError, match="holds files that are no soft labels"):
        label(LengthTeacher(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_parts_without_a_manifest_are_not_trusted(tmp_path: Path):
    label(LengthTeacher("other", "9"), tmp_path)
    (tmp_path / "manifest.json").unlink()
    teacher = LengthTeacher()
    label(teacher, tmp_path)
    assert teacher.asked == TEXTS


@pytest.mark.parametrize("content", ["{", "[]"])
def test_a_damaged_manifest_is_named_with_the_remedy(tmp_path: Path, content: str):
    label(LengthTeacher(), tmp_path)
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(DataError, match=r"manifest\.json: cannot be read.*Delete that folder"):
        label(LengthTeacher(), tmp_path)


def test_the_manifest_tells_whose_labels_they_are(tmp_path: Path):
    label(LengthTeacher(), tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["rows"] == 25
    assert (manifest["teacher"], manifest["identity"]) == ("length", "0123")
    assert manifest["label_names"] == NAMES


@pytest.mark.parametrize("spoil", [np.nan, -0.5, 3.0])
def test_what_is_no_probability_is_refused_with_its_row(tmp_path: Path, spoil: float):
    class Broken(LengthTeacher):
        def predict_proba(self, texts):
            given = super().predict_proba(texts)
            given[[text == TEXTS[13] for text in texts], 1] = spoil
            return given

    with pytest.raises(ModelError, match=r"1 of 10 texts is no probability.*row 13"):
        label(Broken(), tmp_path)
    assert len(list(tmp_path.glob("part-*"))) == 1


def test_a_teacher_of_another_number_of_classes_is_refused(tmp_path: Path):
    with pytest.raises(ModelError, match=r"shape \(10, 2\) for 10 texts and 3 labels"):
        label(LengthTeacher(), tmp_path, names=["a", "b", "c"])


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("")
    told = r"^\S+/labels: the soft labels could not be written \(Not a directory\)\. Free"
    with pytest.raises(SaveError, match=told):
        label(LengthTeacher(), tmp_path / "file" / "labels")


def test_no_text_makes_no_part(tmp_path: Path):
    assert label(LengthTeacher(), tmp_path, []).shape == (0, 2)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]
