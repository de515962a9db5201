"""What the schema promises, asked by a machine that makes up requests from it."""

from __future__ import annotations

import pytest
import schemathesis
import torch
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import load_all_checks, not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sentiment_lstm.classifier import TextClassifier
from sentiment_lstm.serving.app import create_app

load_all_checks()
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(autouse=True)
def subnormal_numbers() -> None:
    """Training turns them off in its process, and what makes the requests up needs them."""
    torch.set_flush_denormal(False)


@pytest.fixture(scope="session")
def api(classifier: TextClassifier) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(classifier))


ROUTES = [
    ("POST", "/predict"),
    ("POST", "/explain"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/v2"),
    ("GET", "/v2/health/live"),
    ("GET", "/v2/health/ready"),
    ("GET", "/v2/models/{model}"),
    ("GET", "/v2/models/{model}/ready"),
    ("POST", "/v2/models/{model}/infer"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_every_route_keeps_what_its_schema_promises(
    api: schemathesis.BaseSchema, method: str, path: str
):
    @given(case=api[path][method].as_strategy())
    @settings(
        max_examples=15,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    def check(case: schemathesis.Case) -> None:
        response = case.call()
        # An app that is not started says so with 503, which its schema promises, too.
        checks = CHECKS[1:] if response.status_code == 503 else CHECKS
        case.validate_response(response, checks=checks)

    check()


def test_no_route_is_left_out(api: schemathesis.BaseSchema):
    operations = [found.ok() for found in api.get_all_operations()]
    assert {(found.method.upper(), found.path) for found in operations} == set(ROUTES)
