"""Embeddings of a pre-trained BERT, in the plane: the words of one review, or whole reviews.

::

    encoder.py    a pre-trained BERT, and its states of a text
    words.py      word pieces -> words
    maps.py       states -> PCA and t-SNE -> TokenMap, ReviewMap
    pictures.py   maps -> PNG and a page
"""

from sentiment_lstm.explore.encoder import load_encoder
from sentiment_lstm.explore.maps import (
    Projection,
    ReviewMap,
    TokenMap,
    TokenPoint,
    explore_reviews,
    explore_tokens,
    project,
)
from sentiment_lstm.explore.pictures import draw_reviews, draw_tokens, save_maps

__all__ = [
    "Projection",
    "ReviewMap",
    "TokenMap",
    "TokenPoint",
    "draw_reviews",
    "draw_tokens",
    "explore_reviews",
    "explore_tokens",
    "load_encoder",
    "project",
    "save_maps",
]
