"""A client of TensorFlow Serving's protocol as simple as a user's: sends the lines of a requests file to a TARGET."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from corpus.served import Refused, ServedModel

Row = dict[str, Any]


def ask(target: str, requests: Path) -> list[Row | str]:
    """The answer to each row of the requests, outputs by name, or the error that its request got."""
    lines = [json.loads(line) for line in requests.read_text().splitlines()]
    answers = _over_grpc(target, lines) if target.startswith("grpc") else _over_rest(target, lines)
    return [row for answer in answers for row in (answer if isinstance(answer, list) else [answer])]


def ask_model(model: Path, requests: Path) -> list[Row | str]:
    """As ``ask``, of the model alone."""
    with ServedModel(model) as served:
        return [row for line in requests.read_text().splitlines() for row in _run(served, json.loads(line))]


def columns(body: dict[str, Any], inputs: list[str]) -> dict[str, Any]:
    """The values of a predict body, in row or column format, by input."""
    values = body.get("inputs", body.get("instances"))
    if "instances" in body and isinstance(values[0], dict) and set(values[0]) != {"b64"}:
        return {name: [row[name] for row in values] for name in values[0]}
    return values if isinstance(values, dict) and set(values) != {"b64"} else {inputs[0]: values}


def _run(served: ServedModel, body: dict[str, Any]) -> list[Row | str]:
    signature = body.get("signature_name", "")
    try:
        bound = served.bind(columns(body, list(served.signature(signature).inputs)), signature)
        return _rows(served.run(bound, signature))
    except Refused as error:
        return [str(error)]


def _over_rest(target: str, lines: list[dict[str, Any]]) -> Iterator[list[Row] | str]:
    import httpx

    with httpx.Client(timeout=30) as client:
        for body in lines:
            answer = client.post(f"{target}:predict", json=body)
            document = answer.json()
            if answer.status_code != 200:
                yield document["error"]
                continue
            found = document.get("predictions", document.get("outputs"))
            if "outputs" in document:
                yield _rows(found if isinstance(found, dict) else {"": found})
            else:
                yield [row if isinstance(row, dict) else {"": row} for row in found]


def _over_grpc(target: str, lines: list[dict[str, Any]]) -> Iterator[list[Row] | str]:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    parts = urlsplit(target)
    name, *rest = parts.path.strip("/").split("/")
    with grpc.insecure_channel(parts.netloc) as channel:
        stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        asked = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        asked.model_spec.name = name
        signatures = get_model_metadata_pb2.SignatureDefMap()
        stub.GetModelMetadata(asked).metadata["signature_def"].Unpack(signatures)
        for body in lines:
            request = predict_pb2.PredictRequest()
            request.model_spec.name, request.model_spec.signature_name = name, body.get("signature_name", "")
            if rest:
                request.model_spec.version.value = int(rest[1])
            declared = signatures.signature_def[request.model_spec.signature_name or "serving_default"].inputs
            for alias, values in columns(body, list(declared)).items():
                proto = tf.make_tensor_proto(_bytes(values), dtype=declared[alias].dtype)
                request.inputs[alias].CopyFrom(proto)
            try:
                answer = stub.Predict(request)
            except grpc.RpcError as error:
                yield error.details()
                continue
            yield _rows({alias: tf.make_ndarray(proto) for alias, proto in answer.outputs.items()})


def _rows(outputs: dict[str, Any]) -> list[Row]:
    return [dict(zip(outputs, row, strict=True)) for row in zip(*map(np.asarray, outputs.values()), strict=True)]


def _bytes(values: Any) -> Any:
    if isinstance(values, list):
        return [_bytes(item) for item in values]
    return base64.b64decode(values["b64"]) if isinstance(values, dict) else values
