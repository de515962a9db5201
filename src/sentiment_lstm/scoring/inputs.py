"""A file, a folder, a glob or a URL in; the files to score, and their bytes, out."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import lzma
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO, Any

from fsspec.core import has_magic, url_to_fs

from sentiment_lstm.errors import DataError, nearest, one_line

__all__ = [
    "FILE_TYPES",
    "InputFile",
    "Opened",
    "find_inputs",
    "hash_file",
    "open_bytes",
    "open_seekable",
    "split_suffixes",
]

FILE_TYPES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
_DECOMPRESSED: dict[str, Callable[[Any], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}


@dataclass(frozen=True, kw_only=True)
class InputFile:
    """A file to score."""

    source: str  # what was asked for, which tells any machine of the cluster the file system
    path: str  # in that file system
    name: str  # relative to what was asked for, and what the result is called
    size_bytes: int
    changed: str  # when, or which version it is, as its file system tells; "" where it does not


@dataclass(frozen=True, kw_only=True)
class Opened:
    """An input file being read."""

    stream: IO[bytes]  # decompressed
    raw: _HashedReader  # what it comes from

    def sha256(self) -> str:
        """Read the file to its end, and give the hash of all its bytes."""
        return self.raw.sha256()

    @property
    def position_bytes(self) -> int:
        """Give how much of the file was read so far, compressed as it is."""
        return self.raw.position_bytes


def find_inputs(source: str) -> tuple[list[InputFile], list[str]]:
    """Find the files that a path, a folder, a glob or a URL means, in the order of their names.

    Args:
        source: as fsspec takes it: `reviews.csv`, `folder/`, `folder/**/*.parquet`,
            `s3://bucket/reviews/`.

    Returns:
        The files, and the names of those in a folder that are of another type, hidden ones apart.

    Raises:
        DataError: there is nothing, or nothing of a known type, or it cannot be reached.
    """
    system, path = _file_system(source)
    try:
        if has_magic(path):
            base, found = _fixed_part(path), system.glob(path, detail=True)
        elif system.isdir(path):
            base, found = path, system.find(path, detail=True)
        else:
            base, found = _parent(path), {path: system.info(path)}
    except FileNotFoundError as error:
        raise DataError(
            f"{source}: no such file or folder. Check the path, and that this machine sees it."
        ) from error
    except Exception as error:  # each object store has errors of its own
        raise DataError(
            f"{source}: cannot be listed ({one_line(error)}). Check the address and your rights."
        ) from error
    files, others = [], []
    for place, info in sorted(found.items()):
        name = place[len(base) :].lstrip("/") if place.startswith(base) else place
        if info["type"] != "file" or any(part[0] in "._" for part in name.split("/") if part):
            continue
        if split_suffixes(name)[0] not in FILE_TYPES:
            others.append(name)
            continue
        changed = info.get("ETag") or info.get("etag") or info.get("mtime") or info.get("updated")
        files.append(
            InputFile(
                source=source if "://" in source else path,
                path=place,
                name=name,
                size_bytes=int(info.get("size") or 0),
                changed=str(changed or info.get("LastModified") or ""),
            )
        )
    if not files:
        kind = f"found {others[0]}" if others else "found none"
        suffix = PurePosixPath(others[0]).suffix.lower() if others else ""
        raise DataError(
            f"{source}: no file to score ({kind}). Expected {', '.join(FILE_TYPES)}, which may be "
            f"compressed as {', '.join(_DECOMPRESSED)}.{nearest(suffix, FILE_TYPES)}"
        )
    return files, others


def split_suffixes(name: str) -> tuple[str, str]:
    """Give the type of a file by its name, and how it is compressed: `.csv`, `.gz`."""
    suffixes = [suffix.lower() for suffix in PurePosixPath(name).suffixes]
    compression = suffixes.pop() if suffixes and suffixes[-1] in _DECOMPRESSED else ""
    return (suffixes[-1] if suffixes else ""), compression


def open_bytes(file: InputFile) -> Opened:
    """Open an input file; whoever reads it closes its stream and its raw file.

    Raises:
        OSError: it cannot be opened.
    """
    raw = _HashedReader(open_seekable(file))
    compression = split_suffixes(file.name)[1]
    stream: Any = io.BufferedReader(raw, buffer_size=1 << 20)
    if compression:
        stream = _DECOMPRESSED[compression](stream)
    return Opened(stream=stream, raw=raw)


def hash_file(file: InputFile) -> str:
    """Read an input file for its SHA-256 alone.

    Raises:
        OSError: it cannot be read.
    """
    with _HashedReader(open_seekable(file)) as raw:
        return raw.sha256()


def open_seekable(file: InputFile) -> IO[bytes]:
    """Open an input file to read here and there.

    Raises:
        OSError: it cannot be opened.
    """
    system, _ = _file_system(file.source)
    return system.open(file.path, "rb")


class _HashedReader(io.RawIOBase):
    """A file that hashes what is read of it, which is all of it, once, from its beginning."""

    def __init__(self, file: Any) -> None:  # noqa: ANN401 - fsspec's files share no class
        self._file = file
        self._hash = hashlib.sha256()
        self.position_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401 - any writable buffer
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        self._hash.update(data)
        self.position_bytes += len(data)
        return len(data)

    def sha256(self) -> str:
        while self.read(1 << 20):
            pass
        return self._hash.hexdigest()

    def close(self) -> None:
        self._file.close()
        super().close()


def _file_system(source: str) -> tuple[Any, str]:
    try:
        system, path = url_to_fs(source)
    except ImportError as error:
        raise DataError(f"{source}: {one_line(error)}.") from error
    except ValueError as error:
        raise DataError(
            f"{source}: {one_line(error)}. Give a path, or a URL such as s3://bucket/folder."
        ) from error
    return system, path


def _fixed_part(pattern: str) -> str:
    parts = pattern.split("/")
    first = next(place for place, part in enumerate(parts) if has_magic(part))
    return "/".join(parts[:first])


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
