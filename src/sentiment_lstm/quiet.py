"""Keep the libraries below from talking over what the program itself has to say."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

__all__ = ["quiet_libraries"]


@contextlib.contextmanager
def quiet_libraries(*, show_progress: bool = False) -> Iterator[None]:
    """Silence the warnings and bars of `transformers`, and the bars of `datasets` unless wanted.

    `transformers` draws a bar for the few tensors of every checkpoint, and warns of the file
    system's clock at each of them. What was set before is set again afterwards.
    """
    import datasets
    from transformers.utils import logging

    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    datasets_bars = not datasets.are_progress_bars_disabled()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    if not show_progress:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
        if datasets_bars:
            datasets.enable_progress_bars()
