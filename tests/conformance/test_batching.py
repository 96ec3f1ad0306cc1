"""Longer calls to servers, 64 at a time over REST and gRPC: run together where that is proven, and answered right."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import grpc
import httpx
import numpy as np
import pytest
from grpc_wire import predict, tensor
from prometheus_client.parser import text_string_to_metric_families
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

TIMEOUT_S = 60
CALLERS = 64
CALLS = 192
STEPS = 4000  # so many that a run takes longer than calls take to come, on a busy machine too


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """``safe``: y = 2 x, after tens of milliseconds; ``mixing``: besides, y has the mean of the batch added."""
    from unstuck.engines.tensorflow.runtime import tf

    weights = tf.constant(np.eye(64, dtype=np.float32) * 0.5)

    def export(name, added):
        def call(x):
            state = tf.pad(x, [[0, 0], [0, 62]])
            _, state = tf.while_loop(
                lambda step, _: step < STEPS, lambda step, h: (step + 1, tf.tanh(h @ weights)), [0, state]
            )
            return {"y": 2 * x + added(x), "state": tf.reduce_sum(state, 1)}

        path = tmp_path_factory.mktemp("models") / name
        function = tf.function(call, input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        tf.saved_model.save(tf.Module(), str(path / "1"), signatures=function)
        return path

    return {"safe": export("safe", lambda x: 0.0), "mixing": export("mixing", tf.reduce_mean)}


@pytest.fixture(scope="module")
def server_of(serve, models):
    """``server_of(front, **settings)``: a running server of both models."""
    running = []

    def start(front="native", **settings):
        running.append(serve(models, grpc_front=front, **settings))
        assert not running[-1].failures
        return running[-1]

    yield start
    for each in running:
        each.stop()


def rest(server, client, model, number):
    """y of one row, in one of the forms that a body may have."""
    row = [float(number), -1.0]
    forms = ({"instances": [row]}, {"inputs": [row]}, {"instances": [{"x": row}]}, {"inputs": {"x": [row]}})
    response = client.post(f"{server.url}/v1/models/{model}:predict", json=forms[number % 4])
    assert response.status_code == 200, response.text
    answer = response.json()
    return answer["outputs"]["y"][0] if "outputs" in answer else answer["predictions"][0]["y"]


def rpc(stub, model, number):
    answer = stub.Predict(predict(model, x=tensor("float", [1, 2], float(number), -1.0)), timeout=TIMEOUT_S)
    return list(answer.outputs["y"].float_val)


def ask(server, model, apis=("rest", "grpc")):
    """The answers to ``CALLS`` calls by number, ``CALLERS`` at a time, by each API in turn."""
    limits = httpx.Limits(max_connections=CALLERS)
    with (
        httpx.Client(timeout=TIMEOUT_S, limits=limits) as client,
        grpc.insecure_channel(server.grpc_address) as channel,
        ThreadPoolExecutor(CALLERS) as callers,
    ):
        stub = PredictionServiceStub(channel)

        def one(number, api):
            return rest(server, client, model, number) if api == "rest" else rpc(stub, model, number)

        return list(callers.map(one, range(CALLS), itertools.cycle(apis)))


def runs(server, model):
    text = httpx.get(f"{server.url}/metrics").text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return sum(
        each.value
        for each in samples
        if each.name.removesuffix("_total") == "unstuck_runs" and each.labels["model"] == model
    )


def merged(server, model):
    signatures = httpx.get(f"{server.url}/statusz").json()["models"][model]["versions"]["1"]["signatures"]
    return signatures["serving_default"]["merged"], signatures["serving_default"]["why_not_merged"]


RIGHT = [[2.0 * number, -2.0] for number in range(CALLS)]


@pytest.mark.parametrize("front", ["native", "grpcio"])
def test_each_of_many_calls_gets_its_own_answer_from_few_runs(server_of, front):
    server = server_of(front)
    assert ask(server, "safe") == RIGHT
    assert runs(server, "safe") < CALLS  # how many fewer is measured as they come: a busy machine may make it few
    assert merged(server, "safe") == (True, "")


@pytest.mark.slow
def test_a_model_that_mixes_rows_is_not_batched_and_the_status_says_why(server_of):
    server = server_of(merging="on")
    assert ask(server, "mixing") == [[2 * x + (x - 1) / 2, -2 + (x - 1) / 2] for x in map(float, range(CALLS))]
    assert runs(server, "mixing") == CALLS
    is_merged, why_not = merged(server, "mixing")
    assert not is_merged
    assert "answer differently" in why_not


@pytest.mark.slow
def test_nothing_is_batched_where_batching_is_off(server_of):
    server = server_of(merging="off")
    assert ask(server, "safe") == RIGHT
    assert runs(server, "safe") == CALLS
    assert merged(server, "safe") == (False, "batching is off")


def test_deadlines_hold_for_calls_that_wait(server_of):
    server = server_of(rest_timeout_ms=1)
    with httpx.Client(timeout=TIMEOUT_S) as client, ThreadPoolExecutor(16) as callers:
        url = f"{server.url}/v1/models/safe:predict"
        sent = [callers.submit(client.post, url, json={"instances": [[1, 1]]}) for _ in range(32)]
        statuses = {each.result().status_code for each in sent}
    assert statuses <= {200, 504}
    assert 504 in statuses
    with grpc.insecure_channel(server.grpc_address) as channel:
        request = predict("safe", x=tensor("float", [1, 2], 1.0, 1.0))
        waiting = [PredictionServiceStub(channel).Predict.future(request, timeout=0.001) for _ in range(16)]
        assert {each.code() for each in waiting} <= {grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED}
        answer = PredictionServiceStub(channel).Predict(request, timeout=TIMEOUT_S)
    assert list(answer.outputs["y"].float_val) == [2.0, 2.0]
