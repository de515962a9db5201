"""A search for better settings of a recipe, judged on the validation reviews alone.

::

    space.py      which settings are tried, with which values; space.toml is the default
    study.py      the Optuna study in its folder, and the files beside it
    trials.py     one trial, on `transformers.Trainer.hyperparameter_search`
    search.py     trials, one after the other -> the best recipe
    pictures.py   trials -> PNG
"""
