from __future__ import annotations

import numpy as np
import pytest
import torch

from sentiment_lstm.model.ngram_channel import NgramChannel, class_scores, hash_ngrams
from sentiment_lstm.ngrams import (
    fit_ngram_channel,
    fit_ngram_table,
    ngram_logits,
    ngram_presence,
)
from tests.contracts import assert_scores_the_same_alone_and_in_a_batch, ragged_batch, small_model

BUCKETS = 4096


def test_every_ngram_of_a_review_has_its_bucket_and_padding_has_none():
    input_ids = torch.tensor([[5, 6, 7, 0], [5, 6, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 0], [1, 1, 0, 0]]).bool()
    buckets, present = hash_ngrams(input_ids, mask, [1, 2, 3], BUCKETS)
    assert present.sum(1).tolist() == [3 + 2 + 1, 2 + 1]
    one, two = buckets.split(1)
    unigrams, bigrams = slice(0, 4), slice(4, 8)
    assert torch.equal(one[:, unigrams][:, :2], two[:, unigrams][:, :2])
    assert one[0, 4] == two[0, 4], "the bigram 5 6 stands in both"
    assert one[0, 4] != one[0, 5]
    assert len({*one[present[:1]].tolist()}) == 6, "n-grams of any order have buckets of their own"
    assert bigrams.stop == 8


def test_the_order_of_the_words_matters():
    mask = torch.ones(1, 2, dtype=torch.bool)
    forward, _ = hash_ngrams(torch.tensor([[5, 6]]), mask, [2], BUCKETS)
    backward, _ = hash_ngrams(torch.tensor([[6, 5]]), mask, [2], BUCKETS)
    assert forward[0, 0] != backward[0, 0]


def test_a_hash_is_the_same_for_ever():
    # A saved table is worthless under another hash: these values must never change.
    mask = torch.ones(1, 3, dtype=torch.bool)
    buckets, present = hash_ngrams(torch.tensor([[101, 2307, 102]]), mask, [1, 2, 3], 2**20)
    assert buckets[present].tolist() == [102343, 813036, 227677, 470125, 72551, 291358]


def test_each_ngram_counts_once_however_often_it_stands_there():
    channel = NgramChannel(BUCKETS, [1], 2)
    channel.weight.data[:] = torch.arange(BUCKETS)[:, None] / 100
    mask = torch.ones(1, 4, dtype=torch.bool)
    once = channel(torch.tensor([[5, 6]]), mask[:, :2])
    often = channel(torch.tensor([[5, 6, 5, 5]]), mask)
    torch.testing.assert_close(once, often)


def test_two_classes_share_one_log_odds():
    assert class_scores(torch.tensor([[3.0]])).tolist() == [[-1.5, 1.5]]
    assert class_scores(torch.tensor([[3.0, 1.0, 2.0]])).tolist() == [[3.0, 1.0, 2.0]]


def reviews_that_a_bigram_decides(num_labels: int) -> tuple[list[list[int]], np.ndarray]:
    """Token ids whose class shows in one bigram only; every single token is in every review."""
    random = np.random.default_rng(0)
    labels = np.arange(120) % num_labels
    rows = []
    for label in labels:
        filler = random.permutation(np.arange(10, 30)).tolist()
        marks = [*range(1, 1 + num_labels)]
        pairs = [[mark, 5] if mark - 1 == label else [5, mark] for mark in marks]
        rows.append([piece for pair in pairs for piece in [*pair, filler.pop()]] + filler)
    return rows, labels


@pytest.mark.parametrize("num_labels", [2, 3])
def test_the_fitted_table_gives_the_channel_what_the_solver_found(num_labels: int):
    rows, labels = reviews_that_a_bigram_decides(num_labels)
    presence = ngram_presence(rows, orders=[1, 2], buckets=BUCKETS)
    weight, bias = fit_ngram_table(presence, labels, num_labels=num_labels)
    channel = NgramChannel(BUCKETS, [1, 2], num_labels)
    channel.weight.data, channel.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
    scores = channel(torch.tensor(rows), torch.ones(len(rows), len(rows[0]), dtype=torch.bool))
    expected = class_scores(torch.from_numpy(presence @ weight + bias))
    torch.testing.assert_close(scores, expected, atol=1e-4, rtol=1e-4)
    assert (scores.argmax(1).numpy() == labels).all()


def test_presence_marks_an_ngram_once_in_the_row_of_its_review():
    presence = ngram_presence([[5, 6, 5, 6], [7]], orders=[1, 2], buckets=BUCKETS)
    assert np.asarray(presence.sum(axis=1)).ravel().tolist() == [4.0, 1.0]
    assert presence.max() == 1.0


def test_a_fitted_channel_scores_as_its_table_does():
    rows, labels = reviews_that_a_bigram_decides(3)
    channel = NgramChannel(BUCKETS, [1, 2], 3)
    fit_ngram_channel(channel, rows, labels)
    presence = ngram_presence(rows, orders=[1, 2], buckets=BUCKETS)
    expected = presence @ channel.weight.numpy() + channel.bias.numpy()
    np.testing.assert_allclose(ngram_logits(channel, rows), expected, atol=1e-4)


def test_a_class_without_a_review_to_train_on_gets_no_weight_and_is_not_named():
    rows, labels = reviews_that_a_bigram_decides(3)
    channel = NgramChannel(BUCKETS, [1, 2], 4)
    fit_ngram_channel(channel, rows, labels)
    assert not channel.weight[:, 3].any()
    assert (ngram_logits(channel, rows).argmax(axis=1) == labels).all()


def test_no_gradient_reaches_the_table():
    model = small_model(ngram_buckets=BUCKETS, ngram_scale=1.0)
    input_ids, mask = ragged_batch(12, 5)
    model(input_ids, mask, labels=torch.tensor([0, 1])).loss.backward()
    assert model.ngrams.weight.grad is None
    assert model.embedding.weight.grad is not None


@pytest.mark.parametrize("num_labels", [2, 3])
def test_a_model_with_ngrams_scores_the_same_alone_and_in_a_batch(num_labels: int):
    names = {class_id: str(class_id) for class_id in range(num_labels)}
    model = small_model(segment_length=16, ngram_buckets=BUCKETS, ngram_scale=0.7, id2label=names)
    torch.nn.init.normal_(model.ngrams.weight)
    assert_scores_the_same_alone_and_in_a_batch(model)


def test_the_scale_weighs_the_channel_against_the_lstm():
    model = small_model(ngram_buckets=BUCKETS)
    torch.nn.init.normal_(model.ngrams.weight)
    input_ids, mask = ragged_batch(12, 5)
    with torch.no_grad():
        model.config.ngram_scale = 0.0
        lstm_alone = model(input_ids, mask).logits
        model.config.ngram_scale = 2.0
        expected = lstm_alone + 2 * model.ngrams(input_ids, mask.bool())
        torch.testing.assert_close(model(input_ids, mask).logits, expected)
