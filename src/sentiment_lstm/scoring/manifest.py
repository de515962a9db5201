"""What came in, what went out, what is missing: the summary of a run, on disk and in Python."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sentiment_lstm.scoring.formats import format_of
from sentiment_lstm.scoring.inputs import InputFile
from sentiment_lstm.scoring.ledger import rejected_name

__all__ = ["COUNTS", "FileState", "Summary", "make_manifest"]

COUNTS = ("rows", "scored", "rejected")


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a run gave."""

    manifest: str  # where it stands
    rows: int
    scored: int
    rejected: int
    rows_before: int  # of all these, those of earlier runs
    missing: dict[str, str]  # by file, why there is no result
    differing: dict[str, str]  # by file, how its columns differ from those of the others
    ignored: list[str]  # files of another type

    @property
    def complete(self) -> bool:
        """Whether each file has its result."""
        return not self.missing


@dataclass
class FileState:
    """What is known of an input file."""

    input: InputFile
    may_have_changed: bool = False
    parts: dict[int, dict[str, Any]] = field(default_factory=dict)
    end: dict[str, Any] | None = None
    valid: set[int] = field(default_factory=set)  # the parts whose rows are those of the file
    record: dict[str, Any] | None = None  # once its result stands

    @property
    def whole(self) -> bool:
        """Whether all of its parts are there."""
        return self.end is not None and self.valid.issuperset(range(self.end["parts"]))

    def counted(self, key: str) -> int:
        """Sum up what its parts gave."""
        if self.record is not None:
            return self.record[key]
        return sum(part[key] for part in self.parts.values())


def make_manifest(
    files: Sequence[FileState],
    plan: Mapping[str, Any],
    *,
    model_name: str,
    missing: Mapping[str, str],
    ignored: Sequence[str],
) -> dict[str, Any]:
    """Give the manifest of a run."""
    done = [file for file in files if file.record is not None]
    return {
        "complete": not missing,
        **{key: sum(file.counted(key) for file in done) for key in COUNTS},
        "missing": dict(missing),
        "differing_columns": differing_columns(done),
        "ignored": list(ignored),
        "model": {"name": model_name, "sha256": plan["model"]},
        "settings": plan["settings"],
        "versions": plan["versions"],
        "files": [_entry(file) for file in files],
    }


def _entry(file: FileState) -> dict[str, Any]:
    record = file.record or {}
    name = file.input.name
    return {
        "file": name,
        "size_bytes": file.input.size_bytes,
        **{key: record.get(key) for key in ("sha256", "columns", *COUNTS)},
        "rejected_rows": rejected_name(name) if record.get("rejected") else None,
    }


def differing_columns(files: Sequence[FileState]) -> dict[str, str]:
    """Name the files whose columns are not those of most of their type."""
    differing = {}
    kinds: dict[type, list[FileState]] = {}
    for file in files:
        kinds.setdefault(format_of(file.input.name), []).append(file)
    for kind, alike in kinds.items():
        if not kind.fixed_columns:
            continue
        counted = Counter(tuple((file.record or {})["columns"]) for file in alike)
        usual = counted.most_common(1)[0][0]
        for file in alike:
            columns = (file.record or {})["columns"]
            if set(columns) != set(usual):
                lacks = [name for name in usual if name not in columns]
                adds = [name for name in columns if name not in usual]
                parts = [f"lacks {', '.join(map(repr, lacks))}"] if lacks else []
                parts += [f"adds {', '.join(map(repr, adds))}"] if adds else []
                differing[file.input.name] = f"{' and '.join(parts)}, unlike the other files"
    return differing
