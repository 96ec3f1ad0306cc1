"""gRPC cases as data: how their requests are built, and how answers and refusals are compared.

Every message is one of ``tensorflow_serving.apis``, so what is tested is what an official client sends and sees.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from tensorflow.core.example.example_pb2 import Example
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow.core.framework.tensor_shape_pb2 import TensorShapeProto
from tensorflow.core.framework.types_pb2 import DataType
from tensorflow_serving.apis.classification_pb2 import ClassificationRequest
from tensorflow_serving.apis.inference_pb2 import MultiInferenceRequest
from tensorflow_serving.apis.input_pb2 import Input
from tensorflow_serving.apis.model_pb2 import ModelSpec
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub
from tensorflow_serving.apis.regression_pb2 import RegressionRequest
from wire import TFS_MODELS, WARNING, missing_words

DOMAIN = "unstuck"
TIMEOUT_S = 60
TRUNCATED = "...TRUNCATED"

CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"

Feature = str | float | list[str] | list[float]


@dataclass(frozen=True)
class Answer:
    """What came back: a message, or a refusal; and the warning that came with it."""

    message: Any = None
    error: grpc.RpcError | None = None
    warning: str = ""


@dataclass(frozen=True)
class Refusal:
    """How a request must be refused.

    Attributes:
        code: the name of a gRPC status code.
        says: what the message must contain, each as a word of its own, ignoring case.
        cause: the cause code in the details; "" for none.
        hints: what the first link of the details' Help must contain.
    """

    code: str
    says: Sequence[str] = ()
    cause: str | None = None
    hints: Sequence[str] = ()


@dataclass(frozen=True)
class Case:
    """A request, and the answer or the ``Refusal`` that it must get.

    Attributes:
        id: unique in its table.
        request: a message of ``tensorflow_serving.apis``.
        answer: what a table's own check compares the answer with.
        warns: what the warning must contain; there must be none where this is empty.
        server: which of ``conftest.SERVERS`` answers.
        sources: ``own`` and, where the model is one of theirs, TensorFlow Serving's test data.
    """

    id: str
    request: Any
    answer: Any
    warns: Sequence[str] = ()
    server: str = "plain"
    sources: tuple[str, ...] = field(default=())

    @property
    def served_by(self) -> tuple[str, ...]:
        tasks = getattr(self.request, "tasks", None)
        spec = tasks[0].model_spec if tasks else getattr(self.request, "model_spec", None)
        both = spec is not None and spec.name in TFS_MODELS
        return self.sources or (("own", "tfs") if both else ("own",))


def params(cases: Sequence[Case]) -> list[Any]:
    """pytest's parameters ``case, source``."""
    import pytest

    assert len({case.id for case in cases}) == len(cases), "two cases have one id"
    return [
        pytest.param(case, source, id=case.id + ("" if source == "own" else "/tfs"))
        for case in cases
        for source in case.served_by
    ]


# Requests


def spec(model: str, signature: str = "", version: int | None = None, label: str | None = None) -> ModelSpec:
    made = ModelSpec(name=model, signature_name=signature)
    if version is not None:
        made.version.value = version
        made.version.SetInParent()
    if label is not None:
        made.version_label = label
    return made


def tensor(
    dtype: str, shape: Sequence[int] | None, *values: Any, content: bytes = b"", **values_in: Any
) -> TensorProto:
    """``tensor("float", [2], 1.0, 2.0)``: the values in the typed field of their dtype, or in the field named."""
    made = TensorProto(dtype=DataType.Value(f"DT_{dtype.upper()}"), tensor_content=content)
    if shape is None:
        made.tensor_shape.unknown_rank = True
    else:
        made.tensor_shape.CopyFrom(TensorShapeProto(dim=[TensorShapeProto.Dim(size=size) for size in shape]))
    for name, given in {FIELDS.get(dtype, "float_val"): values, **values_in}.items():
        getattr(made, name).extend(given)
    return made


FIELDS = {
    dtype: field
    for field, dtypes in {
        **{f"{dtype}_val": (dtype,) for dtype in ("float", "double", "bool", "string", "int64", "uint32", "uint64")},
        "int_val": ("int8", "int16", "int32", "uint8", "uint16"),
        "half_val": ("half", "bfloat16"),
        "scomplex_val": ("complex64",),
    }.items()
    for dtype in dtypes
}


def predict(
    model: str | ModelSpec, signature: str = "", *, outputs: Sequence[str] = (), **inputs: TensorProto
) -> PredictRequest:
    model_spec = spec(model, signature) if isinstance(model, str) else model
    return PredictRequest(model_spec=model_spec, inputs=inputs, output_filter=outputs)


