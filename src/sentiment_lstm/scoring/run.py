"""A source of files in; the same rows with label and confidence, and a manifest, out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sentiment_lstm import artefact
from sentiment_lstm.abstention import check_threshold
from sentiment_lstm.errors import SaveError
from sentiment_lstm.scoring import plan as plans
from sentiment_lstm.scoring.formats.base import PART_ROWS
from sentiment_lstm.scoring.inputs import InputFile, find_inputs
from sentiment_lstm.scoring.ledger import Ledger
from sentiment_lstm.scoring.manifest import COUNTS, FileState, Summary, make_manifest
from sentiment_lstm.scoring.part_scorer import PartScorer, merge_file, read_file
from sentiment_lstm.scoring.scorer import BatchScorer

__all__ = ["Progress", "score_files"]


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a run is, those before it that it goes on from included."""

    files: int  # that are done
    all_files: int
    rows: int
    rows_before: int  # scored or rejected by earlier runs
    read_bytes: int
    all_bytes: int


def score_files(
    source: str | Path,
    output: str | Path,
    *,
    text_column: str = "text",
    model: str | Path | None = None,
    explain: bool = False,
    abstain: float | None = None,
    prefix: str = "",
    part_rows: int = PART_ROWS,
    workers: int | None = None,
    address: str | None = None,
    restart: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> Summary:
    """Score files of any size, on one machine or on a cluster.

    Each file comes out under its own name and in its own format, every row once and in its order,
    with its own columns and the new ones; rows that cannot be scored go to `rejected/`. Run again
    with the same arguments after a kill, it goes on where it stopped, and ends with the same bytes.

    Args:
        source: a CSV, TSV, JSONL or Parquet file, a folder of them, a glob, or a URL of an object
            store that fsspec opens.
        output: the folder to write, or such a URL; not within `source`.
        text_column: the column to score.
        model: an exported model folder; None for the model that comes with this package.
        explain: add the words of the strongest pull.
        abstain: withhold the labels whose confidence is below this; None for what the model folder
            says.
        prefix: of the new columns' names.
        part_rows: how many rows are scored, kept and handed on together. More of them are less to
            administer on hundreds of CPUs, and more to lose in a kill.
        workers: how many processes score, each in one thread; None for one a CPU.
        address: of a Ray cluster; None for this machine.
        restart: throw away what an earlier run has written to `output`.
        on_progress: called as parts are done.

    Raises:
        DataError: there is no file to score, or the cluster cannot be reached.
        ModelError: the model folder is damaged or was not exported.
        SaveError: the output holds something else, or a run of another model, input or setting, or
            cannot be written.
    """
    source, output = str(source), str(output)
    files, ignored = find_inputs(source)
    ledger = Ledger(output)
    plans.check_apart(files, ledger)
    ledger.check_free()
    folder = artefact.model_folder(model)
    if abstain is not None:
        check_threshold(abstain)
    # A folder that is damaged or was not exported is found here, not in every worker.
    BatchScorer(folder)
    model_files = plans.model_files(folder)
    settings = {
        "text_column": text_column,
        "explain": explain,
        "abstain": abstain,
        "prefix": prefix,
        "part_rows": part_rows,
    }
    plan = plans.make_plan(files, model_files, settings)
    with ledger.locked():
        failed_before = plans.take_up(ledger, plan, files, restart=restart)
        run = _Run(ledger, files, settings, failed_before, on_progress=on_progress)
        if run.pending:
            run.score(model_files, workers=workers, address=address)
        return run.close(plan, model_name=folder.name, ignored=ignored)


class _Run:
    """The driver's side of a run.

    Args:
        ledger: what is done.
        files: the input files.
        settings: of the run.
        failed_before: the files that an earlier run could not read.
        on_progress: called as parts are done.
    """

    def __init__(
        self,
        ledger: Ledger,
        files: Sequence[InputFile],
        settings: Mapping[str, Any],
        failed_before: set[str],
        *,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self.ledger = ledger
        self.settings = dict(settings)
        self.on_progress = on_progress
        self.missing: dict[str, str] = {}
        self.files = [
            FileState(file, may_have_changed=file.name in failed_before) for file in files
        ]
        records = ledger.files()
        for place, file in enumerate(self.files):
            file.record = records.get(place)
            if file.record is None:
                file.parts = ledger.parts(place)
        self.all_bytes = sum(file.size_bytes for file in files)
        self.done = len(records)
        self.rows = self.rows_before = sum(file.counted("rows") for file in self.files)
        self.read_bytes = sum(
            file.input.size_bytes if file.record else file.counted("bytes") for file in self.files
        )

    @property
    def pending(self) -> list[int]:
        """The places of the files without a result."""
        return [place for place, file in enumerate(self.files) if file.record is None]

    def score(
        self, model: Mapping[str, bytes], *, workers: int | None, address: str | None
    ) -> None:
        """Score what is left, and put the parts of each file together once they are there."""
        # Ray takes a second to import, and a finished run needs none of it.
        from sentiment_lstm.scoring import engine

        names = [file.input.name for file in self.files]
        stopped = ""
        merging: set[int] = set()
        with engine.connected(address, workers) as number:
            self._report()
            tasks = engine.Tasks(limit=number)
            for facts in engine.run_parts(
                [self._task(place) for place in self.pending],
                read_file,
                PartScorer,
                (self.ledger, names, self.settings),
                model=model,
                workers=number,
            ):
                place = facts["file"]
                file = self.files[place]
                if "stopped" in facts:
                    stopped = facts["stopped"]
                    break
                self._note(file, facts)
                if file.whole and place not in merging:
                    merging.add(place)
                    name, record = file.input.name, self._record(file)
                    tasks.add(place, merge_file, self.ledger, place, name, record, self.settings)
                stopped = self._take(tasks.finished()) or stopped
                self._report()
            stopped = self._take(tasks.finished(wait=True)) or stopped
            self._report()
        for place in self.pending if stopped else ():
            self.missing.setdefault(
                self.files[place].input.name,
                f"{stopped}. Free some space or mend the rights, and run the same command again, "
                "which goes on from here.",
            )

    def close(self, plan: Mapping[str, Any], *, model_name: str, ignored: list[str]) -> Summary:
        """Write the manifest, and sum up.

        Raises:
            SaveError: it could not be written.
        """
        manifest = make_manifest(
            self.files, plan, model_name=model_name, missing=self.missing, ignored=ignored
        )
        try:
            path = self.ledger.write_manifest(manifest)
        except OSError as error:
            raise SaveError(
                f"{self.ledger.output}: the manifest could not be written "
                f"({error.strerror or error}). Free some space and run the same command again, "
                "which goes on from here."
            ) from error
        return Summary(
            manifest=path,
            rows_before=self.rows_before,
            missing=self.missing,
            differing=manifest["differing_columns"],
            ignored=ignored,
            **{key: manifest[key] for key in COUNTS},
        )

    def _task(self, place: int) -> dict[str, Any]:
        file = self.files[place]
        return {
            "file": place,
            "input": asdict(file.input),
            "settings": self.settings,
            "may_have_changed": file.may_have_changed,
            "done": {str(number): part["digest"] for number, part in file.parts.items()},
        }

    def _note(self, file: FileState, facts: dict[str, Any]) -> None:
        if facts.get("changed"):
            raise SaveError(
                f"{self.ledger.output}: was begun with another {file.input.name}, whose content "
                f"has changed since. {plans.REMEDY}"
            )
        if "error" in facts:
            self.missing[file.input.name] = facts["error"]
        elif facts.get("end"):
            file.end = facts
            file.valid.update(facts["kept"])
        else:
            file.parts[facts["part"]] = facts
            file.valid.add(facts["part"])
            self.rows += facts["rows"]
            self.read_bytes += facts["bytes"]

    def _take(self, merged: Iterable[tuple[int, str | None]]) -> str:
        """Take note of the files whose parts were put together; give what went wrong, if any."""
        fault = ""
        for place, reason in merged:
            if reason is None:
                self.files[place].record = self._record(self.files[place])
                self.done += 1
            fault = reason or fault
        return fault

    def _record(self, file: FileState) -> dict[str, Any]:
        assert file.end is not None
        parts = [file.parts[number] for number in range(file.end["parts"])]
        record = {
            "parts": len(parts),
            "rows": file.end["rows"],
            "scored": sum(part["scored"] for part in parts),
            "rejected": sum(part["rejected"] for part in parts),
            "sha256": file.end["sha256"],
            "columns": file.end["columns"],
        }
        if record["rows"] != record["scored"] + record["rejected"]:
            raise AssertionError(f"{file.input.name}: rows were lost or doubled: {record}")
        return record

    def _report(self) -> None:
        if self.on_progress is not None:
            self.on_progress(
                Progress(
                    files=self.done,
                    all_files=len(self.files),
                    rows=self.rows,
                    rows_before=self.rows_before,
                    read_bytes=self.read_bytes,
                    all_bytes=self.all_bytes,
                )
            )
