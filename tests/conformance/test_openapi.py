"""``/openapi.json`` is valid, describes what is served, and the server keeps to it."""

from collections import Counter
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import validate
from schemathesis.core.failures import Failure
from schemathesis.specs.openapi import checks as openapi_checks

from unstuck.testing import models as exports

TIMEOUT_S = 30
NOT_HERE = "/v1/admin/"  # it would take the models out of service
CHECKS = [
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_headers_conformance,
    openapi_checks.response_schema_conformance,
]


@pytest.fixture(scope="module")
def url(serve: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("models")
    made = {}
    for name in ("half_plus_two", "multi_io", "dtypes", "examples"):
        getattr(exports, name)(folder / name)
        made[name] = folder / name
    made["a/b c"] = made["half_plus_two"]
    running = serve(made)
    assert not running.failures
    return running.url


@pytest.fixture(scope="module")
def document(url: str) -> Any:
    answer = httpx.get(f"{url}/openapi.json", timeout=TIMEOUT_S)
    assert answer.headers["content-type"] == "application/json"
    return answer.json()


def test_the_document_is_valid(document):
    validate(document)
    paths = document["paths"]
    assert "/v1/models/half_plus_two:predict" in paths
    assert not any("a/b" in path for path in paths), "what is no name in a path is left to {model}"
    assert {"/healthz", "/readyz", "/statusz", "/metrics", "/openapi.json"} <= paths.keys()


def test_the_schema_of_a_model_is_its_signatures(document, url):
    operation = document["paths"]["/v1/models/half_plus_two:predict"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    takes = OAS31Validator({**schema, "components": document["components"]}).is_valid
    assert takes({"instances": [[1.0], [2]]})
    assert takes({"inputs": {"x": [[1.0]]}})
    assert not takes({"instances": [["text"]]})
    assert not takes({"instances": [[1.0, 2.0]]})
    assert not takes({"instances": []})
    assert not takes({"signature_name": "no such", "instances": [[1.0]]})
    assert not takes({})
    answers = operation["responses"]["200"]["content"]["application/json"]["schema"]
    gives = OAS31Validator({**answers, "components": document["components"]}).is_valid
    for name, example in operation["requestBody"]["content"]["application/json"]["examples"].items():
        answer = httpx.post(f"{url}/v1/models/half_plus_two:predict", json=example["value"], timeout=TIMEOUT_S)
        assert answer.status_code == 200, (name, answer.text)
        assert gives(answer.json())


def test_every_example_of_every_model_is_answered(document, url):
    count = 0
    for path, item in document["paths"].items():
        body = item.get("post", {}).get("requestBody", {}).get("content", {}).get("application/json", {})
        for name, example in body.get("examples", {}).items():
            answer = httpx.post(url + path, json=example["value"], timeout=TIMEOUT_S)
            assert answer.status_code in (200, 501), (path, name, answer.text)  # 501: a dtype that JSON has no form for
            count += 1
    assert count > 10


def operations(document: Any) -> list[Any]:
    found = [each.ok() for each in schemathesis.openapi.from_dict(document).get_all_operations()]
    return [each for each in found if not each.path.startswith(NOT_HERE)]


def check(document: Any, url: str, examples: int) -> None:
    """Schemathesis's requests, right ones and wrong ones, to each operation; their answers are as documented."""
    seen: Counter[int] = Counter()
    modes = st.sampled_from(list(schemathesis.GenerationMode))
    run = settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
        database=None,
    )
    for operation in operations(document):
        strategy = modes.flatmap(lambda mode, operation=operation: operation.as_strategy(generation_mode=mode))
        run(given(strategy)(lambda case: call(url, seen, case)))()
    assert seen[200], seen
    assert seen[400], seen


def call(url: str, seen: Counter[int], case: Any) -> None:
    response = case.call(base_url=url, timeout=TIMEOUT_S)
    seen[response.status_code] += 1
    assert response.status_code in (200, 400, 404, 413, 501), (case.as_curl_command(), response.text)
    if response.status_code == 400 and not response.content:
        return  # a version of more than 64 bits, as TensorFlow Serving answers it (api/compat.py)
    if b"Infinity" in response.content or b"NaN" in response.content:
        return  # TensorFlow Serving's way to write what JSON has no form for, and no schema knows
    try:
        case.validate_response(response, checks=CHECKS)
    except* Failure as group:
        pytest.fail(f"{case.as_curl_command()}\n{group.exceptions}")


def test_answers_are_as_documented(document, url):
    check(document, url, 5)
    answer = httpx.post(f"{url}/v1/models/half_plus_two:predict", json={"instances": [[1.0]]}, timeout=TIMEOUT_S)
    assert answer.json() == {"predictions": [[2.5]]}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_answers_are_as_documented_whatever_comes(document, url):
    check(document, url, 200)
    answer = httpx.post(f"{url}/v1/models/half_plus_two:predict", json={"instances": [[1.0]]}, timeout=TIMEOUT_S)
    assert answer.json() == {"predictions": [[2.5]]}
