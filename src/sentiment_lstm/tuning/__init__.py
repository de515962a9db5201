"""A search for better settings of a recipe, judged on the validation reviews alone.

::

    space.py      which settings are tried, with which values; space.toml is the default
    study.py      the Optuna study in its folder, and the files beside it
    search.py     trials on `transformers.Trainer.hyperparameter_search` -> the best recipe
    pictures.py   trials -> PNG
"""

from sentiment_lstm.tuning.search import METRICS, PRUNERS, TuningResult, tune
from sentiment_lstm.tuning.space import default_space_text, load_space
from sentiment_lstm.tuning.study import TrialRecord, check_optuna, rank

__all__ = [
    "METRICS",
    "PRUNERS",
    "TrialRecord",
    "TuningResult",
    "check_optuna",
    "default_space_text",
    "load_space",
    "rank",
    "tune",
]
