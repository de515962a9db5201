"""A model folder and texts in, labels with calibrated confidence out, on ONNX Runtime alone.

Nothing here needs more than onnxruntime, tokenizers and numpy. A batch of texts is scored by a
single thread, and as many at once as there are CPUs for this process: tokenizing some texts
overlaps with scoring others, and no thread waits for another at every step of the LSTM.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from sentiment_lstm import artefact
from sentiment_lstm.classifier import ScoredTokens, TextClassifier
from sentiment_lstm.errors import ModelError
from sentiment_lstm.telemetry import import_onnxruntime
from sentiment_lstm.token_budget import token_budget_batches
from sentiment_lstm.word_pieces import word_pieces

__all__ = ["OnnxClassifier", "available_cpus", "load"]

# The states of such a batch stay in a core's cache: the LSTM reads 1.4 times as fast as in batches
# of 16,384 tokens.
_BATCH_TOKENS = 2_048
# Tokenized and sorted by length together: of 125 texts, 11 % of the LSTM's steps fall on padding,
# of so many 2 %.
_WINDOW_TEXTS = 2_048
_WINDOW_CHARACTERS = 8_000_000
_FIRST_WINDOW_TEXTS = 128
_WHOLE_LENGTH = 1e9
_ERRORS_ONLY = 3
# What `transformers` leaves out of config.json, because it is its default.
_UNNAMED = {"0": "LABEL_0", "1": "LABEL_1"}

_Result = TypeVar("_Result")


def load(
    folder: str | Path,
    *,
    threads: int | None = None,
    file: str | Path | None = None,
    batch_tokens: int = _BATCH_TOKENS,
) -> OnnxClassifier:
    """Load a model folder that was exported.

    Args:
        folder: holds config.json, the tokenizer and a folder `onnx`.
        threads: at most so many at once; None for :func:`available_cpus`.
        file: of the folder `onnx`, or the absolute path of one that is not there yet; None for the
            smaller one that export has kept.
        batch_tokens: texts are scored together up to so many tokens; 1 scores each alone. The
            8-bit file's probabilities depend on the texts of the batch, by about 0.0005 and at most
            0.02 where it was measured; the 32-bit file's do not.

    Raises:
        ModelError: the folder or a file in it is missing or damaged, or its files do not belong
            together.
    """
    folder = Path(folder)
    config = artefact.verify(folder)
    found = artefact.onnx_files(folder) if file is None else [folder / artefact.ONNX_FOLDER / file]
    if not found or not found[0].is_file():
        raise ModelError(
            f"{folder}: holds no ONNX file{'' if file is None else f' {str(file)!r}'}. "
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
        super().__init__(
            labels=_labels(config),
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

        def tokenize(window: range) -> list[list[int]]:
            return [self._encode(texts[place]) for place in window]

        windows = self._windows(texts)
        upcoming: Callable[[], list[list[int]]] = functools.partial(tokenize, windows[0])
        for window, following in zip(windows, [*windows[1:], None], strict=True):
            ids = upcoming()
            if following is not None:
                # By one thread while others score: two that tokenize wait for Python's lock.
                upcoming = self._begin(tokenize, following)
            lengths[window.start : window.stop] = [len(row) for row in ids]
            self._score_ids(ids, logits[window.start : window.stop], on_progress)
        return logits, lengths

    def _windows(self, texts: Sequence[str]) -> list[range]:
        """Share texts out, in order, to windows that fit into memory: the places of each."""
        # With several threads the first windows are small, as nothing is scored beside the first.
        most = _FIRST_WINDOW_TEXTS if self.threads > 1 else _WINDOW_TEXTS
        windows, start, characters = [], 0, 0
        for place, text in enumerate(texts):
            full = place - start == most or characters + len(text) > _WINDOW_CHARACTERS
            if full and place > start:
                windows.append(range(start, place))
                start, characters, most = place, 0, min(2 * most, _WINDOW_TEXTS)
            characters += len(text)
        return [*windows, range(start, len(texts))]

    def _score_ids(
        self,
        ids: list[list[int]],
        logits: NDArray[np.float64],
        on_progress: Callable[[int], None] | None,
    ) -> None:
        """Write the logits of tokenized texts, (N, C), into an array."""
        if self.max_length_tokens is not None:
            ids = [_cut(row, self.max_length_tokens) for row in ids]

        def score(batch: NDArray[np.int64]) -> int:
            logits[batch] = self._run([ids[place] for place in batch], explain=False)[0]
            return len(batch)

        sizes = [len(row) for row in ids]
        batches = token_budget_batches(sizes, budget_tokens=self.batch_tokens)
        # The longest first, so that none of them begins when the others are done.
        for count in self._each(score, batches[::-1]):
            if on_progress:
                on_progress(count)

    def _begin(
        self, function: Callable[[range], _Result], argument: range
    ) -> Callable[[], _Result]:
        """Call a function on another thread, if there is one; give what waits for its result."""
        if self.threads < 2:
            return functools.partial(function, argument)
        return self._pool.submit(function, argument).result

    def _each(self, function: Callable[[Any], _Result], items: Sequence[Any]) -> Iterator[_Result]:
        """Call a function with each item, on all threads; the results come in order."""
        if self.threads < 2 or len(items) < 2:
            return map(function, items)
        return self._pool.map(function, items)

    def logits_of_ids(self, ids: Sequence[Sequence[int]]) -> NDArray[np.float64]:
        """Score one batch of texts that are tokenized already.

        Args:
            ids: B lists of token ids, none of them empty.

        Returns:
            (B, C) float64.
        """
        return self._run(ids, explain=False)[0].astype(np.float64)

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
        mask = np.arange(lengths.max()) < lengths[:, None]  # (B, T)
        input_ids = np.full(mask.shape, self._pad_token_id, dtype=np.int64)
        input_ids[mask] = np.fromiter(chain.from_iterable(ids), np.int64, count=lengths.sum())
        feed: dict[str, Any] = {"input_ids": input_ids, "attention_mask": mask.astype(np.int64)}
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
    onnxruntime = import_onnxruntime()
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
    if not isinstance(length, int | float) or not length > 0:
        raise ModelError(
            f"{path}: model_max_length is {length!r}, which is no number of tokens. "
            "Copy the file again from where the model was trained."
        )
    return int(length) if length < _WHOLE_LENGTH else None


def _labels(config: Mapping[str, Any]) -> list[str]:
    names = config.get("id2label", _UNNAMED)
    expected = [str(class_id) for class_id in range(len(names))] if isinstance(names, dict) else []
    if len(expected) < 2 or set(names) != set(expected):
        raise ModelError(
            f"{artefact.CONFIG}: id2label is {names!r:.100}, expected the label of every class id, "
            'such as {"0": "negative", "1": "positive"}. Copy the file again from where the model '
            "was trained."
        )
    return [str(names[class_id]) for class_id in expected]


def _cut(row: list, limit: int) -> list:
    """Cut to so many tokens, the last of which ends the text, as the tokenizer does it."""
    return row if len(row) <= limit else [*row[: limit - 1], row[-1]]
