from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sentiment_lstm import artefact
from sentiment_lstm.errors import ModelError, SaveError
from tests.contracts import rights


def write_new(folder: Path) -> None:
    (folder / "config.json").write_text('{"version": "new"}')
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_text("new")


def version(folder: Path) -> str:
    return json.loads((folder / "config.json").read_text())["version"]


@pytest.fixture
def old_model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"version": "old"}')
    return folder


@pytest.fixture
def whole_model(tmp_path: Path) -> Path:
    """A folder with every file that loading needs."""
    folder = tmp_path / "whole"
    folder.mkdir()
    artefact.write_json(folder / "config.json", {"model_type": "sentiment-lstm"})
    artefact.write_json(folder / "tokenizer.json", {})
    artefact.write_json(folder / "tokenizer_config.json", {})
    save_file({"weight": torch.arange(6.0)}, folder / "model.safetensors")
    return folder


def test_a_folder_is_replaced_whole_and_nothing_is_left_aside(old_model: Path):
    artefact.replace_folder(old_model, write_new)
    assert version(old_model) == "new"
    assert (old_model / "deep" / "file").read_text() == "new"
    assert [path.name for path in old_model.parent.iterdir()] == ["model"]


def test_a_folder_is_made_with_its_parents(tmp_path: Path):
    artefact.replace_folder(tmp_path / "a" / "b", write_new)
    assert version(tmp_path / "a" / "b") == "new"


@pytest.mark.parametrize(("umask", "expected"), [(0o022, 0o644), (0o077, 0o600)])
def test_every_file_has_the_rights_that_the_umask_leaves(tmp_path: Path, umask: int, expected: int):
    def write(folder: Path) -> None:
        write_new(folder)
        save_file({"weight": torch.arange(6.0)}, folder / "model.safetensors")

    before = os.umask(umask)
    try:
        folder = artefact.replace_folder(tmp_path / "model", write)
    finally:
        os.umask(before)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.name: path.stat().st_mode & 0o777 for path in files} == {
        "config.json": expected,
        "file": expected,
        "model.safetensors": expected,
    }


def test_a_disk_that_keeps_no_rights_keeps_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")  # as of FAT, for another's file

    def write(folder: Path) -> None:
        save_file({"weight": torch.arange(6.0)}, folder / "model.safetensors")
        monkeypatch.setattr(Path, "chmod", refuse)

    folder = artefact.replace_folder(tmp_path / "model", write)
    assert (folder / "model.safetensors").is_file()


def test_the_old_folder_survives_a_writer_that_fails(old_model: Path):
    def write_and_fail(folder: Path) -> None:
        write_new(folder)
        raise RuntimeError("the writer's own fault")

    with pytest.raises(RuntimeError, match="own fault"):
        artefact.replace_folder(old_model, write_and_fail)
    assert version(old_model) == "old"
    assert [path.name for path in old_model.parent.iterdir()] == ["model"]


def test_a_file_that_cannot_be_written_is_told_by_the_name_of_its_folder(old_model: Path):
    def write(folder: Path) -> None:
        (folder / "metrics.json" / "in").mkdir(parents=True)
        artefact.write_json(folder / "metrics.json", {})

    with pytest.raises(SaveError, match=r"model: could not be written \(Is a directory\)\. What"):
        artefact.replace_folder(old_model, write)
    assert version(old_model) == "old"


def test_the_old_folder_survives_a_disk_that_fills(old_model: Path):
    # A limit on the size of a file makes the kernel refuse the bytes, as a full disk does.
    code = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from sentiment_lstm import artefact\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n"
        "    artefact.replace_folder(Path(sys.argv[1]),\n"
        "        lambda folder: (folder / 'config.json').write_bytes(b'x' * 5000))\n"
        "except artefact.SaveError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(old_model)], capture_output=True, text=True, check=True
    )
    assert "could not be written (File too large)" in done.stdout
    assert version(old_model) == "old"
    assert [path.name for path in old_model.parent.iterdir()] == ["model"]
    assert resource.getrlimit(resource.RLIMIT_FSIZE) != (1000, 1000)


def test_a_save_killed_between_its_two_renames_is_taken_back(old_model: Path):
    old_model.rename(old_model.with_name(".model.old"))
    assert artefact.existing_folder(old_model) == old_model
    assert version(old_model) == "old"


