"""What of the texts an epoch of training reads."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset, DatasetDict

from sentiment_lstm.batches import segment_bounds
from sentiment_lstm.building import build_model
from sentiment_lstm.recipes import Recipe, override
from sentiment_lstm.sampling import SegmentSample, SentenceGroups
from sentiment_lstm.tokens import load_tokenizer, tokenize_reviews
from sentiment_lstm.trainer import make_trainer


def numbered(lengths: np.ndarray) -> Dataset:
    """Texts whose tokens are numbered, each with the number of its row as its label."""
    return Dataset.from_dict(
        {
            "input_ids": [list(range(length)) for length in lengths],
            "labels": list(range(len(lengths))),
        }
    )


@pytest.fixture
def sample() -> SegmentSample:
    """At most two segments of up to 4 tokens, of texts of 3, 8 and 15; tokens are numbered."""
    lengths = np.array([3, 8, 15])
    return SegmentSample(numbered(lengths), lengths, segments=2, segment_length=4)


def test_a_text_of_few_segments_is_read_whole(sample: SegmentSample):
    assert len(sample) == 3
    assert [list(row["input_ids"]) for row in sample.__getitems__([1, 0])] == [
        list(range(8)),
        list(range(3)),
    ]


def test_of_a_long_text_other_segments_are_read_each_time_in_their_order(sample: SegmentSample):
    torch.manual_seed(0)
    drawn = {tuple(int(token) for token in sample[2]["input_ids"]) for _ in range(200)}
    _, starts, ends = segment_bounds(np.array([15]), 4)
    segments = [tuple(range(start, end)) for start, end in zip(starts, ends, strict=True)]
    pairs = {one + other for one, other in itertools.combinations(segments, 2)}
    assert drawn == pairs
    assert sample[2]["labels"] == 2


def test_what_is_read_of_a_text_follows_the_seed_and_is_no_longer_than_told(sample: SegmentSample):
    def read() -> list[list[int]]:
        torch.manual_seed(3)
        return [list(row["input_ids"]) for row in sample.__getitems__([2, 2, 2, 1, 0])]

    assert read() == read()
    assert sample.lengths.tolist() == [3, 8, 8]
    assert max(len(ids) for ids in read()) == 8


LENGTHS = np.random.default_rng(0).integers(1, 40, size=101)
REVIEWS = 40


def grouped(lengths: np.ndarray, reviews: int, seed: int = 0) -> tuple[SentenceGroups, list]:
    groups = SentenceGroups(numbered(lengths), lengths, reviews=reviews, size=4, seed=seed)
    return groups, [groups.members(group).tolist() for group in range(len(groups))]


def test_reviews_stand_alone_and_every_sentence_in_one_group():
    _, members = grouped(LENGTHS, REVIEWS)
    assert members[:REVIEWS] == [[row] for row in range(REVIEWS)]
    sentences = members[REVIEWS:]
    assert sorted(itertools.chain(*sentences)) == list(range(REVIEWS, len(LENGTHS)))
    assert {len(group) for group in sentences[:-1]} == {4}


def test_sentences_of_a_group_are_about_as_long_and_chosen_by_the_seed():
    groups, members = grouped(LENGTHS, REVIEWS)
    spread = [np.ptp(groups.member_lengths(group)) for group in range(len(groups))]
    assert max(spread) <= 6
    assert groups.lengths.tolist() == [LENGTHS[group].max() for group in members]
    assert grouped(LENGTHS, REVIEWS)[1] == members
    assert grouped(LENGTHS, REVIEWS, seed=1)[1] != members


@pytest.mark.parametrize(("number", "sizes"), [(0, []), (3, [3]), (4, [4]), (5, [4, 1])])
def test_the_last_group_may_be_smaller(number: int, sizes: list[int]):
    _, members = grouped(np.full(2 + number, 3), 2)
    assert [len(group) for group in members] == [1, 1, *sizes]


def test_a_batch_has_all_rows_of_its_groups():
    groups, members = grouped(LENGTHS, REVIEWS)
    rows = groups.__getitems__([3, REVIEWS])
    assert [row["labels"] for row in rows] == [3, *members[REVIEWS]]
    assert groups[REVIEWS] == rows[1:]


def test_a_training_reads_parts_and_groups_and_validates_on_whole_texts(
    sentences: DatasetDict, quick_recipe: Recipe, tmp_path: Path
):
    recipe = override(
        quick_recipe,
        [
            "model.ngram_buckets=0",
            "model.pretrained_embeddings=false",
            "model.segment_length=8",
            "training.segments=2",
            "training.sentence_group=3",
            "training.batch_size=5",
        ],
    )
    tokenized = tokenize_reviews(sentences["train"].select(range(60)), load_tokenizer())
    lengths = np.array(tokenized["length"])
    assert lengths.min() <= 8 < 16 < lengths.max()
    trainer = make_trainer(
        build_model(recipe, load_tokenizer(), ["negative", "positive"]),
        recipe,
        train=tokenized,
        validation=tokenized,
        work=tmp_path / "work",
        seed=0,
        reviews=20,
    )
    batches = [batch["attention_mask"].sum(1) for batch in trainer.get_train_dataloader()]
    read = torch.cat(batches)
    assert len(read) == len(tokenized)
    assert read.max() <= 16
    assert max(len(batch) for batch in batches) > 5
    whole = [batch["attention_mask"].sum(1) for batch in trainer.get_eval_dataloader()]
    assert sorted(torch.cat(whole).tolist()) == sorted(lengths.tolist())
    assert 0 <= trainer.padding_share() < 0.5
