"""Reviews of any length for encoders of limited length: read window by window."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from sentiment_lstm.batches import collate_ragged
from sentiment_lstm.encoder_settings import MAX_WINDOW_TOKENS
from sentiment_lstm.errors import ModelError
from sentiment_lstm.text import without_markup
from sentiment_lstm.token_budget import token_budget_batches

__all__ = [
    "Frame",
    "collate_windows",
    "end_windows",
    "equal_windows",
    "frame_of",
    "plain_ids",
    "score_texts",
]

_BATCH_TOKENS = 4_096
_LENGTH_STEP = 16  # few shapes, because a CPU prepares its kernels for each of them
_CHUNK_TEXTS = 1_000


class Frame(NamedTuple):
    """What stands around the token ids of every window, and how long a window can be."""

    before: list[int]  # [CLS], in BERT
    after: list[int]  # [SEP], in BERT
    pad_token_id: int
    max_length_tokens: int  # with what stands around
    window_limit: int = 0  # windows that are read of a text, from both ends; 0 reads all of it

    @property
    def room_tokens(self) -> int:
        """Tokens of text that fit into a window."""
        return self.max_length_tokens - len(self.before) - len(self.after)

    def around(self, ids: Sequence[int]) -> list[int]:
        """Put the special tokens around a window; an empty text of no special token gets one."""
        return [*self.before, *ids, *self.after] or [self.pad_token_id]

    def windows(self, ids: Sequence[int]) -> list[Sequence[int]]:
        """Cut a text, without special tokens, into the windows that are read of it."""
        if 0 < self.window_limit * self.room_tokens < len(ids):
            return end_windows(ids, self.room_tokens, self.window_limit)
        return equal_windows(ids, self.room_tokens)


def frame_of(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length_tokens: int = MAX_WINDOW_TOKENS,
    window_limit: int = 0,
) -> Frame:
    """Find the special tokens and the longest window that a model and its tokenizer allow.

    Args:
        model: its position embeddings limit the length.
        tokenizer: so does its `model_max_length`.
        max_length_tokens: the most tokens of a window in any case.
        window_limit: the most windows that are read of a text; 0 reads all of it.

    Raises:
        ModelError: no token of text fits between the special ones.
    """
    # Asked of the tokenizer by an example, because each architecture has its own template.
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    framed = tokenizer("a")["input_ids"]
    starts = range(len(framed) - len(plain) + 1)
    at = next((at for at in starts if framed[at : at + len(plain)] == plain), 0)
    pads: list[Any] = [tokenizer.pad_token_id, tokenizer.eos_token_id]
    frame = Frame(
        before=framed[:at],
        after=framed[at + len(plain) :],
        pad_token_id=next((int(pad) for pad in pads if pad is not None), 0),
        max_length_tokens=min(
            max_length_tokens, int(tokenizer.model_max_length), _positions(model)
        ),
        window_limit=window_limit,
    )
    if frame.room_tokens < 1:
        raise ModelError(
            f"{tokenizer.name_or_path}: reads at most {frame.max_length_tokens} tokens, which is "
            "all taken by special ones. Correct model_max_length in tokenizer_config.json."
        )
    return frame


def plain_ids(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    """Tokenize whole texts without special tokens, `<br />` read as white space."""
    ids: list[list[int]] = []
    for start in range(0, len(texts), _CHUNK_TEXTS):
        encoded = tokenizer(
            [without_markup(text) for text in texts[start : start + _CHUNK_TEXTS]],
            add_special_tokens=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        ids += encoded["input_ids"]
    return ids


def equal_windows(ids: Sequence[int], room_tokens: int) -> list[Sequence[int]]:
    """Cut token ids into the fewest windows that fit, of one length give or take a token.

    Equal ones, because the rest behind full windows would be a few words that say little and
    count as much as a full window.
    """
    count = max(1, -(-len(ids) // room_tokens))
    edges = [len(ids) * number // count for number in range(count + 1)]
    return [ids[start:end] for start, end in itertools.pairwise(edges)]


def end_windows(ids: Sequence[int], room_tokens: int, count: int) -> list[Sequence[int]]:
    """Take full windows from both ends of a text that is longer than `count` of them.

    A review says at its beginning and at its end what its writer thinks, and tells the story in
    between. The odd window is one of the end.
    """
    first = count // 2
    starts = [number * room_tokens for number in range(first)]
    starts += [len(ids) - number * room_tokens for number in range(count - first, 0, -1)]
    return [ids[start : start + room_tokens] for start in starts]


def collate_windows(rows: Sequence[dict], frame: Frame) -> dict[str, Tensor]:
    """Pad windows on the right to a length that many batches share.

    Args:
        rows: each with `input_ids`, special tokens included, and for training `labels`.
        frame: gives the padding and the longest length.

    Returns:
        `input_ids` (B, T), `attention_mask` (B, T) and, if given, `labels` (B,), int64.
    """
    batch = collate_ragged(rows, pad_token_id=frame.pad_token_id)
    length = batch["input_ids"].shape[1]
    extra = (0, _padded_length(length, frame) - length)
    batch["input_ids"] = nn.functional.pad(batch["input_ids"], extra, value=frame.pad_token_id)
    batch["attention_mask"] = nn.functional.pad(batch["attention_mask"], extra)
    return batch


def score_texts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    frame: Frame,
) -> NDArray[np.float32]:
    """Average the logits over the windows that are read of each text.

    Args:
        model: any sequence classifier, such as `in_fast_precision` gives; it is left in the mode,
            training or not, it was in.
        tokenizer: its own.
        texts: N texts of any length.
        frame: from :func:`frame_of`.

    Returns:
        (N, C) float32.
    """
    was_training = model.training
    model.eval()
    try:
        parts = [
            _score_chunk(model, tokenizer, texts[start : start + _CHUNK_TEXTS], frame)
            for start in range(0, len(texts), _CHUNK_TEXTS)
        ]
    finally:
        model.train(was_training)
    return np.concatenate([np.zeros((0, _classes(model)), dtype=np.float32), *parts])


def _score_chunk(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    frame: Frame,
) -> NDArray[np.float32]:
    windows, text_of = [], []
    for text, ids in enumerate(plain_ids(tokenizer, texts)):
        for window in frame.windows(ids):
            windows.append(frame.around(window))
            text_of.append(text)
    padded = [_padded_length(len(window), frame) for window in windows]
    logits = np.zeros((len(windows), _classes(model)), dtype=np.float32)
    for batch in token_budget_batches(padded, budget_tokens=_BATCH_TOKENS):
        tensors = collate_windows([{"input_ids": windows[row]} for row in batch], frame)
        on_device = {name: tensor.to(model.device) for name, tensor in tensors.items()}
        with torch.inference_mode():
            scores = model(**on_device).logits
        logits[batch] = scores.float().cpu().numpy()
    sums = np.zeros((len(texts), _classes(model)), dtype=np.float32)
    np.add.at(sums, text_of, logits)
    counts = np.bincount(text_of, minlength=len(texts)).astype(np.float32)
    return sums / counts[:, None]


def _padded_length(length: int, frame: Frame) -> int:
    # A step more than the longest window would pass the model's last position.
    return min(-(-length // _LENGTH_STEP) * _LENGTH_STEP, frame.max_length_tokens)


def _classes(model: PreTrainedModel) -> int:
    return int(model.config.num_labels or 0)


def _positions(model: PreTrainedModel) -> int:
    """The longest input that the model has positions for, special tokens included."""
    for name, module in model.named_modules():
        if isinstance(module, nn.Embedding) and name.endswith("position_embeddings"):
            # RoBERTa counts from behind its padding id, so it has fewer than the table has rows.
            offset = 0 if module.padding_idx is None else module.padding_idx + 1
            return module.num_embeddings - offset
    return int(getattr(model.config, "max_position_embeddings", MAX_WINDOW_TOKENS))
