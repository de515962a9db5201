from __future__ import annotations

import numpy as np
import pytest

from sentiment_lstm.random_windows import RandomWindows

LENGTHS = np.random.default_rng(0).integers(1, 900, size=2000)


def sampler(epoch: int = 0, seed: int = 0) -> RandomWindows:
    drawn = RandomWindows(LENGTHS, room_tokens=254, batch_size=10, seed=seed)
    drawn.set_epoch(epoch)
    return drawn


def test_every_review_gives_one_window_that_lies_within_it():
    windows = list(sampler())
    assert sorted(row for row, _, _ in windows) == list(range(2000))
    assert len(sampler()) == 2000
    for row, start, end in windows:
        assert 0 <= start < end <= LENGTHS[row]
        assert end - start >= min(LENGTHS[row], 16)
        assert end - start <= 254


def test_three_windows_in_four_are_as_long_as_fits_and_the_others_of_any_length():
    _, sizes = sampler().draw()
    long = LENGTHS > 254
    assert (sizes[long] == 254).mean() == pytest.approx(0.75, abs=0.04)
    shorter = sizes[long & (sizes < 254)]
    assert (shorter.min(), shorter.max()) == pytest.approx((16, 253), abs=3)
    assert shorter.mean() == pytest.approx(135, abs=10)


def test_windows_reach_the_beginning_and_the_end_of_reviews():
    starts, sizes = sampler().draw()
    room = (LENGTHS - sizes)[LENGTHS > 300]
    places = starts[LENGTHS > 300] / room
    assert places.min() < 0.01
    assert places.max() == 1.0
    assert places.mean() == pytest.approx(0.5, abs=0.03)


def test_windows_follow_the_seed_and_the_epoch_alone():
    first = list(sampler())
    assert list(sampler()) == first
    assert sorted(sampler(epoch=1)) != sorted(first)
    assert sorted(sampler(seed=1)) != sorted(first)


def test_windows_come_in_buckets_of_one_length():
    sizes = np.array([end - start for _, start, end in sampler()]).reshape(-1, 10)
    assert np.ptp(sizes, axis=1).mean() < 10
