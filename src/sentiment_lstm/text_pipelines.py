"""scikit-learn text pipelines as teachers: the built-in ones, and those of the user's own."""

from __future__ import annotations

import copy
import hashlib
import importlib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import datasets
import numpy as np
import sklearn
from joblib.hashing import NumpyHasher
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from sentiment_lstm.calibration import softmax
from sentiment_lstm.data import fingerprint
from sentiment_lstm.errors import ModelError, nearest, one_line
from sentiment_lstm.nb_ngrams import nb_ngrams, tfidf
from sentiment_lstm.teacher_labels import label_order

__all__ = ["BUILT_IN", "PipelineTeacher", "named_pipeline"]

BUILT_IN: Mapping[str, Callable[[], Any]] = {"nb-ngrams": nb_ngrams, "tfidf": tfidf}


class PipelineTeacher:
    """A pipeline from texts to probabilities; fitted when it is first asked, unless it was before.

    Args:
        pipeline: a scikit-learn estimator over texts, with `predict_proba` or `decision_function`.
        name: its spec.
        origin: what else its probabilities depend on, such as the code it was made by.
        label_names: of the student, in the order of its class ids.
        train: what to fit it to; columns `text` and `label` (class ids).
        seed: of the fitting; a seed that the pipeline was given already stays.

    Raises:
        ModelError: it is no such pipeline, has other labels, or there is nothing to fit it to.
    """

    def __init__(
        self,
        pipeline: Any,  # noqa: ANN401 - whatever has scikit-learn's methods
        *,
        name: str,
        label_names: Sequence[str],
        train: datasets.Dataset | None,
        seed: int,
        origin: str = "",
    ) -> None:
        self.name = name
        self._label_names = list(label_names)
        self._train: datasets.Dataset | None = None
        self._check(pipeline)
        facts = [origin, sklearn.__version__]
        if _is_fitted(pipeline):
            self._pipeline = pipeline
            self._order = _order_of(pipeline, label_names, name)
        else:
            if train is None:
                raise ModelError(
                    f"{name}: has to be fitted first, and there is no training split to fit it "
                    "to. Name a teacher that is trained already."
                )
            self._pipeline = _seeded(clone(pipeline), seed)
            self._train = train
            facts.append(fingerprint(train))
        self.identity = _identity(self._pipeline, facts, name)

    def predict_proba(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Probabilities (N, C) float32 in the student's order; the first call may fit."""
        if self._train is not None:
            self._fit(self._train)
        texts = list(texts)
        if hasattr(self._pipeline, "predict_proba"):
            given = np.asarray(self._pipeline.predict_proba(texts), dtype=np.float64)
        else:
            scores = np.asarray(self._pipeline.decision_function(texts), dtype=np.float64)
            given = (
                np.stack([expit(-scores), expit(scores)], axis=1)
                if scores.ndim == 1
                else softmax(scores)
            )
        return given[:, self._order].astype(np.float32)

    def _check(self, pipeline: Any) -> None:  # noqa: ANN401
        lacks = [method for method in ("fit", "get_params") if not hasattr(pipeline, method)]
        if lacks or isinstance(pipeline, type):
            raise ModelError(
                f"{self.name}: is {_kind(pipeline)}, no scikit-learn estimator. Name an estimator "
                "over texts, or a function that returns one."
            )
        if not (hasattr(pipeline, "predict_proba") or hasattr(pipeline, "decision_function")):
            raise ModelError(
                f"{self.name}: {_kind(pipeline)} has neither predict_proba nor decision_function. "
                "Wrap it in sklearn.calibration.CalibratedClassifierCV, or name another one."
            )

    def _fit(self, train: datasets.Dataset) -> None:
        try:
            self._pipeline.fit(list(train["text"]), np.asarray(train["label"]))
        except (ValueError, TypeError, AttributeError) as error:
            raise ModelError(
                f"{self.name}: could not be fitted to the {len(train):,} training texts "
                f"({' '.join(str(error).split()):.300}). It has to take plain texts: begin the "
                "pipeline with a vectorizer."
            ) from error
        self._order = _order_of(self._pipeline, self._label_names, self.name)
        self._train = None


def named_pipeline(spec: str) -> tuple[Any, str]:
    """Import `module:attribute`, and call it if it is a function or a class.

    The module is looked for where Python looks, and in the current folder.

    Returns:
        The estimator, and a hash of the module's source.

    Raises:
        ModelError: there is no such module or attribute, or the function failed.
    """
    module_name, _, attribute = spec.partition(":")
    here = str(Path.cwd())
    added = here not in sys.path
    if added:
        sys.path.insert(0, here)
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # the module's own code may raise whatever it likes
        raise ModelError(
            f"{spec}: the module {module_name!r} cannot be imported ({one_line(error)}). "
            "A teacher of your own is named as module:attribute, as in "
            "my_package.teachers:pipeline."
        ) from error
    finally:
        if added:
            sys.path.remove(here)
    try:
        found: Any = module
        for part in attribute.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        public = [name for name in vars(module) if not name.startswith("_")]
        raise ModelError(
            f"{spec}: the module {module_name!r} has no {attribute!r}.{nearest(attribute, public)}"
        ) from error
    if callable(found) and (isinstance(found, type) or not hasattr(found, "get_params")):
        try:
            found = found()
        except Exception as error:  # likewise
            raise ModelError(
                f"{spec}: calling it without arguments failed ({one_line(error)}). "
                "Name an estimator, or a function that returns one and needs no argument."
            ) from error
    return found, _source_hash(module)


def _order_of(
    pipeline: Any,  # noqa: ANN401
    label_names: Sequence[str],
    name: str,
) -> NDArray[np.int64]:
    """The pipeline's column of each of the student's labels, by class id or by name."""
    classes = np.asarray(getattr(pipeline, "classes_", []))
    ids = list(range(len(label_names)))
    if classes.dtype.kind in "iu" and sorted(classes.tolist()) == ids:
        return np.argsort(classes)
    return label_order([str(entry) for entry in classes.tolist()], label_names, teacher=name)


def _seeded(pipeline: Any, seed: int) -> Any:  # noqa: ANN401
    unset = {
        key: seed
        for key, value in pipeline.get_params(deep=True).items()
        if value is None and key.rpartition("__")[2] == "random_state"
    }
    return pipeline.set_params(**unset)


def _is_fitted(pipeline: Any) -> bool:  # noqa: ANN401
    try:
        check_is_fitted(pipeline)
    except NotFittedError:
        return False
    return True


def _identity(pipeline: Any, facts: Sequence[str], name: str) -> str:  # noqa: ANN401
    try:
        content = _EstimatorHasher(hash_name="sha1").hash(pipeline)
    except Exception as error:  # the hash walks through the object as pickle does, and fails alike
        raise ModelError(
            f"{name}: cannot be told from other pipelines, because something in it refuses to be "
            f"pickled ({one_line(error)}). Keep that outside the pipeline."
        ) from error
    return hashlib.sha256("\n".join([str(content), *facts]).encode()).hexdigest()[:16]


class _EstimatorHasher(NumpyHasher):
    """joblib's hash of settings and fitted arrays, without what differs from process to process."""

    def save(self, obj: Any) -> None:  # noqa: ANN401
        # Lambdas and functions within functions cannot be pickled by name: what they do counts.
        if isinstance(obj, FunctionType) and "<" in obj.__qualname__:
            cells = [cell.cell_contents for cell in obj.__closure__ or ()]
            obj = (obj.__code__, obj.__defaults__, obj.__kwdefaults__, cells)
        if isinstance(obj, CodeType):
            obj = (obj.co_code, obj.co_consts, obj.co_names, obj.co_argcount, obj.co_flags)
        if isinstance(obj, BaseEstimator) and hasattr(obj, "_stop_words_id"):
            obj = copy.copy(obj)
            del obj._stop_words_id  # an address in memory, by which a vectorizer warns only once
        super().save(obj)


def _source_hash(module: ModuleType) -> str:
    try:
        return hashlib.sha256(inspect.getsource(module).encode()).hexdigest()
    except (OSError, TypeError):  # compiled, or typed in
        return module.__name__


def _kind(value: Any) -> str:  # noqa: ANN401
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
