"""A search on disk: the Optuna study in its folder, what it is a search of, where it goes on."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock, Timeout

from sentiment_lstm import runs
from sentiment_lstm.errors import RecipeError, SaveError, SentimentError
from sentiment_lstm.files import write_file
from sentiment_lstm.recipes import Recipe, recipe_toml
from sentiment_lstm.tuning.space import Space

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

__all__ = [
    "STUDY",
    "TRIALS",
    "TUNED",
    "TrialRecord",
    "check_optuna",
    "open_study",
    "rank",
    "read_trials",
    "repeat_cut_trials",
    "setting_importances",
    "write_best",
    "write_trials",
]

STUDY = "study.db"
TRIALS = "trials.csv"
# The file gives the recipe its name, and `best` is that of one that comes with the package.
TUNED = "tuned.toml"
_NAME = "sentiment-lstm"
_IDENTITY = "identity"
_LOCK = ".lock"
# Below, a forest of regression trees fits the noise between the trials.
_ENOUGH_TRIALS = 10


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """One trial of a search; its figures are of the validation reviews, under the kept epoch."""

    number: int  # Optuna's, from 0; a trial that was cut has one too
    state: str  # complete, pruned or failed
    settings: dict[str, Any]  # those searched, by `section.key`
    value: float | None  # of the metric that the search is for
    accuracy: float | None = None
    log_loss: float | None = None
    epochs: int = 0
    kept_epoch: int | None = None
    seconds: float = 0.0
    note: str = ""  # why it could not be measured


def check_optuna() -> None:
    """Tell at once if the package that searches is missing.

    Raises:
        SentimentError: Optuna is not installed.
    """
    try:
        import optuna  # noqa: F401
    except ModuleNotFoundError as error:
        raise SentimentError(
            "Tuning needs Optuna, which is not installed. Run `pip install 'sentiment-lstm[tune]'`."
        ) from error


@contextlib.contextmanager
def open_study(
    folder: Path,
    identity: Mapping[str, Any],
    *,
    direction: Literal["maximize", "minimize"],
    restart: bool,
) -> Iterator[Study]:
    """Begin a study in a folder, or go on with the one that stands there, alone.

    Args:
        folder: is made where it is missing.
        identity: what the values of the trials depend on, as plain values for JSON.
        direction: maximize or minimize.
        restart: throw a study that stands there away.

    Raises:
        RecipeError: the study there is of something else.
        SaveError: the folder cannot be written, another search is at work in it, or its study
            cannot be read.
    """
    import optuna

    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK)
        # The system drops the lock of a killed process, unlike a file that says "running".
        lock.acquire(timeout=0)
    except Timeout as error:
        raise SaveError(
            f"{folder}: another search is at work there. Wait for its end, or choose another "
            "folder by --output."
        ) from error
    except OSError as error:
        raise SaveError(
            f"{folder}: cannot be written ({error.strerror or error}). Choose another folder."
        ) from error
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = None
    try:
        if restart:
            (folder / STUDY).unlink(missing_ok=True)
        try:
            storage = _storage(folder / STUDY)
            study = optuna.create_study(
                study_name=_NAME, storage=storage, direction=direction, load_if_exists=True
            )
            begun = study.user_attrs.get(_IDENTITY)
            if begun is None:
                study.set_user_attr(_IDENTITY, dict(identity))
        except Exception as error:  # SQLAlchemy and Alembic have dozens
            raise SaveError(
                f"{folder / STUDY}: is no study that can be gone on with "
                f"({(str(error).splitlines() or [type(error).__name__])[0]}). Choose another "
                "folder by --output, or throw it away by --restart."
            ) from error
        if begun is not None:
            _compare(begun, identity, folder)
        yield study
    finally:
        if storage is not None:
            storage.remove_session()
            storage.engine.dispose()
        optuna.logging.set_verbosity(verbosity)
        lock.release()


def repeat_cut_trials(study: Study) -> int:
    """Mark trials that were running when their process ended as failed, and queue them again.

    Returns:
        How many there were.
    """
    from optuna.trial import TrialState

    cut = study.get_trials(states=(TrialState.RUNNING,))
    for trial in cut:
        # Killed before it chose all of its values, it may have been given them by an earlier cut.
        values = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        study.tell(trial.number, state=TrialState.FAIL)
        if values:
            study.enqueue_trial(values)
    return len(cut)


def read_trials(study: Study, space: Space) -> list[TrialRecord]:
    """Give the record of every trial that has ended, in their order."""
    trials = study.get_trials(deepcopy=False)
    return [_record(trial, space) for trial in trials if trial.state.is_finished()]


def rank(records: Sequence[TrialRecord], *, maximize: bool) -> list[TrialRecord]:
    """Sort the complete trials, the best first, and the earlier one of two equal ones."""
    measured = [
        (record.value, record)
        for record in records
        if record.state == "complete" and record.value is not None
    ]
    sign = -1 if maximize else 1
    return [record for _, record in sorted(measured, key=lambda at: (sign * at[0], at[1].number))]


def setting_importances(study: Study, records: Sequence[TrialRecord]) -> dict[str, float]:
    """Share of the difference between trials that each setting explains, the largest first.

    Returns:
        Shares that sum to 1, by `section.key`; empty where the trials are too few or too alike.

    Source: Hutter et al. 2014, "An Efficient Approach for Assessing Hyperparameter Importance".
    """
    from optuna.importance import FanovaImportanceEvaluator, get_param_importances

    values = {record.value for record in records if record.state == "complete"}
    complete = sum(record.state == "complete" for record in records)
    if complete < _ENOUGH_TRIALS or len(values) < 2:
        return {}
    return get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))


def write_trials(path: Path, records: Sequence[TrialRecord], space: Space) -> Path:
    """Write the trials as CSV: a row a trial, a column a setting.

    Raises:
        SaveError: it could not be written; what stood there before is untouched.
    """
    columns = ("number", "state", "value", "accuracy", "log_loss", "epochs", "kept_epoch")
    content = io.StringIO()
    writer = csv.writer(content, lineterminator="\n")
    writer.writerow([*columns, "seconds", *space, "note"])
    for record in records:
        writer.writerow(
            [
                *(getattr(record, column) for column in columns),
                f"{record.seconds:.1f}",
                *(record.settings.get(name) for name in space),
                record.note,
            ]
        )
    return write_file(path, content.getvalue().encode("utf-8"))


def write_best(path: Path, recipe: Recipe, facts: Sequence[str]) -> Path:
    """Write the winner as a recipe, with where it came from as comments at its top.

    Raises:
        SaveError: it could not be written; what stood there before is untouched.
    """
    comments = "".join(f"# {' '.join(fact.split())}\n" for fact in facts)
    return write_file(path, f"{comments}\n{recipe_toml(recipe)}".encode())


def _storage(path: Path) -> Any:  # noqa: ANN401 - Optuna's, imported late
    from optuna.storages import RDBStorage
    from sqlalchemy import URL

    # SQLite: a kill leaves either all of a write or nothing of it, where a journal's line is cut.
    url = URL.create("sqlite", database=str(path)).render_as_string()
    return RDBStorage(url)


def _compare(begun: Any, identity: Mapping[str, Any], folder: Path) -> None:  # noqa: ANN401
    changed = sorted(runs.differences(begun, dict(identity)))
    if changed:
        raise RecipeError(
            f"{folder}: holds a search of something else ({'; '.join(changed)}). Go on with what "
            "it was begun with, choose another folder by --output, or throw it away by --restart."
        )


def _record(trial: FrozenTrial, space: Space) -> TrialRecord:
    states = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}
    return TrialRecord(
        number=trial.number,
        state=states[trial.state.name],
        settings={
            name: space[name].read(value) for name, value in trial.params.items() if name in space
        },
        value=trial.value,
        **trial.user_attrs,
    )
