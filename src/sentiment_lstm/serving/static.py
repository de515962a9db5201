"""A model folder in, a page that classifies in the browser out, for any server of static files."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

from sentiment_lstm import artefact, transformers_js
from sentiment_lstm.errors import SaveError

__all__ = ["PAGE", "check_vendored", "write_page"]

PAGE = Path(__file__).parent / "page"

# What the page imports from `vendor/`, written there by `make page`. It asks for what ends in `.gz`
# by the name without.
_VENDORED = (
    "ort-wasm-simd-threaded.mjs",
    "ort-wasm-simd-threaded.wasm.gz",
    "ort.wasm.min.mjs",
    "transformers.web.min.js",
)
_INDEX = "index.html"
_MODEL = "model"


def write_page(model: str | Path, output: str | Path, *, page: Path = PAGE) -> Path:
    """Write the page, the libraries it runs on and the model into one folder.

    Args:
        model: a model folder that was exported.
        output: the folder to write; an earlier page there is replaced.
        page: where the page's own files stand.

    Returns:
        The folder.

    Raises:
        ModelError: the model folder is damaged or was not exported.
        SaveError: the output holds something else, or the page's libraries are missing.
    """
    model, output = Path(model), Path(output)
    transformers_js.check_exported(model)
    check_vendored(page)
    _check_output(output)

    def write(folder: Path) -> None:
        hidden = shutil.ignore_patterns(".*")
        shutil.copytree(
            page, folder, ignore=hidden, dirs_exist_ok=True, copy_function=_copy_unpacked
        )
        transformers_js.fill_folder(model, folder / _MODEL)

    return artefact.replace_folder(output, write)


def check_vendored(page: Path = PAGE) -> None:
    """Refuse a page that lacks the libraries which it runs on.

    Raises:
        SaveError: one of them is missing.
    """
    missing = [name for name in _VENDORED if not (page / "vendor" / name).is_file()]
    if missing:
        raise SaveError(
            f"The page lacks the libraries it runs on, such as {missing[0]}. Run `make page` in a "
            "checkout of sentiment-lstm, which fetches them from the npm registry, and then "
            "`pip install .` again, unless `make setup` installed it."
        )


def _copy_unpacked(source: str, target: str) -> None:
    """Copy a file, without its compression: few static servers know what to do with it."""
    if not source.endswith(".gz"):
        shutil.copy2(source, target)
        return
    with gzip.open(source) as packed, Path(target).with_suffix("").open("wb") as plain:
        shutil.copyfileobj(packed, plain)


def _check_output(output: Path) -> None:
    if output.is_file():
        raise SaveError(f"{output}: is a file. Choose another output folder.")
    if not output.is_dir() or not any(output.iterdir()):
        return
    if not (output / _INDEX).is_file() or not (output / _MODEL / artefact.CONFIG).is_file():
        raise SaveError(
            f"{output}: holds files that are no page of sentiment-lstm, and they would be "
            "replaced. Choose another output folder."
        )
