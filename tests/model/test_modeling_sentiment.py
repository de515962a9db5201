from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification

from sentiment_lstm.calibration import Calibration, ShortCalibration
from sentiment_lstm.model import SentimentConfig, SentimentModel
from sentiment_lstm.model.pooling import (
    last_state,
    max_over_segments,
    mean_over_segments,
    sum_and_max,
)
from sentiment_lstm.model.segment_lstm import (
    SegmentLSTM,
    pad_to_common_shape,
    reverse_within_length,
    split_evenly,
)
from tests.contracts import (
    POOLINGS,
    assert_scores_the_same_alone_and_in_a_batch,
    ragged_batch,
    small_model,
)

STATES = torch.tensor([[[1.0, -4.0], [3.0, -2.0], [99.0, 99.0]]])  # 99 stands in the padding
MASK = torch.tensor([[True, True, False]])


def test_sum_and_mean_ignore_padding_whatever_it_holds():
    sums, _ = sum_and_max(STATES, MASK)
    assert sums.tolist() == [[4.0, -6.0]]
    assert mean_over_segments(sums.view(1, 1, 2), torch.tensor([2])).tolist() == [[2.0, -3.0]]


def test_max_ignores_padding_even_where_every_state_is_negative():
    _, largest = sum_and_max(STATES - 100, MASK)
    assert largest.tolist() == [[-97.0, -102.0]]


def test_segments_of_a_review_are_pooled_as_one():
    two = torch.tensor([[[4.0, -6.0], [1.0, 9.0]]])
    assert mean_over_segments(two, torch.tensor([5])).tolist() == [[1.0, 0.6000000238418579]]
    assert max_over_segments(two).tolist() == [[4.0, 9.0]]


def test_gradients_of_sum_and_max_are_those_of_plain_operations():
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(5, 8, 3, generator=generator, dtype=torch.float64)
    mask = torch.arange(8) < torch.tensor([8, 1, 5, 7, 2])[:, None]
    weights = torch.randn(2, 5, 3, generator=generator)
    ours, theirs = states.clone().requires_grad_(), states.clone().requires_grad_()
    sums, largest = sum_and_max(ours, mask)
    (weights[0] * sums + weights[1] * largest).sum().backward()
    plain_sums = (theirs * mask.unsqueeze(2)).sum(1)
    plain_largest = theirs.masked_fill(~mask.unsqueeze(2), -torch.inf).amax(1)
    (weights[0] * plain_sums + weights[1] * plain_largest).sum().backward()
    torch.testing.assert_close(sums, plain_sums.float())
    torch.testing.assert_close(largest, plain_largest.float())
    torch.testing.assert_close(ours.grad, theirs.grad, atol=1e-6, rtol=1e-6)
    with torch.no_grad():
        torch.testing.assert_close(sum_and_max(states, mask)[1], largest.detach())


@pytest.mark.parametrize("width", [4, 2**15])
def test_the_gradient_of_a_maximum_goes_to_the_first_state_that_has_it(width: int):
    states = torch.zeros(1, width, 2, dtype=torch.bfloat16)
    states[0, [2, width - 1], 0] = 1.0
    states[0, width - 1, 1] = 2.0
    states.requires_grad_()
    _, largest = sum_and_max(states, torch.ones(1, width, dtype=torch.bool))
    largest.sum().backward()
    assert states.grad is not None
    assert states.grad.nonzero().tolist() == [[0, 2, 0], [0, width - 1, 1]]


def test_states_that_are_no_numbers_stay_so_and_break_nothing():
    states = torch.full((1, 3, 1), torch.nan, requires_grad=True)
    sums, largest = sum_and_max(states, torch.ones(1, 3, dtype=torch.bool))
    (sums + largest).sum().backward()
    assert sums.isnan().all()
    assert largest.isnan().all()


@pytest.mark.parametrize("pooling", ["mean", "max", "mean_max"])
def test_pooling_by_segments_agrees_with_pooling_the_states_in_reading_order(pooling: str):
    model = small_model(pooling=pooling, segment_length=8, num_hidden_layers=2)
    input_ids, mask = ragged_batch(40, 1, 16, 17)
    with torch.no_grad():
        pooled = model.pool(input_ids, mask.bool())
        states, states_mask = model.encode(input_ids, mask.bool())
        for row in range(4):
            text = states[row, states_mask[row]]
            expected = {"mean": [text.mean(0)], "max": [text.amax(0)]}
            expected["mean_max"] = expected["mean"] + expected["max"]
            torch.testing.assert_close(pooled[row], torch.cat(expected[pooling]))


def test_last_state_reads_the_end_going_forward_and_the_start_going_backward():
    assert last_state(STATES, MASK, bidirectional=False).tolist() == [[3.0, -2.0]]
    assert last_state(STATES, MASK, bidirectional=True).tolist() == [[3.0, -4.0]]


