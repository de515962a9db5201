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
from sentiment_lstm.sampling import SegmentSample, TextGroups
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


@pytest.fixture
def groups() -> TextGroups:
    return TextGroups(numbered(LENGTHS), LENGTHS, size=4, short_tokens=8, seed=0)


def test_every_text_stands_in_one_group_and_long_ones_alone(groups: TextGroups):
    members = [groups.members(group).tolist() for group in range(len(groups))]
    assert sorted(itertools.chain(*members)) == list(range(len(LENGTHS)))
    sizes = [len(group) for group in members if LENGTHS[group].max() <= 8]
    assert set(sizes[:-1]) == {4}
    assert 1 <= sizes[-1] <= 4
    assert all(len(group) == 1 for group in members if LENGTHS[group].max() > 8)


def test_texts_of_a_group_are_about_as_long_and_chosen_by_the_seed(groups: TextGroups):
    assert max(np.ptp(lengths) for lengths in groups.member_lengths) <= 2
    assert groups.lengths.tolist() == [lengths.max() for lengths in groups.member_lengths]

    def members(seed: int) -> list[list[int]]:
        other = TextGroups(numbered(LENGTHS), LENGTHS, size=4, short_tokens=8, seed=seed)
        return [other.members(group).tolist() for group in range(len(other))]

    assert members(0) == [groups.members(group).tolist() for group in range(len(groups))]
    assert members(1) != members(0)


@pytest.mark.parametrize("short", [0, 3, 4, 5])
def test_the_last_group_may_be_smaller(short: int):
    lengths = np.array([9, 9] + [2] * short)
    groups = TextGroups(numbered(lengths), lengths, size=4, short_tokens=8, seed=0)
    sizes = [len(groups.members(group)) for group in range(len(groups))]
    assert sizes == [1, 1] + {0: [], 3: [3], 4: [4], 5: [4, 1]}[short]


def test_a_batch_has_all_rows_of_its_groups(groups: TextGroups):
    long, short = int(np.argmax(groups.lengths > 8)), int(np.argmax(groups.lengths <= 8))
    rows = groups.__getitems__([long, short])
    assert [row["labels"] for row in rows] == [
        *groups.members(long).tolist(),
        *groups.members(short).tolist(),
    ]
    assert groups[short] == rows[1:]


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
            "training.short_texts=3",
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
    )
    batches = [batch["attention_mask"].sum(1) for batch in trainer.get_train_dataloader()]
    read = torch.cat(batches)
    assert len(read) == len(tokenized)
    assert read.max() <= 16
    assert max(len(batch) for batch in batches) > 5
    whole = [batch["attention_mask"].sum(1) for batch in trainer.get_eval_dataloader()]
    assert sorted(torch.cat(whole).tolist()) == sorted(lengths.tolist())
    assert 0 <= trainer.padding_share() < 0.5
