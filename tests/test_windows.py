from __future__ import annotations

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertForSequenceClassification,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForSequenceClassification,
)

from sentiment_lstm import windows as module
from sentiment_lstm.errors import ModelError
from sentiment_lstm.precision import in_fast_precision
from sentiment_lstm.tokens import load_tokenizer
from sentiment_lstm.windows import (
    Frame,
    collate_windows,
    end_windows,
    equal_windows,
    frame_of,
    plain_ids,
    score_texts,
)
from tests.tiny_encoders import tiny_config

WORDS = "an awful film with a great cast and no plot at all , but what a fine score it has".split()
TEXTS = [" ".join(WORDS * copies)[cut:] for copies, cut in ((1, 0), (9, 3), (1, 60), (25, 8))]


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer()


@pytest.fixture(scope="module")
def model() -> BertForSequenceClassification:
    torch.manual_seed(3)
    model = BertForSequenceClassification(tiny_config(num_labels=3))
    return model.eval()


@pytest.mark.parametrize(
    ("length", "sizes"), [(0, [0]), (1, [1]), (10, [10]), (11, [5, 6]), (25, [8, 8, 9])]
)
def test_windows_are_the_fewest_that_fit_and_equal(length: int, sizes: list[int]):
    ids = list(range(length))
    windows = equal_windows(ids, 10)
    assert [len(window) for window in windows] == sizes
    assert [token for window in windows for token in window] == ids


@pytest.mark.parametrize(
    ("most", "starts"), [(1, [25]), (2, [0, 25]), (3, [0, 15, 25]), (0, [0, 8, 17, 26])]
)
def test_windows_that_are_fewer_than_a_text_has_are_full_ones_of_its_ends(
    most: int, starts: list[int]
):
    frame = Frame([101], [102], 0, 12, most)
    ids = list(range(35))
    windows = frame.windows(ids)
    assert [window[0] for window in windows] == starts
    if most:
        assert windows == end_windows(ids, 10, most)
        assert {len(window) for window in windows} == {10}


@pytest.mark.parametrize("length", [0, 7, 19, 20])
def test_a_text_that_fits_into_the_window_limit_is_read_whole(length: int):
    frame = Frame([101], [102], 0, 12, 2)
    assert frame.windows(range(length)) == equal_windows(range(length), 10)


def test_a_frame_knows_berts_special_tokens_and_the_shorter_of_the_limits(model, tokenizer):
    assert frame_of(model, tokenizer) == Frame([101], [102], 0, 64)
    frame = frame_of(model, tokenizer, max_length_tokens=20)
    assert (frame.max_length_tokens, frame.room_tokens) == (20, 18)
    assert frame.around([7, 8]) == [101, 7, 8, 102]


def test_a_frame_counts_robertas_positions_from_behind_its_padding():
    model, tokenizer = tiny_roberta()
    frame = frame_of(model, tokenizer)
    assert frame == Frame([0], [2], 1, 38)
    scores = score_texts(model, tokenizer, ["a b c " * 100], frame)
    assert np.isfinite(scores).all()


def test_a_tokenizer_without_special_tokens_still_reads_an_empty_text():
    frame = Frame([], [], 5, 8)
    assert frame.around([]) == [5]


def test_a_tokenizer_that_leaves_no_room_for_text_is_refused(model):
    with pytest.raises(ModelError, match="reads at most 2 tokens, which is all taken"):
        frame_of(model, load_tokenizer(max_length_tokens=2))


