"""A model folder in, ONNX files in the hub's layout out, compared with what PyTorch computes.

``onnx/model.onnx`` computes in 32 bits what the model does. ``onnx/model_quantized.onnx`` keeps
its weights in 8 bits, a quarter of the size, and multiplies with them; it is kept only where it
classifies validation reviews as well.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from numpy.typing import NDArray
from torch._dynamo import config as dynamo_config

from sentiment_lstm import artefact, prediction, runtime
from sentiment_lstm.batches import collate_ragged
from sentiment_lstm.errors import ModelError, SaveError
from sentiment_lstm.graph import OPSET, OnnxGraph
from sentiment_lstm.model import SentimentModel
from sentiment_lstm.quiet import quiet_exporter
from sentiment_lstm.reliability import softmax
from sentiment_lstm.telemetry import import_onnxruntime

__all__ = ["ExportResult", "ExportedFile", "export", "largest_difference"]

_INPUTS = ("input_ids", "attention_mask")
_LOGITS, _SCORES, _EXPLAIN = "logits", "token_scores", "explain"
_LARGEST_DIFFERENCE = 1e-5  # in probability, of the 32-bit file from PyTorch
_LARGEST_LOSS = 0.001  # in accuracy, of the 8-bit file
_BATCHES, _LENGTHS = (1, 2, 7), (1, 2, 63, 64, 65, 512)


@dataclass(frozen=True, kw_only=True)
class ExportedFile:
    """One of the files, as it was measured."""

    name: str
    size_bytes: int
    accuracy: float | None  # of the validation reviews; None without any
    reviews_per_second: float | None
    kept: bool = True


@dataclass(frozen=True, kw_only=True)
class ExportResult:
    """What was written, and how far it is from the model."""

    folder: Path
    files: list[ExportedFile]
    largest_difference: float  # in probability, of the 32-bit file
    reviews: int  # that the files were compared on

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON."""
        return {**asdict(self), "folder": self.folder.name}


def export(folder: str | Path, *, validation: datasets.Dataset | None = None) -> ExportResult:
    """Write the ONNX files of a model folder into it.

    Args:
        folder: a model folder that `train` wrote.
        validation: columns `text` and `label`, which the model has not learnt from; without them
            the 8-bit file cannot be judged, and is not kept.

    Raises:
        ModelError: the folder cannot be loaded, or the exported file computes something else.
        SaveError: the files cannot be written.
    """
    folder = Path(folder)
    classifier = prediction.load(folder)
    config = artefact.seal(folder)
    kept = {key: config[key] for key in (artefact.WEIGHTS_HASH, artefact.TOKENIZER_HASH)}
    results = []

    def write(new: Path) -> None:
        exact, small = (new / Path(name).name for name in (artefact.ONNX, artefact.ONNX_QUANTIZED))
        _write_onnx(classifier.model, exact)
        _quantize(exact, small)
        for path in (exact, small):
            _finish(path, metadata=kept)
        # Judged before they are in their place: a file that nobody has compared is never loaded.
        difference = largest_difference(classifier.model, runtime.load(folder, file=exact))
        if not difference <= _LARGEST_DIFFERENCE:
            raise ModelError(
                f"{folder}: the exported file differs from PyTorch by {difference:.1e} in "
                f"probability, more than {_LARGEST_DIFFERENCE:.0e}, and was thrown away. Please "
                "report it with the versions of torch, onnxscript and onnxruntime."
            )
        files = _compare(folder, [exact, small], validation)
        if not files[1].kept:
            small.unlink()
        result = ExportResult(
            folder=folder,
            files=files,
            largest_difference=difference,
            reviews=0 if validation is None else len(validation),
        )
        artefact.write_json(new / Path(artefact.ONNX_EXPORT).name, result.to_dict())
        results.append(result)

    try:
        artefact.replace_folder(folder / artefact.ONNX_FOLDER, write)
    except SaveError as error:
        raise SaveError(f"{folder}: the ONNX files could not be written. {error}") from error
    return results[0]


def largest_difference(
    model: SentimentModel,
    exported: runtime.OnnxClassifier,
    *,
    batches: tuple[int, ...] = _BATCHES,
    lengths: tuple[int, ...] = _LENGTHS,
) -> float:
    """Compare probabilities over a grid of batch sizes and lengths in tokens.

    The texts of a batch are of different lengths, the first of the one given.
    """
    random = np.random.default_rng(0)
    longest = model.config.fixed_length
    largest = 0.0
    for size in batches:
        for length in lengths:
            if longest is not None and length > longest:
                continue
            sizes = random.integers(1, length + 1, size)
            sizes[0] = length
            ids = [random.integers(0, model.config.vocab_size, count).tolist() for count in sizes]
            ours = softmax(exported.logits_of_ids(ids))
            largest = max(largest, float(np.abs(ours - _by_torch(model, ids)).max()))
    return largest