def test_reversal_turns_each_row_within_its_own_length():
    mask = torch.tensor([[True, True, True, False], [True, False, False, False]])
    assert reverse_within_length(mask).tolist() == [[2, 1, 0, 3], [0, 1, 2, 3]]


@pytest.mark.parametrize("length", [1, 15, 16, 17, 31, 33, 64, 1000])
def test_segments_are_equal_and_hold_every_token_once_in_order(length: int):
    index, mask = split_evenly(torch.tensor([length]), 16)
    assert index[mask].tolist() == list(range(length))
    sizes = mask.sum(2)[0].tolist()
    assert len(sizes) == -(-length // 16)
    assert max(sizes) <= 16
    assert sum(sizes[:-1]) == max(sizes) * (len(sizes) - 1), "only the last segment may be shorter"


def test_segments_of_a_review_do_not_depend_on_its_batch():
    together, mask = split_evenly(torch.tensor([100, 23]), 16)
    alone, alone_mask = split_evenly(torch.tensor([23]), 16)
    segments, width = alone.shape[1:]
    assert torch.equal(together[1, :segments, :width][alone_mask[0]], alone[alone_mask])
    assert mask[1].sum() == 23


def test_both_directions_agree_with_pytorchs_packed_bidirectional_lstm():
    torch.manual_seed(0)
    ours = SegmentLSTM(4, 3, num_layers=2, bidirectional=True, dropout=0.0)
    theirs = torch.nn.LSTM(4, 3, num_layers=2, bidirectional=True, batch_first=True)
    for layer in range(2):
        for suffix, lstm in (("", ours.forwards[layer]), ("_reverse", ours.backwards[layer])):
            for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                parameter = getattr(theirs, f"{name}_l{layer}{suffix}")
                parameter.data.copy_(getattr(lstm, f"{name}_l0"))
    embedded = torch.randn(3, 7, 4)
    lengths = torch.tensor([7, 2, 5])
    mask = torch.arange(7) < lengths[:, None]
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        embedded, lengths, batch_first=True, enforce_sorted=False
    )
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(theirs(packed)[0], batch_first=True)
    torch.testing.assert_close(ours(embedded, mask)[mask], expected[mask])


@pytest.mark.parametrize("settings", POOLINGS, ids=lambda s: "-".join(map(str, s.values())))
def test_a_review_scores_the_same_alone_and_in_any_batch(settings: dict):
    assert_scores_the_same_alone_and_in_a_batch(small_model(**settings))


