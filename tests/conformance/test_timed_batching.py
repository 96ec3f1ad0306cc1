"""``--enable_batching`` as TensorFlow Serving has it, over REST and gRPC; the model says which batch a call ran in."""

import json
import logging
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import httpx
import pytest
from grpc_wire import call, classify, example, example_list, regress, spec
from tensorflow_serving.apis.predict_pb2 import PredictRequest

from unstuck.config.batching_parameters import read_batching_parameters
from unstuck.core.batching import BatchingParameters
from unstuck.testing import faulty_models, models

SECOND = 1_000_000
NEVER = 600 * SECOND  # nothing here may wait for it
TIMEOUT_S = 60


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """``batch`` tells of its batch, and keeps state; ``mixing`` keeps none, so that it is seen to mix rows."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("batching")

    class Batch(tf.Module):
        def __init__(self):
            super().__init__()
            self.runs = tf.Variable(0.0)

        def __call__(self, x):
            shape = tf.shape(x)
            run = self.runs.assign_add(1.0)
            told = {"rows": shape[0], "width": shape[1], "run": run}
            return {"y": tf.reduce_sum(x, 1), **{name: tf.fill(shape[:1], value) for name, value in told.items()}}

    def mixing(x):
        return {"y": tf.reduce_sum(x, 1), "rows": tf.fill(tf.shape(x)[:1], tf.shape(x)[0])}

    rows = tf.TensorSpec([None, None], tf.float32, "x")
    for name, module, function in (("batch", batch := Batch(), batch.__call__), ("mixing", tf.Module(), mixing)):
        signature = tf.function(function).get_concrete_function(rows)
        tf.saved_model.save(module, str(folder / name / "1"), signatures=signature)
    models.examples(folder / "examples")
    faulty_models.slow(folder / "slow", busy_s=0.3)
    return {each.name: each for each in folder.iterdir()}


@pytest.fixture(scope="module")
def batched(serve, exported):
    """``batched("model", max_batch_size=4)``: a client of a server with these parameters, which tests share."""
    clients = {}

    def start(*names, settings=None, **parameters):
        key = repr((names, settings, parameters))
        if key not in clients:
            chosen = {name: exported[name] for name in names}
            clients[key] = Client(serve(chosen, batching=BatchingParameters(**parameters), **(settings or {})))
        return clients[key]

    yield start
    for each in clients.values():
        each.close()


class Client:
    def __init__(self, server):
        self.server = server
        self.http = httpx.Client(timeout=TIMEOUT_S)
        self.channel = grpc.insecure_channel(server.grpc_address)

    def close(self):
        self.http.close()
        self.channel.close()

    def rest(self, rows, model="batch"):
        return self.http.post(f"{self.server.url}/v1/models/{model}:predict", json={"inputs": rows})

    def answer(self, rows, model="batch"):
        response = self.rest(rows, model)
        assert response.status_code == 200, response.text
        return response.json()["outputs"]

    def grpc(self, rows, model="batch"):
        import tensorflow as tf

        request = PredictRequest()
        request.model_spec.name = model
        request.inputs["x"].CopyFrom(tf.make_tensor_proto(rows, tf.float32))
        answer = call(self.channel, request)
        if answer.error is not None:
            raise answer.error
        return {alias: tf.make_ndarray(tensor).tolist() for alias, tensor in answer.message.outputs.items()}

    def statusz(self):
        return self.http.get(f"{self.server.url}/statusz").json()


def at_once(*calls):
    with ThreadPoolExecutor(len(calls)) as threads:
        return [future.result() for future in [threads.submit(each) for each in calls]]


def test_calls_of_both_apis_share_a_batch_which_is_padded_to_an_allowed_size(batched):
    client = batched("batch", max_batch_size=8, allowed_batch_sizes=(4, 8), batch_timeout_micros=SECOND // 2)
    first, second, third = at_once(
        lambda: client.answer([[1, 2]]), lambda: client.answer([[3, 4]]), lambda: client.grpc([[5, 6]])
    )
    assert [first["y"], second["y"], third["y"]] == [[3], [7], [11]]
    assert first["rows"] == second["rows"] == third["rows"] == [4]
    assert first["run"] == second["run"] == third["run"] == [1]


def test_a_full_batch_does_not_wait_and_a_lone_call_waits_for_its_time(batched):
    client = batched("batch", max_batch_size=2, batch_timeout_micros=SECOND)
    began = time.monotonic()
    assert client.answer([[1, 1], [2, 2]])["rows"] == [2, 2]
    assert time.monotonic() - began < 0.9
    began = time.monotonic()
    assert client.answer([[1, 1]])["rows"] == [1]
    assert time.monotonic() - began >= 1


def test_without_a_timeout_a_call_runs_at_once(batched):
    client = batched("batch")
    assert client.answer([[1, 2]]) == {"y": [3], "rows": [1], "width": [2], "run": [1]}


@pytest.mark.parametrize("rows", [3, 20_000])
def test_a_call_larger_than_a_batch_is_refused(batched, rows):
    client = batched("batch", max_batch_size=2, batch_timeout_micros=NEVER)
    response = client.rest([[1, 2]] * rows)
    assert response.status_code == 400
    assert f"The call has {rows} rows, which is larger than the maximum batch size, 2." in response.json()["error"]
    assert "Model 'batch' version 1, signature 'serving_default'" in response.json()["error"]
    with pytest.raises(grpc.RpcError) as refused:
        client.grpc([[1, 2]] * rows)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_large_call_is_split_where_that_is_on(batched):
    splitting = {"max_execution_batch_size": 2000, "enable_large_batch_splitting": True, "num_batch_threads": 1}
    client = batched("batch", max_batch_size=5000, batch_timeout_micros=1000, **splitting)
    numbers = list(range(4500))
    outputs = client.answer([[number, 1] for number in numbers])
    assert outputs["y"] == [number + 1 for number in numbers]
    assert outputs["rows"] == [2000] * 4000 + [500] * 500
    assert set(outputs["run"]) == {1, 2, 3}  # one thread: two that count at once may read the same number


def test_a_full_queue_refuses_further_calls(batched):
    client = batched("slow", max_batch_size=1, max_enqueued_batches=1, num_batch_threads=1)
    said = at_once(*[lambda: client.rest([1.0], "slow") for _ in range(5)])
    codes = sorted(response.status_code for response in said)
    assert set(codes) == {200, 503}
    refused = next(response for response in said if response.status_code == 503)
    assert "The batch scheduling queue to which this call was submitted is full" in refused.json()["error"]

    def code():
        try:
            client.grpc([1.0], "slow")
        except grpc.RpcError as error:
            return error.code()

    assert set(at_once(*[code] * 5)) == {None, grpc.StatusCode.UNAVAILABLE}


def test_rows_of_different_lengths_are_padded_where_that_is_on(batched):
    client = batched("batch", max_batch_size=2, batch_timeout_micros=NEVER, pad_variable_length_inputs=True)
    short, long = at_once(lambda: client.answer([[5]]), lambda: client.answer([[1, 2, 3]]))
    assert (short["width"], short["y"]) == ([3], [15]), "with its own first value, as TensorFlow Serving does"
    assert (long["width"], long["y"]) == ([3], [6])


def test_rows_of_different_lengths_are_refused_otherwise(batched):
    client = batched("batch", max_batch_size=2, batch_timeout_micros=NEVER)
    said = at_once(lambda: client.rest([[5]]), lambda: client.rest([[1, 2, 3]]))
    assert [response.status_code for response in said] == [400, 400]
    assert all("Set pad_variable_length_inputs" in response.json()["error"] for response in said)

    def code(row):
        with pytest.raises(grpc.RpcError) as refused:
            client.grpc([row])
        return refused.value.code()

    assert set(at_once(lambda: code([5]), lambda: code([1, 2]))) == {grpc.StatusCode.FAILED_PRECONDITION}


def test_a_model_that_is_seen_to_mix_rows_is_not_batched_and_that_is_said(batched, caplog):
    with caplog.at_level(logging.WARNING):
        client = batched("mixing", "batch", max_batch_size=2, batch_timeout_micros=NEVER)
    assert client.answer([[1, 2]], "mixing") == {"y": [3], "rows": [1]}
    assert "signature 'serving_default': its calls are not batched, although --enable_batching is given" in caplog.text
    versions = {name: model["versions"]["1"] for name, model in client.statusz()["models"].items()}
    assert versions["mixing"]["signatures"]["serving_default"]["batching"] is None
    assert versions["batch"]["signatures"]["serving_default"]["batching"]["max_batch_size"] == 2


def test_classify_and_regress_are_batched_too(batched):
    client = batched("examples", max_batch_size=2, batch_timeout_micros=NEVER)
    one = example_list(example(class_=["a"], score=[1.0], output=2.0))
    runs = at_once(*[lambda: call(client.channel, regress("examples", "runs", one))] * 2)
    ((first,), (second,)) = (answer.message.result.regressions for answer in runs)
    assert first.value == second.value, "one run for both"

    def rest():
        body = json.dumps({"signature_name": "runs", "examples": [{"class": "a", "score": 1.0, "output": 2.0}]})
        return client.http.post(f"{client.server.url}/v1/models/examples:regress", content=body).json()

    assert at_once(rest, rest) == [{"results": [first.value + 1]}] * 2
    large = example_list(*[example(class_=["a"], score=[1.0], output=2.0)] * 3)
    refused = call(client.channel, classify(spec("examples"), "", large))
    assert refused.error.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_nobody_hears_of_anothers_error(batched):
    client = batched("examples", max_batch_size=2, batch_timeout_micros=NEVER)

    def of(label):
        return call(client.channel, classify("examples", "fails", example_list(example(class_=[label]))))

    good, bad = at_once(lambda: of("1"), lambda: of("word"))
    assert good.message.result.classifications[0].classes[0].score == 1.0
    assert bad.error.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_call_that_waits_too_long_times_out(batched):
    client = batched("batch", batch_timeout_micros=NEVER, settings={"rest_timeout_ms": 100})
    assert client.rest([[1, 2]]).status_code == 504


@pytest.mark.slow
def test_a_stopping_server_answers_the_calls_that_wait(batched):
    client = batched("batch", batch_timeout_micros=NEVER, settings={"drain_timeout_s": 0.5})
    with ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(client.rest, [[1, 2]])
        time.sleep(0.5)
        client.server.stop()
        assert waiting.result(TIMEOUT_S).status_code == 200


def test_each_version_says_itself_how_its_calls_wait(serve, exported, tmp_path):
    for name in ("padded", "plain", "wrong"):
        shutil.copytree(exported["batch"], tmp_path / name)
    (tmp_path / "padded/1/batching_params.pbtxt").write_text("max_batch_size { value: 4 } allowed_batch_sizes: 4")
    (tmp_path / "wrong/1/batching_params.pbtxt").write_text("max_batch_size { value: 0 }")
    folders = {name: tmp_path / name for name in ("padded", "plain", "wrong")}
    client = Client(serve(folders, batching=BatchingParameters(max_batch_size=2), batching_per_model=True))
    assert client.answer([[1, 2]], "padded")["rows"] == [4]
    assert client.answer([[1, 2]] * 3, "plain")["rows"] == [3] * 3, "without a file it is not batched"
    (failure,) = client.server.failures
    assert "batching_params.pbtxt, line 1: max_batch_size: expected 1 or more, got 0." in str(failure)
    client.close()


@pytest.mark.slow
def test_a_version_that_has_answered_batches_can_still_be_unloaded(serve, exported, tmp_path):
    shutil.copytree(exported["batch"], tmp_path / "batch")
    client = Client(serve({"batch": tmp_path / "batch"}, batching=BatchingParameters(max_batch_size=4)))
    at_once(*[lambda: client.answer([[1, 2]]), lambda: client.grpc([[1, 2]]), lambda: client.rest([[1]] * 5)])
    shutil.copytree(tmp_path / "batch/1", tmp_path / "batch/.2")
    (tmp_path / "batch/.2").rename(tmp_path / "batch/2")
    began, states = time.monotonic(), {}
    while states != {"1": "END", "2": "AVAILABLE"} and time.monotonic() - began < TIMEOUT_S:
        versions = client.statusz()["models"]["batch"]["versions"]
        states = {number: version["state"] for number, version in versions.items()}
        time.sleep(0.1)
    assert states == {"1": "END", "2": "AVAILABLE"}
    client.close()


def test_a_file_of_tensorflow_serving_is_read():
    testdata = os.environ.get("UNSTUCK_TFS_TESTDATA")
    if testdata is None:
        pytest.skip("UNSTUCK_TFS_TESTDATA does not name TensorFlow Serving's test data")
    assert read_batching_parameters(Path(testdata) / "batching_config.txt") == BatchingParameters(
        max_batch_size=128, batch_timeout_micros=0, max_enqueued_batches=1_000_000, num_batch_threads=8
    )
