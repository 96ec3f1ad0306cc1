"""The messages of Classify, Regress and MultiInference, both ways.

Source: InputToSerializedExampleTensor in tensorflow_serving/servables/tensorflow/util.cc.
"""

from dataclasses import dataclass

from unstuck.codecs import model_spec_proto
from unstuck.core.models import ModelSpec
from unstuck.core.signatures import Tensor
from unstuck.errors import UnwritableOutput
from unstuck.proto.wire.inference_pb2 import (
    ClassificationRequest,
    ClassificationResponse,
    ClassificationResult,
    InferenceResult,
    Input,
    MultiInferenceRequest,
    MultiInferenceResponse,
    RegressionRequest,
    RegressionResponse,
    RegressionResult,
)


@dataclass(frozen=True, slots=True)
class ProtoExamplesRequest:
    """A call on serialised tf.Examples."""

    spec: ModelSpec
    signature_name: str
    examples: list[bytes]


@dataclass(frozen=True, slots=True)
class ProtoTasks:
    """A multi-inference: model, signature name and method name of each task, and the examples for all."""

    tasks: list[tuple[ModelSpec, str, str]]
    examples: list[bytes]


@dataclass(frozen=True, slots=True)
class Source:
    """Which version and signature answered."""

    model: str
    version: int
    signature_name: str


def parse(message_type: type[ClassificationRequest] | type[RegressionRequest], payload: bytes) -> ProtoExamplesRequest:
    """The request in ``payload``.

    Raises:
        UnreadableMessage: it is no such message.
        InvalidRequest: it names no model.
    """
    message = model_spec_proto.read(message_type, payload)
    model_spec_proto.required(message.HasField("model_spec"))
    spec = model_spec_proto.named(message.model_spec)
    return ProtoExamplesRequest(spec, message.model_spec.signature_name, _examples(message.input))


def parse_tasks(payload: bytes) -> ProtoTasks:
    """The MultiInferenceRequest in ``payload``. Raises UnreadableMessage."""
    message = model_spec_proto.read(MultiInferenceRequest, payload)
    tasks = [
        (
            model_spec_proto.to_spec(task.model_spec),
            task.model_spec.signature_name,
            task.method_name,
        )
        for task in message.tasks
    ]
    return ProtoTasks(tasks, _examples(message.input))


def encode_classes(source: Source, labels: Tensor | None, scores: Tensor | None) -> bytes:
    """A serialised ClassificationResponse of ``labels`` and ``scores``, [examples, classes] each where not None."""
    response = ClassificationResponse()
    model_spec_proto.fill(response.model_spec, source.model, source.version, source.signature_name)
    _fill_classes(response.result, labels, scores)
    return response.SerializeToString()


def encode_values(source: Source, values: Tensor) -> bytes:
    """A serialised RegressionResponse of ``values``, [examples]."""
    response = RegressionResponse()
    model_spec_proto.fill(response.model_spec, source.model, source.version, source.signature_name)
    _fill_values(response.result, values)
    return response.SerializeToString()


class MultiInferenceEncoder:
    """Builds a MultiInferenceResponse, one result after the other."""

    def __init__(self) -> None:
        self._response = MultiInferenceResponse()

    def add_classes(self, source: Source, labels: Tensor | None, scores: Tensor | None) -> None:
        _fill_classes(self._add(source).classification_result, labels, scores)

    def add_values(self, source: Source, values: Tensor) -> None:
        _fill_values(self._add(source).regression_result, values)

    def encode(self) -> bytes:
        return self._response.SerializeToString()

    def _add(self, source: Source) -> InferenceResult:
        result = self._response.results.add()
        model_spec_proto.fill(result.model_spec, source.model, source.version, source.signature_name)
        return result


def _examples(message: Input) -> list[bytes]:
    """The examples, serialised, each behind the context that they share: read in a row, they are one message."""
    if message.WhichOneof("kind") == "example_list_with_context":
        shared = message.example_list_with_context
        context = shared.context.SerializeToString()
        return [context + example.SerializeToString() for example in shared.examples]
    return [example.SerializeToString() for example in message.example_list.examples]


def _fill_classes(result: ClassificationResult, labels: Tensor | None, scores: Tensor | None) -> None:
    result.SetInParent()
    given = labels if labels is not None else scores
    label_rows = None if labels is None else labels.tolist()
    score_rows = None if scores is None else scores.tolist()
    examples, count = (0, 0) if given is None else given.shape
    for row in range(examples):
        classes = result.classifications.add().classes
        for column in range(count):
            one = classes.add()
            if label_rows is not None:
                one.label = _text(label_rows[row][column])
            if score_rows is not None:
                one.score = score_rows[row][column]


def _text(label: bytes) -> str:
    try:
        return label.decode()
    except UnicodeDecodeError as error:
        raise UnwritableOutput(
            f"A class label is not UTF-8 text (0x{label[error.start]:02x} at {error.start}), and labels are text.",
            hint="Call the signature with Predict, which answers any bytes.",
        ) from None


def _fill_values(result: RegressionResult, values: Tensor) -> None:
    result.SetInParent()
    for value in values.tolist():
        result.regressions.add().value = value