@pytest.mark.parametrize("settings", POOLINGS, ids=lambda s: "-".join(map(str, s.values())))
def test_every_pooling_learns_a_word_that_decides(settings: dict):
    model = small_model(**settings, id2label={0: "a", 1: "b", 2: "c"}).train()
    input_ids, mask = ragged_batch(*[5, 9, 20, 3, 30, 12] * 4)
    input_ids[input_ids < 4] = 4
    labels = torch.arange(len(input_ids)) % 3
    input_ids[torch.arange(len(input_ids)), mask.sum(1) // 2] = labels + 1  # the word that decides
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(60):
        loss = model(input_ids, mask, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (model.eval()(input_ids, mask).logits.argmax(1) == labels).all()


@pytest.mark.parametrize(("rows", "width"), [(1, 1), (7, 8), (15, 9), (17, 63), (250, 64)])
def test_shapes_are_rounded_up_by_little_and_with_masked_padding(rows: int, width: int):
    ids, mask = torch.ones(rows, width, dtype=torch.long), torch.ones(rows, width, dtype=bool)
    padded, padded_mask = pad_to_common_shape(ids, mask)
    assert padded.shape == padded_mask.shape
    assert padded.shape[1] % 8 == 0
    assert rows <= padded.shape[0] <= rows * 1.125
    assert padded_mask.sum() == rows * width
    assert padded_mask[:rows, :width].all()


def test_few_shapes_come_out_of_many():
    shapes = {
        tuple(pad_to_common_shape(*[torch.ones(rows, width, dtype=torch.long)] * 2)[0].shape)
        for rows in range(100, 400, 7)
        for width in range(40, 65)
    }
    assert len(shapes) < 80


def test_computed_tokens_are_the_steps_of_the_lstm():
    model = small_model(segment_length=16)
    steps = []
    model.encoder.forwards[0].register_forward_hook(
        lambda _, inputs, __: steps.append(inputs[0].shape[:2].numel())
    )
    input_ids, mask = ragged_batch(40, 1, 16, 17, 33)
    model(input_ids, mask)
    assert steps == [model.computed_tokens(mask.sum(1))]


def test_classic_reads_its_padding_and_so_depends_on_the_fixed_length():
    settings = {"pooling": "last", "segment_length": None, "bidirectional": False}
    classic = small_model(**settings, mask_padding=False, fixed_length=32)
    mended = small_model(**settings, fixed_length=32)
    mended.load_state_dict(classic.state_dict())
    input_ids, mask = ragged_batch(10)
    with torch.no_grad():
        states, _ = classic.encode(*classic._frame(input_ids, mask))
        torch.testing.assert_close(
            classic(input_ids, mask).logits, classic.classifier(states[:, 31])
        )
        torch.testing.assert_close(mended(input_ids, mask).logits, mended.classifier(states[:, 9]))
        assert not torch.allclose(classic(input_ids, mask).logits, mended(input_ids, mask).logits)


def test_classic_scores_the_same_alone_and_in_a_batch_by_its_fixed_length():
    assert_scores_the_same_alone_and_in_a_batch(
        small_model(
            pooling="last",
            segment_length=None,
            bidirectional=False,
            mask_padding=False,
            fixed_length=48,
        )
    )


def test_temperature_divides_the_logits():
    model = small_model()
    input_ids, mask = ragged_batch(12, 5)
    with torch.no_grad():
        before = model(input_ids, mask).logits
        model.config.temperature = 2.0
        torch.testing.assert_close(model(input_ids, mask).logits, before / 2)


def test_the_bias_is_added_once_the_temperature_is_divided_out():
    model = small_model(id2label={0: "bad", 1: "fine", 2: "good"})
    input_ids, mask = ragged_batch(12, 5)
    with torch.no_grad():
        before = model(input_ids, mask).logits
        model.config.temperature = 2.0
        model.config.calibration_bias = [0.5, -1.0, 0.25]
        expected = before / 2 + torch.tensor([0.5, -1.0, 0.25])
        torch.testing.assert_close(model(input_ids, mask).logits, expected)


def test_short_texts_are_calibrated_by_themselves_and_longer_ones_less_and_less():
    lengths = [3, 4, 8, 16, 20]
    model = small_model(temperature=2.0, calibration_bias=[0.1, -0.1], segment_length=16)
    input_ids, mask = ragged_batch(*lengths)
    short = dict(short_temperature=0.5, short_bias=[-1.0, 1.0], short_tokens=[4, 16])
    with torch.no_grad():
        as_long = model(input_ids, mask).logits
        raw = (as_long - torch.tensor([0.1, -0.1])) * 2.0
        as_short = raw / 0.5 + torch.tensor([-1.0, 1.0])
        for name, value in short.items():
            setattr(model.config, name, value)
        shortness = torch.tensor([1.0, 1.0, 0.5, 0.0, 0.0])[:, None]  # 8 is half way, in octaves
        expected = shortness * as_short + (1 - shortness) * as_long
        torch.testing.assert_close(model(input_ids, mask).logits, expected)
        logits, scores = model.token_scores(input_ids, mask)
        # What the tokens do not add is the biases, of equally long texts the same.
        rest = logits - scores.sum(1)
        torch.testing.assert_close(rest[0], rest[1])
        torch.testing.assert_close(rest[3], rest[4])
    calibration = Calibration(
        temperature=2.0,
        bias=[0.1, -0.1],
        reviews=5,
        log_loss_before=1.0,
        log_loss_after=1.0,
        expected_calibration_error_before=0.0,
        expected_calibration_error_after=0.0,
        short=ShortCalibration(
            temperature=0.5,
            bias=[-1.0, 1.0],
            tokens=[4, 16],
            sentences=5,
            log_loss_before=1.0,
            log_loss_cross_validated=1.0,
        ),
    )
    np.testing.assert_allclose(calibration.rescaled(raw.numpy(), lengths), logits, atol=1e-5)


def test_the_bias_and_the_threshold_survive_saving_and_older_folders_have_neither(tmp_path):
    model = small_model(calibration_bias=(0.5, -0.5), abstain_below=0.9, temperature=2.0)
    model.save_pretrained(tmp_path)
    again = SentimentConfig.from_pretrained(tmp_path)
    assert (again.calibration_bias, again.abstain_below) == ([0.5, -0.5], 0.9)
    values = json.loads((tmp_path / "config.json").read_text())
    for name in ("calibration_bias", "abstain_below"):
        del values[name]
    (tmp_path / "config.json").write_text(json.dumps(values))
    older = SentimentModel.from_pretrained(tmp_path).eval()
    assert (older.config.calibration_bias, older.config.abstain_below) == (None, 0.0)
    input_ids, mask = ragged_batch(12, 5)
    with torch.no_grad():
        without = small_model(temperature=2.0)(input_ids, mask).logits
        assert torch.equal(older(input_ids, mask).logits, without)


def test_dropout_acts_in_training_only():
    model = small_model(word_dropout=0.5, embedding_dropout=0.5, classifier_dropout=0.5)
    input_ids, mask = ragged_batch(12, 5)
    with torch.no_grad():
        assert torch.equal(model(input_ids, mask).logits, model(input_ids, mask).logits)
        model.train()
        assert not torch.equal(model(input_ids, mask).logits, model(input_ids, mask).logits)


def test_a_review_without_a_token_is_named():
    input_ids, mask = ragged_batch(4, 4)
    mask[1] = 0
    with pytest.raises(ValueError, match=r"Review 1 of the batch has no token"):
        small_model()(input_ids, mask)


def test_padding_before_a_token_is_named():
    input_ids, mask = ragged_batch(4, 4)
    mask[0, 0] = 0
    with pytest.raises(ValueError, match=r"Review 0 of the batch has padding before"):
        small_model()(input_ids, mask)


def test_probabilities_as_labels_lose_what_class_ids_lose_where_they_are_certain():
    model = small_model(id2label={0: "a", 1: "b", 2: "c"})
    input_ids, mask = ragged_batch(12, 5, 9)
    ids = torch.tensor([2, 0, 1])
    with torch.no_grad():
        hard = model(input_ids, mask, labels=ids).loss
        certain = model(input_ids, mask, labels=torch.eye(3)[ids]).loss
        even = model(input_ids, mask, labels=torch.full((3, 3), 1 / 3))
    torch.testing.assert_close(certain, hard)
    torch.testing.assert_close(even.loss, -even.logits.log_softmax(1).mean())


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        (torch.ones(2, 3), r"\(2, 3\) torch.float32; expected class ids \(2,\) torch.int64, or"),
        (torch.ones(2), r"\(2,\) torch.float32"),
        (torch.tensor([[0, 1], [1, 0]]), r"\(2, 2\) torch.int64"),
        (torch.tensor([1, 0, 1]), r"\(3,\) torch.int64"),
        (torch.tensor([[0.5, 0.5], [0.5, 0.7]]), "labels of review 1 of the batch are"),
        (torch.tensor([[-0.5, 1.5], [0.5, 0.5]]), "labels of review 0 .* 0 or more and 1 in sum"),
        (torch.tensor([[0.5, 0.5], [0.5, torch.nan]]), "labels of review 1 .* nan"),
    ],
)
def test_labels_that_are_neither_ids_nor_probabilities_are_named(
    labels: torch.Tensor, complaint: str
):
    input_ids, mask = ragged_batch(4, 4)
    with pytest.raises(ValueError, match=complaint):
        small_model()(input_ids, mask, labels=labels)