def test_a_save_killed_before_its_last_step_keeps_the_new_folder(old_model: Path):
    left = old_model.with_name(".model.old")
    left.mkdir()
    (left / "config.json").write_text('{"version": "older"}')
    artefact.existing_folder(old_model)
    assert version(old_model) == "old"
    assert not left.exists()


def test_a_folder_of_other_files_is_never_replaced(tmp_path: Path):
    (tmp_path / "photo.jpg").write_text("precious")
    with pytest.raises(SaveError, match="holds files that are no model"):
        artefact.check_replaceable(tmp_path)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path):
    (tmp_path / "model").write_text("")
    with pytest.raises(SaveError, match="is a file"):
        artefact.check_replaceable(tmp_path / "model")
    with pytest.raises(SaveError, match="cannot be written to"):
        artefact.check_replaceable(tmp_path / "model" / "below")


def test_empty_missing_and_model_folders_may_be_written(tmp_path: Path, old_model: Path):
    (tmp_path / "empty").mkdir()
    artefact.check_replaceable(tmp_path / "empty")
    artefact.check_replaceable(tmp_path / "not" / "yet")
    artefact.check_replaceable(old_model)


def test_a_whole_model_passes_and_gives_its_config(whole_model: Path):
    assert artefact.verify(whole_model) == {"model_type": "sentiment-lstm"}


@pytest.mark.parametrize(
    "name", ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
)
def test_a_missing_file_is_named(whole_model: Path, name: str):
    (whole_model / name).unlink()
    with pytest.raises(ModelError, match=rf"lacks {name}\. Copy the file again"):
        artefact.verify(whole_model)


def test_a_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(ModelError, match=r"nothing: no such folder"):
        artefact.verify(tmp_path / "nothing")


@pytest.mark.parametrize("kept", [0, 4, 20, -1])
def test_truncated_weights_are_named(whole_model: Path, kept: int):
    file = whole_model / "model.safetensors"
    os.truncate(file, kept if kept >= 0 else file.stat().st_size + kept)
    with pytest.raises(ModelError, match=r"model\.safetensors: (truncated|holds .* header says)"):
        artefact.verify(whole_model)


@pytest.mark.parametrize("junk", [b"\x02" + bytes(7) + b"[]", b"\x04" + bytes(7) + b"oops"])
def test_weights_that_are_no_safetensors_are_named(whole_model: Path, junk: bytes):
    (whole_model / "model.safetensors").write_bytes(junk)
    with pytest.raises(ModelError, match="not a safetensors file"):
        artefact.verify(whole_model)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
@pytest.mark.parametrize("content", ['{"cut', "[]", "\udcff"])
def test_damaged_json_is_named(whole_model: Path, name: str, content: str):
    (whole_model / name).write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(ModelError, match=rf"{name}: (not a readable JSON|holds list)"):
        artefact.verify(whole_model)


def test_another_kind_of_model_is_named(whole_model: Path):
    artefact.write_json(whole_model / "config.json", {"model_type": "bert"})
    with pytest.raises(ModelError, match="model of type 'bert'"):
        artefact.verify(whole_model)


def test_a_model_without_the_right_to_read_it_is_named(whole_model: Path):
    for path in (whole_model, whole_model / "model.safetensors"):
        with (
            rights(path, 0),
            pytest.raises(ModelError, match=r"whole: cannot be read \(Permission"),
        ):
            artefact.verify(whole_model)
    with (
        rights(whole_model / "config.json", 0),
        pytest.raises(ModelError, match=r"config\.json: not a readable JSON file .*Permission"),
    ):
        artefact.verify(whole_model)
    with rights(whole_model, 0), pytest.raises(ModelError, match="cannot be read"):
        artefact.onnx_files(whole_model)
    assert artefact.verify(whole_model)


def test_a_file_without_the_right_to_write_it_keeps_what_it_says(whole_model: Path):
    before = (whole_model / "config.json").read_text()
    (whole_model / "model.safetensors").chmod(0o644)
    with (
        rights(whole_model, 0o555),
        pytest.raises(SaveError, match=r"config\.json: cannot be written \(Permission denied\)"),
    ):
        artefact.seal(whole_model)
    assert (whole_model / "config.json").read_text() == before


def test_this_folder_and_the_root_are_folders_like_others(
    whole_model: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(whole_model)
    assert artefact.verify(".")["model_type"] == "sentiment-lstm"
    with pytest.raises(ModelError, match="lacks"):
        artefact.verify("/")
