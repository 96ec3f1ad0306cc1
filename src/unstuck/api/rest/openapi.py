"""``/openapi.json``: TensorFlow Serving's REST API and our pages as OpenAPI 3.1, with the schemas of what is served."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from unstuck.api.rest.admin import PREFIX
from unstuck.api.rest.forms import NUMPY, PROTOBUF
from unstuck.api.rest.messages import CAUSE_HEADER, HINT_HEADER, RETRY_HEADER, WARNING_HEADER, Response, Scope
from unstuck.api.rest.own_pages import Page
from unstuck.codecs import json_schemas
from unstuck.codecs.json_example import example_body
from unstuck.codecs.json_schemas import Schema
from unstuck.core import request_ids
from unstuck.core.signatures import METHOD_NAMES
from unstuck.lifecycle.harness import AvailableVersion

OPENAPI_PATH = "/openapi.json"
Models = Callable[[], Iterable[AvailableVersion]]

_PLAIN_NAME = re.compile(r"[A-Za-z0-9._~-]+")  # others have no path of their own here: {model} stands for them
_VERBS = {"predict": "inputs and outputs by name", "classify": "tf.Examples to classes", "regress": "and to values"}
_WAYS = {"": (), "/versions/{version}": ("version",), "/labels/{label}": ("label",)}
_ANSWERS = {
    "400": "The request does not fit: the message says what was expected, what came, and where.",
    "401": "A key or a token is needed, or it is not known.",
    "403": "The key does not allow this.",
    "404": "No such model, version or page.",
    "408": "The body did not arrive in time.",
    "413": "The body is larger than allowed, as sent or inflated.",
    "429": "Too many requests are in flight.",
    "431": "The request's line and headers are larger than allowed.",
    "499": "The call was cancelled.",
    "500": "The model, or the server, failed.",
    "501": "A dtype that this form of a request or an answer cannot hold.",
    "503": "The model is not available yet, quarantined, or overloaded.",
    "504": "The call took longer than allowed.",
}
_EMPTY = {"431"}  # of the front end itself, without a body


def openapi_page(version: str, models: Models, pages: Iterable[str]) -> Page:
    """The page; ``pages`` are the paths of all that the server has of its own."""

    def page(scope: Scope) -> Response:
        del scope
        return Response(200, orjson.dumps(document(version, models(), pages)))

    return page


def document(version: str, served: Iterable[AvailableVersion], pages: Iterable[str]) -> dict[str, Any]:
    """The description, as values of JSON.

    Args:
        version: the server's.
        served: the versions that serve; of each model the newest is described.
        pages: paths of the server's own, besides health and readiness.
    """
    newest: dict[str, AvailableVersion] = {}
    for each in sorted(served, key=lambda each: each.version):
        newest[each.name] = each
    paths: dict[str, Any] = {}
    for name, model in sorted(newest.items()):
        if _PLAIN_NAME.fullmatch(name):
            paths[f"/v1/models/{name}:predict"] = {"post": _predict_of(model)}
    for way, parameters in _WAYS.items():
        base = f"/v1/models/{{model}}{way}"
        names = ["model", *parameters]
        for verb, about in _VERBS.items():
            paths[f"{base}:{verb}"] = {"post": _call(verb, about, names)}
        paths[base] = {"get": _get("States of the versions", "ModelStatus", names)}
        paths[f"{base}/metadata"] = {"get": _get("The signatures", "ModelMetadata", names)}
    paths |= _own_pages(pages)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Unstuck", "version": version, "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"}},
        "paths": paths,
        "components": {
            "schemas": {**_SCHEMAS, **json_schemas.COMPONENTS},
            "responses": _error_responses(),
            "headers": _HEADERS,
            "parameters": _PARAMETERS,
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "token": {"type": "http", "scheme": "bearer"},
            },
        },
        "security": [{}, {"key": []}, {"token": []}],  # whether they are needed, the server's flags say
    }


def _predict_of(model: AvailableVersion) -> dict[str, Any]:
    signatures = [
        each for each in model.servable.signatures.values() if each.inputs and each.method_name == _PREDICT_METHOD
    ]
    requests = [json_schemas.request(each) for each in signatures] or [_ref("schemas", "PredictRequest")]
    responses = [json_schemas.response(each) for each in signatures] or [_ref("schemas", "PredictResponse")]
    examples = {each.name: {"value": example_body(each)} for each in signatures}
    about = f"{model.name}, version {model.version}: inputs and outputs by name"
    operation = _call("predict", about, [], {"anyOf": requests}, {"anyOf": responses}, examples)
    return {**operation, "operationId": f"predict_{model.name}"}


_PREDICT_METHOD = METHOD_NAMES["predict"]


def _call(
    verb: str,
    about: str,
    parameters: Iterable[str],
    request: Schema | None = None,
    response: Schema | None = None,
    examples: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    taken = request or _ref("schemas", "PredictRequest" if verb == "predict" else "ExamplesRequest")
    given = response or _ref("schemas", "PredictResponse" if verb == "predict" else "Results")
    body: dict[str, Any] = {"application/json": {"schema": taken, **({"examples": examples} if examples else {})}}
    answer: dict[str, Any] = {"application/json": {"schema": given}}
    if verb == "predict":
        for kind in (PROTOBUF[0], *NUMPY):
            body[kind] = {"schema": {"type": "string", "format": "binary"}}
            answer[kind] = {"schema": {"type": "string", "format": "binary"}}
    return {
        "summary": about,
        "tags": [verb],
        "parameters": [_ref("parameters", name) for name in parameters],
        "requestBody": {"required": True, "content": body},
        "responses": {"200": _answer("The answer.", answer), **_errors()},
    }


def _get(about: str, schema: str, parameters: Iterable[str]) -> dict[str, Any]:
    answer = {"application/json": {"schema": _ref("schemas", schema)}}
    return {
        "summary": about,
        "tags": ["models"],
        "parameters": [_ref("parameters", name) for name in parameters],
        "responses": {"200": _answer("The answer.", answer), **_errors()},
    }


def _own_pages(pages: Iterable[str]) -> dict[str, Any]:
    states = _answer("It is ready.", {"application/json": {"schema": _ref("schemas", "Readiness")}})
    alive = _answer("It is alive.", {"application/json": {"schema": _ref("schemas", "Status")}})
    found: dict[str, Any] = {
        "/healthz": {"get": {"summary": "Whether it is alive", "tags": ["server"], "responses": {"200": alive}}},
        "/readyz": {
            "get": {
                "summary": "Whether all models serve",
                "tags": ["server"],
                "responses": {"200": states, "503": states},
            }
        },
    }
    for path in pages:
        is_json = path in ("/statusz", OPENAPI_PATH)
        kinds = ["application/json"] if is_json else ["text/plain", "application/openmetrics-text"]
        answer = _answer("The page.", {kind: {"schema": {"type": "object" if is_json else "string"}} for kind in kinds})
        found[path] = {"get": {"summary": "A page", "tags": ["server"], "responses": {"200": answer, **_errors()}}}
    for verb in ("quarantine", "release"):
        found[f"{PREFIX}models/{{model}}/versions/{{version}}:{verb}"] = {"post": _admin(verb)}
    return found


def _admin(verb: str) -> dict[str, Any]:
    done = {"application/json": {"schema": {"type": "object", "required": ["model", "version", "quarantined"]}}}
    reason = {"type": "object", "properties": {"reason": {"type": "string"}}}
    return {
        "summary": f"{verb.capitalize()} a version",
        "tags": ["admin"],
        "parameters": [_ref("parameters", name) for name in ("model", "version")],
        "requestBody": {"content": {"application/json": {"schema": reason}}},
        "responses": {"200": _answer("Done.", done), **_errors()},
    }


def _ref(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _answer(description: str, content: Mapping[str, Any]) -> dict[str, Any]:
    headers = {name: _ref("headers", name) for name in (WARNING_HEADER, request_ids.HEADER)}
    return {"description": description, "headers": headers, "content": dict(content)}


def _errors() -> dict[str, Any]:
    return {status: _ref("responses", f"Error{status}") for status in _ANSWERS}


def _error_responses() -> dict[str, Any]:
    names = (HINT_HEADER, CAUSE_HEADER, RETRY_HEADER, request_ids.HEADER)
    headers = {name: _ref("headers", name) for name in names}
    content = {"application/json": {"schema": _ref("schemas", "Error")}}
    return {
        f"Error{status}": {
            "description": about,
            "headers": headers,
            **({} if status in _EMPTY else {"content": content}),
        }
        for status, about in _ANSWERS.items()
    }


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


_HEADERS = {
    WARNING_HEADER: _header("What of the request was not used as sent."),
    HINT_HEADER: _header("What to do about the error."),
    CAUSE_HEADER: _header("The cause's code, as unstuck diagnose has it."),
    RETRY_HEADER: {
        "description": "Seconds to wait before another try.",
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
    request_ids.HEADER: _header("The call's name in logs: the client's own, or one of the server's."),
}
_PARAMETERS = {
    "model": {"name": "model", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}},
    "version": {
        "name": "version",
        "in": "path",
        "required": True,
        "schema": {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
    },
    "label": {"name": "label", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}},
}


def _object(required: Mapping[str, Schema]) -> Schema:
    return {"type": "object", "properties": dict(required), "required": list(required)}


_STRING: Schema = {"type": "string"}
_STATES = ["UNKNOWN", "START", "LOADING", "AVAILABLE", "UNLOADING", "END"]
_STATE_OF_VERSION = _object(
    {
        "version": _STRING,
        "state": {"type": "string", "enum": _STATES},
        "status": _object({"error_code": _STRING, "error_message": _STRING}),
    }
)
_SCHEMAS: dict[str, Schema] = {
    "Error": _object({"error": _STRING}),
    "Status": _object({"status": _STRING}),
    "Readiness": {
        "type": "object",
        "properties": {
            "status": {"type": "string", "enum": ["ready", "not ready", "draining"]},
            "models": {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": _STRING}},
        },
        "required": ["status"],
    },
    "PredictRequest": {
        "type": "object",
        "properties": {"signature_name": _STRING, "instances": {"type": "array", "minItems": 1}, "inputs": {}},
        "oneOf": [{"required": ["instances"]}, {"required": ["inputs"]}],
    },
    "PredictResponse": {
        "type": "object",
        "properties": {"predictions": {"type": "array"}, "outputs": {}},
        "oneOf": [{"required": ["predictions"]}, {"required": ["outputs"]}],
    },
    "ExamplesRequest": {
        "type": "object",
        "properties": {
            "signature_name": _STRING,
            "context": {"type": "object"},
            "examples": {"type": "array", "minItems": 1, "items": {"type": "object"}},
        },
        "required": ["examples"],
    },
    "Results": _object({"results": {"type": "array", "items": {"type": ["array", "number"]}}}),
    "ModelStatus": _object({"model_version_status": {"type": "array", "items": _STATE_OF_VERSION}}),
    "ModelMetadata": _object(
        {
            "model_spec": _object({"name": _STRING, "signature_name": _STRING, "version": _STRING}),
            "metadata": _object({"signature_def": _object({"signature_def": {"type": "object"}})}),
        }
    ),
}
