"""The wheel is built, installed into an empty environment, and asked, as a new user would."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

# What the base install must do without.
HEAVY = {"torch", "transformers", "datasets", "scikit-learn", "scipy", "pandas", "matplotlib"}
SERVING = ROOT / "src" / "sentiment_lstm" / "serving"


def vendored_files() -> list[Path]:
    """What `make page` has put there, if it ran."""
    found = [*(SERVING / "page" / "vendor").glob("[!.]*"), *(SERVING / "swagger").glob("[!.]*")]
    return sorted(found)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    assert wheel.stat().st_size < 10e6  # the page's WASM is 3 MB of it
    made = {f"sentiment_lstm/serving/{path.relative_to(SERVING)}" for path in vendored_files()}
    assert made <= set(zipfile.ZipFile(wheel).namelist())
    venv.create(folder / "env", with_pip=True)
    python = folder / "env" / "bin" / "python"
    constraints = ROOT / "requirements" / "constraints.txt"
    done = subprocess.run(
        [python, "-m", "pip", "install", "-q", "-c", constraints, wheel],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return python


def test_a_first_prediction_needs_nothing_but_the_wheel(python: Path):
    done = subprocess.run(
        [python.with_name("sentiment-lstm"), "predict", "--json", "An excellent film."],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["label"] == "positive"


def test_the_base_install_is_light(python: Path, capsys: pytest.CaptureFixture[str]):
    listed = subprocess.run(
        [python, "-m", "pip", "list", "--format=json"], capture_output=True, text=True, check=True
    )
    packages = {entry["name"].lower(): entry["version"] for entry in json.loads(listed.stdout)}
    site = next((python.parents[1] / "lib").glob("python*/site-packages"))
    megabytes = {
        path.name: sum(file.stat().st_size for file in path.rglob("*") if file.is_file()) / 1e6
        for path in site.iterdir()
        if path.is_dir() and path.name not in ("pip", "setuptools")
    }
    with capsys.disabled():
        print(f"\n{len(packages)} packages, {sum(megabytes.values()):.0f} MB:", end=" ")
        print(", ".join(f"{name} {version}" for name, version in sorted(packages.items())))
        largest = sorted(megabytes.items(), key=lambda item: -item[1])[:5]
        print("Largest:", ", ".join(f"{name} {size:.0f} MB" for name, size in largest))
    assert HEAVY.isdisjoint(packages)


def test_commands_that_need_more_say_what_to_install(python: Path, tmp_path: Path):
    done = subprocess.run(
        [python.with_name("sentiment-lstm"), "train", "movie-reviews", "-o", str(tmp_path / "m")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "sentiment-lstm[train]" in done.stderr
