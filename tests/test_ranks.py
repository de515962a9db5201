from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import torch
from datasets import DatasetDict, concatenate_datasets
from safetensors.torch import load_file

from sentiment_lstm import ranks, runs
from sentiment_lstm.cli import main
from sentiment_lstm.errors import RankError, RecipeError
from tests.processes import wait_for

# Every stage of a training once, and epochs enough to be killed among them.
RECIPE = """
summary = "Small."
[model]
embedding_size = 8
hidden_size = 8
segment_length = 8
word_dropout = 0.2
classifier_dropout = 0.3
[pretraining]
objective = "region"
batch_size = 64
negatives = 20
[distillation]
teachers = ["nb-ngrams"]
[training]
epochs = 4
batch_size = 20
learning_rate = 1e-2
validation_size = 0.2
sentences = 20
adversarial_epsilon = 0.2
"""


@pytest.fixture(scope="module")
def folder(sentences: DatasetDict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe, and reviews with a column that tells their split."""
    place = tmp_path_factory.mktemp("ranks")
    (place / "recipe.toml").write_text(RECIPE)
    parts = [
        sentences[name].add_column("split", [name] * len(sentences[name]))
        for name in ("train", "test")
    ]
    concatenate_datasets(parts).to_csv(str(place / "reviews.csv"))
    return place


def torchrun(folder: Path, output: str, *options: str, source: str = "reviews.csv"):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "sentiment_lstm", "train", str(folder / source), "--output", output]
    command += ["--recipe", str(folder / "recipe.toml"), *options]
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def undisturbed(folder: Path) -> tuple[Path, str]:
    training = torchrun(folder, "undisturbed")
    printed, errors = training.communicate()
    assert training.returncode == 0, errors
    return folder / "undisturbed", printed


def test_two_processes_train_one_model_and_the_first_one_tells(undisturbed: tuple[Path, str]):
    model, printed = undisturbed
    assert printed.count("epoch  1/4") == printed.count("Saved in") == 1
    assert "2 processes share every batch." in printed
    training = runs.artefact.read_json(model / "training.json")
    assert training["processes"] == 2
    assert len(training["history"]) == 4
    assert not model.with_name("undisturbed.training").exists()


def test_a_killed_process_ends_the_training_with_a_word_and_resume_goes_on(
    folder: Path, undisturbed: tuple[Path, str]
):
    training = torchrun(folder, "killed")
    work = folder / "killed.training"
    wait_for(lambda: runs.newest_checkpoint(work), training)
    (second,) = of_rank(training.pid, "1")
    os.kill(second, signal.SIGKILL)
    _, errors = training.communicate(timeout=60)
    assert training.returncode != 0
    said = [line for line in errors.splitlines() if line.startswith("Error: ")]
    assert len(said) == 1, errors
    assert "--resume, and it goes on from killed.training/checkpoint-" in said[0]
    assert not (folder / "killed").exists()

    resumed = torchrun(folder, "killed", "--resume")
    printed, errors = resumed.communicate()
    assert resumed.returncode == 0, errors
    assert "epoch  1/4" not in printed, "it must not begin again"
    ours, theirs = (
        load_file(path / "model.safetensors") for path in (folder / "killed", undisturbed[0])
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_mistake_is_said_once_for_all_processes(folder: Path):
    training = torchrun(folder, "none", source="missing.csv")
    _, errors = training.communicate()
    assert training.returncode != 0
    assert errors.count("missing.csv: there is no such file or folder") == 1


def test_a_training_is_resumed_on_as_many_processes_as_it_was_begun_on(tmp_path: Path):
    run = {"recipe": {}, "seed": 1, "processes": 2}
    work = runs.open_folder(tmp_path / "model", run, resume=False, restart=False)
    (work / "pretraining").mkdir()
    (work / "pretraining" / "started").write_text("")
    with pytest.raises(RecipeError, match="begun on 2 processes and is resumed on 1 process"):
        runs.open_folder(tmp_path / "model", {**run, "processes": 1}, resume=True, restart=False)
    assert runs.open_folder(tmp_path / "model", run, resume=True, restart=False) == work


def test_alone_a_process_is_the_first_and_only_one():
    assert (ranks.rank(), ranks.size(), ranks.is_first()) == (0, 1, True)
    assert ranks.share_of_batch(33) == 33
    assert ranks.from_first(lambda: "made") == "made"
    assert ranks.trainer_arguments() == {}


def test_a_batch_that_cannot_be_shared_out_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ranks, "size", lambda: 3)
    assert ranks.share_of_batch(33) == 11
    with pytest.raises(RecipeError, match=r"batch_size is 32.*3 processes.*Start 2 of them"):
        ranks.share_of_batch(32)


@pytest.mark.parametrize(
    ("size", "detail"), [("2", "MASTER_ADDR"), ("two", "invalid literal for int")]
)
def test_processes_that_torchrun_did_not_start_are_refused(
    monkeypatch: pytest.MonkeyPatch, size: str, detail: str
):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", size)
    with pytest.raises(RankError, match=rf"did not find each other \(.*{detail}.*by torchrun"):
        ranks.join()


def test_only_the_loss_of_a_process_is_told_as_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ranks, "size", lambda: 2)
    with (
        pytest.raises(RankError, match=r"One of the 2 processes.* Begin anew"),
        ranks.losses_told(lambda: "Begin anew."),
    ):
        raise RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer")
    with (
        pytest.raises(RuntimeError, match="mat1 and mat2"),
        ranks.losses_told(lambda: "Begin anew."),
    ):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")


def test_a_loss_is_told_though_torchrun_stops_the_process_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(ranks, "size", lambda: 2)
    before = signal.signal(signal.SIGTERM, ranks._stop)

    def remedy() -> str:
        os.kill(os.getpid(), signal.SIGTERM)
        return "Begin anew."

    try:
        with (
            pytest.raises(RankError, match=r"One of the 2 processes.* Begin anew"),
            ranks.losses_told(remedy),
        ):
            raise RuntimeError("[gloo/transport/tcp/pair.cc:553] Connection closed by peer")
        signal.signal(signal.SIGTERM, ranks._stop)
        with (
            pytest.raises(RankError, match=r"told to stop.* Begin anew"),
            ranks.losses_told(remedy),
        ):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_command_that_is_not_shared_out_is_refused_once(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["sentiment-lstm", "evaluate", "model", "movie-reviews"])
    monkeypatch.setenv("WORLD_SIZE", "2")
    said = []
    for rank in ("0", "1"):
        monkeypatch.setenv("RANK", rank)
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 2
        said.append(capsys.readouterr().err)
    assert "`evaluate` is not shared out to processes. Start it without torchrun" in said[0]
    assert said[1] == ""


def of_rank(parent: int, rank: str) -> Iterator[int]:
    for process in psutil.Process(parent).children(recursive=True):
        if process.environ().get("RANK") == rank:
            yield process.pid
