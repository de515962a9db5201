from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import DatasetDict
from safetensors.torch import load_file, save_file

from sentiment_lstm.errors import ModelError
from sentiment_lstm.prediction import load
from sentiment_lstm.teachers import load_teacher, load_teachers
from sentiment_lstm.tokens import load_tokenizer
from tests.tiny_encoders import save_classifier, save_encoder

NAMES = ["negative", "positive"]
TEXTS = ["a great film", "awful<br />and dull", "word " * 200, "x"]


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_classifier(tmp_path_factory.mktemp("teachers") / "bert", ["POSITIVE", "NEGATIVE"])


def edit_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_model_of_ours_teaches_what_it_predicts(trained: Path):
    teacher = load_teacher(str(trained), label_names=["Positive", "Negative"])
    expected = load(trained).predict_proba(TEXTS)[:, ::-1]
    given = teacher.predict_proba(TEXTS)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given, expected, rtol=1e-6)


def test_a_hugging_face_classifier_teaches_in_the_students_order(bert: Path):
    teacher = load_teacher(str(bert), label_names=NAMES)
    given = teacher.predict_proba(TEXTS)
    assert given.shape == (4, 2)
    assert given.dtype == np.float32
    np.testing.assert_allclose(given.sum(1), 1, rtol=1e-5)
    turned = load_teacher(str(bert), label_names=["positive", "negative"]).predict_proba(TEXTS)
    np.testing.assert_array_equal(given, turned[:, ::-1])
    assert np.ptp(given[:, 0]) > 0.01, "the texts must be told apart"


def test_a_classifiers_own_window_goes_before_the_usual_one(tmp_path: Path):
    folder = save_classifier(tmp_path / "bert", max_position_embeddings=512)
    usual = load_teacher(str(folder), label_names=NAMES)
    edit_config(folder, window_length_tokens=40)
    shorter = load_teacher(str(folder), label_names=NAMES)
    assert np.abs(usual.predict_proba(TEXTS) - shorter.predict_proba(TEXTS))[2].max() > 1e-4
    edit_config(folder, window_limit=1)
    at_the_end = load_teacher(str(folder), label_names=NAMES)
    assert np.abs(shorter.predict_proba(TEXTS) - at_the_end.predict_proba(TEXTS))[2].max() > 1e-4
    assert len({usual.identity, shorter.identity, at_the_end.identity}) == 3


def test_an_identity_follows_weights_labels_temperature_and_tokenizer(
    tmp_path: Path, bert: Path, trained: Path
):
    def identity(folder: Path) -> str:
        return load_teacher(str(folder), label_names=NAMES).identity

    moved = save_classifier(tmp_path / "moved", ["POSITIVE", "NEGATIVE"])
    assert identity(moved) == identity(bert), "the same model in another folder"
    others = {
        identity(bert),
        identity(trained),
        identity(save_classifier(tmp_path / "weights", ["POSITIVE", "NEGATIVE"], seed=2)),
        identity(save_classifier(tmp_path / "labels", ["NEGATIVE", "POSITIVE"])),
    }
    load_tokenizer(clean_markup=False).save_pretrained(moved)
    others.add(identity(moved))
    assert len(others) == 5


def test_an_ensemble_is_the_weighted_mean_of_log_probabilities(
    bert: Path, trained: Path, sentences: DatasetDict
):
    specs = [str(bert), f"{trained}@3"]
    options = {"label_names": NAMES, "train": sentences["train"], "seed": 0}
    one, other = (
        load_teacher(str(path), **options).predict_proba(TEXTS) for path in (bert, trained)
    )
    logs = 0.25 * np.log(one) + 0.75 * np.log(other)
    expected = np.exp(logs) / np.exp(logs).sum(1, keepdims=True)
    ensemble = load_teachers(specs, **options)
    np.testing.assert_allclose(ensemble.predict_proba(TEXTS), expected, rtol=1e-4)
    assert ensemble.name == f"{bert}@0.25 + {trained}@0.75"
    assert load_teachers(specs[::-1], **options).identity == ensemble.identity
    assert load_teachers([f"{bert}@2", f"{trained}@6"], **options).identity == ensemble.identity
    assert load_teachers([str(bert), str(trained)], **options).identity != ensemble.identity


def test_a_single_teacher_is_itself_whatever_its_weight(bert: Path):
    alone = load_teachers([f"{bert}@7"], label_names=NAMES)
    assert alone.name == str(bert)
    assert alone.identity == load_teacher(str(bert), label_names=NAMES).identity


def test_a_sure_member_does_not_outvote_all_others_for_ever(bert: Path):
    sure = load_teachers(["tests.test_teachers:sure", f"{bert}@99"], label_names=NAMES)
    assert (sure.predict_proba(TEXTS)[:, 0] > 0.01).all()


