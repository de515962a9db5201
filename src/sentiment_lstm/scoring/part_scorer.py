"""What a worker does: it reads a file in parts, scores a part, puts the parts together."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

import pyarrow

from sentiment_lstm.errors import DataError
from sentiment_lstm.scoring.formats import Format, Part, Rejected, format_of
from sentiment_lstm.scoring.inputs import InputFile
from sentiment_lstm.scoring.ledger import Ledger
from sentiment_lstm.scoring.scorer import BatchScorer, new_columns

__all__ = ["PartScorer", "merge_file", "read_file"]


def read_file(task: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Read a file in parts, those left out which are done already.

    Args:
        task: `file` (its place), `input`, `settings`, `done` (by part, the digest of its rows) and
            `may_have_changed`, whether a part of other rows is scored again or refused.

    Yields:
        `rows`, an Arrow stream, and `facts`; behind the last part one without rows, whose facts are
        those of the file, or its fault under `error`.
    """
    file = InputFile(**task["input"])
    reader = open_format(file.name, task["settings"])
    end: dict[str, Any] = {"file": task["file"], "end": True, "parts": 0, "rows": 0, "kept": []}
    position = 0
    try:
        for number, part in enumerate(reader.read(file)):
            end["parts"] += 1
            end["rows"] += part.rows
            rows = _packed(part.table)
            # What was rejected is no row of the table; that it still is the same counts, too.
            rejected = [asdict(one) for one in part.rejected]
            digest = hashlib.sha256(rows + json.dumps(rejected).encode()).hexdigest()[:16]
            size, position = part.position_bytes - position, part.position_bytes
            if task["done"].get(str(number)) == digest:
                end["kept"].append(number)
                continue
            if str(number) in task["done"] and not task["may_have_changed"]:
                raise _ChangedError
            facts = {
                "file": task["file"],
                "part": number,
                "first_row": part.first_row,
                "rows": part.rows,
                "rejected": rejected,
                "bytes": size,
                "digest": digest,
                "columns": reader.columns,
            }
            yield {"rows": rows, "facts": facts}
    except _ChangedError:
        end["changed"] = True
    except DataError as error:
        end["error"] = str(error)
    yield {
        "rows": b"",
        "facts": {**end, "sha256": reader.sha256, "columns": reader.columns},
    }


class PartScorer:
    """Scores parts and keeps them; made once in each worker.

    Args:
        model: an exported model folder.
        output: the run's output folder.
        names: those of the input files, by their place.
        settings: of the run.
    """

    def __init__(
        self, model: str, output: Ledger, names: list[str], settings: Mapping[str, Any]
    ) -> None:
        self._score = BatchScorer(model, explain=settings["explain"], abstain=settings["abstain"])
        self._ledger = output
        self._names = names
        self._settings = settings

    def __call__(self, rows: bytes, facts: dict[str, Any]) -> dict[str, Any]:
        """Score a part.

        Returns:
            What is known of it, or `stopped`, why it could not be kept.
        """
        if facts.get("end"):
            return facts
        file, number = facts["file"], facts["part"]
        known = self._ledger.part(file, number)
        if known is not None and known["digest"] == facts["digest"]:
            return {"file": file, "part": number, **known}  # by a worker that was then lost
        name = self._names[file]
        reader = open_format(name, self._settings)
        reader.columns = facts["columns"]
        part = Part(
            first_row=facts["first_row"],
            rows=facts["rows"],
            table=pyarrow.ipc.open_stream(rows).read_all(),
            rejected=[Rejected(**one) for one in facts["rejected"]],
        )
        record, data, rejected = self._scored(reader, part, facts)
        try:
            self._ledger.write_part(file, number, data=data, rejected=rejected, record=record)
        except OSError as error:
            return {
                "file": file,
                "part": number,
                "stopped": f"{name}, rows {part.first_row:,} to "
                f"{part.first_row + part.rows - 1:,}: could not be kept "
                f"({error.strerror or error})",
            }
        return {"file": file, "part": number, **record}

    def _scored(
        self, reader: Format, part: Part, facts: Mapping[str, Any]
    ) -> tuple[dict[str, Any], bytes, bytes]:
        scored = self._score(reader.texts(part.table))
        places = [place for place in range(len(part.table)) if place not in scored.faults]
        numbers = part.row_numbers()
        column = self._settings["text_column"]
        rejected = part.rejected + [
            Rejected(
                row=numbers[place],
                reason=f"column {column!r} {fault}",
                content=reader.content(part.table, place),
            )
            for place, fault in scored.faults.items()
        ]
        prefix = self._settings["prefix"]
        new = {
            prefix + name: [values[place] for place in places]
            for name, values in scored.columns.items()
        }
        record = {
            "rows": part.rows,
            "scored": len(places),
            "rejected": len(rejected),
            "bytes": facts["bytes"],
            "digest": facts["digest"],
        }
        kept = part.table if not scored.faults else part.table.take(places)
        lines = [
            json.dumps({"file": reader.name, **asdict(one)}, ensure_ascii=False) + "\n"
            for one in sorted(rejected, key=lambda one: one.row)
        ]
        # A rejected text may hold lone surrogates, which UTF-8 cannot encode.
        text = "".join(lines).encode(errors="backslashreplace")
        return record, reader.write(kept, new), text


def merge_file(
    output: Ledger, file: int, name: str, record: dict[str, Any], settings: Mapping[str, Any]
) -> str | None:
    """Put the parts of a file together.

    Returns:
        None, or why it could not be done.
    """
    writer = open_format(name, settings)
    try:
        output.finish_file(
            file,
            name,
            record,
            lambda sink: writer.merge(output.data(file, record["parts"]), record["columns"], sink),
        )
    except OSError as error:
        return f"{name}: could not be written ({error.strerror or error})"
    return None


def open_format(name: str, settings: Mapping[str, Any]) -> Format:
    """Give the format of a file, with what the run adds to it."""
    columns = new_columns(explain=settings["explain"])
    return format_of(name)(
        name,
        settings["text_column"],
        columns,
        prefix=settings["prefix"],
        part_rows=settings["part_rows"],
    )


class _ChangedError(Exception):
    """The rows of a part are not those that were scored."""


def _packed(table: pyarrow.Table) -> bytes:
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()
