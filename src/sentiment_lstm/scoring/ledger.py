"""What a run has done, on disk, so that the next one goes on there.

::

    OUT/reviews.csv               a result, under the name of its input file
    OUT/rejected/reviews.csv.jsonl   its rows that could not be scored, with their reasons
    OUT/manifest.json             what came in, what went out, what is missing
    OUT/.score/plan.json          what the run was asked for
    OUT/.score/parts/0/12.data    a part that is done, and 12.json, what is known of it
    OUT/.score/files/0.json       a file that is done, its parts put together

Everything is written aside and renamed, data first and what is known of it last: what has a record
is whole. No time and no order of events is kept, so that a run which was killed a hundred times
leaves the same bytes as one that was not.
"""

from __future__ import annotations

import json
import os
import posixpath
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from fsspec.core import url_to_fs

from sentiment_lstm.errors import SaveError
from sentiment_lstm.scoring.inputs import InputFile

__all__ = ["Ledger"]

_STATE = ".score"
_PLAN = f"{_STATE}/plan.json"
_MANIFEST = "manifest.json"
_REJECTED = "rejected"


class Ledger:
    """The output folder of a run, wherever it is; small enough to be sent to every worker.

    Args:
        output: a path, or a URL as fsspec takes it.
    """

    def __init__(self, output: str) -> None:
        self.output = output
        self._system, self._root = url_to_fs(output)
        self._url = output if "://" in output else self._root
        self._local = isinstance(self._system.protocol, tuple) and "file" in self._system.protocol

    def __reduce__(self) -> tuple[type[Ledger], tuple[str]]:
        return Ledger, (self._url,)

    # --- the run

    def plan(self) -> dict[str, Any] | None:
        """Give what the folder was begun for; None where nothing was."""
        return self._read_json(_PLAN)

    def check_free(self) -> None:
        """Refuse a place that holds something else.

        Raises:
            SaveError: it does.
        """
        if self._system.isfile(self._root):
            raise SaveError(f"{self.output}: is a file. Choose another output folder.")
        found = [name for name in self._names() if name != _STATE]
        if found and self.plan() is None:
            raise SaveError(
                f"{self.output}: holds {found[0]!r}, which no run of `sentiment-lstm score` has "
                "written. Choose another output folder."
            )

    def write_plan(self, plan: dict[str, Any]) -> None:
        """Note what the folder is begun for, or gone on with."""
        self._write_json(_PLAN, plan)

    def contains(self, file: InputFile) -> bool:
        """Tell whether a file lies within the folder."""
        system, _ = url_to_fs(file.source)
        return system == self._system and file.path.startswith(self._root.rstrip("/") + "/")

    def manifest(self) -> dict[str, Any] | None:
        """Give what the last run that came to an end has said."""
        return self._read_json(_MANIFEST)

    def discard(self, plan: dict[str, Any]) -> None:
        """Delete what an earlier run has written, and nothing else."""
        for name in [file["name"] for file in plan["inputs"]]:
            self._remove(name)
            self._remove(rejected_name(name))
        self._remove(_MANIFEST)
        self._remove_folder(_STATE)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep a second run out, where the folder is on this machine.

        Raises:
            SaveError: there is one already, or the folder cannot be written.
        """
        if not self._local:
            yield
            return
        from filelock import FileLock, Timeout

        path = Path(self._root, _STATE, "lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path)
            lock.acquire(timeout=0)
        except Timeout as error:
            raise SaveError(
                f"{self.output}: another run is writing there. Wait for it, or choose another "
                "output folder."
            ) from error
        except OSError as error:
            raise self.refused(error) from error
        try:
            yield
        finally:
            lock.release()

    def refused(self, error: OSError) -> SaveError:
        """Say that the folder cannot be written."""
        return SaveError(
            f"{self.output}: could not be written ({error.strerror or error}). "
            "Choose another output folder."
        )

    def write_manifest(self, manifest: dict[str, Any]) -> str:
        """Write what came in and went out.

        Returns:
            Where it stands.
        """
        self._write_json(_MANIFEST, manifest)
        return posixpath.join(self.output, _MANIFEST)

    # --- parts

    def part(self, file: int, number: int) -> dict[str, Any] | None:
        """Give what is known of a part that is done."""
        return self._read_json(f"{_parts(file)}/{number}.json")

    def parts(self, file: int) -> dict[int, dict[str, Any]]:
        """Give what is known of all the parts of a file that are done, by number."""
        done = {}
        for name in self._names(_parts(file)):
            number, _, suffix = name.partition(".")
            if suffix == "json":
                record = self.part(file, int(number))
                if record is not None:
                    done[int(number)] = record
        return done

    def write_part(
        self, file: int, number: int, *, data: bytes, rejected: bytes, record: dict[str, Any]
    ) -> None:
        """Keep a part; its record comes last, and makes it count.

        Raises:
            OSError: it could not be written.
        """
        stem = f"{_parts(file)}/{number}"
        self._write(f"{stem}.data", lambda sink: sink.write(data))
        if rejected:
            self._write(f"{stem}.rejected", lambda sink: sink.write(rejected))
        self._write_json(f"{stem}.json", record)

    def data(self, file: int, count: int) -> Iterator[bytes]:
        """Give the parts of a file in their order."""
        for number in range(count):
            yield self._read(f"{_parts(file)}/{number}.data")

    # --- files

    def files(self) -> dict[int, dict[str, Any]]:
        """Give what is known of the files that are done."""
        done = {}
        for name in self._names(f"{_STATE}/files"):
            number, _, suffix = name.partition(".")
            record = self._read_json(f"{_STATE}/files/{name}") if suffix == "json" else None
            if record is not None:
                done[int(number)] = record
        return done

    def finish_file(
        self, file: int, name: str, record: dict[str, Any], merge: Callable[[IO[bytes]], Any]
    ) -> None:
        """Put the parts of a file together under its name, and let them go.

        Args:
            file: its place among the inputs.
            name: of the input.
            record: what is known of it.
            merge: writes the file.

        Raises:
            OSError: it could not be written.
        """
        self._write(name, merge)
        if record["rejected"]:
            rejected = [
                f"{_parts(file)}/{number}.rejected"
                for number in range(record["parts"])
                if self._system.exists(self._path(f"{_parts(file)}/{number}.rejected"))
            ]
            self._write(
                rejected_name(name), lambda sink: sink.writelines(map(self._read, rejected))
            )
        self._write_json(f"{_STATE}/files/{file}.json", record)
        self._remove_folder(_parts(file))

    # --- the file system

    def _path(self, name: str) -> str:
        return posixpath.join(self._root, name)

    def _names(self, folder: str = "") -> list[str]:
        try:
            found = self._system.ls(self._path(folder).rstrip("/"), detail=False, refresh=True)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(place.rstrip("/").rpartition("/")[2] for place in found)

    def _read(self, name: str) -> bytes:
        return self._system.cat_file(self._path(name))

    def _read_json(self, name: str) -> dict[str, Any] | None:
        try:
            return json.loads(self._read(name))
        except FileNotFoundError:
            return None

    def _write_json(self, name: str, values: dict[str, Any]) -> None:
        text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        self._write(name, lambda sink: sink.write(text.encode()))

    def _write(self, name: str, fill: Callable[[IO[bytes]], Any]) -> None:
        path = self._path(name)
        if not self._local:
            # What an object store is given appears at once, when all of it is there.
            with self._system.open(path, "wb") as sink:
                fill(sink)
            return
        # Beside the place, under a name of this process alone: another may write the same part.
        aside = Path(f"{self._path(_STATE)}/aside-{os.getpid()}")
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            with aside.open("wb") as sink:
                fill(sink)
                sink.flush()
                os.fsync(sink.fileno())
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise

    def _remove(self, name: str) -> None:
        if self._system.exists(self._path(name)):
            self._system.rm_file(self._path(name))

    def _remove_folder(self, name: str) -> None:
        if self._local:
            shutil.rmtree(self._path(name), ignore_errors=True)
        elif self._system.exists(self._path(name)):
            self._system.rm(self._path(name), recursive=True)


def rejected_name(name: str) -> str:
    """Name the file of the rows of an input that could not be scored."""
    return f"{_REJECTED}/{name}.jsonl"


def _parts(file: int) -> str:
    return f"{_STATE}/parts/{file}"
