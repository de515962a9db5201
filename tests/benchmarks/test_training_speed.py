"""Loops of training are compared by the useful work that they do."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import common
import loops
from sentiment_lstm.model import SentimentConfig, SentimentModel
from sentiment_lstm.precision import fast_bfloat16
from sentiment_lstm.recipes.settings import TrainingSettings
from tests.benchmarks.results import read


def test_training_speed_compares_the_loops_by_useful_work(measured: Path):
    content = read(measured, "training_speed")
    low = ["bfloat16"] if fast_bfloat16() else []
    assert list(content["loops"]) == ["padded", "packed", "library", *low]
    limits = content["matmul_gflops"]
    assert content["reviews"] == 30
    assert content["loops"]["padded"]["speed"] == 1
    for name, loop in content["loops"].items():
        assert loop["useful_gflops"] > 0
        limit = limits["matmul in bfloat16" if name == "bfloat16" else "matmul"]
        share = loop["useful_gflops"] / limit
        assert loop["share_of_limit"] == pytest.approx(share)
        relative = loop["useful_gflops"] / content["loops"]["padded"]["useful_gflops"]
        assert loop["speed"] == pytest.approx(relative)
        work = loop["reviews_per_second"] * content["tokens"] / content["reviews"]
        assert work * content["useful_flops_per_token"] / 1e9 == pytest.approx(
            loop["useful_gflops"]
        )
    assert content["loops"]["packed"]["padding_share"] == 0
    assert content["loops"]["padded"]["padding_share"] > 0.1
    text = (measured / "training_speed.md").read_text(encoding="utf-8")
    assert "sentiment-lstm" in text
    assert all(f"{limit:.1f}" in text for limit in limits.values())


def test_rivals_take_turns_after_a_warm_up_each(monkeypatch: pytest.MonkeyPatch):
    calls: list[str] = []
    ticks = itertools.count()
    monkeypatch.setattr(common.time, "perf_counter", lambda: float(next(ticks)))

    def rival(name: str):
        return lambda: calls.append(name)

    timings = common.compare({"a": rival("a"), "b": rival("b")}, rounds=2)
    assert calls == ["a", "b"] * 3
    assert timings["a"] == ([1, 1], 1)
    assert timings["b"] == ([1, 1], 1)
    assert common.compare({"a": rival("a")}, rounds=1, work={"a": 2})["a"].seconds == [0.5]


@pytest.mark.parametrize("num_hidden_layers", [1, 2])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_useful_operations_are_those_that_torch_counts(num_hidden_layers: int, bidirectional: bool):
    embedding_size, hidden_size, tokens = 12, 8, 5
    config = SentimentConfig(
        embedding_size=embedding_size,
        hidden_size=hidden_size,
        num_hidden_layers=num_hidden_layers,
        bidirectional=bidirectional,
    )
    directions = 2 if bidirectional else 1
    # The gates of every layer and direction, as the matrix multiplications that they are.
    sizes = [embedding_size] + [directions * hidden_size] * (num_hidden_layers - 1)
    with FlopCounterMode(display=False) as counter:
        for size in sizes:
            for inputs in (size, hidden_size) * directions:
                states = torch.zeros(tokens, inputs, requires_grad=True)
                nn.Linear(inputs, 4 * hidden_size)(states).sum().backward()
    assert loops.lstm_flops_per_token(config) * tokens == counter.get_total_flops()


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_plain_model_is_the_librarys_over_whole_reviews(bidirectional: bool):
    config = SentimentConfig(
        vocab_size=50,
        embedding_size=6,
        hidden_size=5,
        bidirectional=bidirectional,
        segment_length=None,
    )
    ours = SentimentModel(config).eval()
    plain = loops.PlainModel(config, packed=True).eval()
    plain.embedding.load_state_dict(ours.embedding.state_dict())
    plain.classifier.load_state_dict(ours.classifier.state_dict())
    weights = {
        name + suffix: weight
        for suffix, layers in (("", ours.encoder.forwards), ("_reverse", ours.encoder.backwards))
        for layer in layers
        for name, weight in layer.state_dict().items()
    }
    plain.lstm.load_state_dict(weights)
    input_ids = torch.randint(1, 50, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(9) < torch.tensor([[9], [4], [1]])).long()
    labels = torch.tensor([0, 1, 1])
    torch.testing.assert_close(
        plain(input_ids, mask, labels).loss, ours(input_ids, mask, labels).loss
    )
    torch.testing.assert_close(plain(input_ids, mask).logits, ours(input_ids, mask).logits)
    # Where there is no padding, packing makes no difference; elsewhere the backward states differ.
    unpacked = loops.PlainModel(config, packed=False).eval()
    unpacked.load_state_dict(plain.state_dict())
    same = torch.isclose(unpacked(input_ids, mask).logits, plain(input_ids, mask).logits).all(1)
    assert same.tolist() == ([True, False, False] if bidirectional else [True, True, True])


def test_each_loop_changes_every_weight_of_its_model():
    config = SentimentConfig(vocab_size=30, embedding_size=4, hidden_size=4, segment_length=3)
    random_ids = random.Random(0)
    rows = [
        {
            "input_ids": [*range(1, 30), *(random_ids.randrange(1, 30) for _ in range(place))],
            "labels": place % 2,
        }
        for place in range(8)
    ]
    settings = TrainingSettings(batch_size=4, learning_rate=0.1)
    models = [
        SentimentModel(config),
        loops.PlainModel(config, packed=True),
        loops.PlainModel(config, packed=False),
    ]
    made = [
        loops.library_loop(models[0], rows, settings, 0),
        *(loops.plain_loop(model, rows, settings, 0) for model in models[1:]),
    ]
    for model, loop in zip(models, made, strict=True):
        assert loop.tokens == sum(len(row["input_ids"]) for row in rows)
        before = {name: weight.clone() for name, weight in model.named_parameters()}
        loop.run()
        for name, weight in model.named_parameters():
            assert not torch.equal(weight, before[name]), name
