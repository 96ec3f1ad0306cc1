"""Requests to paste: for each signature a curl command, Python for REST, and Python for gRPC."""

import shlex
from typing import cast

import orjson

from unstuck.codecs.json_example import example_body
from unstuck.core.signatures import METHOD_NAMES, Signature, TensorSpec

MAX_BODY_SHOWN = 300


def call(signature: Signature, url: str, *, max_body: int = MAX_BODY_SHOWN) -> str:
    """How to call ``signature`` at ``url`` with curl: a command to paste, or the words why there is none."""
    if signature.takes_examples:
        for verb in ("classify", "regress"):
            if signature.method_name == METHOD_NAMES[verb]:
                body = orjson.dumps({"signature_name": signature.name, "examples": [{"FEATURE": 1.0}]}).decode()
                return f"takes tf.Examples: curl -d {shlex.quote(body)} {url.removesuffix('predict')}{verb}"
        return 'takes serialised tf.Examples: {"b64": "…"}'
    if not signature.inputs:
        return "has no inputs, and such a signature cannot be called over REST"
    if not _in_json(signature):
        return "takes or gives complex numbers, which JSON has no form for"
    return _curl(signature, url, max_body)


def _curl(signature: Signature, url: str, max_body: int) -> str:
    """A command to paste that calls the signature: a body of ones, written out unless Python makes it of less text."""
    body = example_body(signature)
    text = orjson.dumps(body).decode()
    program = f"import json; print(json.dumps({as_product(dict(body))}))"
    if len(text) <= max(max_body, len(program)):
        return f"curl -d {shlex.quote(text)} {url}"
    return f"python3 -c {shlex.quote(program)} | curl -d @- {url}"


def as_product(value: object) -> str:
    """Python text of nested lists that repeat one value: ``[[1.0] * 3] * 2``."""
    if isinstance(value, list):
        items = cast("list[object]", value)
        if not items:
            return "[]"
        inner = as_product(items[0])
        return f"[{inner}]" if len(items) == 1 else f"[{inner}] * {len(items)}"
    if isinstance(value, dict):
        named = cast("dict[str, object]", value)
        return "{" + ", ".join(f"{_text(alias)}: {as_product(each)}" for alias, each in named.items()) + "}"
    return _text(value) if isinstance(value, str) else repr(value)


def python(signature: Signature, url: str) -> str:
    """A Python program without dependencies that calls the signature over REST; empty where JSON cannot."""
    if signature.takes_examples or not signature.inputs or not _in_json(signature):
        return ""
    return f"""\
import json, urllib.request
body = {as_product(dict(example_body(signature)))}
url = {_text(url)}
with urllib.request.urlopen(url, json.dumps(body).encode()) as answer:
    print(json.load(answer))"""


def grpc_python(signature: Signature, model: str, address: str) -> str:
    """A Python program that calls the signature over gRPC with the stubs of tensorflow-serving-api."""
    verb, message = "Predict", "predict_pb2.PredictRequest()"
    for name, method in _METHODS_OF_EXAMPLES.items():
        if signature.takes_examples and signature.method_name == METHOD_NAMES[name]:
            verb, message = method
    if verb == "Predict":
        imports = "import numpy as np\nfrom tensorflow import make_tensor_proto\n"
        filled = [
            f"request.inputs[{_text(alias)}].CopyFrom({_tensor(spec, signature)})"
            for alias, spec in signature.inputs.items()
        ]
    else:
        imports = ""
        filled = [
            "example = request.input.example_list.examples.add()",
            'example.features.feature["FEATURE"].float_list.value.append(1.0)',
        ]
    lines = "\n".join(filled)
    return f"""\
import grpc
{imports}from tensorflow_serving.apis import {message.split(".")[0]}, prediction_service_pb2_grpc
request = {message}
request.model_spec.name = {_text(model)}
request.model_spec.signature_name = {_text(signature.name)}
{lines}
with grpc.insecure_channel({_text(address)}) as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    print(stub.{verb}(request, timeout=60))"""


_METHODS_OF_EXAMPLES = {
    "classify": ("Classify", "classification_pb2.ClassificationRequest()"),
    "regress": ("Regress", "regression_pb2.RegressionRequest()"),
}


def _tensor(spec: TensorSpec, signature: Signature) -> str:
    shape = [1 if size is None else size for size in spec.shape or ()]
    if spec.shape is None and signature.inputs and "instances" in example_body(signature):
        shape = [1]  # of any shape: a row, where REST takes rows
    if spec.dtype.is_string:
        value = 'b"SERIALISED EXAMPLE"' if signature.takes_examples else 'b"text"'
        return f"make_tensor_proto(np.full({shape}, {value}, object))"
    return f'make_tensor_proto(np.ones({shape}), "{spec.dtype.name}")'


def _in_json(signature: Signature) -> bool:
    specs = (*signature.inputs.values(), *signature.outputs.values())
    return not any(spec.dtype.name.startswith("complex") for spec in specs)


def _text(value: str) -> str:
    """``value`` as a string of Python and of JSON."""
    return orjson.dumps(value).decode()
