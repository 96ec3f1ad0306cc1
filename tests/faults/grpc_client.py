"""What the gRPC tests of this folder ask with: official stubs for ``half_plus_two``, ``slow`` and ``dtypes``."""

from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

BUSY_S = 1.0  # how long a call of ``slow`` computes
TIMEOUT_S = 20
FRONTS = ("native", "grpcio")
PREDICT = "/tensorflow.serving.PredictionService/Predict"


def connect(address: str) -> grpc.Channel:
    """A connection of its own, for messages of any size."""
    limits = ("grpc.max_send_message_length", "grpc.max_receive_message_length")
    options = [("grpc.use_local_subchannel_pool", 1), *((name, -1) for name in limits)]
    return grpc.insecure_channel(address, options=options)


def request(*rows: float, model: str = "half_plus_two") -> PredictRequest:
    made = PredictRequest()
    made.model_spec.name = model
    x = np.array(rows, np.float32)
    made.inputs["x"].CopyFrom(tf.make_tensor_proto(x if model == "slow" else x[:, None]))
    return made


def predict(channel: grpc.Channel, *rows: float, model: str = "half_plus_two", **options: Any) -> list[float]:
    answer = PredictionServiceStub(channel).Predict(request(*rows, model=model), **{"timeout": TIMEOUT_S, **options})
    return values(answer)


def values(answer: Any) -> list[float]:
    return list(answer.outputs["y"].float_val)


def check_healthy(address: str) -> None:
    """A new client is answered, and right."""
    with connect(address) as channel:
        assert predict(channel, 3.0) == [3.5]


def code_of(call: Callable[[], Any]) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    return raised.value.code()  # type: ignore[attr-defined]


def stop(server: Any) -> None:
    server.stop()
    server.stop = lambda: None  # the fixture stops it once more
