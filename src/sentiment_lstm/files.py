"""A file on disk is the old one or the new one, never half of it."""

from __future__ import annotations

import os
from pathlib import Path

from sentiment_lstm.errors import SaveError

__all__ = ["write_file"]


def write_file(path: str | Path, content: bytes) -> Path:
    """Write a file beside its place and rename it in, so that nothing half-written stays.

    Raises:
        SaveError: it could not be written; what stood there before is untouched.
    """
    path = Path(path)
    aside = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())  # before the name, or a power cut leaves the name alone
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        refused = SaveError(
            f"{path}: cannot be written ({error.strerror or error}). Free the space, mend the "
            "rights, or choose another folder."
        )
        refused.strerror = error.strerror  # for a caller that names its folder in place of the file
        raise refused from error
    return path
