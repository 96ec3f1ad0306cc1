"""TensorFlow Serving's gRPC API before a Servable: its own stubs, a pool of threads."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from corpus.served import Refused, ServedModel, Tensors

if TYPE_CHECKING:
    from corpus.server import Servable

STATES = {"START": 10, "LOADING": 20, "AVAILABLE": 30, "UNLOADING": 40, "END": 50}


@contextmanager
def listen(servable: "Servable") -> Iterator[str]:
    """Serves on a free port of 127.0.0.1; gives HOST:PORT."""
    import grpc
    from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

    with ThreadPoolExecutor(16) as pool:
        server = grpc.server(pool)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Prediction(servable), server)
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Models(servable), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()


class _Prediction:
    """Predict and GetModelMetadata; the RPCs that clients of a predict signature do not call are not implemented."""

    Classify = Regress = MultiInference = None

    def __init__(self, servable: "Servable") -> None:
        self._servable = servable

    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        spec = request.model_spec

        def bind(model: ServedModel) -> Tensors:
            declared = model.signature(spec.signature_name).inputs
            if set(declared) != set(request.inputs):
                raise Refused(f"input size does not match signature: {sorted(request.inputs)} != {sorted(declared)}")
            return {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}

        version, outputs = _or_abort(
            context, lambda: self._servable.predict(spec.name, _version(spec), spec.signature_name, bind)
        )
        answer = predict_pb2.PredictResponse()
        answer.model_spec.name = spec.name
        answer.model_spec.version.value = version
        answer.model_spec.signature_name = spec.signature_name or "serving_default"
        for name, values in outputs.items():
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(values))
        return answer

    def GetModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        from tensorflow_serving.apis import get_model_metadata_pb2

        spec = request.model_spec
        version = _or_abort(context, lambda: self._servable.version(spec.name, _version(spec)))
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.model_spec.name = spec.name
        answer.model_spec.version.value = version
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, signature in self._servable.versions[version].signatures.items():
            signatures.signature_def[name].CopyFrom(signature)
        answer.metadata["signature_def"].Pack(signatures)
        return answer


class _Models:
    HandleReloadConfigRequest = None

    def __init__(self, servable: "Servable") -> None:
        self._servable = servable

    def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        from tensorflow.core.protobuf import error_codes_pb2
        from tensorflow_serving.apis import get_model_status_pb2

        spec = request.model_spec
        answer = get_model_status_pb2.GetModelStatusResponse()
        for version, state in _or_abort(context, lambda: self._servable.states(spec.name, _version(spec))).items():
            listed = answer.model_version_status.add(version=version, state=STATES[state])
            code, message = self._servable.hooks.failures.get(version, ("OK", ""))
            listed.status.error_code = error_codes_pb2.Code.Value(code)
            listed.status.error_message = message
        return answer


def _version(spec: Any) -> int | None:
    return spec.version.value if spec.HasField("version") else None


def _or_abort(context: Any, answer: Callable[[], Any]) -> Any:
    import grpc

    try:
        return answer()
    except Refused as error:
        return context.abort(getattr(grpc.StatusCode, error.code), str(error))