def sure():
    """Gives the first class no chance at all."""
    from sklearn.dummy import DummyClassifier

    return DummyClassifier(strategy="constant", constant=1).fit(["a", "b"], [0, 1])


def test_a_folder_whose_name_holds_an_at_sign_is_a_folder(tmp_path: Path):
    folder = save_classifier(tmp_path / "bert@2")
    assert load_teachers([str(folder)], label_names=NAMES).name == str(folder)
    pair = load_teachers([str(folder), f"{folder}@3"], label_names=NAMES)
    assert pair.name == f"{folder}@0.25 + {folder}@0.75"


@pytest.mark.parametrize("weight", ["0", "-1", "nan", "inf", "much", ""])
def test_a_weight_that_is_no_positive_number_is_refused(weight: str):
    with pytest.raises(ModelError, match=r"is no weight of a teacher\. Write SPEC@WEIGHT"):
        load_teachers([f"nb-ngrams@{weight}"], label_names=NAMES)


@pytest.mark.parametrize("specs", [[], "nb-ngrams"])
def test_a_list_of_teachers_is_expected(specs):
    with pytest.raises(ModelError, match="Expected a list of teachers"):
        load_teachers(specs, label_names=NAMES)


def test_a_teacher_of_other_labels_is_refused_with_both_sets(bert: Path):
    with pytest.raises(ModelError, match=r"'POSITIVE', 'NEGATIVE', the student's 'bad', 'good'"):
        load_teacher(str(bert), label_names=["bad", "good"])


def test_a_model_of_ours_of_other_labels_is_refused(trained: Path):
    with pytest.raises(ModelError, match=r"'negative', 'positive', the student's 'bad', 'good'"):
        load_teacher(str(trained), label_names=["bad", "good"])


def test_an_encoder_without_a_head_is_refused_with_the_command_that_helps(tmp_path: Path):
    folder = save_encoder(tmp_path / "encoder")
    with pytest.raises(ModelError, match=r"classifier\.weight.*`sentiment-lstm finetune-teacher`"):
        load_teacher(str(folder), label_names=NAMES)


def test_a_classifier_of_many_labels_a_text_is_refused(tmp_path: Path):
    folder = save_classifier(tmp_path / "bert")
    edit_config(folder, problem_type="multi_label_classification")
    with pytest.raises(ModelError, match="gives every label by itself"):
        load_teacher(str(folder), label_names=NAMES)


@pytest.mark.parametrize(
    "spoil", ["no config", "no weights", "cut weights", "pickle", "no tokenizer", "bad config"]
)
def test_a_damaged_classifier_is_named(tmp_path: Path, spoil: str):
    folder = save_classifier(tmp_path / "bert")
    weights = folder / "model.safetensors"
    if spoil == "no config":
        (folder / "config.json").unlink()
    elif spoil == "bad config":
        edit_config(folder, model_type="nothing-known")
    elif spoil == "no weights":
        weights.unlink()
    elif spoil == "cut weights":
        weights.write_bytes(weights.read_bytes()[:1000])
    elif spoil == "pickle":
        torch.save(load_file(weights), folder / "pytorch_model.bin")
        weights.unlink()
    else:
        for name in ("tokenizer.json", "tokenizer_config.json"):
            (folder / name).unlink()
    with pytest.raises(ModelError, match=rf"^{folder}: "):
        load_teacher(str(folder), label_names=NAMES)


def test_weights_of_another_shape_are_named(tmp_path: Path):
    folder = save_classifier(tmp_path / "bert")
    weights = load_file(folder / "model.safetensors")
    weights["classifier.weight"] = torch.zeros(3, 16)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=rf"^{folder}: "):
        load_teacher(str(folder), label_names=NAMES)


def test_a_damaged_model_of_ours_is_named(tmp_path: Path, trained: Path):
    import shutil

    folder = shutil.copytree(trained, tmp_path / "model")
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="truncated within its header"):
        load_teacher(str(folder), label_names=NAMES)


@pytest.mark.parametrize("spec", ["nobody/no-such-model", "./no/such/folder", "nb-ngram", "a b"])
def test_a_name_of_nothing_gets_the_ways_to_name_a_teacher(spec: str):
    with pytest.raises(ModelError, match=rf"^{spec}: no Hugging Face.*one of nb-ngrams, tfidf"):
        load_teacher(spec, label_names=NAMES)


def test_an_empty_name_is_refused():
    with pytest.raises(ModelError, match="name is empty"):
        load_teachers([""], label_names=NAMES)


def test_the_current_folder_can_be_a_teacher(trained: Path, monkeypatch):
    monkeypatch.chdir(trained)
    here = load_teacher(".", label_names=NAMES)
    assert here.identity == load_teacher(str(trained), label_names=NAMES).identity


def test_a_file_is_refused(tmp_path: Path):
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(ModelError, match="is a file"):
        load_teacher(str(tmp_path / "model.bin"), label_names=NAMES)
