from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import sentiment_lstm
from sentiment_lstm import prediction, runtime
from sentiment_lstm.errors import ModelError, TextError
from sentiment_lstm.runtime import OnnxClassifier
from sentiment_lstm.telemetry import SWITCH
from tests import contracts

# What the two ways of tokenizing could take differently.
TEXTS = [
    *contracts.TEXTS,
    "Bell\x07 and tab\tand delete\x7f, vertical\x0btab",
    "It ends with [SEP] and [sep]; <BR>Überraschend gut, café!",
    "x" * 150 + " supercalifragilistic",
]


@pytest.fixture(scope="module")
def classifier(exported: Path) -> OnnxClassifier:
    return runtime.load(exported)


@pytest.fixture
def copied(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "model"))


def test_it_says_what_pytorch_says(classifier: OnnxClassifier, exported: Path):
    ours, theirs = classifier.predict(TEXTS), prediction.load(exported).predict(TEXTS)
    for one, other in zip(ours, theirs, strict=True):
        assert one.confidence == pytest.approx(other.confidence, abs=1e-5)
        assert (one.label, one.length_tokens) == (other.label, other.length_tokens)


def test_words_kept_in_mind_give_the_same_tokens(classifier: OnnxClassifier):
    assert classifier._word_pieces is not None
    random = np.random.default_rng(0)
    alphabet = [chr(code) for code in range(128)] + ["<br />", "[SEP]", "[sep]", "don't", " the "]
    texts = ["".join(random.choice(alphabet, size=60)) for _ in range(500)]
    for text in [*TEXTS, *texts]:
        assert classifier._encode(text) == classifier._tokenizer.encode(text).ids, repr(text)


def test_many_texts_keep_their_order_whatever_the_threads(exported: Path):
    texts = [f"{'very ' * (place % 37)}good film number {place}" for place in range(700)]
    one = runtime.load(exported, threads=1).predict_proba(texts)
    done: list[int] = []
    many = runtime.load(exported, threads=3).predict_proba(texts, on_progress=done.append)
    alone = runtime.load(exported, threads=2, batch_tokens=1).predict_proba(texts)
    np.testing.assert_allclose(many, one, atol=1e-6)
    np.testing.assert_allclose(alone, one, atol=1e-6)
    assert sum(done) == len(texts)


def test_no_text_gives_no_prediction(classifier: OnnxClassifier):
    assert classifier.predict([]) == []
    assert classifier.predict_proba([]).shape == (0, 2)


@pytest.mark.parametrize("threads", [1, 2])
def test_texts_that_fill_the_memory_are_read_some_at_a_time(
    exported: Path, threads: int, monkeypatch: pytest.MonkeyPatch
):
    texts = [f"{'very ' * (place % 7)}good film number {place}" for place in range(50)]
    texts[20] = "a long one " * 30
    loaded = runtime.load(exported, threads=threads, batch_tokens=1)
    whole = loaded.predict(texts)
    monkeypatch.setattr(runtime, "_WINDOW_CHARACTERS", 100)
    windows = loaded._windows(texts)
    assert [place for window in windows for place in window] == list(range(50))
    sizes = [sum(len(texts[place]) for place in window) for window in windows]
    assert all(size <= 100 or len(window) == 1 for size, window in zip(sizes, windows, strict=True))
    assert 5 < len(windows) < 50
    assert loaded.predict(texts) == whole


def test_the_public_name_takes_the_onnx_file_where_there_is_one(exported: Path, trained: Path):
    assert isinstance(sentiment_lstm.load(exported), OnnxClassifier)
    assert isinstance(sentiment_lstm.load(trained), sentiment_lstm.Classifier)


