"""The decoders of what clients send, each as a function of bytes, and what a right request looks like to it.

Refusing is raising ``UnstuckError``. Anything else that is raised is a defect, and so is taking more memory or time
than the bytes account for.
"""

import io
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from google.protobuf.message import DecodeError

from unstuck.api.rest import messages, paths
from unstuck.codecs import (
    examples_proto,
    json_document,
    json_examples,
    models_proto,
    predict_json,
    predict_npy,
    predict_proto,
    reload_proto,
)
from unstuck.core import dtypes
from unstuck.core.dtypes import DType
from unstuck.core.signatures import Signature, Tensors, TensorSpec
from unstuck.errors import UnstuckError
from unstuck.proto import tensors
from unstuck.proto.wire.inference_pb2 import ClassificationRequest, MultiInferenceRequest, RegressionRequest
from unstuck.proto.wire.management_pb2 import ReloadConfigRequest
from unstuck.proto.wire.metadata_pb2 import GetModelMetadataRequest
from unstuck.proto.wire.predict_pb2 import PredictRequest
from unstuck.proto.wire.tensor_pb2 import TensorProto

LIMIT_BYTES = 1 << 20
MOST_BYTES = 128 << 20  # of one decoded array: the most that a short list of values is repeated to, and some more


def _signature(**inputs: DType) -> Signature:
    specs = {alias: TensorSpec(alias, f"{alias}:0", dtype, None) for alias, dtype in sorted(inputs.items())}
    return Signature("serving_default", specs, {})


SIGNATURES = [
    _signature(x=dtypes.FLOAT),
    _signature(x=dtypes.INT32),
    _signature(x=dtypes.STRING),
    _signature(a=dtypes.BOOL, b=dtypes.UINT8),
    _signature(a=dtypes.BFLOAT16, b=dtypes.STRING, c=dtypes.COMPLEX64),
]


@dataclass(frozen=True)
class Decoder:
    """One of them.

    Attributes:
        decode: takes the bytes, or raises UnstuckError.
        seeds: right requests.
    """

    decode: Callable[[bytes], object]
    seeds: Sequence[bytes]


def take(decoder: Decoder, data: bytes) -> bool:
    """Whether ``data`` is taken; raises what a decoder must never raise."""
    refused = _refused()
    with refused:
        decoder.decode(data)
    return not refused.errors


class _refused:  # noqa: N801 - reads as suppress does
    """Swallows an error of ours, once it has been seen that it can be answered."""

    def __init__(self) -> None:
        self.errors: list[UnstuckError] = []

    def __enter__(self) -> None: ...

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if not isinstance(error, UnstuckError):
            return False
        self.errors.append(error)
        _check(error)
        return True


def _check(error: UnstuckError) -> None:
    """An error can be answered: its text is one that JSON, gRPC and a header can hold."""
    response = messages.of_failure(error)
    for name, value in response.headers:
        assert value.isascii(), (name, value)
        assert value.isprintable(), (name, value)


def _bind(parse: Callable[[bytes], object]) -> Callable[[bytes], None]:
    """``parse``, and its result bound to each of SIGNATURES: which of them a request calls, a fuzzer cannot know."""

    def decode(data: bytes) -> None:
        request = parse(data)
        for signature in SIGNATURES:
            with _refused():
                _check_arrays(request.bind(signature))  # type: ignore[attr-defined]

    return decode


def _check_arrays(arrays: Tensors) -> None:
    for array in arrays.values():
        assert isinstance(array, np.ndarray)
        assert array.nbytes <= MOST_BYTES, array.shape


def _paths(data: bytes) -> None:
    path = data.decode("utf-8", "replace")
    for method in ("GET", "POST", "PUT"):
        with _refused():
            paths.parse_among(method, path, ["a/b", "c:d", "m"])


def _tensor(data: bytes) -> None:
    try:
        message = TensorProto.FromString(data)
    except DecodeError:
        return
    _check_arrays({"x": tensors.to_array(message, "x")})


def _together(data: bytes) -> None:
    """Bodies that come in one turn of the loop, as lines: nobody's error may be another's, or end the loop."""
    bodies = data.split(b"\n")
    together = predict_json.parse_together(bodies)
    if together is not None:
        for signature in SIGNATURES:
            with _refused():
                together.bind(signature)


def _tensor_seeds() -> list[bytes]:
    arrays = [
        np.float32([[1, 2], [3, 4]]),
        np.array([b"a", b"", b"long" * 40], object),
        np.array(7, np.int64),
        np.array([True, False]),
        np.zeros([2, 0], np.complex64),
        np.array([1.5], dtypes.BFLOAT16.numpy),
    ]
    seeds: list[bytes] = []
    for array in arrays:
        for as_content in (False, True):
            tensor = TensorProto()
            tensors.fill(tensor, array, as_content=as_content)
            seeds.append(tensor.SerializeToString())
    short = TensorProto(dtype=1, float_val=[1.0])
    short.tensor_shape.dim.add(size=1000)
    return [*seeds, short.SerializeToString()]


