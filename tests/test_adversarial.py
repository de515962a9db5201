from __future__ import annotations

from pathlib import Path

import pytest
import torch
from datasets import Dataset, DatasetDict
from torch import Tensor

from sentiment_lstm.adversarial import Adversary
from sentiment_lstm.building import build_model
from sentiment_lstm.errors import RecipeError
from sentiment_lstm.model import SentimentModel
from sentiment_lstm.recipes import Recipe, override
from sentiment_lstm.tokens import load_tokenizer, tokenize_reviews
from sentiment_lstm.trainer import make_trainer, read_history

EPSILON = 0.3


@pytest.fixture
def recipe(quick_recipe: Recipe) -> Recipe:
    return override(
        quick_recipe,
        [
            "model.ngram_buckets=0",
            "model.pretrained_embeddings=false",
            "model.segment_length=8",
            "model.word_dropout=0.0",
            "model.classifier_dropout=0.0",
            "training.precision=float32",
            "training.max_gradient_norm=0.0",
            "training.patience=0",
            f"training.adversarial_epsilon={EPSILON}",
        ],
    )


@pytest.fixture
def model(recipe: Recipe) -> SentimentModel:
    torch.manual_seed(0)
    return build_model(recipe, load_tokenizer(), ["negative", "positive"]).train()


@pytest.fixture(scope="module")
def batch() -> dict[str, Tensor]:
    """Three reviews of 30, 8 and 3 tokens: four segments, one, and a part of one."""
    lengths = torch.tensor([30, 8, 3])
    ids = torch.randint(1000, 20_000, (3, 30), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(30) < lengths[:, None]
    return {
        "input_ids": ids * mask,
        "attention_mask": mask.long(),
        "labels": torch.tensor([1, 0, 1]),
    }


def read_with(model: SentimentModel, batch: dict[str, Tensor], perturb: object) -> Tensor:
    model.perturb = perturb  # type: ignore[assignment]
    try:
        loss = model(**batch).loss
    finally:
        model.perturb = None
    return loss


def test_each_review_is_moved_by_the_same_length_and_padding_not_at_all(
    model: SentimentModel, batch: dict[str, Tensor]
):
    adversary = Adversary(EPSILON)
    seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def listen(embedded: Tensor, segments: object) -> Tensor:
        seen.append((embedded.detach(), segments.rows_mask, segments.reviews))  # type: ignore[attr-defined]
        return adversary.listen(embedded, segments)  # type: ignore[arg-type]

    read_with(model, batch, listen).backward()
    [(embedded, mask, reviews)] = seen
    moved = adversary.perturbation()
    assert moved.shape == embedded.shape
    assert (moved[~mask] == 0).all()
    assert reviews.tolist() == [0, 0, 0, 0, 1, 2]
    token = embedded[mask].square().sum(1).mean().sqrt()
    for review in range(3):
        rows = moved[: len(reviews)][reviews == review]
        assert rows.square().sum().sqrt() == pytest.approx(float(EPSILON * token), rel=1e-4)


def test_no_random_move_of_that_length_is_as_hard(model: SentimentModel, batch: dict[str, Tensor]):
    adversary = Adversary(EPSILON)
    plain = read_with(model, batch, adversary.listen)
    plain.backward()
    hard = read_with(model, batch, adversary.disturb)
    moved = adversary.perturbation()
    length = moved.square().sum((1, 2)).sqrt()
    random = torch.Generator().manual_seed(2)
    easier = []
    for _ in range(20):
        other = torch.randn(moved.shape, generator=random) * (moved != 0)
        other = other * (length / other.square().sum((1, 2)).sqrt().clamp(min=1e-9))[:, None, None]
        easier.append(read_with(model, batch, lambda e, _, other=other: e + other).item())
    assert hard.item() > plain.item()
    assert hard.item() > max(easier)


def test_it_is_made_of_a_backward_pass(model: SentimentModel, batch: dict[str, Tensor]):
    adversary = Adversary(EPSILON)
    read_with(model, batch, adversary.listen)
    with pytest.raises(RuntimeError, match="no backward pass"):
        adversary.perturbation()


def test_a_step_of_the_training_adds_the_gradients_of_both_readings_up(
    model: SentimentModel, recipe: Recipe, sentences: DatasetDict, tmp_path: Path
):
    tokenized = tokenize_reviews(sentences["train"].select(range(40)), load_tokenizer())
    trainer = make_trainer(
        model, recipe, train=tokenized, validation=None, work=tmp_path / "work", seed=0
    )
    batch = next(iter(trainer.get_train_dataloader()))
    adversary = Adversary(EPSILON)
    plain = read_with(model, batch, adversary.listen)
    plain.backward()
    read_with(model, batch, adversary.disturb).backward()
    expected = {name: part.grad.clone() for name, part in model.named_parameters()}
    model.zero_grad()
    trainer.current_gradient_accumulation_steps = 1  # set by `train`
    told = trainer.training_step(model, batch)
    assert told.item() == pytest.approx(plain.item(), rel=1e-5)
    for name, part in model.named_parameters():
        torch.testing.assert_close(part.grad, expected[name], rtol=1e-4, atol=1e-6)
    assert model.perturb is None


def test_a_training_may_read_some_batches_once(
    model: SentimentModel, recipe: Recipe, tokenized: Dataset, tmp_path: Path
):
    recipe = override(recipe, ["training.adversarial_every=3"])
    trainer = make_trainer(
        model, recipe, train=tokenized, validation=None, work=tmp_path / "work", seed=0
    )
    read: list[int] = []
    model.register_forward_hook(lambda *_: read.append(trainer.state.global_step))
    trainer.train()
    steps = trainer.state.global_step
    assert steps > 3
    assert [read.count(step) for step in range(steps)] == [
        2 if step % 3 == 0 else 1 for step in range(steps)
    ]


def test_each_review_counts_once_in_the_training_accuracy(
    model: SentimentModel, recipe: Recipe, tokenized: Dataset, tmp_path: Path
):
    trainer = make_trainer(
        model, recipe, train=tokenized, validation=None, work=tmp_path / "work", seed=0
    )
    seen: list[float] = []
    log = trainer.log

    def note(logs: dict[str, float], start_time: float | None = None) -> None:
        seen.append(float(trainer._correct[1]))
        log(logs, start_time)

    trainer.log = note  # type: ignore[method-assign]
    trainer.train()
    assert seen[0] == len(tokenized)
    assert 0 <= read_history(trainer.state.log_history)[0].train_accuracy <= 1


@pytest.fixture(scope="module")
def tokenized(sentences: DatasetDict) -> Dataset:
    return tokenize_reviews(sentences["train"].select(range(60)), load_tokenizer())


def test_a_negative_length_is_refused(quick_recipe: Recipe):
    with pytest.raises(RecipeError, match=r"adversarial_epsilon is -0.1; expected at least 0"):
        override(quick_recipe, ["training.adversarial_epsilon=-0.1"])
