"""What the schema promises, asked by a machine that makes up requests from it."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
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


@pytest.fixture(scope="session")
def api(classifier: TextClassifier) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_asgi("/openapi.json", create_app(classifier))


schema = schemathesis.pytest.from_fixture("api")


@schema.parametrize()
@settings(
    max_examples=15,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_route_keeps_what_its_schema_promises(case: schemathesis.Case):
    response = case.call()
    # An app that is not started says so with 503.
    checks = CHECKS[1:] if response.status_code == 503 else CHECKS
    case.validate_response(response, checks=checks)
