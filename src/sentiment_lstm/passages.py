"""Long texts cut into passages, which a teacher reads, and a student learns, as texts of their own.

What a teacher says of a review is one number for some hundred words. What it says of each of its
passages tells where that number comes from, and takes no longer to ask: an encoder reads a review
in windows anyway.
"""

from __future__ import annotations

from collections.abc import Iterator

import datasets
from transformers import PreTrainedTokenizerFast

from sentiment_lstm.data import dataset_texts, store_texts
from sentiment_lstm.text import without_markup

__all__ = ["cut_into_passages"]


def cut_into_passages(
    texts: datasets.Dataset, tokenizer: PreTrainedTokenizerFast, *, length_tokens: int
) -> datasets.Dataset:
    """Cut every text into the fewest passages of a length, all of a text's about equally long.

    Args:
        texts: columns `text`, none of them blank, and `label`.
        tokenizer: tells how long they are.
        length_tokens: the most tokens of a passage, give or take a word, since words stay whole.

    Returns:
        Columns `text`, its white space and line-break marks folded to single spaces, and `label`,
        -1 throughout; the passages of a text in its order, those of all texts in theirs.
    """
    return store_texts(
        (
            list(_passages(batch, tokenizer, length_tokens))
            for batch in dataset_texts("The texts", texts, text_column="text")
        ),
        datasets.Features({name: texts.features[name] for name in ("text", "label")}),
    )


def _passages(
    batch: list[str], tokenizer: PreTrainedTokenizerFast, length_tokens: int
) -> Iterator[str]:
    lines = [" ".join(without_markup(text).split()) for text in batch]
    offsets = tokenizer(
        lines,
        add_special_tokens=False,
        return_attention_mask=False,
        return_offsets_mapping=True,
        verbose=False,
    )["offset_mapping"]
    for line, places in zip(lines, offsets, strict=True):
        count = max(-(-len(places) // length_tokens), 1)
        start = 0
        for number in range(1, count):
            at = places[len(places) * number // count][0]
            # Where no white space stands, as in Chinese, any token may begin a passage.
            space = line.rfind(" ", start, at + 1)
            end = at if space < 0 else space
            if passage := line[start:end].strip():
                yield passage
            start = end
        yield line[start:].strip()
