"""The RPCs of PredictionService and ModelService, as functions from a request's bytes to an answer's bytes.

No front end is known here: each function parses, calls one use case and encodes. It raises UnstuckError.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from unstuck.codecs import examples_proto, models_proto, predict_proto
from unstuck.codecs.examples_proto import MultiInferenceEncoder, Source
from unstuck.core.models import VersionStatus
from unstuck.core.servables import Models
from unstuck.core.signatures import Tensors
from unstuck.errors import UnsupportedType
from unstuck.inference import examples as use_cases
from unstuck.inference.examples import Answered, Classes, Task
from unstuck.inference.predict import PreparedCall, errors_about, prepare
from unstuck.proto.wire.inference_pb2 import ClassificationRequest, RegressionRequest

PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"
PREDICT = f"/{PREDICTION_SERVICE}/Predict"


class ServedModels(Models, Protocol):
    """The lookup, and the status of versions."""

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A serialised response, and what of the request was not used as sent."""

    payload: bytes
    warnings: list[str] = field(default_factory=list[str])


class GrpcService:
    """Thread-safe."""

    def __init__(self, models: ServedModels, *, strict_inputs: bool, tensor_content: bool) -> None:
        """``tensor_content``: answer tensors as ``tensor_content`` instead of in typed fields."""
        self._models = models
        self._strict_inputs = strict_inputs
        self._tensor_content = tensor_content
        self.rpcs: dict[str, Callable[[bytes], Answer]] = {
            PREDICT: self.predict,
            f"/{PREDICTION_SERVICE}/Classify": self.classify,
            f"/{PREDICTION_SERVICE}/Regress": self.regress,
            f"/{PREDICTION_SERVICE}/MultiInference": self.multi_inference,
            f"/{PREDICTION_SERVICE}/GetModelMetadata": self.get_model_metadata,
            f"/{MODEL_SERVICE}/GetModelStatus": self.get_model_status,
            f"/{MODEL_SERVICE}/HandleReloadConfigRequest": self.handle_reload_config_request,
        }

    def predict(self, payload: bytes) -> Answer:
        return self.run(self.prepare_predict(payload))

    def prepare_predict(self, payload: bytes) -> PreparedCall:
        """The call that a PredictRequest asks for, checked."""
        request = predict_proto.parse(payload)
        return prepare(
            self._models,
            request.spec,
            request,
            output_filter=request.output_filter,
            strict_inputs=self._strict_inputs,
        )

    def run(self, call: PreparedCall) -> Answer:
        """The answer to a prepared call, on the calling thread."""
        return Answer(call.run(lambda outputs: self.encode(call, outputs)), call.warnings)

    def encode(self, call: PreparedCall, outputs: Tensors) -> bytes:
        """The PredictResponse to ``call``."""
        model = call.model
        return predict_proto.encode(
            outputs, model.name, model.version, call.signature.name, as_content=self._tensor_content
        )

    def classify(self, payload: bytes) -> Answer:
        request = examples_proto.parse(ClassificationRequest, payload)
        answered = use_cases.classify(self._models, request.spec, request.signature_name, request.examples)
        assert isinstance(answered.result, Classes)
        with errors_about(answered.model, answered.signature):
            return Answer(
                examples_proto.encode_classes(_source(answered), answered.result.labels, answered.result.scores)
            )

    def regress(self, payload: bytes) -> Answer:
        request = examples_proto.parse(RegressionRequest, payload)
        answered = use_cases.regress(self._models, request.spec, request.signature_name, request.examples)
        assert not isinstance(answered.result, Classes)
        return Answer(examples_proto.encode_values(_source(answered), answered.result.values))

    def multi_inference(self, payload: bytes) -> Answer:
        request = examples_proto.parse_tasks(payload)
        tasks = [Task(spec, signature_name, method) for spec, signature_name, method in request.tasks]
        encoder = MultiInferenceEncoder()
        for answered in use_cases.multi_inference(self._models, tasks, request.examples):
            result = answered.result
            if isinstance(result, Classes):
                with errors_about(answered.model, answered.signature):
                    encoder.add_classes(_source(answered), result.labels, result.scores)
            else:
                encoder.add_values(_source(answered), result.values)
        return Answer(encoder.encode())

    def get_model_metadata(self, payload: bytes) -> Answer:
        model = self._models.find(models_proto.parse_metadata(payload))
        return Answer(models_proto.encode_metadata(model.name, model.version, model.servable.signatures))

    def get_model_status(self, payload: bytes) -> Answer:
        spec = models_proto.parse_status(payload)
        return Answer(models_proto.encode_status(self._models.status(spec.name, spec.version)))

    def handle_reload_config_request(self, payload: bytes) -> Answer:
        raise UnsupportedType(
            "HandleReloadConfigRequest is not built yet.", hint="Restart the server with the models it is to serve."
        )


def _source(answered: Answered) -> Source:
    return Source(answered.model.name, answered.model.version, answered.signature.name)
