"""Starting values for the token embedding, from a pre-trained BERT's word pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from sklearn.decomposition import PCA
from transformers import PreTrainedTokenizerFast

from sentiment_lstm.errors import ModelError
from sentiment_lstm.tokens import embedded_bert_folder, load_tokenizer

__all__ = ["pretrained_embeddings"]

_WEIGHTS = "model.safetensors"
_TABLE = "word_embeddings.weight"


def pretrained_embeddings(
    tokenizer: PreTrainedTokenizerFast,
    *,
    embedding_size: int,
    folder: Path | None = None,
) -> NDArray[np.float32]:
    """Reduce a pre-trained BERT's word-piece vectors to the size of the LSTM's embedding.

    The first principal components keep the most of what the vectors know of each other; they are
    scaled to a standard deviation of 1, the scale an LSTM's embedding starts with in PyTorch. Word
    pieces are matched by their text, so the two vocabularies may differ; a piece that BERT does not
    know starts at the mean, which is zero.

    Args:
        tokenizer: whose vocabulary the rows follow.
        embedding_size: E, at most the width of BERT's vectors.
        folder: a local BERT; None for the embedded one.

    Returns:
        (V, E) float32.

    Raises:
        ModelError: the folder holds no BERT, or its vectors are narrower than E.
    """
    folder = embedded_bert_folder() if folder is None else folder
    vectors = _word_vectors(folder / _WEIGHTS)
    if embedding_size > vectors.shape[1]:
        raise ModelError(
            f"{folder}: its word vectors have {vectors.shape[1]} dimensions, the recipe asks for "
            f"embedding_size={embedding_size}. Lower model.embedding_size, or set "
            "model.pretrained_embeddings to false."
        )
    reduced = PCA(embedding_size, svd_solver="covariance_eigh").fit_transform(vectors)
    reduced = (reduced / reduced.std()).astype(np.float32)
    theirs = load_tokenizer(folder).get_vocab()
    table = np.zeros((len(tokenizer), embedding_size), dtype=np.float32)
    for piece, row in tokenizer.get_vocab().items():
        if piece in theirs:
            table[row] = reduced[theirs[piece]]
    return table


def _word_vectors(path: Path) -> NDArray[np.float32]:
    try:
        with safe_open(path, framework="numpy") as weights:
            name = next((key for key in weights.keys() if key.endswith(_TABLE)), None)
            if name is not None:
                return weights.get_tensor(name).astype(np.float32)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: not a readable weights file ({error}).") from error
    raise ModelError(f"{path}: holds no tensor {_TABLE!r}. Name the folder of a BERT.")
