"""How fast is a prediction, from raw text to probabilities, beside what else one could take?

    python benchmarks/inference.py MODEL --source ../shared/imdb

The rivals take turns on whole reviews of the test split, others in each round; each slow one gets
fewer of them, and the reviews a second compare. The encoders read at most 512 tokens of a review,
as they must, in 32 bits on ONNX Runtime with all cores; the DistilBERT-sized one has random
weights, which cost the same.
"""

from __future__ import annotations

import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from transformers import AutoModel, BertConfig, BertModel

from common import (
    DEFAULT_SOURCE,
    RESULTS,
    commit,
    compare,
    load_binary_reviews,
    machine_facts,
    machine_line,
    markdown_table,
    package_versions,
    run_script,
    sample,
    write_json,
)
from sentiment_lstm import artefact, prediction, runtime
from sentiment_lstm.batches import collate_ragged
from sentiment_lstm.quiet import quiet_exporter
from sentiment_lstm.telemetry import import_onnxruntime
from sentiment_lstm.tokens import embedded_bert_folder, load_tokenizer

Rivals = dict[str, tuple[Callable[[list[str]], object], float]]

_ENCODER_TOKENS = 512
_DISTILBERT = {"hidden_size": 768, "num_hidden_layers": 6, "intermediate_size": 3072}
_FRESH = """
import time
started = time.perf_counter()
import sentiment_lstm
classifier = sentiment_lstm.load({folder!r})
classifier.predict(["A wonderful film, beautifully acted."])
seconds = time.perf_counter() - started
import json, sys
texts = json.load(sys.stdin)
classifier.predict(texts)
# Not ru_maxrss, which begins at what the parent had when it forked.
status = dict(line.split(":") for line in open("/proc/self/status").read().splitlines())
print(json.dumps([seconds, int(status["VmHWM"].split()[0]) / 1024]))
"""


def inference(
    model: Annotated[Path, typer.Argument(help="An exported model folder, with its weights.")],
    source: Annotated[
        str, typer.Option(help="Reviews: a folder, or imdb for the hub's copy.")
    ] = DEFAULT_SOURCE,
    reviews: Annotated[int, typer.Option(min=4, help="Drawn from the test split.")] = 4000,
    rounds: Annotated[int, typer.Option(min=1, help="Timed calls of each rival.")] = 3,
    encoders: Annotated[
        bool, typer.Option(help="Time the encoders as well, which are slow to export and to read.")
    ] = True,
    results: Annotated[
        Path | None, typer.Option(help="Where to write; benchmarks/results.")
    ] = None,
) -> None:
    """Time the rivals in turn, and write inference.json."""
    loaded = load_binary_reviews(source)
    texts = list(sample(loaded["test"], reviews * (rounds + 1), seed=0)["text"])
    reviews = len(texts) // (rounds + 1)  # of a round; one more of them warms up
    train = sample(loaded["train"], 10_000, seed=0)
    predictors = _rivals(model, list(train["text"]), list(train["label"]))
    if encoders:
        predictors |= _encoders()
    calls, work = {}, {}
    for name, (predict, share) in predictors.items():
        count = max(int(reviews * share), 4)
        calls[name] = _calls(predict, texts, count)
        work[name] = float(count)
    timings = compare(calls, rounds, work=work)
    speeds = {name: 1 / statistics.median(timings[name].seconds) for name in timings}
    first = next(iter(speeds))
    content: dict[str, Any] = {
        "question": (__doc__ or "").splitlines()[0],
        "machine": machine_facts(),
        "threads": runtime.available_cpus(),
        "versions": package_versions("onnxruntime", "tokenizers", "numpy", "torch", "scikit-learn"),
        "commit": commit(),
        "reviews": reviews,
        "reviews_per_second": {name: round(speed, 2) for name, speed in speeds.items()},
        "ratio": {name: round(speeds[first] / speed, 2) for name, speed in speeds.items()},
        "single_review_ms": _single(model, texts),
        "fresh_process": _fresh(model, texts[:1000]),
    }
    write_json((results or RESULTS) / "inference.json", content)
    rows = [
        [name, f"{speed:,.0f}" if speed > 20 else f"{speed:.1f}", f"{speeds[first] / speed:.2f}x"]
        for name, speed in speeds.items()
    ]
    print(markdown_table(["Classifier", "Reviews/s", "Times slower"], rows))
    print(json.dumps({key: content[key] for key in ("single_review_ms", "fresh_process")}))
    print(machine_line(content["machine"], content["threads"]))


def _calls(
    predict: Callable[[list[str]], object], texts: list[str], count: int
) -> Callable[[], None]:
    """Give what reads other reviews at each call: none may profit from having seen them."""
    starts = itertools.cycle(range(0, len(texts) - count + 1, count))

    def call() -> None:
        start = next(starts)
        predict(texts[start : start + count])

    return call


