from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from datasets import ClassLabel, Dataset, Features, Value
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

from sentiment_lstm.errors import ModelError
from sentiment_lstm.nb_ngrams import nb_ngrams
from sentiment_lstm.teachers import load_teacher
from sentiment_lstm.text_pipelines import BUILT_IN, PipelineTeacher

NAMES = ["negative", "positive"]
TEXTS = ["a great film", "great , great fun", "an awful film", "awful and dull"] * 5
LABELS = [1, 1, 0, 0] * 5

MODULE = """
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

pipeline = make_pipeline(CountVectorizer(), LogisticRegression())
fitted = make_pipeline(CountVectorizer(), LogisticRegression()).fit(
    ["great", "awful"], ["Positive", "Negative"]
)
number = 3

def make():
    return make_pipeline(CountVectorizer(), LogisticRegression(C=9))

def needs(argument):
    return argument

class Box:
    inner = make()
"""


def dataset(names: list[str] = NAMES, texts: list[str] = TEXTS, labels: list[int] = LABELS):
    features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
    return Dataset.from_dict({"text": texts, "label": labels}, features=features)


def teacher(pipeline, names: list[str] = NAMES, train: Dataset | None = None, seed: int = 0):
    train = dataset(names) if train is None else train
    return PipelineTeacher(pipeline, name="mine", label_names=names, train=train, seed=seed)


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A module of the user's in the current folder, forgotten again afterwards."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_teachers.py").write_text(MODULE)
    yield tmp_path / "own_teachers.py"
    sys.modules.pop("own_teachers", None)


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_built_in_pipelines_are_fitted_to_the_training_split(name: str):
    given = load_teacher(name, label_names=NAMES, train=dataset()).predict_proba(
        ["great fun", "awful", "film"]
    )
    assert given.dtype == np.float32
    assert given[0, 1] > 0.7
    assert given[1, 0] > 0.7
    np.testing.assert_allclose(given.sum(1), 1, rtol=1e-5)


def test_fitting_waits_until_it_is_needed_and_happens_once():
    class Counting(LogisticRegression):
        fits = 0

        def fit(self, *arguments):
            Counting.fits += 1
            return super().fit(*arguments)

    counting = make_pipeline(CountVectorizer(), Counting())
    # A class of a test has no name to be identified by.
    Counting.__qualname__ = Counting.__name__
    globals()["Counting"] = Counting
    loaded = teacher(counting)
    assert Counting.fits == 0
    loaded.predict_proba(["great"])
    loaded.predict_proba(["great"])
    assert Counting.fits == 1
    assert not hasattr(counting[1], "coef_"), "the user's own object is left as it was"


@pytest.mark.parametrize(
    "classifier", [RidgeClassifier(), SGDClassifier(loss="hinge"), LogisticRegression()]
)
def test_scores_become_probabilities_where_there_are_none(classifier):
    pipeline = make_pipeline(TfidfVectorizer(), classifier)
    given = teacher(pipeline).predict_proba(["great", "awful"])
    np.testing.assert_allclose(given.sum(1), 1, rtol=1e-5)
    assert given[0, 1] > 0.55
    assert given[1, 0] > 0.55


def test_scores_of_many_classes_become_probabilities():
    names = ["bad", "good", "middling"]
    train = dataset(names, [*TEXTS, *["so so"] * 6], [*LABELS, *[2] * 6])
    given = teacher(make_pipeline(TfidfVectorizer(), RidgeClassifier()), names, train)
    rows = given.predict_proba(["awful", "great", "so so"])
    assert rows.argmax(1).tolist() == [0, 1, 2]
    np.testing.assert_allclose(rows.sum(1), 1, rtol=1e-5)


def test_a_fitted_pipeline_is_used_as_it_is_and_its_classes_are_matched_by_name():
    pipeline = make_pipeline(CountVectorizer(), MultinomialNB())
    pipeline.fit(["great", "awful"], ["Positive", "Negative"])
    fitted = PipelineTeacher(
        pipeline, name="mine", label_names=["positive", "negative"], train=None, seed=0
    )
    expected = pipeline.predict_proba(["great"])[:, ::-1]
    np.testing.assert_allclose(fitted.predict_proba(["great"]), expected, rtol=1e-6)


def test_a_fitted_pipeline_with_class_ids_has_the_students_order():
    pipeline = make_pipeline(CountVectorizer(), MultinomialNB()).fit(["great", "awful"], [1, 0])
    fitted = PipelineTeacher(pipeline, name="mine", label_names=NAMES, train=None, seed=0)
    assert fitted.predict_proba(["great"])[0, 1] > 0.6


def test_an_identity_is_the_same_in_every_process_and_follows_whatever_counts():
    code = (
        "from tests.test_text_pipelines import *; "
        "print(teacher(nb_ngrams()).identity, "
        "teacher(make_pipeline(CountVectorizer(), MultinomialNB()).fit(TEXTS, LABELS)).identity)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        cwd=Path(__file__).parents[1],
    )  # fmt: skip
    fitted, other = (
        make_pipeline(CountVectorizer(), MultinomialNB()).fit(TEXTS[at:], LABELS[at:])
        for at in (0, 1)
    )
    same = teacher(nb_ngrams())
    assert done.stdout.split() == [same.identity, teacher(fitted).identity]
    identities = {
        teacher(nb_ngrams(strength=1.0)).identity,
        teacher(nb_ngrams(), seed=1).identity,
        teacher(nb_ngrams(), train=dataset(texts=[*TEXTS[:-1], "other"])).identity,
        teacher(other).identity,
        teacher(fitted).identity,
        same.identity,
    }  # fmt: skip
    assert len(identities) == 6
    same.predict_proba(["great"])
    assert same.identity == done.stdout.split()[0], "fitting must not change it"


