"""Teachers of a distillation: whatever gives probabilities, with the student's labels.

A teacher is named by a spec::

    runs/model                     a folder of a model of ours
    runs/teacher                   a folder of a Hugging Face sequence classifier
    textattack/bert-base-uncased-imdb    one of the hub
    nb-ngrams, tfidf               a linear model over n-grams, fitted to the training split
    my_package.teachers:pipeline   a scikit-learn pipeline of your own, or a function that gives one
    SPEC@2                         the weight of one of several teachers; 1 if it isn't said

Several teachers make one: the mean of their log-probabilities.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel

from sentiment_lstm import artefact
from sentiment_lstm.calibration import softmax
from sentiment_lstm.encoder_settings import MAX_WINDOW_TOKENS
from sentiment_lstm.encoders import load_pretrained
from sentiment_lstm.errors import ModelError, one_line
from sentiment_lstm.hub import hub_options
from sentiment_lstm.precision import in_fast_precision
from sentiment_lstm.prediction import load
from sentiment_lstm.quiet import quiet_libraries
from sentiment_lstm.teacher_labels import label_order
from sentiment_lstm.teacher_specs import split_weight
from sentiment_lstm.text_pipelines import BUILT_IN, PipelineTeacher, named_pipeline
from sentiment_lstm.windows import frame_of, score_texts

__all__ = [
    "WINDOW_LIMIT_SETTING",
    "WINDOW_SETTING",
    "Teacher",
    "load_teacher",
    "load_teachers",
    "weights_identity",
]

# In config.json of the teachers that `finetune-teacher` makes: the window they were trained on, and
# how many of a text they read.
WINDOW_SETTING = "window_length_tokens"
WINDOW_LIMIT_SETTING = "window_limit"
_LOWEST = 1e-7  # a sure teacher among several must not outvote all others by an infinite logarithm
# Where and with what a configuration was saved says nothing about what the model computes.
_NOT_IDENTITY = ("_name_or_path", "transformers_version", "dtype", "architectures")


class Teacher(Protocol):
    """What a distillation asks of a teacher."""

    @property
    def name(self) -> str:
        """How a message names it: its spec."""
        ...

    @property
    def identity(self) -> str:
        """The same for the same probabilities: a hash of the weights, or of what they come from."""
        ...

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Give probabilities (N, C) float32, columns in the order of the student's labels."""
        ...


def load_teachers(
    specs: Sequence[str],
    *,
    label_names: Sequence[str],
    train: datasets.Dataset | None = None,
    seed: int = 0,
) -> Teacher:
    """Load one teacher, or several as one.

    Args:
        specs: see above; each may end in `@WEIGHT`.
        label_names: of the student, in the order of its class ids.
        train: columns `text` and `label`, for teachers that have to be fitted first.
        seed: of that fitting.

    Raises:
        ModelError: a spec has another form, names nothing, or a teacher of other labels.
    """
    if isinstance(specs, str) or not specs:
        raise ModelError(f"Expected a list of teachers, got {specs!r}. Name one or more of them.")
    parsed = [split_weight(spec) for spec in specs]
    members = [
        load_teacher(name, label_names=label_names, train=train, seed=seed) for name, _ in parsed
    ]
    if len(members) == 1:
        return members[0]
    return _Ensemble(members, [weight for _, weight in parsed])


def load_teacher(
    spec: str,
    *,
    label_names: Sequence[str],
    train: datasets.Dataset | None = None,
    seed: int = 0,
) -> Teacher:
    """Load one teacher by its spec without a weight; see :func:`load_teachers`."""
    if spec in BUILT_IN:
        return PipelineTeacher(
            BUILT_IN[spec](), name=spec, label_names=label_names, train=train, seed=seed
        )
    # A path of the form `a:b` is a path where it stands there.
    if ":" in spec and not Path(spec).exists():
        pipeline, origin = named_pipeline(spec)
        return PipelineTeacher(
            pipeline, name=spec, origin=origin, label_names=label_names, train=train, seed=seed
        )
    if not spec.strip():
        raise ModelError("A teacher's name is empty. Name a folder, a hub model or a pipeline.")
    folder = Path(spec)
    if folder.name:  # "." has none
        folder = artefact.existing_folder(folder)
    if folder.is_dir() and _model_type(folder) == "sentiment-lstm":
        return _OwnTeacher(spec, label_names)
    if folder.is_file():
        raise ModelError(f"{spec}: is a file. Name the folder of a model as a teacher.")
    return _TransformersTeacher(spec, label_names)


