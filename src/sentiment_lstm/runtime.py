"""A model folder and texts in, labels with calibrated confidence out, on ONNX Runtime alone.

Nothing here needs more than onnxruntime, tokenizers and numpy. Each text goes its way in a single
thread, and as many go at once as there are CPUs for this process: tokenizing one text overlaps with
scoring another, and no thread waits for another at every step of the LSTM.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sentiment_lstm import artefact
from sentiment_lstm.classifier import ScoredTokens, TextClassifier
from sentiment_lstm.errors import ModelError
from sentiment_lstm.token_budget import token_budget_batches
from sentiment_lstm.word_pieces import word_pieces

__all__ = ["OnnxClassifier", "available_cpus", "load"]

# The states of such a batch stay in a core's cache: the LSTM reads 1.4 times as fast as in batches
# of 16,384 tokens.
_BATCH_TOKENS = 2_048
# Tokenized and sorted together. Few enough that every thread has some, and its neighbours in
# length are near.
_CHUNK_TEXTS = 256
_FEWEST_TEXTS = 16
_WHOLE_LENGTH = 1e9
_ERRORS_ONLY = 3


def load(
    folder: str | Path,
    *,
    threads: int | None = None,
    file: str | None = None,
    batch_tokens: int = _BATCH_TOKENS,
) -> OnnxClassifier:
    """Load a model folder that was exported.

    Args:
        folder: holds config.json, the tokenizer and a folder `onnx`.
        threads: at most so many at once; None for :func:`available_cpus`.
        file: of the folder `onnx`; None for the smaller one that export has kept.
        batch_tokens: texts are scored together up to so many tokens; 1 scores each alone. The
            8-bit file's probabilities depend on the texts of the batch, by about 0.0005 and at most
            0.02 where it was measured; the 32-bit file's do not.

    Raises:
        ModelError: the folder or a file in it is missing or damaged, or its files do not belong
            together.
    """
    folder = artefact.existing_folder(folder)
    config = artefact.verify(folder)
    found = artefact.onnx_files(folder) if file is None else [folder / artefact.ONNX_FOLDER / file]
    if not found or not found[0].is_file():
        raise ModelError(
            f"{folder}: holds no ONNX file{'' if file is None else f' {file!r}'}. "
            "Run `sentiment-lstm export` on it."
        )
    facts, thresholds = artefact.facts_and_thresholds(folder)
    tokenizer_file, tokenizer_config = (folder / name for name in artefact.TOKENIZER)
    return OnnxClassifier(
        _session(found[0], config),
        config,
        _tokenizer(tokenizer_file),
        max_length_tokens=_max_length(tokenizer_config),
        threads=threads or available_cpus(),
        batch_tokens=batch_tokens,
        facts=facts,
        thresholds=thresholds,
    )


class OnnxClassifier(TextClassifier):
    """A trained model with its tokenizer, on ONNX Runtime.

    Args:
        session: of :func:`load`, a thread each run.
        config: the content of config.json.
        tokenizer: that of the model.
        max_length_tokens: where a text is cut, or None.
        threads: at most so many at once.
        batch_tokens: texts are scored together up to so many tokens.
        facts: as in `TextClassifier`.
        thresholds: as in `TextClassifier`.
    """

    def __init__(
        self,
        session: Any,  # noqa: ANN401 - onnxruntime is imported when a model is loaded
        config: Mapping[str, Any],
        tokenizer: Any,  # noqa: ANN401 - as is tokenizers
        *,
        max_length_tokens: int | None,
        threads: int,
        batch_tokens: int,
        facts: Mapping[str, str],
        thresholds: Mapping[str, float | None],
    ) -> None:
        names = config["id2label"]
        super().__init__(
            labels=[names[str(class_id)] for class_id in range(len(names))],
            ordinal=bool(config.get("ordinal", False)),
            abstain_below=float(config.get("abstain_below", 0.0)),
            max_length_tokens=max_length_tokens,
            additive=any(output.name == "token_scores" for output in session.get_outputs()),
            facts=facts,
            thresholds=thresholds,
        )
        self.threads = threads
        self.batch_tokens = batch_tokens
        self._session = session
        self._tokenizer = tokenizer
        self._word_pieces = word_pieces(tokenizer)
        self._pad_token_id = int(config.get("pad_token_id") or 0)

    def _score(
        self, texts: Sequence[str], on_progress: Callable[[int], None] | None
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        logits = np.zeros((len(texts), len(self.labels)))
        lengths = np.zeros(len(texts), dtype=np.int64)
        share = math.ceil(len(texts) / (4 * self.threads))
        size = min(max(share, _FEWEST_TEXTS), _CHUNK_TEXTS)
        starts = range(0, len(texts), size)

        def score_chunk(start: int) -> int:
            chunk = texts[start : start + size]
            logits[start : start + size], lengths[start : start + size] = self._score_chunk(chunk)
            return len(chunk)

        if len(starts) < 2 or self.threads < 2:
            done: Iterator[int] = map(score_chunk, starts)
        else:
            done = self._pool.map(score_chunk, starts)
        for count in done:
            if on_progress:
                on_progress(count)
        return logits, lengths

    def logits_of_ids(self, ids: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """Score one batch of texts that are tokenized already.

        Args:
            ids: B lists of token ids, none of them empty.

        Returns:
            (B, C) float64.
        """
        return self._run(ids, explain=False)[0].astype(np.float64)

    def _score_chunk(self, texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        ids = [self._encode(text) for text in texts]
        lengths = np.array([len(row) for row in ids], dtype=np.int64)
        if self.max_length_tokens is not None:
            ids = [_cut(row, self.max_length_tokens) for row in ids]
        logits = np.zeros((len(texts), len(self.labels)))
        sizes = [len(row) for row in ids]
        for batch in token_budget_batches(sizes, budget_tokens=self.batch_tokens):
            logits[batch] = self._run([ids[place] for place in batch], explain=False)[0]
        return logits, lengths

    def _score_tokens(self, text: str) -> ScoredTokens:
        encoding = self._tokenizer.encode(text)
        ids, offsets, words = encoding.ids, encoding.offsets, encoding.word_ids
        limit = self.max_length_tokens
        if limit is not None and len(ids) > limit:
            ids = _cut(ids, limit)
            offsets, words = _cut(offsets, limit), _cut(words, limit)
        logits, scores = self._run([ids], explain=True)
        return ScoredTokens(
            logits=logits[0].astype(np.float64),
            scores=scores[0].astype(np.float64),
            offsets=offsets,
            words=words,
            length_tokens=len(encoding.ids),
        )

    def _encode(self, text: str) -> list[int]:
        ids = self._word_pieces.encode(text) if self._word_pieces else None
        # A batch, of one: `encode` keeps every other thread of Python waiting, and finds offsets.
        return self._tokenizer.encode_batch_fast([text])[0].ids if ids is None else ids

    def _run(self, ids: Sequence[Sequence[int]], *, explain: bool) -> list[NDArray[np.float32]]:
        lengths = np.array([len(row) for row in ids])
        input_ids = np.full((len(ids), lengths.max()), self._pad_token_id, dtype=np.int64)
        for place, row in enumerate(ids):
            input_ids[place, : len(row)] = row
        mask = (np.arange(input_ids.shape[1]) < lengths[:, None]).astype(np.int64)
        feed: dict[str, Any] = {"input_ids": input_ids, "attention_mask": mask}
        names = ["logits"]
        if self.additive:
            feed["explain"] = np.array(explain)
            names += ["token_scores"] if explain else []
        return self._session.run(names, feed)

    @functools.cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self.threads, thread_name_prefix="sentiment-lstm")

    def __getstate__(self) -> None:
        raise TypeError("A session of ONNX Runtime cannot be pickled. Load the folder again there.")


def available_cpus() -> int:
    """Count the CPUs that this process may use: its affinity, and the quota of its container.

    ONNX Runtime takes every core of the machine instead, and a container of one CPU then waits for
    threads that it has no time for.

    Source: cpu.max of cgroup v2, https://docs.kernel.org/admin-guide/cgroup-v2.html
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cpus = len(affinity(0)) if affinity else (os.cpu_count() or 1)
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        if quota != "max":
            cpus = min(cpus, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        pass
    return max(cpus, 1)


def _session(path: Path, config: Mapping[str, Any]) -> Any:  # noqa: ANN401
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    try:
        session = onnxruntime.InferenceSession(
            path, sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime raises a dozen kinds, all of them its own
        detail = " ".join(str(error).split())
        raise ModelError(
            f"{path}: not a readable ONNX file ({detail:.200}). Copy it again, or run "
            "`sentiment-lstm export` once more."
        ) from error
    kept = session.get_modelmeta().custom_metadata_map
    for key in (artefact.WEIGHTS_HASH, artefact.TOKENIZER_HASH):
        if kept.get(key) != config.get(key):
            raise ModelError(
                f"{path}: was exported from another model than {artefact.CONFIG} describes. Run "
                "`sentiment-lstm export` on this folder, or copy all of its files from one place."
            )
    return session


def _tokenizer(path: Path) -> Any:  # noqa: ANN401
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exceptions for a damaged file
        raise ModelError(
            f"{path}: the tokenizer cannot be read ({error}). "
            "Copy the file again from where the model was trained."
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _max_length(path: Path) -> int | None:
    length = artefact.read_json(path).get("model_max_length", _WHOLE_LENGTH)
    return int(length) if length < _WHOLE_LENGTH else None


def _cut(row: list, limit: int) -> list:
    """Cut to so many tokens, the last of which ends the text, as the tokenizer does it."""
    return row if len(row) <= limit else [*row[: limit - 1], row[-1]]