@pytest.mark.parametrize("attribute", ["pipeline", "fitted", "make", "Box.inner"])
def test_a_pipeline_of_ones_own_is_found_by_its_import_path(own_module: Path, attribute: str):
    loaded = load_teacher(f"own_teachers:{attribute}", label_names=NAMES, train=dataset())
    assert loaded.name == f"own_teachers:{attribute}"
    given = loaded.predict_proba(["great", "awful"])
    assert given.argmax(1).tolist() == [1, 0]


def test_the_identity_of_ones_own_pipeline_follows_its_source(own_module: Path):
    def identity() -> str:
        sys.modules.pop("own_teachers", None)
        return load_teacher("own_teachers:make", label_names=NAMES, train=dataset()).identity

    first = identity()
    assert identity() == first
    # Of another length, because Python tells changed files apart by second and size.
    own_module.write_text(MODULE.replace("C=9", "C=9.5"))
    assert identity() != first


@pytest.mark.parametrize(
    ("spec", "named"),
    [
        ("no_such_module:pipeline", r"'no_such_module' cannot be imported \(No module"),
        ("own_teachers:pipelin", r"has no 'pipelin'\. Did you mean 'pipeline'\?"),
        ("own_teachers:number", "is int, no scikit-learn estimator"),
        ("own_teachers:needs", "calling it without arguments failed"),
        ("own_teachers:", "has no ''"),
        (":pipeline", "cannot be imported"),
        ("own_teachers:LogisticRegression", r"could not be fitted to the 20 training texts.*plain"),
    ],
)
def test_an_import_path_that_gives_no_pipeline_is_named(own_module: Path, spec: str, named: str):
    with pytest.raises(ModelError, match=rf"^{spec}: .*{named}"):
        load_teacher(spec, label_names=NAMES, train=dataset()).predict_proba(["great"])


def test_a_module_that_fails_is_named_with_its_failure(own_module: Path):
    own_module.write_text("raise RuntimeError('out of order')")
    with pytest.raises(ModelError, match=r"cannot be imported \(out of order\)"):
        load_teacher("own_teachers:pipeline", label_names=NAMES, train=dataset())


def test_a_pipeline_without_scores_is_refused():
    from sklearn.neighbors import NearestCentroid

    class Mute(NearestCentroid):
        predict_proba = decision_function = property()  # gives neither

    with pytest.raises(ModelError, match="mine: Mute has neither predict_proba nor decision_fun"):
        teacher(Mute())


def test_a_pipeline_to_fit_without_a_training_split_is_refused():
    with pytest.raises(ModelError, match="nb-ngrams: has to be fitted first"):
        load_teacher("nb-ngrams", label_names=NAMES)


def test_a_pipeline_may_hold_a_lambda():
    pipeline = make_pipeline(CountVectorizer(preprocessor=lambda text: text[::-1]), MultinomialNB())
    assert teacher(pipeline).predict_proba(["taerg"]).argmax() == 0
    assert teacher(pipeline).predict_proba(["great"]).argmax() == 1


def test_pipelines_whose_lambdas_differ_are_told_apart():
    def reading(start: int, cut=None) -> str:
        lambdas = (lambda text: text[start:], lambda text: [word for word in text.split()][start])
        vectorizer = CountVectorizer(preprocessor=lambdas[0] if cut is None else lambdas[cut])
        return teacher(make_pipeline(vectorizer, MultinomialNB()).fit(TEXTS, LABELS)).identity

    assert reading(0) == reading(0), "made twice"
    assert reading(0) != reading(1), "another value in its closure"
    assert reading(0) != reading(0, cut=1), "other code"


class Connected:
    """A preprocessor whose content cannot be told."""

    def __call__(self, text: str) -> str:
        return text

    def __getstate__(self):
        raise RuntimeError("the connection stays here")


def test_a_pipeline_that_cannot_be_told_from_others_is_refused():
    pipeline = make_pipeline(CountVectorizer(preprocessor=Connected()), MultinomialNB())
    with pytest.raises(ModelError, match=r"refuses to be pickled \(the connection stays here\)"):
        teacher(pipeline.fit(TEXTS, LABELS))


def test_a_fitted_pipeline_of_other_labels_is_refused():
    pipeline = make_pipeline(CountVectorizer(), MultinomialNB()).fit(
        ["oh joy", "rage"], ["joy", "rage"]
    )
    with pytest.raises(ModelError, match=r"labels are 'joy', 'rage', the student's 'negative'"):
        teacher(pipeline)


def test_a_class_that_the_training_split_lacks_is_refused_by_name():
    names = ["negative", "positive", "neutral"]
    pipeline = teacher(nb_ngrams(), names, dataset(names))
    with pytest.raises(ModelError, match=r"labels are '0', '1', the student's.*'neutral'"):
        pipeline.predict_proba(["great"])