def _by_torch(model: SentimentModel, ids: list[list[int]]) -> NDArray[np.float64]:
    batch = collate_ragged([{"input_ids": row} for row in ids])
    with torch.inference_mode():
        return softmax(model(**batch).logits.double().numpy())


def _write_onnx(model: SentimentModel, path: Path) -> None:
    graph = OnnxGraph(model)
    # Two segments and a bit more: what has a size of 1 in the example stays 1 for ever.
    length = 2 * (model.config.segment_length or model.config.fixed_length or 16) + 3
    input_ids = torch.ones(2, length, dtype=torch.int64)
    attention_mask = torch.ones_like(input_ids)
    attention_mask[1, length // 2 :] = 0
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length")}
    # The cache compares every shape with those before, which takes longer than to compute it anew.
    with quiet_exporter(), dynamo_config.patch(fake_tensor_cache_enabled=False):
        program = torch.onnx.export(
            graph,
            (input_ids, attention_mask),
            dynamo=True,
            input_names=_INPUTS,
            output_names=[_LOGITS, _SCORES] if model.additive else [_LOGITS],
            dynamic_shapes=(axes, axes),
            opset_version=OPSET,
            verbose=False,
        )
        assert program is not None
        program.save(path)


def _quantize(exact: Path, small: Path) -> None:
    import_onnxruntime()
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with quiet_exporter():
        quantize_dynamic(
            exact,
            small,
            weight_type=QuantType.QInt8,
            op_types_to_quantize=["LSTM", "Gather"],
        )


def _finish(path: Path, *, metadata: dict[str, str]) -> None:
    """Make the scores optional, and note which model this is."""
    import onnx

    model = onnx.load(path)
    if any(output.name == _SCORES for output in model.graph.output):
        _make_scores_optional(model)
    onnx.helper.set_model_props(model, metadata)
    del model.graph.value_info[:]
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _make_scores_optional(model: Any) -> None:  # noqa: ANN401
    """Compute the token scores under an `If`, so that who wants only labels does not wait for them.

    The condition is an input with a default, True, which is how ONNX makes an input optional: a
    program that knows nothing of it gets the scores, ours says what it wants.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    by_output = {name: node for node in graph.node for name in node.output}
    needed, open_names = set(), [_LOGITS]
    while open_names:
        node = by_output.get(open_names.pop())
        if node is not None and id(node) not in needed:
            needed.add(id(node))
            open_names += node.input
    always = [node for node in graph.node if id(node) in needed]
    asked = [node for node in graph.node if id(node) not in needed]
    wanted, empty = f"{_SCORES}_wanted", f"{_SCORES}_empty"
    for node in asked:
        for place, name in enumerate(node.output):
            if name == _SCORES:
                node.output[place] = wanted
    nothing = numpy_helper.from_array(np.zeros((0, 0, 0), np.float32))
    branches: dict[str, Any] = {
        "then_branch": helper.make_graph(
            asked, wanted, [], [helper.make_tensor_value_info(wanted, TensorProto.FLOAT, None)]
        ),
        "else_branch": helper.make_graph(
            [helper.make_node("Constant", [], [empty], value=nothing)],
            empty,
            [],
            [helper.make_tensor_value_info(empty, TensorProto.FLOAT, None)],
        ),
    }
    del graph.node[:]
    graph.node.extend([*always, helper.make_node("If", [_EXPLAIN], [_SCORES], **branches)])
    graph.input.append(helper.make_tensor_value_info(_EXPLAIN, TensorProto.BOOL, []))
    graph.initializer.append(numpy_helper.from_array(np.array(True), _EXPLAIN))


def _compare(
    folder: Path, paths: Sequence[Path], validation: datasets.Dataset | None
) -> list[ExportedFile]:
    """Measure both files on the validation reviews, and decide on the smaller one."""
    found = []
    for path in paths:
        accuracy = speed = None
        if validation is not None:
            classifier = runtime.load(folder, file=path)
            texts, labels = list(validation["text"]), np.array(validation["label"])
            classifier.logits(texts[:50])  # the first run takes memory and starts threads
            started = time.perf_counter()
            accuracy = float((classifier.logits(texts).argmax(1) == labels).mean())
            speed = len(texts) / (time.perf_counter() - started)
        found.append(
            ExportedFile(
                name=f"{artefact.ONNX_FOLDER}/{path.name}",
                size_bytes=path.stat().st_size,
                accuracy=accuracy,
                reviews_per_second=speed,
                kept=not found
                or (accuracy is not None and accuracy >= (found[0].accuracy or 0) - _LARGEST_LOSS),
            )
        )
    return found