def weights_identity(model: PreTrainedModel, *others: str) -> str:
    """Hash all weights of a model with its configuration and other settings.

    Returns:
        16 hex digits.
    """
    digest = hashlib.sha256()
    config = {
        key: value for key, value in model.config.to_dict().items() if key not in _NOT_IDENTITY
    }
    digest.update(json.dumps([config, *others], sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:16]


class _OwnTeacher:
    """A trained model of this package."""

    def __init__(self, spec: str, label_names: Sequence[str]) -> None:
        self.name = spec
        self._classifier = load(Path(spec).absolute())
        self._order = label_order(self._classifier.labels, label_names, teacher=spec)
        self.identity = weights_identity(
            self._classifier.model,
            self._classifier.tokenizer.backend_tokenizer.to_str(),
            str(self._classifier.max_length_tokens),
        )

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return self._classifier.predict_proba(texts)[:, self._order].astype(np.float32)


class _TransformersTeacher:
    """A sequence classifier of the hub's format, of any architecture that `transformers` knows."""

    def __init__(self, spec: str, label_names: Sequence[str]) -> None:
        self.name = spec
        self._model, self._tokenizer = _load_transformers(spec)
        config: Any = self._model.config
        self._order = label_order(
            [str(config.id2label[class_id]) for class_id in range(config.num_labels)],
            label_names,
            teacher=spec,
        )
        self._frame = frame_of(
            self._model,
            self._tokenizer,
            max_length_tokens=int(getattr(config, WINDOW_SETTING, MAX_WINDOW_TOKENS)),
            window_limit=int(getattr(config, WINDOW_LIMIT_SETTING, 0)),
        )
        if getattr(config, "pad_token_id", None) is None:  # needed to score several texts at once
            config.pad_token_id = self._frame.pad_token_id
        self.identity = weights_identity(
            self._model, self._tokenizer.backend_tokenizer.to_str(), str(self._frame)
        )
        # Only now, since the identity is that of the weights as they were saved.
        self._model = in_fast_precision(self._model)

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float32]:
        logits = score_texts(self._model, self._tokenizer, texts, self._frame)
        return softmax(logits.astype(np.float64))[:, self._order].astype(np.float32)


class _Ensemble:
    """The weighted mean of the log-probabilities of several teachers, made to sum to 1 again."""

    def __init__(self, members: Sequence[Teacher], weights: Sequence[float]) -> None:
        self._members = list(members)
        self._weights = [weight / math.fsum(weights) for weight in weights]
        shares = list(zip(self._members, self._weights, strict=True))
        self.name = " + ".join(f"{member.name}@{weight:.3g}" for member, weight in shares)
        # Sorted: the order of the members changes nothing.
        parts = sorted(f"{member.identity} {weight:.12g}" for member, weight in shares)
        self.identity = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float32]:
        mean: Any = 0.0
        for member, weight in zip(self._members, self._weights, strict=True):
            given = np.asarray(member.predict_proba(texts), dtype=np.float64)
            mean = mean + weight * np.log(np.maximum(given, _LOWEST))
        return softmax(mean).astype(np.float32)


def _model_type(folder: Path) -> str | None:
    path = folder / artefact.CONFIG
    if not path.is_file():
        raise ModelError(
            f"{folder}: lacks {artefact.CONFIG}, so it holds no model. Name the folder of a model "
            "as a teacher."
        )
    return artefact.read_json(path).get("model_type")


def _load_transformers(spec: str) -> tuple[PreTrainedModel, Any]:
    """Load a classifier with all its weights, and its tokenizer; no code of the hub is run."""
    options: dict[str, Any] = hub_options(spec)
    try:
        with quiet_libraries():
            model, info = load_pretrained(AutoModelForSequenceClassification, spec, **options)
            tokenizer = AutoTokenizer.from_pretrained(spec, **options)
    except Exception as error:  # a damaged file ends in whatever its reader raises
        raise ModelError(
            f"{spec}: no Hugging Face classifier could be loaded ({one_line(error)}). Name a "
            "folder with config.json, model.safetensors and a tokenizer, a hub model while the hub "
            f"can be reached, module:attribute, or one of {', '.join(sorted(BUILT_IN))}."
        ) from error
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    missing = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if missing:
        raise ModelError(
            f"{spec}: lacks weights of a classifier ({', '.join(missing[:4])}), so it is an "
            "encoder, no teacher yet. Make it one by `sentiment-lstm finetune-teacher`."
        )
    if model.config.problem_type == "multi_label_classification":
        raise ModelError(
            f"{spec}: gives every label by itself, several or none of them to a text. Name a "
            "teacher that chooses one label."
        )
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(f"{spec}: has no fast tokenizer. Name a teacher with tokenizer.json.")
    # A folder without a vocabulary gives a tokenizer of a few special tokens and no complaint.
    words, known = len(tokenizer), int(getattr(model.config, "vocab_size", len(tokenizer)))
    if words <= len(tokenizer.all_special_tokens) or words > known:
        raise ModelError(
            f"{spec}: the tokenizer has {words:,} word pieces, the model {known:,}. Copy both "
            "again from where the teacher comes from."
        )
    return model, tokenizer
