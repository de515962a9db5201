from __future__ import annotations

import numpy as np
import pytest
import torch
from datasets import Dataset

from sentiment_lstm import batches
from sentiment_lstm.batches import (
    LengthBucketSampler,
    collate_ragged,
    collate_tensors,
    fixed_length_dataset,
    on_disk,
    padding_share,
)
from tests.contracts import small_model

LENGTHS = np.random.default_rng(0).integers(3, 900, size=1003)


def test_fixed_length_rows_are_padded_on_the_right():
    tokenized = Dataset.from_dict({"input_ids": [[5, 6, 7], [8]], "labels": [1, 0]})
    data = fixed_length_dataset(tokenized, length_tokens=4, pad_token_id=9)
    batch = collate_tensors([data[0], data[1]])
    assert batch["input_ids"].tolist() == [[5, 6, 7, 9], [8, 9, 9, 9]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 0], [1, 0, 0, 0]]
    assert batch["labels"].tolist() == [1, 0]


def test_ragged_rows_are_padded_to_the_longest_of_them():
    batch = collate_ragged(
        [{"input_ids": [5], "labels": 1}, {"input_ids": [6, 7], "labels": 0}], pad_token_id=9
    )
    assert batch["input_ids"].tolist() == [[5, 9], [6, 7]]
    assert batch["attention_mask"].tolist() == [[1, 0], [1, 1]]
    assert batch["labels"].tolist() == [1, 0]
    assert batch["input_ids"].dtype == torch.int64


def test_rows_to_predict_need_no_labels():
    assert collate_ragged([{"input_ids": [5]}]).keys() == {"input_ids", "attention_mask"}


def test_buckets_visit_every_review_once():
    sampler = LengthBucketSampler(LENGTHS, batch_size=10, seed=1)
    assert sorted(sampler) == list(range(len(LENGTHS)))
    assert len(sampler) == len(LENGTHS)


def test_buckets_follow_the_seed_and_the_epoch_alone():
    def order(seed: int, epoch: int) -> list[int]:
        sampler = LengthBucketSampler(LENGTHS, batch_size=10, seed=seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    torch.manual_seed(1)
    first = order(1, 0)
    torch.manual_seed(2)
    assert order(1, 0) == first
    assert order(1, 1) != first
    assert order(2, 0) != first


def test_batches_of_a_bucket_are_of_one_length_but_come_in_random_order():
    order = list(LengthBucketSampler(LENGTHS, batch_size=10, seed=1, window_batches=200))
    batches = [LENGTHS[order[at : at + 10]] for at in range(0, 1000, 10)]
    assert np.mean([np.ptp(batch) for batch in batches]) < 0.05 * np.ptp(LENGTHS)
    means = np.array([batch.mean() for batch in batches])
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3


def test_only_the_last_batch_is_short():
    order = list(LengthBucketSampler(LENGTHS, batch_size=10, seed=1, window_batches=7))
    starts = [LENGTHS[order[at : at + 10]] for at in range(0, len(order), 10)]
    assert all(np.ptp(batch) < np.ptp(LENGTHS) / 2 for batch in starts)


def test_an_order_too_long_for_memory_is_the_same_on_disk(monkeypatch: pytest.MonkeyPatch):
    in_memory = list(LengthBucketSampler(LENGTHS, batch_size=10, seed=1))
    monkeypatch.setattr(batches, "_NUMBERS_IN_MEMORY", 300)
    assert list(LengthBucketSampler(LENGTHS, batch_size=10, seed=1)) == in_memory


def test_arrays_joined_on_disk_are_what_they_were():
    parts = [np.arange(6, dtype=np.int32).reshape(3, 2), np.zeros((0, 2), dtype=np.int32)]
    joined = on_disk(iter([*parts, parts[0] + 6]))
    assert joined.dtype == np.int32
    assert joined.tolist() == np.arange(12).reshape(6, 2).tolist()
    assert on_disk([parts[1]]).shape == (0, 2)


def test_padding_share_compares_the_tokens_with_the_steps_computed_for_them():
    def computed_tokens(lengths: torch.Tensor) -> int:
        return len(lengths) * int(lengths.max())

    def share(batch_size: int) -> float:
        return padding_share(
            [2, 6, 4].__getitem__, [0, 2, 1], batch_size=batch_size, computed_tokens=computed_tokens
        )

    assert share(1) == 0.0
    assert share(2) == pytest.approx(1 - 12 / 14)
    assert share(3) == pytest.approx(1 - 12 / 18)
    together = [np.array([2, 6]), np.array([4])].__getitem__
    assert padding_share(
        together, [1, 0], batch_size=2, computed_tokens=computed_tokens
    ) == pytest.approx(share(3))


def test_buckets_and_segments_leave_little_padding():
    sampler = LengthBucketSampler(LENGTHS, batch_size=50, seed=1)
    shuffled = np.random.default_rng(1).permutation(len(LENGTHS)).tolist()

    def share(order: list[int], segment_length: int | None) -> float:
        model = small_model(segment_length=segment_length)
        return padding_share(
            LENGTHS.item, order, batch_size=50, computed_tokens=model.computed_tokens
        )

    assert share(shuffled, None) > 0.4
    assert share(list(sampler), 64) < 0.12