def test_auto_classes_load_what_save_pretrained_wrote(tmp_path):
    model = small_model(id2label={0: "bad", 1: "fine", 2: "good"})
    model.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert isinstance(config, SentimentConfig)
    assert isinstance(again, SentimentModel)
    assert again.config.id2label == {0: "bad", 1: "fine", 2: "good"}
    input_ids, mask = ragged_batch(12, 5)
    with torch.no_grad():
        assert torch.equal(again.eval()(input_ids, mask).logits, model(input_ids, mask).logits)


def test_the_saved_folder_carries_the_code_that_loads_it_elsewhere(tmp_path):
    small_model().save_pretrained(tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"configuration_sentiment.py", "modeling_sentiment.py"} <= names


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"pooling": "median"}, "pooling is 'median'"),
        ({"hidden_size": 0}, "hidden_size is 0"),
        ({"word_dropout": 1.0}, "word_dropout is 1.0"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"calibration_bias": [0.1]}, r"calibration_bias is \[0\.1\]; expected None or 2 finite"),
        ({"calibration_bias": [0.1, float("nan")]}, "calibration_bias is .* 2 finite numbers"),
        ({"calibration_bias": ["a", "b"]}, "calibration_bias is .* 2 finite numbers"),
        ({"calibration_bias": 0.5}, "calibration_bias is 0.5"),
        ({"short_temperature": 0.0}, "short_temperature is 0.0; expected None or above 0"),
        ({"short_bias": [0.1]}, r"short_bias is \[0\.1\]; expected None or 2 finite"),
        ({"short_tokens": [128, 48]}, r"short_tokens is \[128, 48\]; expected two lengths"),
        ({"abstain_below": 1.5}, "abstain_below is 1.5; expected from 0 to 1"),
        ({"abstain_below": float("nan")}, "abstain_below is nan"),
        ({"pooling": "last", "segment_length": 64}, "Set segment_length to None"),
        ({"mask_padding": False}, "Set fixed_length"),
    ],
)
def test_settings_out_of_range_are_named(settings: dict, complaint: str):
    with pytest.raises(ValueError, match=complaint):
        SentimentConfig(**settings)
