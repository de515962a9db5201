"""What a run is asked for, compared with what its output folder was begun for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from sentiment_lstm import artefact
from sentiment_lstm.errors import SaveError
from sentiment_lstm.scoring.inputs import InputFile, hash_file
from sentiment_lstm.scoring.ledger import Ledger

__all__ = ["REMEDY", "check_apart", "make_plan", "model_files", "take_up"]

REMEDY = (
    "Run with --restart to throw away what it holds and score everything, or choose another "
    "output folder."
)
# With another version of these, the same texts may give other bytes.
_VERSIONED = ("sentiment-lstm", "onnxruntime", "tokenizers", "pyarrow")
_MODEL_FILES = (artefact.CONFIG, *artefact.TOKENIZER, artefact.CALIBRATION)


def make_plan(
    files: Sequence[InputFile], model: Mapping[str, bytes], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Give all that the bytes of the result depend on."""
    return {
        "model": _hash(model),
        "settings": dict(settings),
        "versions": {name: metadata.version(name) for name in _VERSIONED},
        "inputs": [
            {"name": file.name, "size_bytes": file.size_bytes, "changed": file.changed}
            for file in files
        ],
    }


def take_up(
    ledger: Ledger, plan: dict[str, Any], files: Sequence[InputFile], *, restart: bool
) -> set[str]:
    """Compare an earlier run with this one.

    Returns:
        The names of the files that the earlier run could not read, which may have changed.

    Raises:
        SaveError: it was another run, or the folder cannot be written.
    """
    try:
        before = ledger.plan()
        if before is not None and restart:
            ledger.discard(before)
            before = None
        if before is None:
            ledger.write_plan(plan)
            return set()
        failed = set((ledger.manifest() or {}).get("missing", {}))
        _check_same(ledger, before, plan, files, failed)
        if before != plan:
            ledger.write_plan(plan)
    except SaveError:
        raise
    except OSError as error:
        raise ledger.refused(error) from error
    return failed


def _check_same(
    ledger: Ledger,
    before: Mapping[str, Any],
    plan: Mapping[str, Any],
    files: Sequence[InputFile],
    failed: set[str],
) -> None:
    """Refuse to go on with another model, input, setting or version than the run began with."""

    def refuse(what: str) -> SaveError:
        return SaveError(f"{ledger.output}: was begun with {what}. {REMEDY}")

    if before["model"] != plan["model"]:
        raise refuse("another model")
    for kind in ("settings", "versions"):
        for name, value in plan[kind].items():
            if before[kind].get(name) != value:
                raise refuse(f"{name} = {before[kind].get(name)!r}, and now it is {value!r}")
    names = [file["name"] for file in before["inputs"]]
    now = [file.name for file in files]
    if names != now:
        odd = sorted(set(names) ^ set(now))[0]
        raise refuse(f"other files: {odd} has {'come' if odd in now else 'gone'} since")
    records = ledger.files()
    for place, (file, known) in enumerate(zip(files, before["inputs"], strict=True)):
        if file.name in failed:
            continue
        if file.size_bytes != known["size_bytes"]:
            raise refuse(f"another {file.name}, of {known['size_bytes']:,} bytes")
        # A copy has another date and the same content; parts are compared as they are read.
        if file.changed != known["changed"] and place in records:
            if hash_file(file) != records[place]["sha256"]:
                raise refuse(f"another {file.name}, whose content has changed since")


def check_apart(files: Sequence[InputFile], ledger: Ledger) -> None:
    """Refuse an output folder in which an input file lies.

    Raises:
        SaveError: there is one.
    """
    for file in files:
        if ledger.contains(file):
            raise SaveError(
                f"{ledger.output}: holds {file.name}, which is to be scored. Choose an output "
                "folder apart from the input."
            )


def model_files(folder: Path) -> dict[str, bytes]:
    """Read the files of an exported model folder that scoring needs."""
    names = [name for name in _MODEL_FILES if (folder / name).is_file()]
    names.append(artefact.onnx_files(folder)[0].relative_to(folder).as_posix())
    return {name: (folder / name).read_bytes() for name in names}


def _hash(model: Mapping[str, bytes]) -> str:
    found = hashlib.sha256()
    for name in sorted(model):
        found.update(hashlib.sha256(name.encode() + b"\0" + model[name]).digest())
    return found.hexdigest()
