from __future__ import annotations

from pathlib import Path

from sentiment_lstm.tuning.space import default_space_text
from tests.processes import run_code
from tests.test_cli import assert_user_error, run


def test_the_default_space_is_printed_as_it_was_written():
    assert run("tune", "--print-space").stdout == default_space_text()


def test_an_unknown_setting_in_the_space_names_the_nearest(tmp_path: Path):
    space = tmp_path / "space.toml"
    space.write_text("[training.learning_rat]\nlow = 1e-3\nhigh = 1e-2\n")
    done = run(
        *["tune", "movie-reviews:rotten_tomatoes", "--limit", "60", "--space", space],
        *["--output", tmp_path / "study"],
    )
    assert_user_error(done, "space.toml", "Did you mean 'training.learning_rate'")
    assert not (tmp_path / "study").exists()


def test_without_optuna_one_sentence_says_what_to_install(tmp_path: Path):
    code = (
        "import sys; sys.modules['optuna'] = None; from sentiment_lstm.cli import main;"
        "sys.argv = ['sentiment-lstm', 'tune', 'movie-reviews']; main()"
    )
    done = run_code(code, cwd=tmp_path)
    assert_user_error(done, "Tuning needs Optuna", "pip install 'sentiment-lstm[tune]'")
