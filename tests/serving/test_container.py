"""The container's files, by their structure: nothing here needs Docker."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import yaml

import sentiment_lstm

ROOT = Path(__file__).resolve().parents[2]


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions in order, their continued lines joined."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text())
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in lines]


def test_the_image_is_built_in_stages_from_named_versions():
    bases = [rest.split()[0] for word, rest in instructions() if word == "FROM"]
    assert bases == ["node:20-slim", "python:3.11-slim", "python:3.11-slim"]
    for word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from="):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists(), source


def test_the_linter_finds_nothing_in_the_dockerfile():
    # From the requirements of `dev`, which need not be on the PATH.
    hadolint = shutil.which("hadolint", path=sysconfig.get_path("scripts")) or "hadolint"
    done = subprocess.run(
        [hadolint, "--no-color", ROOT / "Dockerfile"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_server_runs_as_nobody_special():
    words = instructions()
    last_stage = max(place for place, (word, _) in enumerate(words) if word == "FROM")
    users = [rest for word, rest in words[last_stage:] if word == "USER"]
    assert users
    assert users[-1] not in ("root", "0")
    assert not [word for word, _ in words[last_stage:] if word == "COPY"]  # no sources


def test_the_health_check_asks_the_port_that_is_served():
    found = dict(instructions())
    command = json.loads(found["ENTRYPOINT"]) + json.loads(found["CMD"])
    port = command[command.index("--port") + 1]
    assert command[:2] == ["sentiment-lstm", "serve"]
    assert found["EXPOSE"] == port
    check = json.loads(found["HEALTHCHECK"].split("CMD ", 1)[1])
    assert check[0] == "python"
    compile(check[2], "HEALTHCHECK", "exec")
    assert f":{port}/readyz" in check[2]


def test_compose_serves_a_read_only_model_under_a_fixed_version():
    (service,) = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values()
    image, _, tag = service["image"].rpartition(":")
    assert (image, tag) == ("sentiment-lstm", sentiment_lstm.__version__)
    assert tag != "latest"
    assert service["volumes"][0].endswith(":/model:ro")
    assert service["ports"][0].endswith(":8000")
    assert "user" not in service  # that of the image
    assert service["read_only"] is True


def test_the_model_that_compose_serves_by_default_is_one_that_the_demo_exports():
    (service,) = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"].values()
    (folder,) = re.findall(r"^\$\{MODEL:-\./(.+)\}:", service["volumes"][0])
    makefile = (ROOT / "Makefile").read_text()
    (demo,) = re.findall(r"^demo:.*\n((?:\t.*\n)+)", makefile, flags=re.MULTILINE)
    trained, exported = (
        demo.index(f"sentiment-lstm {words}")
        for words in (f"train movie-reviews --output {folder} ", f"export {folder}\n")
    )
    assert trained < exported
