"""The RPCs of PredictionService and ModelService, as functions from a request's bytes to an answer's bytes.

No front end is known here: each function parses, calls one use case and encodes. It raises UnstuckError.
"""

from collections.abc import Callable, Collection, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter_ns
from typing import Protocol

from unstuck.codecs import examples_proto, models_proto, predict_proto, reload_proto
from unstuck.codecs.examples_proto import MultiInferenceEncoder, Source
from unstuck.core.models import ModelConfig, VersionStatus
from unstuck.core.observers import CallObserver, Headers, NobodyWatches, Ran
from unstuck.core.servables import Models
from unstuck.core.signatures import Tensors
from unstuck.errors import UnstuckError, UnsupportedType
from unstuck.guard.access import ALL_MODELS, Access, Grant, Right
from unstuck.inference import examples as use_cases
from unstuck.inference.examples import Answered, Classes, Task
from unstuck.inference.predict import PreparedCall, errors_about, notices, prepare
from unstuck.proto.wire.inference_pb2 import ClassificationRequest, RegressionRequest

PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"
PREDICT = f"/{PREDICTION_SERVICE}/Predict"
RELOAD = f"/{MODEL_SERVICE}/HandleReloadConfigRequest"


class ServedModels(Models, Protocol):
    """The lookup, and the status of versions."""

    def status(self, name: str, version: int | None = None) -> list[VersionStatus]: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """A serialised response.

    Attributes:
        payload: the message.
        warnings: what of the request was not used as sent.
        ran: the run that gave it, where one did that is not reported with others'.
        parse_ns: how long the request took to become checked tensors.
    """

    payload: bytes
    warnings: list[str] = field(default_factory=list[str])
    ran: Ran | None = field(default=None, compare=False)
    parse_ns: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Admin:
    """What changes the server while it runs.

    Attributes:
        reload: serves these models and no others; returns once the new ones are available.
        platforms: the engines' names.
    """

    reload: Callable[[Sequence[ModelConfig]], None]
    platforms: Collection[str]


