"""What a teacher says of every training text, computed once and kept on disk.

::

    FOLDER/manifest.json             whose texts, which teacher, which labels, how many rows
    FOLDER/part-00000.safetensors    `probabilities` (2,000, C) float32, and their checksum
    FOLDER/part-00001.safetensors    ...

Every file is written aside and renamed, so that a killed run leaves whole ones; the next run
computes what is missing or damaged, and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from sentiment_lstm.errors import DataError, ModelError, SaveError
from sentiment_lstm.files import write_file
from sentiment_lstm.text import hash_text

if TYPE_CHECKING:
    from sentiment_lstm.teachers import Teacher

__all__ = ["CHUNK_ROWS", "fingerprint_texts", "soft_labels"]

CHUNK_ROWS = 2_000
_MANIFEST = "manifest.json"
_PROBABILITIES = "probabilities"
_CHECKSUM = "sha256"
# bfloat16 keeps three digits; a teacher's rows are normalised in float32 all the same.
_SUM_TOLERANCE = 1e-3


def soft_labels(
    teacher: Teacher,
    texts: Sequence[str],
    *,
    folder: Path,
    label_names: Sequence[str],
    parts: slice = slice(None),
    on_progress: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Give the teacher's probabilities of all texts, from the cache as far as they stand there.

    Args:
        teacher: from `sentiment_lstm.teachers.load_teachers`; asked only for what is missing.
        texts: N texts, in the order of the rows of the result.
        folder: of the cache; made if it isn't there.
        label_names: C names, in the order of the columns of the result.
        parts: which of the files to see to, where several processes share them out; the rows of
            the others are 0.
        on_progress: called with the number of texts done since the last call.

    Returns:
        (N, C) float32, rows that sum to 1.

    Raises:
        DataError: the folder holds the soft labels of other texts, labels or another teacher, or
            something else.
        ModelError: the teacher gives something that is no probability.
        SaveError: the folder cannot be written.
    """
    folder = Path(folder)
    manifest = {
        "texts": fingerprint_texts(texts),
        "rows": len(texts),
        "teacher": teacher.name,
        "identity": teacher.identity,
        "label_names": list(label_names),
        "chunk_rows": CHUNK_ROWS,
    }
    # As it stands there: the name by which the teacher was first called is not what tells it.
    manifest = _open(folder, manifest)
    shape = (len(texts), len(label_names))
    probabilities = np.zeros(shape, dtype=np.float32)
    for number, start in list(enumerate(range(0, len(texts), CHUNK_ROWS)))[parts]:
        chunk = texts[start : start + CHUNK_ROWS]
        path = folder / f"part-{number:05d}.safetensors"
        # What a part belongs to goes into its checksum, so that none is taken for another.
        seal = json.dumps([number, manifest])
        part = _read_part(path, (len(chunk), shape[1]), seal)
        if part is None:
            part = _ask(teacher, chunk, start, shape[1])
            _write_part(path, part, seal)
        probabilities[start : start + len(chunk)] = part
        if on_progress:
            on_progress(len(chunk))
    return probabilities


def fingerprint_texts(texts: Sequence[str]) -> str:
    """Hash texts, read a part at a time, to 16 hex digits: the same for the same texts."""
    digest = hashlib.sha256()
    for start in range(0, len(texts), CHUNK_ROWS):
        for text in texts[start : start + CHUNK_ROWS]:
            hash_text(digest, text)
    return digest.hexdigest()[:16]


def _open(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Make the cache, or see that the one that is there is of the same run; give its manifest."""
    path = folder / _MANIFEST
    try:
        if not path.exists():
            if folder.exists() and any(not _is_ours(entry) for entry in folder.iterdir()):
                raise DataError(
                    f"{folder}: holds files that are no soft labels. Name another folder by "
                    "--soft-labels."
                )
            write_file(path, (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode())
            return manifest
    except OSError as error:
        raise _not_written(folder, error) from error
    found = _read_manifest(path)
    changed = "; ".join(_differences(found, manifest))
    if changed:
        raise DataError(f"{folder}: holds other soft labels: {changed}. {_REMEDY}")
    return found


_REMEDY = "Delete that folder, or name another one by --soft-labels."


def _is_ours(entry: Path) -> bool:
    return entry.name.removeprefix(".").startswith(("part-", _MANIFEST))


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(manifest, dict):
            raise ValueError(f"a {type(manifest).__name__} instead of an object")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}). {_REMEDY}") from error
    return manifest


def _differences(found: dict[str, Any], wanted: dict[str, Any]) -> Iterator[str]:
    if found.get("texts") != wanted["texts"]:
        yield (
            f"they are of {found.get('rows')} texts with the fingerprint {found.get('texts')}, "
            f"and those to label now are {wanted['rows']} with {wanted['texts']}"
        )
    if found.get("identity") != wanted["identity"]:
        yield (
            f"they are of the teacher {found.get('teacher')!r} ({found.get('identity')}), "
            f"and the teacher now is {wanted['teacher']!r} ({wanted['identity']})"
        )
    if found.get("label_names") != wanted["label_names"]:
        yield f"their labels are {found.get('label_names')}, and now {wanted['label_names']}"
    if found.get("chunk_rows") != wanted["chunk_rows"]:
        yield f"a part holds {found.get('chunk_rows')} rows, and now {wanted['chunk_rows']}"


def _read_part(path: Path, shape: tuple[int, int], seal: str) -> NDArray[np.float32] | None:
    """Read a part, or None if it is missing or not what was written."""
    try:
        with safe_open(path, framework="numpy") as file:
            checksum = (file.metadata() or {}).get(_CHECKSUM)
            part = file.get_tensor(_PROBABILITIES)
    except (OSError, SafetensorError, ValueError):
        return None
    whole = part.shape == shape and part.dtype == np.float32 and _checksum(part, seal) == checksum
    return part if whole else None


def _write_part(path: Path, part: NDArray[np.float32], seal: str) -> None:
    content = save({_PROBABILITIES: part}, metadata={_CHECKSUM: _checksum(part, seal)})
    try:
        write_file(path, content)
    except OSError as error:
        raise _not_written(path.parent, error) from error


def _ask(teacher: Teacher, texts: Sequence[str], start: int, classes: int) -> NDArray[np.float32]:
    part = np.ascontiguousarray(teacher.predict_proba(texts), dtype=np.float32)
    if part.shape != (len(texts), classes):
        raise ModelError(
            f"{teacher.name}: gave probabilities of the shape {part.shape} for {len(texts)} texts "
            f"and {classes} labels. Name another teacher."
        )
    sums = part.sum(axis=1)
    broken = np.flatnonzero(~((part >= 0).all(axis=1) & (np.abs(sums - 1) < _SUM_TOLERANCE)))
    if len(broken):
        raise ModelError(
            f"{teacher.name}: what it gave for {len(broken):,} of {len(texts):,} texts is no "
            f"probability, for the first time in row {start + broken[0]} "
            f"({part[broken[0]].tolist()}). Its weights are damaged: copy or train it again."
        )
    return part


def _checksum(part: NDArray[np.float32], seal: str) -> str:
    return hashlib.sha256(seal.encode() + part.tobytes()).hexdigest()


def _not_written(folder: Path, error: OSError) -> SaveError:
    return SaveError(
        f"{folder}: the soft labels could not be written ({error.strerror or error}). Free some "
        "space, or name another folder by --soft-labels; what is whole there is used again."
    )