def _predict_seeds() -> list[bytes]:
    seeds: list[bytes] = []
    for tensor in _tensor_seeds():
        request = PredictRequest()
        request.model_spec.name = "m"
        request.model_spec.version.value = 3
        request.inputs["x"].MergeFromString(tensor)
        request.output_filter.append("y")
        seeds.append(request.SerializeToString())
    return seeds


def _example_seeds(kind: type[ClassificationRequest] | type[RegressionRequest]) -> list[bytes]:
    request = kind()
    request.model_spec.name = "m"
    example = request.input.example_list.examples.add()
    example.features.feature["a"].float_list.value.extend([1.0, 2.0])
    example.features.feature["b"].bytes_list.value.append(b"text")
    return [request.SerializeToString()]


def _task_seeds() -> list[bytes]:
    request = MultiInferenceRequest()
    task = request.tasks.add(method_name="tensorflow/serving/classify")
    task.model_spec.name = "m"
    request.input.example_list_with_context.context.features.feature["c"].int64_list.value.append(-1)
    request.input.example_list_with_context.examples.add()
    return [request.SerializeToString()]


def _model_seeds() -> list[bytes]:
    request = GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "m"
    request.model_spec.version_label = "stable"
    return [request.SerializeToString()]


def _reload_seeds() -> list[bytes]:
    request = ReloadConfigRequest()
    model = request.config.model_config_list.config.add(name="m", base_path="/models/m", model_platform="tensorflow")
    model.model_version_policy.specific.versions.append(3)
    model.version_labels["stable"] = 3
    return [request.SerializeToString()]


def _numpy_seeds() -> list[bytes]:
    seeds: list[bytes] = []
    for array in (np.float32([[1, 2]]), np.array(["a", "bc"]), np.asfortranarray(np.ones([2, 3], np.int32))):
        file = io.BytesIO()
        np.save(file, array)
        seeds.append(file.getvalue())
        for save in (np.savez, np.savez_compressed):
            file = io.BytesIO()
            save(file, a=array, b=array)
            seeds.append(file.getvalue())
    return seeds


_JSON = [
    b'{"instances": [[1.0, 2.0], [3.0, 4.0]]}',
    b'{"signature_name": "serving_default", "instances": [{"x": 1}, {"x": 2}]}',
    b'{"inputs": {"a": [true, false], "b": [1, 2]}}',
    b'{"inputs": ["text", {"b64": "aGVsbG8="}]}',
    b'{"instances": [NaN, -Infinity, 1e400, 18446744073709551615]}',
    b'{"instances": [' + b",".join(b"[%d.5, 0.25]" % n for n in range(200)) + b"]}",
    b'{"inputs": {"x": [' + b",".join(b"[1, 2, 3]" for _ in range(300)) + b"]}}",
]
_JSON_EXAMPLES = [
    b'{"context": {"c": "x"}, "examples": [{"a": 1.0, "b": [1, 2], "d": "t"}, {"e": {"b64": "AA=="}}]}',
    b'{"signature_name": "s", "examples": [{}]}',
]
_PATHS = [b"/v1/models/m/versions/3:predict", b"/v1/models/m/labels/stable/metadata", b"/v1/models/a/b:predict"]


def _gzip(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return packer.compress(data) + packer.flush()


DECODERS: Mapping[str, Decoder] = {
    "json_document": Decoder(json_document.parse, _JSON),
    "json_predict": Decoder(_bind(predict_json.parse), _JSON),
    "json_together": Decoder(_together, [b"\n".join(_JSON[:1] * 2), b'{"instances":[[1]]}\n{"instances":[[2],[3]]}']),
    "json_examples": Decoder(json_examples.parse, _JSON_EXAMPLES),
    "numpy": Decoder(_bind(lambda data: predict_npy.parse(data, "", LIMIT_BYTES)), _numpy_seeds()),
    "tensor": Decoder(_tensor, _tensor_seeds()),
    "proto_predict": Decoder(_bind(predict_proto.parse), _predict_seeds()),
    "proto_classify": Decoder(
        lambda data: examples_proto.parse(ClassificationRequest, data), _example_seeds(ClassificationRequest)
    ),
    "proto_regress": Decoder(
        lambda data: examples_proto.parse(RegressionRequest, data), _example_seeds(RegressionRequest)
    ),
    "proto_tasks": Decoder(examples_proto.parse_tasks, _task_seeds()),
    "proto_metadata": Decoder(models_proto.parse_metadata, _model_seeds()),
    "proto_status": Decoder(models_proto.parse_status, _model_seeds()),
    "proto_reload": Decoder(lambda data: reload_proto.parse(data, ["tensorflow", "onnx"]), _reload_seeds()),
    "gzip": Decoder(lambda data: messages.inflate(data, "gzip", LIMIT_BYTES), [_gzip(each) for each in _JSON]),
    "path": Decoder(_paths, _PATHS),
}