def test_a_prediction_loads_no_training_library(exported: Path):
    code = (
        "import sys, sentiment_lstm;"
        f"sentiment_lstm.load({str(exported)!r}).explain(['fine']);"
        "print(*sorted({'torch', 'transformers', 'datasets', 'sklearn', 'scipy', 'onnx'}"
        " & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize(("wish", "reports"), [(None, False), ("0", True)])
def test_onnx_runtime_reports_to_nobody_unless_it_is_asked_to(
    exported: Path, tmp_path: Path, wish: str | None, reports: bool
):
    code = f"import sentiment_lstm; sentiment_lstm.load({str(exported)!r}).predict(['fine'])"
    # Under CI it never reports; the identifier that it reports with stands in the user's cache.
    kept = {name: os.environ[name] for name in os.environ if name not in ("CI", SWITCH)}
    wished = {} if wish is None else {SWITCH: wish}
    homes = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-c", code], env=kept | wished | homes, check=True)
    assert any(path.name == "deviceid" for path in tmp_path.rglob("*")) == reports


def test_a_word_keeps_the_accent_on_its_last_letter(classifier: OnnxClassifier):
    (explanation,) = classifier.explain(["un e\u0301te\u0301 fini"])
    assert [word.text for word in explanation.words] == ["un", "e\u0301te\u0301", "fini"]


def test_contributions_sum_to_the_logit_and_point_into_the_text(
    classifier: OnnxClassifier, exported: Path
):
    torch_ones = prediction.load(exported).explain(TEXTS, label="positive")
    bases = []
    for text, mine, theirs in zip(
        TEXTS, classifier.explain(TEXTS, label="positive"), torch_ones, strict=True
    ):
        logits = classifier.logits([text])[0]
        assert mine.method == "contributions"
        assert mine.logit == pytest.approx(logits[1] - logits[0], abs=1e-5)
        assert mine.base + sum(word.score for word in mine.words) == pytest.approx(
            mine.logit, abs=1e-4
        )
        assert [text[word.start : word.end] for word in mine.words] == [
            word.text for word in mine.words
        ]
        if text != TEXTS[5]:  # a text that repeats itself has ties, which either may win
            assert [word.score for word in mine.words] == pytest.approx(
                [word.score for word in theirs.words], abs=1e-5
            )
        scored = classifier._score_tokens(text)
        bases.append(scored.logits - scored.scores.sum(0))
    # What is left beside the tokens is a property of the model, the same for every text.
    np.testing.assert_allclose(bases, np.tile(bases[0], (len(bases), 1)), atol=1e-4)


def test_the_reasons_of_both_labels_are_opposite(classifier: OnnxClassifier):
    (one,), (other,) = (
        classifier.explain(["A dull film."], label=name) for name in classifier.labels
    )
    assert [word.score for word in one.words] == pytest.approx(
        [-word.score for word in other.words]
    )
    assert [word.text for word in one.words] == ["A", "dull", "film", "."]
    assert one.top(1)[0].score == max((word.score for word in one.words), key=abs)


def test_occlusion_names_itself(classifier: OnnxClassifier):
    (explanation,) = classifier.explain(["A dull film."], method="occlusion")
    assert explanation.method == "occlusion"
    assert [word.text for word in explanation.words] == ["A", "dull", "film", "."]
    with pytest.raises(TextError, match="no method 'guess'"):
        classifier.explain(["fine"], method="guess")
    with pytest.raises(TextError, match="no label 'neutral'"):
        classifier.explain(["fine"], label="neutral")


def test_ten_megabytes_are_refused_in_one_sentence(classifier: OnnxClassifier):
    with pytest.raises(TextError, match="Text 2 has 10,000,000 characters, more than"):
        classifier.predict(["fine", "x" * 10_000_000])


@pytest.mark.parametrize("text", ["", " \n<br />", None, "half \ud83d of a pair"], ids=repr)
def test_what_is_no_text_is_refused(classifier: OnnxClassifier, text: str | None):
    with pytest.raises(TextError, match="Text 1"):
        classifier.predict([text])  # type: ignore[list-item]


def test_a_truncated_onnx_file_is_named(copied: Path):
    os.truncate(copied / "onnx" / "model.onnx", 5000)
    with pytest.raises(ModelError, match=r"model\.onnx: not a readable ONNX file"):
        runtime.load(copied)


def test_the_onnx_file_of_another_model_is_refused(copied: Path):
    config = json.loads((copied / "config.json").read_text())
    config["weights_sha256"] = "0" * 64
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="exported from another model"):
        runtime.load(copied)


def test_a_tokenizer_that_does_not_belong_is_refused(copied: Path):
    tokenizer = json.loads((copied / "tokenizer.json").read_text())
    tokenizer["normalizer"]["normalizers"][1]["lowercase"] = False
    (copied / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(ModelError, match=r"tokenizer\.json is not the one"):
        runtime.load(copied)


def test_a_folder_that_was_not_exported_says_what_to_do(trained: Path):
    with pytest.raises(ModelError, match="sentiment-lstm export"):
        runtime.load(trained)


def test_the_weights_are_not_needed(copied: Path):
    (copied / "model.safetensors").unlink()
    assert sentiment_lstm.load(copied).predict(["fine"])


def test_a_folder_without_onnx_asks_for_pytorch_where_there_is_none(trained: Path):
    code = (
        "import sys; sys.modules['torch'] = None; import importlib.util as u; find = u.find_spec;"
        "u.find_spec = lambda name, *a: None if name == 'torch' else find(name, *a);"
        f"import sentiment_lstm; sentiment_lstm.load({str(trained)!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "holds no ONNX file, and PyTorch is not installed" in done.stderr


def test_a_session_does_not_travel_by_pickle(classifier: OnnxClassifier):
    with pytest.raises(TypeError, match="Load the folder again"):
        pickle.dumps(classifier)


@pytest.mark.parametrize(
    ("file", "key", "value", "told"),
    [
        ("config.json", "id2label", {"1": "negative", "2": "positive"}, "id2label is"),
        ("config.json", "id2label", ["negative", "positive"], "id2label is"),
        ("config.json", "id2label", None, "id2label is"),
        ("tokenizer_config.json", "model_max_length", None, "model_max_length is None"),
    ],
)
def test_a_setting_of_the_wrong_shape_is_named(
    copied: Path, file: str, key: str, value: object, told: str
):
    settings = json.loads((copied / file).read_text())
    (copied / file).write_text(json.dumps({**settings, key: value}))
    with pytest.raises(ModelError, match=f"{re.escape(file)}: {told}"):
        runtime.load(copied)


def test_labels_of_no_name_are_those_of_transformers(copied: Path):
    config = json.loads((copied / "config.json").read_text())
    del config["id2label"]
    (copied / "config.json").write_text(json.dumps(config))
    assert runtime.load(copied).labels == prediction.load(copied).labels == ["LABEL_0", "LABEL_1"]
