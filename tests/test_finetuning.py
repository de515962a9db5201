from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaModel

from sentiment_lstm import runs
from sentiment_lstm.data import split_reviews
from sentiment_lstm.errors import DataError, ModelError, RecipeError, SaveError
from sentiment_lstm.finetuning import FinetuningSettings, TeacherEpoch, finetune_teacher
from sentiment_lstm.quiet import quiet_libraries
from sentiment_lstm.teachers import load_teacher
from tests.conftest import ROOT
from tests.contracts import assert_same_weights
from tests.processes import start_code
from tests.test_cli import assert_user_error, run
from tests.tiny_encoders import save_classifier, save_encoder

# Fine-tunes as the tests do, in a process of its own that can be killed.
SCRIPT = """
import sys
from pathlib import Path
from tests.test_finetuning import finetune_slowly
finetune_slowly(Path(sys.argv[1]), "killed")
"""
SETTINGS = FinetuningSettings(
    epochs=3,
    batch_size=8,
    learning_rate=5e-3,
    max_length_tokens=48,
    window_limit=2,
    hidden_dropout=0.1,
)


def film_reviews(count: int, seed: int = 0) -> Dataset:
    """Made-up reviews of 20 to 120 words, a few of which tell the label."""
    random = np.random.default_rng(seed)
    words = "the film has a plot and some actors who walk along streets of one city".split()
    opinions = (["awful", "dull", "boring"], ["great", "lovely", "superb"])
    texts, labels = [], []
    for row in range(count):
        label = row % 2
        filler = random.choice(words, size=random.integers(20, 120))
        told = random.choice(opinions[label], size=len(filler))
        text = np.where(random.random(len(filler)) < 0.3, told, filler)
        texts.append(f"review {row} <br />" + " ".join(text))
        labels.append(label)
    features = Features({"text": Value("string"), "label": ClassLabel(names=["bad", "good"])})
    return Dataset.from_dict({"text": texts, "label": labels}, features=features)


def finetune_slowly(folder: Path, name: str, **options):
    """Long enough to be killed in the middle of an epoch."""
    return finetune_teacher(
        DatasetDict(train=film_reviews(160)),
        folder / "encoder",
        folder / name,
        settings=SETTINGS,
        seed=3,
        checkpoint_steps=4,
        **options,
    )


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("pretrained") / "encoder")


@pytest.fixture(scope="module")
def finetuned(encoder: Path, tmp_path_factory: pytest.TempPathFactory):
    """A teacher that really learnt, its epochs as they were reported, and its reviews."""
    output = tmp_path_factory.mktemp("finetuned") / "teacher"
    reviews = DatasetDict(train=film_reviews(200))
    reported: list[TeacherEpoch] = []
    result = finetune_teacher(
        reviews, encoder, output, settings=SETTINGS, source="made up", on_epoch=reported.append
    )
    return result, reported, reviews


def test_a_tiny_encoder_learns_what_the_reviews_tell(finetuned):
    result, reported, _ = finetuned
    assert [record.epoch for record in reported] == [1, 2, 3]
    assert result.history == reported
    assert reported[-1].train_loss < reported[0].train_loss
    assert result.validation_accuracy == reported[-1].validation_accuracy
    assert result.validation_accuracy > 0.8
    assert result.reviews == {"train": 180, "validation": 20}
    assert result.seconds > 0
    assert not result.resumed


def test_what_other_teachers_say_of_unlabelled_texts_is_learnt(encoder: Path, tmp_path: Path):
    few, many = film_reviews(20), film_reviews(200, seed=1)
    truth = np.array(many["label"])
    said = np.where(truth[:, None] == [0, 1], 0.85, 0.15).astype(np.float32)

    def accuracy_and_confidence(name: str, **taught: object) -> tuple[float, float]:
        result = finetune_teacher(
            DatasetDict(train=few), encoder, tmp_path / name, settings=SETTINGS, **taught
        )
        teacher = load_teacher(str(result.output), label_names=["bad", "good"])
        fresh = film_reviews(100, seed=2)
        given = teacher.predict_proba(list(fresh["text"]))
        return (given.argmax(1) == fresh["label"]).mean(), given.max(1).mean()

    alone, _ = accuracy_and_confidence("alone")
    taught, confidence = accuracy_and_confidence(
        "taught", unlabelled=list(many["text"]), soft_labels=said
    )
    assert taught > max(alone, 0.8)
    assert confidence == pytest.approx(0.85, abs=0.07)  # as sure as those who taught it
    data = json.loads((tmp_path / "taught" / "training.json").read_text())["data"]
    assert data["unlabelled"] is not None


def test_a_teacher_reads_reviews_as_its_validation_did(finetuned):
    result, _, reviews = finetuned
    _, validation = split_reviews(reviews["train"], test_size=0.1, seed=0)
    teacher = load_teacher(str(result.output), label_names=["Bad", "Good"])
    given = teacher.predict_proba(list(validation["text"]))
    labels = np.array(validation["label"])
    assert (given.argmax(1) == labels).mean() == result.validation_accuracy
    loss = -np.log(given[np.arange(len(labels)), labels]).mean()
    # bfloat16 where it is fast: the batches of three digits differ.
    assert loss == pytest.approx(result.history[-1].validation_loss, abs=0.01)


