"""An unfinished training on disk: what it is a training of, and where it can go on."""

from __future__ import annotations

import contextlib
import json
import platform
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentiment_lstm import artefact
from sentiment_lstm.errors import RecipeError, SaveError
from sentiment_lstm.recipes import Recipe

if TYPE_CHECKING:
    import datasets

__all__ = [
    "TRAINER_STATE",
    "Stages",
    "add_seconds",
    "describe",
    "differences",
    "facts",
    "how_to_go_on",
    "newest_checkpoint",
    "open_folder",
    "open_with_checkpoint",
    "stopped_early",
    "training_folder",
    "versions",
]

TRAINER_STATE = "trainer_state.json"
_RUN = "run.json"
_SECONDS = "seconds.json"
_KEEP_EVERY_S = 10.0
_TELL_EVERY_S = 15.0
_VERSIONS = ("sentiment-lstm", "torch", "transformers", "tokenizers", "datasets", "numpy")


def describe(
    recipe: Recipe,
    *,
    seed: int,
    source: str,
    train: datasets.Dataset,
    validation: datasets.Dataset | None,
    unlabelled: datasets.Dataset | None = None,
    processes: int = 1,
) -> dict[str, Any]:
    """Everything that decides the trained weights; a resumed training must agree with it."""
    from sentiment_lstm.data import fingerprint

    return {
        "recipe": recipe.to_dict(),
        "seed": seed,
        "processes": processes,
        "data": {
            "source": source,
            "train": fingerprint(train),
            "validation": None if validation is None else fingerprint(validation),
            "unlabelled": None if unlabelled is None else fingerprint(unlabelled),
        },
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of Python, and of the packages that decide the trained weights."""
    return {"python": platform.python_version()} | {
        name: metadata.version(name) for name in _VERSIONS
    }


def facts(run: dict[str, Any], seconds: float, reviews: dict[str, int]) -> dict[str, str]:
    """The few lines on a training that a report shows."""
    return {
        "Recipe": f"{run['recipe']['name']}: {run['recipe']['summary']}",
        "Trained on": f"{reviews['train']:,} reviews of {run['data']['source'] or 'a data set'}",
        "Data fingerprint": run["data"]["train"],
        "Seed": str(run["seed"]),
        "Training time": f"{seconds / 60:.1f} min",
        "Versions": ", ".join(f"{name} {version}" for name, version in run["versions"].items()),
    }


def differences(begun: Any, now: Any, path: str = "") -> list[str]:  # noqa: ANN401 - JSON values
    """Name what differs between what was begun and what is asked for now, a line a setting."""
    if isinstance(begun, dict) and isinstance(now, dict):
        return [
            line
            for key in begun.keys() | now.keys()
            for line in differences(begun.get(key), now.get(key), f"{path}.{key}".lstrip("."))
        ]
    return [] if begun == now else [f"{path} was {begun!r}, is {now!r}"]


def training_folder(output: Path) -> Path:
    """Name the folder where a training of a model keeps what it goes on from."""
    return output.with_name(f"{output.name}.training")


def open_folder(output: Path, run: dict[str, Any], *, resume: bool, restart: bool) -> Path:
    """Make, or find again, the folder where a training keeps its checkpoints.

    Raises:
        RecipeError: the training to resume is of another recipe, seed, data set or version.
        SaveError: an unfinished training stands there and neither `resume` nor `restart` is set.
    """
    work = training_folder(output)
    if restart:
        shutil.rmtree(work, ignore_errors=True)
    if (work / _RUN).is_file() and _has_begun(work):
        if not resume:
            raise SaveError(
                f"{work}: holds an unfinished training. Go on with it by --resume, or throw it "
                "away by --restart."
            )
        _compare(artefact.read_json(work / _RUN), run, work)
        return work
    shutil.rmtree(work, ignore_errors=True)
    try:
        work.mkdir(parents=True)
        artefact.write_json(work / _RUN, run)
    except OSError as error:
        raise SaveError(
            f"{work}: cannot be written ({error.strerror or error}). Choose another output folder."
        ) from error
    return work


def open_with_checkpoint(
    output: Path, run: dict[str, Any], *, resume: bool, restart: bool
) -> tuple[Path, Path | None]:
    """Do as :func:`open_folder`, and find the newest checkpoint of a training to resume."""
    work = open_folder(output, run, resume=resume, restart=restart)
    return work, newest_checkpoint(work) if resume else None


def how_to_go_on(output: Path) -> str:
    """Say what to do when a training has ended before its end."""
    work = training_folder(output)
    checkpoints = [path for path in work.rglob("checkpoint-*") if path.parent.is_dir()]
    whole = [newest_checkpoint(folder) for folder in {path.parent for path in checkpoints}]
    found = [path for path in whole if path is not None]
    if found:
        newest = max(found, key=lambda path: path.stat().st_mtime)
        return f"Start it again with --resume, and it goes on from {newest}."
    return "Start it again with --resume; what was finished is not done again."


def _has_begun(work: Path) -> bool:
    """Tell whether there is anything to go on with: a checkpoint, or a stage before them."""
    return newest_checkpoint(work) is not None or any(
        entry.is_dir() and any(entry.iterdir())
        for entry in work.iterdir()
        if entry.name not in ("tensorboard",) and not entry.name.startswith("checkpoint-")
    )


def newest_checkpoint(work: Path) -> Path | None:
    """Find the newest whole checkpoint; one that a kill cut short is passed over.

    `Trainer` writes `trainer_state.json` last, so a checkpoint is whole when that file can be read
    and tells the step that the folder is named after.
    """
    for checkpoint in sorted(work.glob("checkpoint-*"), key=_step, reverse=True):
        try:
            state = json.loads((checkpoint / TRAINER_STATE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        if state.get("global_step") == _step(checkpoint):
            return checkpoint
    return None


def stopped_early(checkpoint: Path) -> bool:
    """Tell whether early stopping had ended the training at this checkpoint."""
    state = json.loads((checkpoint / TRAINER_STATE).read_text(encoding="utf-8"))
    control = state.get("stateful_callbacks", {}).get("TrainerControl", {})
    return bool(control.get("args", {}).get("should_training_stop", False))


def add_seconds(work: Path, seconds: float) -> float:
    """Add to the time that a training has taken over all its resumed parts, and give the sum."""
    path = work / _SECONDS
    total = seconds + (artefact.read_json(path)["seconds"] if path.is_file() else 0.0)
    artefact.write_json(path, {"seconds": total})
    return total


class Stages:
    """The stages of a training: a folder and the time taken by each, over all resumed parts.

    Args:
        work: the training's folder.
        on_stage: called with one line as a stage begins or gets on.
        keeps_time: write the seconds down, as one process of a training does.

    Attributes:
        seconds: by stage, in the order of the stages.
    """

    def __init__(
        self, work: Path, on_stage: Callable[[str], None], *, keeps_time: bool = True
    ) -> None:
        self.work = work
        self.on_stage = on_stage
        self.keeps_time = keeps_time
        self._path = work / _SECONDS
        self.seconds: dict[str, float] = (
            artefact.read_json(self._path) if self._path.is_file() else {}
        )
        self._told = 0.0

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[Path]:
        """Count the time of what is inside, and give the stage's own folder.

        It is written down now and then, so that little is lost to a kill.
        """
        self.on_stage(name)
        before, started = self.seconds.get(name, 0.0), time.perf_counter()
        done = threading.Event()

        def keep() -> None:
            self.seconds[name] = before + time.perf_counter() - started
            if not self.keeps_time:
                return
            with contextlib.suppress(OSError):  # a full disk is for the training itself to report
                artefact.write_json(self._path, self.seconds)

        def keep_at_times() -> None:
            while not done.wait(_KEEP_EVERY_S):
                keep()

        keeper = threading.Thread(target=keep_at_times, daemon=True)
        keeper.start()
        try:
            yield self.work / re.sub(r"[^a-z0-9]+", "-", name).strip("-")
        finally:
            done.set()
            keeper.join()
            keep()

    def add(self, name: str, seconds: float) -> None:
        """Count what has been done already."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds

    def progress(self, what: str, done: int, total: int) -> None:
        """Tell how far a stage has got, every few seconds."""
        now = time.perf_counter()
        if done == total or now - self._told > _TELL_EVERY_S:
            self._told = now
            self.on_stage(f"{what}: {done:,} of {total:,}")


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _compare(begun: dict[str, Any], run: dict[str, Any], work: Path) -> None:
    begun, run = {"processes": 1, **begun}, {"processes": 1, **run}  # older ones do not tell
    before, now = begun["processes"], run["processes"]
    if before != now:
        raise RecipeError(
            f"{work}: was begun on {_processes(before)} and is resumed on {_processes(now)}, which "
            "would draw other random numbers. Resume it on as many as it was begun on, or throw it "
            "away by --restart."
        )
    changed = sorted(differences(begun, run))
    if changed:
        raise RecipeError(
            f"{work}: was begun with other settings ({'; '.join(changed)}). Resume it with the "
            "settings it was begun with, or throw it away by --restart."
        )


def _processes(number: int) -> str:
    return f"{number} process{'' if number == 1 else 'es'}"
