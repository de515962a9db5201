"""The model folder: which files it holds, how it is written, verified and read back.

The layout is the hub's, so the folder can be pushed as it is::

    config.json                   the architecture, the label names, the temperature and bias
    model.safetensors             the weights
    tokenizer.json, tokenizer_config.json
    calibration.json              how the temperature was fitted, what it gained, and thresholds
    metrics.json                  what was measured, split by split
    training.json                 recipe, seed, data fingerprints, versions, history
    learning-curves.png           loss and accuracy, epoch by epoch
    README.md                     the model card, generated from the files above
    onnx/model.onnx, onnx/model_quantized.onnx   what `export` has written, and export.json
    configuration_sentiment.py, modeling_sentiment.py   for loading without this package
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sentiment_lstm.errors import ModelError, SaveError
from sentiment_lstm.files import write_file

__all__ = [
    "CALIBRATION",
    "CARD",
    "CONFIG",
    "CURVES",
    "METRICS",
    "ONNX",
    "ONNX_EXPORT",
    "ONNX_FOLDER",
    "ONNX_QUANTIZED",
    "TOKENIZER",
    "TOKENIZER_HASH",
    "TRAINING",
    "WEIGHTS",
    "WEIGHTS_HASH",
    "bundled_folder",
    "check_replaceable",
    "existing_folder",
    "facts_and_thresholds",
    "model_folder",
    "onnx_files",
    "read_json",
    "replace_folder",
    "seal",
    "verify",
    "write_json",
]

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json")
CALIBRATION = "calibration.json"
METRICS = "metrics.json"
TRAINING = "training.json"
CURVES = "learning-curves.png"
CARD = "README.md"
ONNX_FOLDER = "onnx"
ONNX = f"{ONNX_FOLDER}/model.onnx"
ONNX_QUANTIZED = f"{ONNX_FOLDER}/model_quantized.onnx"
ONNX_EXPORT = f"{ONNX_FOLDER}/export.json"

# In config.json; what the two files must have been, so that no other is taken for them.
TOKENIZER_HASH = "tokenizer_sha256"
WEIGHTS_HASH = "weights_sha256"

_REQUIRED = (CONFIG, *TOKENIZER)
_BUNDLED = "bundled"
_FILE_RIGHTS = 0o666  # what a program asks for when it makes a file
_LENGTH_BYTES = 8  # safetensors: a little-endian 64-bit length, that many bytes of JSON, the data


def replace_folder(folder: str | Path, write: Callable[[Path], None]) -> Path:
    """Write a folder aside and put it in place of the old one, which survives any failure.

    One rename cannot replace a full folder, so the old one is renamed aside, the new one in, and
    the old one deleted. :func:`existing_folder` knows the state between the two renames.

    Args:
        folder: where the result belongs.
        write: fills the empty folder it is given.

    Raises:
        SaveError: something could not be written; what stood there before is untouched.
    """
    folder = Path(folder)
    new, old = _aside(folder, "new"), _aside(folder, "old")
    try:
        existing_folder(folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        write(new)
        rights = new.stat().st_mode & _FILE_RIGHTS  # what the umask leaves of them
        for path in new.rglob("*"):
            if path.is_file():
                _grant(rights, path)
                _flush(path)
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        raise SaveError(
            f"{folder}: could not be written ({error.strerror or error}). What stood there before "
            "is untouched. Free some space, or choose another output folder."
        ) from error
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    try:
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
    except OSError as error:
        if old.exists() and not folder.exists():
            old.rename(folder)
        shutil.rmtree(new, ignore_errors=True)
        raise SaveError(
            f"{folder}: could not be replaced ({error.strerror or error}). What stood there before "
            "is untouched. Choose another output folder."
        ) from error
    shutil.rmtree(old, ignore_errors=True)
    return folder


def check_replaceable(folder: str | Path) -> None:
    """Refuse, before hours of training, a place that holds something other than a model.

    Raises:
        SaveError: the path is a file, or a folder with other content, or cannot be written.
    """
    folder = Path(folder)
    if folder.is_file():
        raise SaveError(f"{folder}: is a file. Choose another output folder.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CONFIG).is_file():
        raise SaveError(
            f"{folder}: holds files that are no model, and they would be replaced. "
            "Choose another output folder."
        )
    parent = next(parent for parent in folder.absolute().parents if parent.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise SaveError(f"{folder}: {parent.name}/ cannot be written to. Choose another folder.")


def existing_folder(folder: str | Path) -> Path:
    """Give the folder, brought back if a save was killed between its two renames."""
    folder = Path(folder)
    old = _aside(folder, "old")
    if old.is_dir():
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)  # the save had come to its last step
        else:
            old.rename(folder)
    return folder


def verify(folder: str | Path) -> dict[str, Any]:
    """Check that a model folder is whole, without loading a weight.

    Returns:
        The content of config.json.

    Raises:
        ModelError: the folder or a file is missing, truncated or not what its name says.
    """
    with _readable(Path(folder)):
        return _verify(existing_folder(folder))


def _verify(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise ModelError(
            f"{folder}: no such folder. Name the one that `sentiment-lstm train --output` wrote."
        )
    for name in _REQUIRED:
        if not (folder / name).is_file():
            raise ModelError(
                f"{folder}: lacks {name}. Copy the file again from where the model was trained."
            )
    config = read_json(folder / CONFIG)
    if config.get("model_type") != "sentiment-lstm":
        raise ModelError(
            f"{folder}: holds a model of type {config.get('model_type')!r}, not 'sentiment-lstm'. "
            "Load it with `transformers`, or name another folder."
        )
    weights = folder / WEIGHTS
    if not weights.is_file() and not onnx_files(folder):
        raise ModelError(
            f"{folder}: lacks {WEIGHTS}. Copy the file again from where the model was trained."
        )
    found = _tokenizer_hash(folder)
    if config.get(TOKENIZER_HASH, found) != found:
        raise ModelError(
            f"{folder}: tokenizer.json is not the one that this model was trained with. "
            "Copy the file again from where the model was trained."
        )
    if weights.is_file():
        _verify_safetensors(weights)
    return config


def seal(folder: Path) -> dict[str, Any]:
    """Note in config.json which tokenizer and which weights belong to it.

    Returns:
        The content of config.json.

    Raises:
        SaveError: config.json cannot be written.
    """
    config = read_json(folder / CONFIG)
    config[TOKENIZER_HASH] = _tokenizer_hash(folder)
    config[WEIGHTS_HASH] = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    write_json(folder / CONFIG, config)
    return config


def onnx_files(folder: Path) -> list[Path]:
    """Give the ONNX files of a model folder, the smaller and faster one first.

    Raises:
        ModelError: the folder cannot be read.
    """
    with _readable(folder):
        return [folder / name for name in (ONNX_QUANTIZED, ONNX) if (folder / name).is_file()]


def bundled_folder() -> Path:
    """Find the model that comes with this package.

    Raises:
        ModelError: it is not there; a checkout holds it once `make bundle` has run.
    """
    folder = Path(__file__).parent / _BUNDLED
    if not folder.is_dir():
        raise ModelError(
            "This installation has no model of its own. Name a model folder, or install a wheel of "
            "sentiment-lstm."
        )
    return folder


def model_folder(folder: str | Path | None) -> Path:
    """Give the folder that was named, or that of the model which comes with this package.

    Raises:
        ModelError: none was named, and this package comes without one; or it cannot be read.
    """
    if folder is None:
        return bundled_folder()
    with _readable(Path(folder)):
        return existing_folder(folder)


def facts_and_thresholds(folder: Path) -> tuple[dict[str, str], dict[str, float | None]]:
    """Give what a folder knows of its training, and the thresholds by target accuracy."""
    training, calibration = folder / TRAINING, folder / CALIBRATION
    facts = read_json(training).get("facts") if training.is_file() else None
    kept = read_json(calibration).get("thresholds") if calibration.is_file() else None
    return (
        facts if isinstance(facts, dict) else {},
        kept if isinstance(kept, dict) else {},
    )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ModelError: the file is missing, or holds something else.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{path}: not a readable JSON file ({error}). "
            "Copy the file again from where the model was trained."
        ) from error
    if not isinstance(values, dict):
        raise ModelError(f"{path}: holds {type(values).__name__}, expected a JSON object.")
    return values


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON object, readable and the same for the same values.

    Raises:
        SaveError: it could not be written; what stood there before is untouched.
    """
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False)
    write_file(path, f"{text}\n".encode())