def test_a_teacher_has_the_hubs_layout_and_tells_how_it_was_made(finetuned):
    result, _, _ = finetuned
    assert {path.name for path in result.output.iterdir()} == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "training.json",
    }  # fmt: skip
    config = json.loads((result.output / "config.json").read_text())
    assert config["id2label"] == {"0": "bad", "1": "good"}
    assert config["window_length_tokens"] == result.window_tokens == 48
    assert config["window_limit"] == SETTINGS.window_limit
    assert config["attention_probs_dropout_prob"] == 0
    training = json.loads((result.output / "training.json").read_text())
    assert training["data"]["source"] == "made up"
    assert training["validation_accuracy"] == result.validation_accuracy
    assert [record["epoch"] for record in training["history"]] == [1, 2, 3]
    assert not result.output.with_name("teacher.training").exists()


def test_the_line_break_rule_is_saved_with_the_teacher(finetuned):
    from sentiment_lstm.tokens import saved_tokenizer

    tokenizer = saved_tokenizer(finetuned[0].output)
    assert tokenizer.tokenize("a<br />b") == ["a", "b"]


def test_a_killed_and_resumed_training_ends_with_the_weights_of_an_undisturbed_one(tmp_path: Path):
    save_encoder(tmp_path / "encoder")
    running = start_code(SCRIPT, tmp_path, cwd=ROOT)
    work = tmp_path / "killed.training"
    checkpoint = running.wait_until(lambda: runs.newest_checkpoint(work))
    running.kill()
    assert checkpoint.name == "checkpoint-4", "in the middle of the first epoch of 18 batches"
    assert not (tmp_path / "killed").exists()
    with pytest.raises(SaveError, match="holds an unfinished training"):
        finetune_slowly(tmp_path, "killed")
    with pytest.raises(RecipeError, match="seed was 3, is 4"):
        finetune_teacher(
            DatasetDict(train=film_reviews(160)), tmp_path / "encoder", tmp_path / "killed",
            settings=SETTINGS, seed=4, resume=True,
        )  # fmt: skip

    resumed = finetune_slowly(tmp_path, "killed", resume=True)
    undisturbed = finetune_slowly(tmp_path, "undisturbed")
    assert resumed.resumed
    ours = load_file(tmp_path / "killed" / "model.safetensors")
    theirs = load_file(tmp_path / "undisturbed" / "model.safetensors")
    assert_same_weights(ours, theirs)
    assert resumed.history == undisturbed.history, "the losses of before the kill count as well"
    assert not work.exists()


def test_another_seed_gives_other_weights_but_the_same_validation_split(
    tmp_path: Path, encoder: Path, finetuned
):
    result, _, reviews = finetuned
    finetune_teacher(reviews, encoder, tmp_path / "other", settings=SETTINGS, seed=1)
    ours, theirs = (
        load_file(folder / "model.safetensors") for folder in (result.output, tmp_path / "other")
    )
    assert not torch.equal(ours["classifier.weight"], theirs["classifier.weight"])
    splits = [
        json.loads((folder / "training.json").read_text())["data"]["validation"]
        for folder in (result.output, tmp_path / "other")
    ]
    assert splits[0] == splits[1]


def one_epoch(**settings) -> FinetuningSettings:
    return FinetuningSettings(**{"epochs": 1, "batch_size": 8, "max_length_tokens": 48, **settings})


def test_training_on_all_reviews_needs_no_validation(tmp_path: Path, encoder: Path):
    reported: list[TeacherEpoch] = []
    result = finetune_teacher(
        DatasetDict(train=film_reviews(20)), encoder, tmp_path / "teacher",
        settings=one_epoch(validation_size=0.0), on_epoch=reported.append,
    )  # fmt: skip
    assert result.validation_accuracy is None
    assert result.reviews == {"train": 20, "validation": 0}
    assert [record.epoch for record in reported] == [1]


def test_a_validation_split_of_the_source_is_used_and_blank_reviews_are_left_out(
    tmp_path: Path, encoder: Path, caplog
):
    reviews = DatasetDict(train=film_reviews(20), validation=film_reviews(6, seed=9))
    reviews["train"] = reviews["train"].map(
        lambda row, at: {"text": "<br />" if at < 3 else row["text"]}, with_indices=True
    )
    result = finetune_teacher(reviews, encoder, tmp_path / "teacher", settings=one_epoch())
    assert result.reviews == {"train": 17, "validation": 6}
    assert "3 of 20 training texts are empty" in caplog.text


def test_a_classifier_for_other_labels_gets_a_new_head(tmp_path: Path):
    folder = save_classifier(tmp_path / "emotions", ["joy", "rage", "fear"])
    finetune_teacher(
        DatasetDict(train=film_reviews(20)), folder, tmp_path / "teacher", settings=one_epoch()
    )
    assert load_teacher(str(tmp_path / "teacher"), label_names=["bad", "good"])


