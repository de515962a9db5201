from __future__ import annotations

import logging

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from transformers import BertTokenizer

from sentiment_lstm.errors import DataError, ModelError
from sentiment_lstm.tokens import (
    cut_share,
    embedded_bert_folder,
    load_tokenizer,
    saved_tokenizer,
    token_lengths,
    tokenize_reviews,
    tokenize_texts,
)

TEXT = "A great<br /><br />film, isn't it? <BR>Ünïcode 🙂"


@pytest.fixture(scope="module")
def tokenizer():
    return load_tokenizer()


def reviews(*texts: str) -> Dataset:
    features = Features({"text": Value("string"), "label": ClassLabel(names=["bad", "good"])})
    return Dataset.from_dict(
        {"text": list(texts), "label": [row % 2 for row in range(len(texts))]}, features=features
    )


def test_embedded_vocabulary_is_bert_base_uncaseds(tokenizer):
    vocabulary = tokenizer.get_vocab()
    assert len(vocabulary) == 30522
    assert [vocabulary[t] for t in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")] == [
        0,
        100,
        101,
        102,
        103,
    ]
    assert vocabulary["##ing"] == 2075


def test_word_pieces_are_those_of_the_plain_bert_tokenizer_once_markup_is_space(tokenizer):
    plain = BertTokenizer.from_pretrained(embedded_bert_folder())
    assert tokenizer.tokenize(TEXT) == plain.tokenize(
        TEXT.replace("<br />", " ").replace("<BR>", " ")
    )


def test_markup_is_kept_where_the_recipe_asks_for_it():
    assert load_tokenizer(clean_markup=False).tokenize("a<br />b") == "a < br / > b".split()


def test_character_offsets_point_into_the_text_as_it_was_given(tokenizer):
    encoded = tokenizer(TEXT, return_offsets_mapping=True, add_special_tokens=False)
    words = [TEXT[start:end] for start, end in encoded["offset_mapping"]]
    assert words[:4] == ["A", "great", "film", ","]


@pytest.mark.parametrize("clean_markup", [True, False])
def test_a_saved_tokenizer_reads_texts_as_before(tmp_path, clean_markup: bool):
    before = load_tokenizer(clean_markup=clean_markup, max_length_tokens=8)
    before.save_pretrained(tmp_path)
    after = saved_tokenizer(tmp_path)
    texts = [TEXT, "short", "word " * 50]
    assert after(texts, truncation=True) == before(texts, truncation=True)
    assert after(texts).keys() == {"input_ids", "attention_mask"}
    assert after.model_max_length == 8


def test_a_maximum_cuts_but_keeps_the_closing_mark(tokenizer):
    (input_ids,) = tokenize_texts(tokenizer, ["word " * 50], max_length_tokens=8)
    assert len(input_ids) == 8
    assert (input_ids[0], input_ids[-1]) == (101, 102)


def test_whole_long_texts_are_kept_without_a_warning(tokenizer, caplog):
    with caplog.at_level(logging.WARNING):
        (input_ids,) = tokenize_texts(tokenizer, ["word " * 5000])
    assert len(input_ids) == 5002
    assert caplog.records == []


def test_lengths_count_the_special_tokens_and_cut_share_counts_what_is_longer(tokenizer):
    lengths = token_lengths(tokenizer, ["one", "one two", "one two three"])
    assert lengths.tolist() == [3, 4, 5]
    assert cut_share(lengths, 4) == pytest.approx(1 / 3)
    assert cut_share(np.array([], dtype=np.int64), 4) == 0.0


def test_tokenized_splits_are_read_back_from_the_cache(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    first = tokenize_reviews(reviews("a film", "another film"), tokenizer)
    (file,) = (tmp_path / "sentiment-lstm").iterdir()
    written = file.stat().st_mtime_ns
    again = tokenize_reviews(reviews("a film", "another film"), tokenizer)
    assert (
        again[:]
        == first[:]
        == {
            "input_ids": [[101, 1037, 2143, 102], [101, 2178, 2143, 102]],
            "length": [4, 4],
            "labels": [0, 1],
        }
    )
    assert [path.stat().st_mtime_ns for path in file.parent.iterdir()] == [written]


@pytest.mark.parametrize("change", ["text", "maximum", "markup"])
def test_the_cache_notices_whatever_changes_the_tokens(tokenizer, tmp_path, monkeypatch, change):
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path)
    tokenize_reviews(reviews("a film<br />", "b"), tokenizer)
    tokenize_reviews(
        reviews("a film<br />", "c" if change == "text" else "b"),
        load_tokenizer(clean_markup=False) if change == "markup" else tokenizer,
        max_length_tokens=3 if change == "maximum" else None,
    )
    assert len(list((tmp_path / "sentiment-lstm").iterdir())) == 2


def test_an_empty_split_is_refused(tokenizer):
    with pytest.raises(DataError, match="no review to tokenize"):
        tokenize_reviews(reviews(), tokenizer)


@pytest.mark.parametrize("content", [{}, {"config.json": "{}"}, {"tokenizer.json": "{"}])
def test_a_folder_without_a_vocabulary_is_named_with_the_remedy(tmp_path, content: dict):
    for name, text in content.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(ModelError, match=r"no BERT tokenizer could be loaded.*embedded one"):
        load_tokenizer(tmp_path)


def test_a_damaged_saved_tokenizer_is_named(tmp_path, tokenizer):
    tokenizer.save_pretrained(tmp_path)
    file = tmp_path / "tokenizer.json"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(ModelError, match="the tokenizer cannot be read"):
        saved_tokenizer(tmp_path)


def test_a_hub_name_without_a_hub_gets_the_two_local_ways(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"the Hugging Face hub cannot be reached.*local folder"):
        load_tokenizer("nobody/no-such-tokenizer")
