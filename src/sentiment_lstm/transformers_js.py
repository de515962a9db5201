"""A model folder in, a folder that transformers.js loads by its name out.

transformers.js has a closed list of model types, and refuses any other. So its config.json says
`bert`, whose class there hands `input_ids` and `attention_mask` to the ONNX file and takes `logits`
back; nothing of BERT comes with the name. Python reads the other folder, which says what it is.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from sentiment_lstm import artefact
from sentiment_lstm.errors import ModelError, SaveError

__all__ = [
    "check_exported",
    "check_output",
    "config_for_transformers_js",
    "copied_files",
    "fill_folder",
    "write_folder",
]

_SETTINGS = "transformers.js_config"
# Beside what it asks for: the page's own settings, and which model the files came from.
_KEPT = (
    "id2label",
    "label2id",
    "pad_token_id",
    "vocab_size",
    "abstain_below",
    artefact.TOKENIZER_HASH,
    artefact.WEIGHTS_HASH,
)


def write_folder(model: str | Path, output: str | Path) -> Path:
    """Write the folder, or replace an earlier one.

    Args:
        model: a model folder that was exported.
        output: the folder to write.

    Raises:
        ModelError: the model folder is damaged or was not exported.
        SaveError: the output holds something else.
    """
    model, output = Path(model), Path(output)
    check_exported(model)
    check_output(output)
    return artefact.replace_folder(output, lambda folder: fill_folder(model, folder))


def fill_folder(model: Path, folder: Path) -> None:
    """Write config, tokenizer, calibration and every ONNX file into a folder."""
    (folder / artefact.ONNX).parent.mkdir(parents=True)
    artefact.write_json(folder / artefact.CONFIG, config_for_transformers_js(model))
    for path in copied_files(model):
        shutil.copyfile(path, folder / path.relative_to(model))


def copied_files(model: Path) -> list[Path]:
    """Find the files that stand in both folders as they are."""
    named = [model / name for name in (*artefact.TOKENIZER, artefact.CALIBRATION)]
    return [path for path in named if path.is_file()] + artefact.onnx_files(model)


def config_for_transformers_js(model: Path) -> dict[str, Any]:
    """Give the content of config.json."""
    config = artefact.read_json(model / artefact.CONFIG)
    quantized = (model / artefact.ONNX_QUANTIZED).is_file()
    return {
        "model_type": "bert",
        "architectures": ["BertForSequenceClassification"],
        **{key: config[key] for key in _KEPT if key in config},
        # Else Node would ask for the 32-bit file and a browser for the 8-bit one, there or not.
        _SETTINGS: {"dtype": "q8" if quantized else "fp32"},
    }


def check_exported(model: Path) -> None:
    """Refuse a folder without an ONNX file.

    Raises:
        ModelError: it has none, or is damaged.
    """
    artefact.verify(model)
    if not artefact.onnx_files(model):
        raise ModelError(f"{model}: holds no ONNX file. Run `sentiment-lstm export` on it.")


def check_output(output: Path) -> None:
    """Refuse a place that holds something else, a model folder for Python among it.

    Raises:
        SaveError: it would be replaced.
    """
    # A model folder has a config.json, too, and its weights must not be lost to this one.
    artefact.check_replaceable(output)
    config = output / artefact.CONFIG
    if config.is_file() and _SETTINGS not in artefact.read_json(config):
        raise SaveError(
            f"{output}: holds a model that is not for transformers.js, and it would be replaced. "
            "Choose another output folder."
        )
