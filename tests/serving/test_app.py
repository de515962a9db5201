from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from sentiment_lstm.classifier import TextClassifier
from sentiment_lstm.errors import SentimentError
from sentiment_lstm.serving.app import create_app
from sentiment_lstm.serving.files import add_docs, add_files
from sentiment_lstm.serving.logs import JsonLines
from sentiment_lstm.serving.settings import Settings

GOOD, BAD = "a moving and beautifully acted film", "dull , lifeless and far too long"
INFER = "/v2/models/sentiment-lstm/infer"
JSON = {"Content-Type": "application/json"}


def error_of(response: httpx.Response, status: int) -> str:
    """The one sentence of a refusal, checked to be all that it says."""
    assert response.status_code == status, response.text
    assert list(response.json()) == ["error"]
    message = response.json()["error"]
    assert message.endswith(".")
    assert "\n" not in message
    return message


def infer_body(*texts: str, **more: object) -> dict:
    tensor = {"name": "text", "shape": [len(texts)], "datatype": "BYTES", "data": list(texts)}
    return {"inputs": [tensor], **more}


def samples(client: TestClient) -> dict[tuple[str, ...], float]:
    """Prometheus's figures by name and labels' values."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(client.get("/metrics").text)
        for sample in family.samples
    }


def test_one_text_gets_one_list_of_what_the_classifier_itself_says(
    client: TestClient, classifier: TextClassifier
):
    answer = client.post("/predict", json={"inputs": GOOD}).json()
    expected = classifier.predict([GOOD])[0].probabilities
    assert {score["label"]: score["score"] for score in answer} == pytest.approx(expected, abs=1e-6)
    assert answer[0]["score"] == max(expected.values())
    assert answer[0]["score"] > answer[1]["score"]


def test_many_texts_get_a_list_each_in_their_order(client: TestClient, classifier: TextClassifier):
    texts = [GOOD, BAD, GOOD + " but " + BAD]
    answers = client.post("/predict", json={"inputs": texts}).json()
    got = [
        [dict((s["label"], s["score"]) for s in answer)[name] for name in classifier.labels]
        for answer in answers
    ]
    expected = classifier.predict_proba(texts)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert len(np.unique(expected[:, 0].round(4))) == 3  # another order would be seen


def test_a_list_of_one_text_stays_a_list(client: TestClient):
    single = client.post("/predict", json={"inputs": GOOD}).json()
    assert client.post("/predict", json={"inputs": [GOOD]}).json() == [single]


def test_top_k_cuts_behind_the_most_probable(client: TestClient, classifier: TextClassifier):
    body = {"inputs": [GOOD, BAD], "parameters": {"top_k": 1}}
    answers = client.post("/predict", json=body).json()
    labels = [prediction.label for prediction in classifier.predict([GOOD, BAD])]
    assert [[score["label"] for score in answer] for answer in answers] == [[x] for x in labels]
    more = {"inputs": GOOD, "parameters": {"top_k": 9}}
    assert len(client.post("/predict", json=more).json()) == len(classifier.labels)


@pytest.mark.parametrize(
    "text", ["good\x00\x07\x1bfilm", "🎬🎉😀", "פרק נהדר ומרגש", "\u202egood\u202c", "x\u2028y"]
)
def test_strange_texts_get_the_classifiers_own_answer(
    client: TestClient, classifier: TextClassifier, text: str
):
    answer = client.post("/predict", json={"inputs": text})
    assert answer.status_code == 200
    best = classifier.predict([text])[0]
    assert answer.json()[0]["label"] == best.label
    assert answer.json()[0]["score"] == pytest.approx(best.confidence, abs=1e-6)


def test_an_explanation_adds_up_and_points_into_the_text(
    client: TestClient, classifier: TextClassifier
):
    answer = client.post("/explain", json={"inputs": GOOD}).json()
    expected = classifier.explain([GOOD])[0]
    assert answer["label"] == expected.label
    assert answer["confidence"] == pytest.approx(expected.prediction.confidence, abs=1e-6)
    assert answer["method"] == expected.method
    total = answer["base"] + sum(word["score"] for word in answer["words"])
    assert total == pytest.approx(answer["logit"], abs=1e-5)
    assert [GOOD[word["start"] : word["end"]] for word in answer["words"]] == GOOD.split()
    assert [word["text"] for word in answer["words"]] == GOOD.split()


def test_the_label_to_explain_can_be_chosen(client: TestClient, classifier: TextClassifier):
    logits = {}
    for label in classifier.labels:
        body = {"inputs": [GOOD], "parameters": {"label": label}}
        (answer,) = client.post("/explain", json=body).json()
        assert answer["label"] == label
        logits[label] = answer["logit"]
    first, second = logits.values()
    assert first == pytest.approx(-second)
    body = {"inputs": GOOD, "parameters": {"label": "postive"}}
    assert "positive" in error_of(client.post("/explain", json=body), 422)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({}, "`inputs` is missing"),
        ({"inputs": 5}, "`inputs` is neither a text nor a list of texts"),
        ({"inputs": None}, "`inputs` is neither a text nor a list of texts"),
        ({"inputs": {"text": "a"}}, "`inputs` is neither a text nor a list of texts"),
        ({"inputs": []}, "`inputs` is empty"),
        ({"inputs": ["a", 5]}, "`inputs[1]` is not a string"),
        ({"inputs": ["a", ["b"]]}, "`inputs[1]` is not a string"),
        ({"inputs": "a", "parameters": {"top_k": 0}}, "`parameters.top_k`"),
        ({"inputs": "a", "parameters": {"top_k": "2"}}, "`parameters.top_k`"),
        ({"inputs": "a", "parameters": {"topk": 1}}, "`parameters.topk` is not known"),
        ({"inputs": "a", "parameters": []}, "`parameters` is not a JSON object"),
        ({"inputs": " \n<br />"}, "Text 1 is empty"),
        ({"inputs": ["a", ""]}, "Text 2 is empty"),
        ({"inputs": ["a"] * 9}, "9 texts, more than the 8"),
        ({"inputs": ["a", "b" * 1_001]}, "Text 2 has 1,001 characters, more than the 1,000"),
        (["a"], "not a JSON object"),
        ("a", "not a JSON object"),
    ],
)
def test_a_body_of_the_wrong_shape_is_told_where(client: TestClient, body: object, told: str):
    assert told in error_of(client.post("/predict", json=body), 422)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b'{"inputs": "a', "no JSON"),
        (b"", "not a JSON object"),
        (b'{"inputs": "\xff"}', "UTF-8"),
        (b"[" * 15_000, "cannot be read"),
        (b'{"inputs": ' + b"9" * 5_000 + b"}", "cannot be read"),
        (b'{"inputs": "x\\ud800"}', "surrogate"),
        (b'{"inputs": ["a", "\\udfff"]}', "Text 2"),
        (b'{"inputs": "a", "\\ud800": 1}', "surrogate"),
    ],
)
def test_bytes_that_are_no_texts_are_refused_in_a_sentence(
    client: TestClient, content: bytes, told: str
):
    assert told in error_of(client.post("/predict", content=content, headers=JSON), 422)


def test_a_body_of_another_type_is_told_to_be_json(client: TestClient):
    assert "application/json" in error_of(client.post("/predict", data={"inputs": "a"}), 422)


def test_the_limits_themselves_still_pass(client: TestClient):
    texts = ["b" * 1_000] * 8
    assert len(client.post("/predict", json={"inputs": texts}).json()) == 8


@pytest.mark.parametrize("path", ["/predict", "/explain", INFER])
def test_the_limit_of_the_body_holds_whether_or_not_a_length_is_stated(
    client: TestClient, path: str
):
    body = json.dumps({"inputs": "a", "x": "b" * 20_000}).encode()

    def chunks() -> Iterator[bytes]:
        for start in range(0, len(body), 1_000):
            yield body[start : start + 1_000]

    for content in (body, chunks()):
        answer = client.post(path, content=content, headers=JSON)
        assert "20,000 bytes" in error_of(answer, 413)


def test_a_chunked_body_within_the_limit_is_read_whole(client: TestClient):
    body = json.dumps({"inputs": GOOD}).encode()
    answer = client.post("/predict", content=iter([body[:9], body[9:]]), headers=JSON)
    assert answer.json() == client.post("/predict", json={"inputs": GOOD}).json()


def test_unknown_paths_and_methods_are_told_in_the_same_form(client: TestClient):
    error_of(client.get("/nothing"), 404)
    answer = client.get("/predict")
    assert "GET" in error_of(answer, 405)
    assert answer.headers["Allow"] == "POST"


def test_health_is_ready_only_after_the_first_prediction(classifier: TextClassifier):
    app = create_app(classifier)
    cold = TestClient(app)  # without its context, the app is not started
    for path in ("/readyz", "/v2/health/ready", "/v2/models/sentiment-lstm/ready"):
        error_of(cold.get(path), 503)
    assert cold.get("/healthz").status_code == 200
    assert cold.get("/v2/health/live").status_code == 200
    with TestClient(app) as warm:
        for path in ("/readyz", "/v2/health/ready", "/v2/models/sentiment-lstm/ready"):
            assert warm.get(path).status_code == 200


def test_the_open_inference_protocol_gives_the_same_answers(
    client: TestClient, classifier: TextClassifier
):
    answer = client.post(INFER, json=infer_body(GOOD, BAD, GOOD, id="7")).json()
    assert (answer["model_name"], answer["id"]) == ("sentiment-lstm", "7")
    outputs = {output["name"]: output for output in answer["outputs"]}
    expected = classifier.predict_proba([GOOD, BAD, GOOD])
    assert outputs["label"]["data"] == [classifier.labels[row.argmax()] for row in expected]
    assert outputs["label"]["datatype"] == "BYTES"
    assert outputs["confidence"]["shape"] == [3]
    np.testing.assert_allclose(outputs["confidence"]["data"], expected.max(axis=1), atol=1e-6)
    assert outputs["probabilities"]["shape"] == [3, 2]
    assert outputs["probabilities"]["datatype"] == "FP32"
    got = np.reshape(outputs["probabilities"]["data"], (3, 2))
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_the_open_inference_protocol_gives_the_outputs_asked_for(client: TestClient):
    asked = infer_body(GOOD, outputs=[{"name": "confidence"}, {"name": "label"}])
    outputs = client.post(INFER, json=asked).json()["outputs"]
    assert [output["name"] for output in outputs] == ["confidence", "label"]


def test_the_metadata_describe_what_infer_takes_and_gives(client: TestClient):
    assert client.get("/v2").json()["name"] == "sentiment-lstm"
    metadata = client.get("/v2/models/sentiment-lstm").json()
    assert metadata["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    outputs = client.post(INFER, json=infer_body(GOOD)).json()["outputs"]
    assert [(x["name"], x["datatype"], len(x["shape"])) for x in metadata["outputs"]] == [
        (x["name"], x["datatype"], len(x["shape"])) for x in outputs
    ]


def test_the_open_inference_protocol_refuses_in_a_sentence(client: TestClient):
    error_of(client.get("/v2/models/other"), 404)
    error_of(client.post("/v2/models/other/infer", json=infer_body(GOOD)), 404)
    wrong = infer_body(GOOD)
    wrong["inputs"][0]["shape"] = [2]
    assert "asks for 2 texts" in error_of(client.post(INFER, json=wrong), 422)
    assert "Text 2 is empty" in error_of(client.post(INFER, json=infer_body(GOOD, "")), 422)
    wrong = infer_body(GOOD)
    wrong["inputs"][0]["datatype"] = "FP32"
    assert "`inputs[0].datatype`" in error_of(client.post(INFER, json=wrong), 422)
    assert "9 texts" in error_of(client.post(INFER, json=infer_body(*["a"] * 9)), 422)


def test_a_key_guards_everything_but_health_and_metrics(classifier: TextClassifier):
    with TestClient(create_app(classifier, Settings(api_key="s3cret"))) as client:
        for path in ("/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"):
            assert client.get(path).status_code == 200
        for given in (None, "Bearer wrong", "Bearer ", "Basic s3cret", "Bearer s3cret2", "s3cret"):
            headers = {} if given is None else {"Authorization": given}
            answer = client.post("/predict", json={"inputs": GOOD}, headers=headers)
            assert "API key" in error_of(answer, 401)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
        raw = {b"Authorization": b"Bearer s3cr\xe9t"}
        assert client.post("/predict", json={"inputs": GOOD}, headers=raw).status_code == 401
        error_of(client.get("/v2/models/sentiment-lstm"), 401)
        headers = {"Authorization": "Bearer s3cret"}
        assert client.post("/predict", json={"inputs": GOOD}, headers=headers).status_code == 200


def test_the_figures_count_requests_and_texts_and_hold_no_text(classifier: TextClassifier):
    with TestClient(create_app(classifier, Settings(max_items=3))) as client:
        client.post("/predict", json={"inputs": ["zyzzyva", BAD]})
        client.post("/predict", json={"inputs": GOOD})
        client.post("/predict", json={"inputs": ""})
        client.get("/zyzzyva")
        found = samples(client)
        assert found["sentiment_lstm_requests_total", "/predict", "200"] == 2
        assert found["sentiment_lstm_requests_total", "/predict", "422"] == 1
        assert found["sentiment_lstm_requests_total", "other", "404"] == 1
        assert found["sentiment_lstm_request_seconds_count", "/predict"] == 3
        assert found["sentiment_lstm_texts_total",] == 3
        assert found["sentiment_lstm_requests_in_flight",] == 1  # the one that asks
        assert "zyzzyva" not in client.get("/metrics").text


def test_the_log_says_what_was_asked_and_never_the_text(
    client: TestClient, caplog: pytest.LogCaptureFixture
):
    with caplog.at_level(logging.INFO, logger="sentiment_lstm.serving"):
        client.post("/predict?q=zyzzyva", json={"inputs": ["zyzzyva", GOOD]})
        client.post("/predict", json={"inputs": ["zyzzyva", 5]})
    records = [record for record in caplog.records if record.name.startswith("sentiment_lstm")]
    lines = [json.loads(JsonLines().format(record)) for record in records]
    assert [(line["path"], line["status"], line["items"]) for line in lines] == [
        ("/predict", 200, 2),
        ("/predict", 422, 0),
    ]
    for line in lines:
        assert {"time", "level", "method", "milliseconds"} <= line.keys()
        assert "zyzzyva" not in json.dumps(line)


def test_work_that_takes_too_long_is_given_up(classifier: TextClassifier):
    settings = Settings(timeout_s=0.002)
    with TestClient(create_app(classifier, settings)) as client:
        answer = client.post("/predict", json={"inputs": ["good film " * 5_000] * 20})
        assert "took longer than 0.002 s" in error_of(answer, 504)
        assert client.get("/readyz").status_code == 200


def test_more_work_than_is_held_is_turned_away(exported: Path):
    from sentiment_lstm import runtime

    app = create_app(runtime.load(exported, threads=1), Settings(max_waiting=1))
    body = {"inputs": ["good film " * 5_000] * 10}

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            asked = (client.post("/predict", json=body) for _ in range(5))
            return await asyncio.gather(*asked)

    answers = asyncio.run(ask())
    assert sorted(answer.status_code for answer in answers) == [200, 200, 503, 503, 503]
    turned = next(answer for answer in answers if answer.status_code == 503)
    assert "Try again" in error_of(turned, 503)
    assert turned.headers["Retry-After"] == "1"
    # What was held is given back.
    assert sorted(answer.status_code for answer in asyncio.run(ask()))[:2] == [200, 200]


def test_an_app_that_was_stopped_can_be_started_again(classifier: TextClassifier):
    app = create_app(classifier)
    for _ in range(2):
        with TestClient(app) as client:
            assert client.post("/predict", json={"inputs": GOOD}).status_code == 200


def test_the_models_files_are_there_to_read_and_no_others(client: TestClient, exported: Path):
    for name in ("tokenizer.json", "onnx/model.onnx"):
        assert client.get(f"/model/{name}").content == (exported / name).read_bytes()
    assert (exported / "training.json").is_file()
    for path in ("training.json", "model.safetensors", "../model/training.json", "%2e%2e/x"):
        assert client.get(f"/model/{path}").status_code == 404
    assert client.put("/model/config.json", content=b"{}").status_code == 405


def test_what_was_not_made_is_told_in_one_sentence(exported: Path, tmp_path: Path):
    app = FastAPI(title="nothing made", docs_url=None)
    (tmp_path / "index.html").write_text("a page without its libraries")
    add_files(app, exported, page=tmp_path)
    add_docs(app, swagger=tmp_path)
    client = TestClient(app)
    for path in ("/", "/docs"):
        answer = client.get(path)
        assert answer.status_code == 503
        assert answer.headers["content-type"].startswith("text/html")
        assert "`make page`" in answer.text
        assert "`pip install .`" in answer.text
        assert answer.text.count("<p>") == 1
    assert client.get("/model/tokenizer.json").status_code == 200  # for other pages than ours


def test_without_a_folder_for_the_page_the_rest_goes_on(classifier: TextClassifier):
    with TestClient(create_app(classifier)) as client:
        assert client.get("/").status_code == 503
        assert client.post("/predict", json={"inputs": GOOD}).status_code == 200


def test_a_browser_may_send_the_key_as_a_password(classifier: TextClassifier):
    with TestClient(create_app(classifier, Settings(api_key="s3cret"))) as client:
        asked = client.get("/docs", headers={"Accept": "text/html,*/*"})
        assert asked.status_code == 401
        assert asked.headers["WWW-Authenticate"].startswith("Basic ")
        for name in ("", "anyone"):
            assert client.get("/openapi.json", auth=(name, "s3cret")).status_code == 200
        for name, password in (("s3cret", ""), ("anyone", "s3cret2"), ("", "")):
            assert client.get("/openapi.json", auth=(name, password)).status_code == 401


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_items": 0},
        {"max_body_bytes": -1},
        {"timeout_s": 0.0},
        {"timeout_s": float("inf")},
        {"api_key": " "},
        {"api_key": "s3cret\n"},
        {"api_key": "s3\x00cret"},
        {"max_waiting": -1},
        {"timeout_s": float("nan")},
    ],
)
def test_settings_that_let_nothing_pass_are_refused(wrong: dict):
    with pytest.raises(SentimentError):
        Settings(**wrong)
