from __future__ import annotations

import numpy as np
import pytest
import torch

from sentiment_lstm.foretelling import Foretelling
from sentiment_lstm.recipes.settings import PretrainingSettings
from tests.contracts import ragged_batch, small_model

SETTINGS = PretrainingSettings(objective="region", negatives=20)


def brute_force_loss(learner: Foretelling, input_ids: torch.Tensor, negatives: torch.Tensor):
    """The loss of one unpadded segment, word by word and against a list of candidates."""
    total = weight = 0.0
    offset = learner.bias - (learner.drawn * learner.negatives).log()
    for direction, head in enumerate(learner.heads):
        ids = input_ids if direction == 0 else input_ids.flip(0)
        states = learner.embedding(ids)[None]
        for lstm in (learner.encoder.forwards, learner.encoder.backwards)[direction]:
            states = lstm(states)[0]
        states = states[0]
        for place in range(len(ids)):
            for ahead in range(1, learner.distance + 1):
                if place + ahead >= len(ids):
                    continue
                target = int(ids[place + ahead])
                words = list(dict.fromkeys([target, *negatives.tolist()]))
                scores = learner.targets.weight[words] @ head(states[place]) + offset[words]
                share = float(learner.weight[target])
                total = total - share * scores.log_softmax(0)[0]
                weight += share
    return total / weight


@pytest.mark.parametrize("objective", ["language_model", "region"])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_loss_is_that_of_every_word_told_from_the_drawn_ones(
    objective: str, bidirectional: bool, layers: int
):
    model = small_model(segment_length=16, bidirectional=bidirectional, num_hidden_layers=layers)
    counts = np.arange(1, 51)
    settings = PretrainingSettings(objective=objective, distance_tokens=3, negatives=12)
    learner = Foretelling(model, counts, settings).eval()
    input_ids, mask = ragged_batch(9)
    with torch.no_grad():
        torch.manual_seed(4)
        negatives = torch.multinomial(learner.drawn, learner.negatives)
        torch.manual_seed(4)
        loss = learner(input_ids, mask)["loss"]
        torch.testing.assert_close(loss, brute_force_loss(learner, input_ids[0], negatives))


def test_its_gradients_are_those_of_that_loss():
    learner = Foretelling(small_model(segment_length=16), np.arange(1, 51), SETTINGS).eval()
    input_ids, mask = ragged_batch(9)
    torch.manual_seed(4)
    negatives = torch.multinomial(learner.drawn, learner.negatives)
    torch.manual_seed(4)
    loss = learner(input_ids, mask)["loss"]
    names, learnt = zip(*learner.named_parameters(), strict=True)
    ours = torch.autograd.grad(loss, learnt)
    theirs = torch.autograd.grad(brute_force_loss(learner, input_ids[0], negatives), learnt)
    for name, one, other in zip(names, ours, theirs, strict=True):
        assert other.abs().max() > 0, name
        torch.testing.assert_close(one, other, msg=lambda text, name=name: f"{name}: {text}")


def test_of_two_layers_that_read_both_ways_the_first_learns_and_the_second_waits():
    model = small_model(segment_length=16, bidirectional=True, num_hidden_layers=2)
    before = {name: value.clone() for name, value in model.encoder.state_dict().items()}
    learner = Foretelling(model, np.arange(1, 51), SETTINGS)
    optimizer = torch.optim.SGD(learner.parameters(), lr=0.1)
    learner(*ragged_batch(9, 5))["loss"].backward()
    optimizer.step()
    for name, value in model.encoder.state_dict().items():
        assert torch.equal(value, before[name]) is (".1." in name), name


def test_padding_of_a_batch_changes_no_loss():
    learner = Foretelling(small_model(segment_length=16), np.ones(50, dtype=int), SETTINGS).eval()
    input_ids, mask = ragged_batch(12, 5)
    other = torch.where(mask.bool(), input_ids, 7)
    with torch.no_grad():
        losses = []
        for ids in (input_ids, other):
            torch.manual_seed(0)
            losses.append(learner(ids, mask)["loss"])
    torch.testing.assert_close(losses[0], losses[1])


def test_frequent_words_are_targets_less_often_in_regions_only():
    counts = np.array([0] + [100_000] + [10] * 48)
    for objective, expected in (("region", False), ("language_model", True)):
        settings = PretrainingSettings(objective=objective)
        weight = Foretelling(small_model(), counts, settings).weight
        assert bool(weight[1] == weight[2]) is expected
        assert float(weight.max()) == 1.0