def test_an_encoder_of_another_architecture_keeps_its_tokens_and_gets_the_line_break_rule(
    tmp_path: Path,
):
    words = ["<s>", "<pad>", "</s>", "<unk>", *"awful dull boring great lovely superb film".split()]
    vocabulary = {word: number for number, word in enumerate(words)}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", bos_token="<s>",
        eos_token="</s>", cls_token="<s>", sep_token="</s>",
    ).save_pretrained(tmp_path / "roberta")  # fmt: skip
    config = RobertaConfig(
        vocab_size=len(words), hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, max_position_embeddings=60, pad_token_id=1,
    )  # fmt: skip
    with quiet_libraries():
        RobertaModel(config).save_pretrained(tmp_path / "roberta")
    finetune_teacher(
        DatasetDict(train=film_reviews(20)), tmp_path / "roberta", tmp_path / "teacher",
        settings=one_epoch(),
    )  # fmt: skip
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "teacher")
    assert tokenizer("great<br />film")["input_ids"] == [0, 7, 10, 2]
    teacher = load_teacher(str(tmp_path / "teacher"), label_names=["bad", "good"])
    assert teacher.predict_proba(["great film", "film " * 500]).shape == (2, 2)


@pytest.fixture
def _no_hub(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.mark.usefixtures("_no_hub")
@pytest.mark.parametrize("spoil", ["missing", "empty", "other weights", "no vocabulary", "cut"])
def test_an_encoder_that_cannot_be_loaded_is_named_before_any_training(tmp_path: Path, spoil: str):
    folder = tmp_path / "encoder"
    if spoil == "empty":
        folder.mkdir()
    elif spoil != "missing":
        save_encoder(folder)
    if spoil == "other weights":
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "num_hidden_layers": 2}))
    elif spoil == "no vocabulary":
        (folder / "tokenizer.json").unlink()
    elif spoil == "cut":
        path = folder / "model.safetensors"
        path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match=rf"^{folder}: "):
        finetune_teacher(DatasetDict(train=film_reviews(20)), folder, tmp_path / "teacher")
    assert not list(tmp_path.glob("teacher*"))


@pytest.mark.parametrize(
    ("reviews", "named"),
    [
        (DatasetDict(test=film_reviews(4)), "no split 'train'"),
        (DatasetDict(train=film_reviews(8).select([0, 2, 4])), "all of one class"),
    ],
)
def test_reviews_that_cannot_be_trained_on_are_refused(
    tmp_path: Path, encoder: Path, reviews: DatasetDict, named: str
):
    with pytest.raises(DataError, match=named):
        finetune_teacher(reviews, encoder, tmp_path / "teacher")


def test_a_folder_of_other_files_is_refused_before_any_training(tmp_path: Path, encoder: Path):
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(SaveError, match="holds files that are no model"):
        finetune_teacher(DatasetDict(train=film_reviews(20)), encoder, tmp_path)


def test_a_training_that_diverges_says_so(tmp_path: Path):
    folder = save_encoder(tmp_path / "encoder")
    weights = load_file(folder / "model.safetensors")
    weights["embeddings.LayerNorm.weight"][:] = float("inf")
    from safetensors.torch import save_file

    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RecipeError, match=r"diverged: after epoch 1.*lower --learning-rate"):
        finetune_teacher(
            DatasetDict(train=film_reviews(20)), folder, tmp_path / "teacher", settings=one_epoch()
        )


def test_the_command_fine_tunes_the_encoder_and_says_how_it_is_used(tmp_path: Path, encoder: Path):
    file = tmp_path / "films.csv"
    film_reviews(60).to_csv(file)
    output = tmp_path / "teacher"
    done = run(
        "finetune-teacher", file, "--encoder", encoder, "--output", output, "--epochs", "1",
        "--batch-size", "8", "--max-length", "48", "--window-limit", "2", "--limit", "40",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[1].startswith("epoch  1/1   train loss ")
    assert "accuracy" in lines[1]
    assert lines[2].startswith("Validation accuracy ")
    assert "each read at its ends in 2 windows of at most 48 tokens." in lines[2]
    assert json.loads((output / "config.json").read_text())["window_limit"] == 2
    assert "on 36 reviews" in lines[3]
    assert str(output) in lines[3]
    assert lines[4] == f"Let it teach: sentiment-lstm train {file} --teacher {output}"
    assert load_teacher(str(output), label_names=["negative", "positive"])


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--encoder", "./no/such/encoder"], "no encoder could be loaded"),
        (["--limit", "1"], "--limit 1 cannot keep"),
        (["--window-limit", "-1"], "The window limit is -1; expected at least 0"),
    ],
)
def test_a_mistake_on_the_command_line_ends_in_one_sentence(
    tmp_path: Path, monkeypatch, options: list[str], named: str
):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    file = tmp_path / "films.csv"
    film_reviews(20).to_csv(file)
    done = run("finetune-teacher", file, "--output", tmp_path / "teacher", *options)
    assert_user_error(done, named)
    assert not (tmp_path / "teacher").exists()