def _rivals(folder: Path, texts: list[str], labels: list[int]) -> Rivals:
    """Give what predicts, by name, and the share of the reviews that it gets."""
    import fasttext
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    small = runtime.load(folder)
    exact = runtime.load(folder, file=Path(artefact.ONNX).name)
    with_torch = prediction.load(folder)
    tfidf = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2), LogisticRegression(C=100, max_iter=200)
    ).fit(texts, labels)
    with tempfile.TemporaryDirectory() as place:
        lines = [
            f"__label__{label} {' '.join(text.split())}"
            for text, label in zip(texts, labels, strict=True)
        ]
        (Path(place) / "train.txt").write_text("\n".join(lines), encoding="utf-8")
        bigrams = fasttext.train_supervised(
            str(Path(place) / "train.txt"), dim=10, epoch=5, wordNgrams=2, verbose=0
        )
    vader = SentimentIntensityAnalyzer()
    static = _static_model()
    on_static = LogisticRegression(C=100, max_iter=200).fit(static.encode(texts), labels)
    return {
        "sentiment-lstm, 8 bits": (small.predict_proba, 1.0),
        "sentiment-lstm, 32 bits": (exact.predict_proba, 1.0),
        "sentiment-lstm, PyTorch": (with_torch.predict_proba, 0.5),
        "TF-IDF 1–2-grams + logistic regression": (tfidf.predict_proba, 1.0),
        "fastText bigrams": (
            lambda batch: [bigrams.f.predict(" ".join(text.split()) + "\n", 1, 0.0, "strict")
                           for text in batch],
            1.0,
        ),
        "model2vec + logistic regression": (
            lambda batch: on_static.predict_proba(static.encode(batch)),
            1.0,
        ),
        "VADER": (lambda batch: [vader.polarity_scores(text) for text in batch], 0.1),
    }  # fmt: skip


def _static_model() -> Any:  # noqa: ANN401
    """Give a model of model2vec as large as its makers': 256 numbers a word piece.

    Its own distillation asks for older packages than ours; the word pieces of the MiniLM, as they
    are, are looked up and averaged in the same time.
    """
    from model2vec import StaticModel

    pieces = AutoModel.from_pretrained(embedded_bert_folder(), local_files_only=True)
    vectors = pieces.get_input_embeddings().weight.detach().numpy()
    tokenizer = load_tokenizer().backend_tokenizer
    return StaticModel(PCA(256).fit_transform(vectors), tokenizer, normalize=True, max_length=None)


def _encoders() -> Rivals:
    """Give the encoders, as :func:`_rivals` gives the others."""
    minilm = AutoModel.from_pretrained(embedded_bert_folder(), local_files_only=True)
    distilbert = BertModel(BertConfig(**_DISTILBERT))
    return {
        "MiniLM encoder": (_encoder(minilm), 0.05),
        "DistilBERT-sized encoder": (_encoder(distilbert), 0.012),
    }


def _encoder(model: Any) -> Callable[[list[str]], object]:  # noqa: ANN401
    """Export an encoder, and give what tokenizes and reads reviews, four of a length at a time."""
    tokenizer = load_tokenizer()
    place = tempfile.mkdtemp(prefix="sentiment-lstm-")
    path = Path(place) / "encoder.onnx"
    ids = torch.ones(2, 16, dtype=torch.int64)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=_ENCODER_TOKENS)}
    with quiet_exporter():
        program = torch.onnx.export(
            model.eval(),
            (ids, torch.ones_like(ids)),
            dynamo=True,
            input_names=["input_ids", "attention_mask"],
            dynamic_shapes={"input_ids": axes, "attention_mask": axes},
            verbose=False,
        )
        assert program is not None
        program.save(path)
    onnxruntime = import_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = runtime.available_cpus()
    session = onnxruntime.InferenceSession(path, options)

    def read(texts: list[str]) -> None:
        rows = tokenizer(list(texts), truncation=True, max_length=_ENCODER_TOKENS)["input_ids"]
        rows.sort(key=len)
        for start in range(0, len(rows), 4):
            batch = rows[start : start + 4]
            tensors = collate_ragged([{"input_ids": ids} for ids in batch])
            session.run(None, {name: tensor.numpy() for name, tensor in tensors.items()})

    return read


def _single(folder: Path, texts: list[str]) -> dict[str, float]:
    """Time reviews of about 300 tokens, one at a time."""
    classifier = runtime.load(folder)
    rest = texts[len(texts) // 2 :]
    fitting = [
        text
        for text, found in zip(rest, classifier.predict(rest), strict=True)
        if 280 <= found.length_tokens <= 320
    ]
    # Loaded again, and used on other texts: none of these has been seen when it is timed.
    classifier = runtime.load(folder)
    classifier.predict(texts[: len(texts) // 2])
    taken = []
    for text in fitting:
        started = time.perf_counter()
        classifier.predict([text])
        taken.append(1000 * (time.perf_counter() - started))
    p50, p95 = np.percentile(taken, [50, 95])
    return {"reviews": len(taken), "p50": round(float(p50), 2), "p95": round(float(p95), 2)}


def _fresh(folder: Path, texts: list[str]) -> dict[str, float]:
    """Time a new process from its first import to its first answer, and weigh it at work."""
    code = _FRESH.format(folder=str(folder))
    found = [
        json.loads(
            subprocess.run(
                [sys.executable, "-c", code],
                input=json.dumps(texts),
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for _ in range(5)
    ]
    seconds, megabytes = zip(*found, strict=True)
    return {
        "first_answer_s": round(statistics.median(seconds), 3),
        "peak_memory_mib": round(max(megabytes), 1),
    }


if __name__ == "__main__":
    run_script(inference)