def test_scores_are_the_mean_over_equal_windows_of_the_text(model, tokenizer):
    frame = frame_of(model, tokenizer, max_length_tokens=20)
    scores = score_texts(model, tokenizer, TEXTS, frame)
    assert scores.shape == (4, 3)
    assert scores.dtype == np.float32
    for text, row in zip(TEXTS, scores, strict=True):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        count = -(-len(ids) // 18)
        parts = [
            part.tolist()
            for part in np.split(ids, [len(ids) * n // count for n in range(1, count)])
        ]
        with torch.no_grad():
            alone = [model(torch.tensor([[101, *part, 102]])).logits[0] for part in parts]
        np.testing.assert_allclose(row, torch.stack(alone).mean(0), atol=1e-5)


def test_of_a_long_text_no_more_windows_are_scored_than_the_frame_says(model, tokenizer):
    frame = frame_of(model, tokenizer, max_length_tokens=20, window_limit=2)
    scores = score_texts(model, tokenizer, TEXTS, frame)
    whole = score_texts(model, tokenizer, TEXTS, frame._replace(window_limit=0))
    for text, row, of_whole in zip(TEXTS, scores, whole, strict=True):
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if len(ids) <= 36:
            np.testing.assert_allclose(row, of_whole, atol=1e-5)
            continue
        ends = torch.tensor([[101, *part, 102] for part in (ids[:18], ids[-18:])])
        with torch.no_grad():
            np.testing.assert_allclose(row, model(ends).logits.mean(0), atol=1e-5)


def test_scores_depend_on_no_neighbour_and_no_chunk(model, tokenizer, monkeypatch):
    frame = frame_of(model, tokenizer)
    together = score_texts(model, tokenizer, TEXTS, frame)
    monkeypatch.setattr(module, "_CHUNK_TEXTS", 1)
    monkeypatch.setattr(module, "_BATCH_TOKENS", 1)
    np.testing.assert_allclose(score_texts(model, tokenizer, TEXTS, frame), together, atol=1e-5)


def test_scoring_leaves_dropout_out_and_the_mode_as_it_was(model, tokenizer):
    frame = frame_of(model, tokenizer)
    expected = score_texts(model, tokenizer, TEXTS, frame)
    model.train()
    np.testing.assert_array_equal(score_texts(model, tokenizer, TEXTS, frame), expected)
    assert model.training
    model.eval()


def test_in_bfloat16_scores_are_the_same_to_three_digits(model, tokenizer, monkeypatch):
    frame = frame_of(model, tokenizer)
    expected = score_texts(model, tokenizer, TEXTS, frame)
    monkeypatch.setattr("sentiment_lstm.precision.fast_bfloat16", lambda: True)
    scores = score_texts(in_fast_precision(model), tokenizer, TEXTS, frame)
    assert scores.dtype == np.float32
    assert 0 < np.abs(scores - expected).max() < 0.01 * np.ptp(expected) + 0.005
    assert model.dtype == torch.float32


def test_no_text_gives_no_row(model, tokenizer):
    assert score_texts(model, tokenizer, [], frame_of(model, tokenizer)).shape == (0, 3)


def test_line_break_marks_are_white_space_for_any_tokenizer():
    plain = load_tokenizer(clean_markup=False)
    assert plain_ids(plain, ["a<br />b"]) == plain_ids(plain, ["a b"])


@pytest.mark.parametrize(("length", "padded"), [(3, 16), (16, 16), (17, 32), (40, 40)])
def test_batches_are_padded_to_few_lengths_within_the_limit(length: int, padded: int):
    frame = Frame([], [], 9, 40)
    batch = collate_windows(
        [{"input_ids": [1] * length, "labels": 1}, {"input_ids": [1], "labels": 0}], frame
    )
    assert batch["input_ids"].shape == batch["attention_mask"].shape == (2, padded)
    assert batch["attention_mask"].sum(1).tolist() == [length, 1]
    assert (batch["input_ids"][batch["attention_mask"] == 0] == 9).all()
    assert batch["labels"].tolist() == [1, 0]


def tiny_roberta() -> tuple[RobertaForSequenceClassification, PreTrainedTokenizerFast]:
    vocabulary = {
        token: number for number, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *"abcde"])
    }
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    backend.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
    )
    torch.manual_seed(1)
    config = RobertaConfig(
        vocab_size=len(vocabulary), hidden_size=8, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=8, max_position_embeddings=40, pad_token_id=1, num_labels=2,
    )  # fmt: skip
    return RobertaForSequenceClassification(config).eval(), tokenizer
