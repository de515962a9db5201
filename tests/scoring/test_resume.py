from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from sentiment_lstm.errors import SaveError
from sentiment_lstm.scoring import score_files
from tests.processes import LIMIT_S, wait_for
from tests.scoring.conftest import parts, start, tree, write_csv


@pytest.fixture(scope="module")
def many(texts: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two files, of about 40 parts."""
    folder = tmp_path_factory.mktemp("many") / "in"
    repeated = [f"{text} {number}" for number in range(40) for text in texts]
    write_csv(folder / "a.csv", ["", *repeated])
    write_csv(folder / "b.csv", repeated)
    return folder


@pytest.fixture(scope="module")
def undisturbed(many: Path, exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("undisturbed") / "out"
    done = start(many, output, exported)
    said, _ = done.communicate(timeout=LIMIT_S)
    assert done.returncode == 0, said
    return output


@pytest.fixture
def begun(
    many: Path, exported: Path, address: str, tmp_path: Path
) -> Iterator[subprocess.Popen[str]]:
    """A run that has done a few of its parts."""
    with start(many, tmp_path / "out", exported, "--address", address) as process:
        wait_for(lambda: len(parts(tmp_path / "out")) >= 4, process)
        yield process
        process.kill()


def test_a_killed_driver_is_gone_on_with_and_changes_no_byte(
    begun: subprocess.Popen[str],
    many: Path,
    exported: Path,
    undisturbed: Path,
    address: str,
    tmp_path: Path,
):
    output = tmp_path / "out"
    begun.kill()
    begun.communicate()
    assert not (output / "manifest.json").exists()
    time.sleep(1)  # until its workers are gone, too
    kept = {path: path.stat().st_mtime_ns for path in parts(output)}
    assert kept
    again = start(many, output, exported, "--address", address)
    wait_for(lambda: len(parts(output)) > len(kept), again)
    now = {path: path.stat().st_mtime_ns for path in kept if path.exists()}
    assert now.items() <= kept.items()  # nothing is scored twice
    said, _ = again.communicate(timeout=LIMIT_S)
    assert again.returncode == 0, said
    assert "of them by earlier runs" in said
    assert tree(output) == tree(undisturbed)


def test_a_killed_worker_is_replaced_and_changes_no_byte(
    begun: subprocess.Popen[str], undisturbed: Path, tmp_path: Path
):
    scoring = [
        child
        for child in psutil.Process().children(recursive=True)  # of the Ray started here
        if "_Worker" in child.name() or "_Worker" in " ".join(child.cmdline())
    ]
    assert scoring
    scoring[0].kill()
    said, _ = begun.communicate(timeout=LIMIT_S)
    assert begun.returncode == 0, said
    assert tree(tmp_path / "out") == tree(undisturbed)


def test_a_second_run_is_kept_out(
    begun: subprocess.Popen[str], many: Path, exported: Path, tmp_path: Path
):
    with pytest.raises(SaveError, match="another run is writing there"):
        score_files(many, tmp_path / "out", model=exported)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own, on which little fits."""
    with mounted(tmp_path / "disk", "size=1m") as folder:
        yield folder


@contextlib.contextmanager
def mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], capture_output=True
    )
    if done.returncode != 0:
        pytest.skip("needs the right to mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_named_and_gone_on_with_once_there_is_room(
    small_disk: Path, many: Path, exported: Path, undisturbed: Path, address: str
):
    output = small_disk / "out"
    (small_disk / "other").write_bytes(b"x" * 300_000)
    stopped = start(many, output, exported, "--address", address)
    said, _ = stopped.communicate(timeout=LIMIT_S)
    assert stopped.returncode == 1, said
    assert "could not be kept (No space left on device)" in said
    assert "Traceback" not in said
    kept = {path: path.stat().st_mtime_ns for path in parts(output)}
    assert kept
    subprocess.run(["mount", "-o", "remount,size=100m", str(small_disk)], check=True)
    again = start(many, output, exported, "--address", address)
    said, _ = again.communicate(timeout=LIMIT_S)
    assert again.returncode == 0, said
    assert tree(output) == tree(undisturbed)


def test_an_output_that_cannot_be_written_is_named(many: Path, exported: Path, tmp_path: Path):
    with mounted(tmp_path / "disk", "ro") as disk, pytest.raises(SaveError) as caught:
        score_files(many, disk / "out", model=exported)
    assert "out: could not be written (Read-only file system)" in str(caught.value)