class GrpcService:
    """Thread-safe."""

    def __init__(
        self,
        models: ServedModels,
        *,
        strict_inputs: bool,
        tensor_content: bool,
        admin: Admin | None = None,
        observer: CallObserver | None = None,
        access: Access | None = None,
    ) -> None:
        """What the RPCs need.

        Args:
            models: the lookup.
            strict_inputs: refuse what would otherwise be a warning.
            tensor_content: answer tensors as ``tensor_content`` instead of in typed fields.
            admin: None refuses to change anything.
            observer: hears of every call, from whoever answers it.
            access: who may call what; without it anybody, and whoever is on this machine may administer.
        """
        self.observer: CallObserver = observer or NobodyWatches()
        self._models = models
        self._admin = admin
        self._access = access or Access()
        self.needs_keys = not self._access.is_open
        self._strict_inputs = strict_inputs
        self._tensor_content = tensor_content
        self.rpcs: dict[str, Callable[[bytes, Grant | None], Answer]] = {
            PREDICT: self.predict,
            f"/{PREDICTION_SERVICE}/Classify": self.classify,
            f"/{PREDICTION_SERVICE}/Regress": self.regress,
            f"/{PREDICTION_SERVICE}/MultiInference": self.multi_inference,
            f"/{PREDICTION_SERVICE}/GetModelMetadata": self.get_model_metadata,
            f"/{MODEL_SERVICE}/GetModelStatus": self.get_model_status,
            RELOAD: lambda payload, _: self.handle_reload_config_request(payload),
        }

    def call(self, path: str, payload: bytes, peer: str, metadata: Headers | None = None) -> Callable[[], Answer]:
        """The work of one RPC.

        Args:
            path: of the RPC.
            payload: its message.
            peer: its client's address, as gRPC writes it.
            metadata: that it came with; where ``needs_keys``.
        """
        if path == RELOAD:
            return partial(self._reload_for, peer, metadata, payload)
        return partial(self._for_caller, path, metadata, payload)

    def caller(self, metadata: Headers | None) -> Grant | None:
        """Whose call it is; None where anybody may call. Raises Unauthenticated."""
        return self._access.caller({} if metadata is None else metadata) if self.needs_keys else None

    def _for_caller(self, path: str, metadata: Headers | None, payload: bytes) -> Answer:
        return self.rpcs[path](payload, self.caller(metadata))

    def predict(self, payload: bytes, caller: Grant | None = None) -> Answer:
        return self.run(self.prepare_predict(payload, caller))

    def prepare_predict(self, payload: bytes, caller: Grant | None = None) -> PreparedCall:
        """The call that a PredictRequest of ``caller``'s asks for, checked."""
        if self.needs_keys and caller is None:
            caller = self.caller(None)  # which refuses it
        began_ns = perf_counter_ns()
        request = predict_proto.parse(payload)
        try:  # written out, not _naming: this is every call's path
            if caller is not None:
                caller.check("predict", request.spec.name)
            call = prepare(
                self._models,
                request.spec,
                request,
                output_filter=request.output_filter,
                strict_inputs=self._strict_inputs,
            )
        except UnstuckError as error:
            error.model = request.spec.name
            raise
        call.parse_ns = perf_counter_ns() - began_ns
        return call

    def run(self, call: PreparedCall) -> Answer:
        """The answer to a prepared call, on the calling thread."""
        payload = call.run(lambda outputs: self.encode(call, outputs))
        return Answer(payload, call.said, call.ran, call.parse_ns)

    def encode(self, call: PreparedCall, outputs: Tensors) -> bytes:
        """The PredictResponse to ``call``."""
        model = call.model
        return predict_proto.encode(
            outputs, model.name, model.version, call.signature.name, as_content=self._tensor_content
        )

    def classify(self, payload: bytes, caller: Grant | None = None) -> Answer:
        began_ns = perf_counter_ns()
        request = examples_proto.parse(ClassificationRequest, payload)
        with _naming(request.spec.name):
            _check(caller, "predict", request.spec.name)
            answered = use_cases.classify(self._models, request.spec, request.signature_name, request.examples)
        ran_ns = perf_counter_ns()
        assert isinstance(answered.result, Classes)
        with _naming(request.spec.name), errors_about(answered.model, answered.signature):
            encoded = examples_proto.encode_classes(_source(answered), answered.result.labels, answered.result.scores)
        return _answer_of([answered], encoded, began_ns, ran_ns)

    def regress(self, payload: bytes, caller: Grant | None = None) -> Answer:
        began_ns = perf_counter_ns()
        request = examples_proto.parse(RegressionRequest, payload)
        with _naming(request.spec.name):
            _check(caller, "predict", request.spec.name)
            answered = use_cases.regress(self._models, request.spec, request.signature_name, request.examples)
        ran_ns = perf_counter_ns()
        assert not isinstance(answered.result, Classes)
        encoded = examples_proto.encode_values(_source(answered), answered.result.values)
        return _answer_of([answered], encoded, began_ns, ran_ns)

    def multi_inference(self, payload: bytes, caller: Grant | None = None) -> Answer:
        began_ns = perf_counter_ns()
        request = examples_proto.parse_tasks(payload)
        tasks = [Task(spec, signature_name, method) for spec, signature_name, method in request.tasks]
        encoder = MultiInferenceEncoder()
        with _naming(tasks[0].spec.name if tasks else ""):
            for task in tasks:
                _check(caller, "predict", task.spec.name)
            results = use_cases.multi_inference(self._models, tasks, request.examples)
            ran_ns = perf_counter_ns()
            for answered in results:
                result = answered.result
                if isinstance(result, Classes):
                    with errors_about(answered.model, answered.signature):
                        encoder.add_classes(_source(answered), result.labels, result.scores)
                else:
                    encoder.add_values(_source(answered), result.values)
        return _answer_of(results, encoder.encode(), began_ns, ran_ns)

    def get_model_metadata(self, payload: bytes, caller: Grant | None = None) -> Answer:
        spec = models_proto.parse_metadata(payload)
        with _naming(spec.name):
            _check(caller, "status", spec.name)
            model = self._models.find(spec)
            return Answer(models_proto.encode_metadata(model.name, model.version, model.servable.signatures))

    def get_model_status(self, payload: bytes, caller: Grant | None = None) -> Answer:
        spec = models_proto.parse_status(payload)
        with _naming(spec.name):
            _check(caller, "status", spec.name)
            return Answer(models_proto.encode_status(self._models.status(spec.name, spec.version)))

    def _reload_for(self, peer: str, metadata: Headers | None, payload: bytes) -> Answer:
        self._access.check_admin(metadata, peer, "HandleReloadConfigRequest", ALL_MODELS)
        return self.handle_reload_config_request(payload)

    def handle_reload_config_request(self, payload: bytes) -> Answer:
        if self._admin is None:
            raise UnsupportedType("This server's models cannot be changed.", hint="Restart it with others.")
        reload = reload_proto.parse(payload, self._admin.platforms)
        self._admin.reload(reload.models)
        return Answer(reload_proto.encode(reload.metric_names))


def _check(caller: Grant | None, right: Right, model: str) -> None:
    if caller is not None:
        caller.check(right, model)


def _source(answered: Answered) -> Source:
    return Source(answered.model.name, answered.model.version, answered.signature.name)


def _answer_of(results: Sequence[Answered], encoded: bytes, began_ns: int, ran_ns: int) -> Answer:
    ran = results[0].ran
    ran.encode_ns = perf_counter_ns() - ran_ns
    said = [notice for each in results for notice in notices(each.model, each.signature)]
    return Answer(encoded, said, ran, ran_ns - began_ns - ran.run_ns)


@contextmanager
def _naming(model: str) -> Generator[None]:
    """Makes the errors raised inside say which model the call names."""
    try:
        yield
    except UnstuckError as error:
        error.model = model
        raise