def example(**features: Feature) -> Example:
    """A tf.Example; ``class_`` is the feature ``class``."""
    made = Example()
    for name, given in features.items():
        feature = made.features.feature[name.rstrip("_")]
        for value in given if isinstance(given, list) else [given]:
            if isinstance(value, str):
                feature.bytes_list.value.append(value.encode())
            elif isinstance(value, int):
                feature.int64_list.value.append(value)
            else:
                feature.float_list.value.append(value)
    return made


def example_list(*examples: Example) -> Input:
    made = Input()
    made.example_list.SetInParent()
    made.example_list.examples.extend(examples)
    return made


def with_context(context: Example, *examples: Example) -> Input:
    made = Input()
    made.example_list_with_context.context.CopyFrom(context)
    made.example_list_with_context.examples.extend(examples)
    return made


def classify(model: str | ModelSpec, signature: str, input_: Input | None) -> ClassificationRequest:
    return ClassificationRequest(
        model_spec=spec(model, signature) if isinstance(model, str) else model,
        input=input_,
    )


def regress(model: str | ModelSpec, signature: str, input_: Input | None) -> RegressionRequest:
    return RegressionRequest(
        model_spec=spec(model, signature) if isinstance(model, str) else model,
        input=input_,
    )


def infer(input_: Input | None, *tasks: tuple[str | ModelSpec, str, str]) -> MultiInferenceRequest:
    """``tasks`` are model, signature, method."""
    made = MultiInferenceRequest(input=input_)
    for model, signature, method in tasks:
        model_spec = spec(model, signature) if isinstance(model, str) else model
        made.tasks.add(model_spec=model_spec, method_name=method)
    return made


# Answers


def call(channel: grpc.Channel, request: Any) -> Answer:
    """What the method for this kind of request answers."""
    return ask(METHODS[type(request).__name__](PredictionServiceStub(channel)), request)


METHODS: Mapping[str, Callable[[Any], Any]] = {
    "PredictRequest": lambda stub: stub.Predict,
    "ClassificationRequest": lambda stub: stub.Classify,
    "RegressionRequest": lambda stub: stub.Regress,
    "MultiInferenceRequest": lambda stub: stub.MultiInference,
    "GetModelMetadataRequest": lambda stub: stub.GetModelMetadata,
}


def ask(method: Any, request: Any, **options: Any) -> Answer:
    try:
        message, outcome = method.with_call(request, timeout=TIMEOUT_S, **options)
    except grpc.RpcError as error:
        return Answer(error=error, warning=_warning(error))
    return Answer(message, warning=_warning(outcome))


def check_refusal(answer: Answer, refusal: Refusal) -> None:
    """Fails unless the request was refused as it must be, in the status and in its details alike."""
    error: Any = answer.error
    assert error is not None, f"answered: {answer.message}"
    said = error.details()
    assert error.code() is grpc.StatusCode[refusal.code], said
    assert missing_words(said, list(refusal.says)) == [], said
    info, links = details(error)
    assert info.domain == DOMAIN
    cause = info.metadata.get("cause", "")
    assert info.reason == (upper_snake(cause) if cause else refusal.code)
    if refusal.cause is not None:
        assert cause == refusal.cause
    if refusal.hints:
        assert links, "no hint"
        assert missing_words(links[0], list(refusal.hints)) == [], links


def check_warning(answer: Answer, words: Sequence[str]) -> None:
    assert bool(answer.warning) == bool(words), f"{WARNING}: {answer.warning!r}"
    assert missing_words(answer.warning, list(words)) == [], answer.warning


def details(error: Any) -> tuple[error_details_pb2.ErrorInfo, list[str]]:
    """The ErrorInfo of ``grpc-status-details-bin`` and what its Help's links say; the client compares code and text."""
    status = rpc_status.from_call(error)
    assert status is not None, f"no details: {error.details()}"
    info, links = None, []
    for detail in status.details:
        if detail.Is(error_details_pb2.ErrorInfo.DESCRIPTOR):
            assert info is None, "two ErrorInfo"
            info = error_details_pb2.ErrorInfo()
            detail.Unpack(info)
        elif detail.Is(error_details_pb2.Help.DESCRIPTOR):
            help_ = error_details_pb2.Help()
            detail.Unpack(help_)
            links += [link.description for link in help_.links]
    assert info is not None, status
    return info, links


def upper_snake(cause: str) -> str:
    """``MAPPING_INPUT_NAMES`` for ``mapping/input-names``."""
    return cause.replace("/", "_").replace("-", "_").upper()


def _warning(outcome: Any) -> str:
    metadata = outcome.trailing_metadata() or ()
    return "; ".join(str(value) for key, value in metadata if key == WARNING)