def _tokenizer_hash(folder: Path) -> str:
    """Hash what tokenizer.json says, not how it is laid out, which libraries change on saving.

    Where to pad and cut is left out: it is set anew by every program that reads the file.
    """
    values = read_json(folder / TOKENIZER[0])
    kept = {key: value for key, value in values.items() if key not in ("padding", "truncation")}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _verify_safetensors(path: Path) -> None:
    """Compare the file's size with what its header promises; a cut download shows there.

    Source: the safetensors format, https://github.com/huggingface/safetensors#format
    """
    size = path.stat().st_size
    broken = f"{path}: {{}}. Copy the file again from where the model was trained."
    with path.open("rb") as file:
        header_length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if size < _LENGTH_BYTES or header_length > size - _LENGTH_BYTES:
            raise ModelError(broken.format(f"truncated within its header ({size:,} bytes)"))
        try:
            header = json.loads(file.read(header_length))
            ends = [entry["data_offsets"][1] for key, entry in header.items() if key[0] != "_"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise ModelError(broken.format("not a safetensors file")) from error
    expected = _LENGTH_BYTES + header_length + max(ends, default=0)
    if size != expected:
        raise ModelError(broken.format(f"holds {size:,} bytes where its header says {expected:,}"))


@contextlib.contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Name the folder when something in it cannot be read."""
    try:
        yield
    except OSError as error:
        raise ModelError(
            f"{folder}: cannot be read ({error.strerror or error}). Ask for the right to read it, "
            "or name another folder."
        ) from error


def _aside(folder: Path, state: str) -> Path:
    # A relative path may end in no name, as `.` does.
    whole = Path(os.path.abspath(folder))
    return whole.parent / f".{whole.name}.{state}"


def _grant(rights: int, path: Path) -> None:
    """Add rights to a file that a library has made for its owner alone, as safetensors does."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode | rights != mode:
        with contextlib.suppress(OSError):  # no reason to lose what a disk without rights has kept
            path.chmod(mode | rights)


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())
