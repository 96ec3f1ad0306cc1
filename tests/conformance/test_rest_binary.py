"""Predict calls over REST whose bodies are NumPy's files or protobuf messages, by NumPy and the official classes."""

import gzip
import io

import httpx
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis.predict_pb2 import PredictRequest, PredictResponse

NPY, NPZ, PROTOBUF = "application/x-npy", "application/x-npz", "application/x-protobuf"
DTYPES = [
    "float32",
    "float64",
    "float16",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "bool",
]


@pytest.fixture
def post(url_of, client):
    """``post(model, body, kind, **headers)``: the answer."""

    def send(model, body, kind, *, server="plain", **headers) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"{url_of('own', server)}/v1/models/{model}:predict"
        return client.post(url, content=body, headers={"content-type": kind, **named})

    return send


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def npz(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def loaded(answer, kind):
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind), answer.text
    return np.load(io.BytesIO(answer.content))


def same(got, wanted):
    assert got.dtype == wanted.dtype
    np.testing.assert_array_equal(got, wanted)


def request_of(signature="", **tensors):
    request = PredictRequest()
    request.model_spec.signature_name = signature
    for name, value in tensors.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request


def proto(signature="", **tensors):
    return request_of(signature, **tensors).SerializeToString()


def answered(answer):
    assert (answer.status_code, answer.headers["content-type"]) == (200, PROTOBUF), answer.text
    return PredictResponse.FromString(answer.content)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_comes_back_bit_for_bit(dtype, post):
    array = np.frombuffer(np.random.default_rng(1).bytes(800), dtype) if dtype != "bool" else np.array([True, False])
    same(loaded(post("dtypes", npy(array), NPY, x_unstuck_signature=dtype), NPY), array)
    ((_, tensor),) = answered(post("dtypes", proto(dtype, x=array), PROTOBUF)).outputs.items()
    same(tf.make_ndarray(tensor), array)


def test_an_image_of_megabytes_is_answered_as_its_json_is(post):
    rows = np.random.default_rng(2).normal(size=(20_000, 64)).astype(np.float32)
    answer = loaded(post("mlp", npy(rows), NPY), NPY)
    assert rows.nbytes > 5e6
    few = post("mlp", httpx.Request("POST", "http://m", json={"instances": rows[:5].tolist()}).content, "text/plain")
    np.testing.assert_allclose(answer[:5], few.json()["predictions"], atol=1e-5)
    zipped = post("mlp", gzip.compress(npy(rows[:5])), NPY, content_encoding="gzip")
    np.testing.assert_allclose(loaded(zipped, NPY), answer[:5], atol=1e-5)


def test_several_inputs_and_outputs_go_by_name(post):
    sent = {"a": np.float32([[1, 2], [3, 4]]), "b": np.int64([5, 6]), "c": np.array([b"x", b"\xc3\xa9"])}
    wanted = {
        "total": np.float32([8, 13]),
        "doubled": np.int64([10, 12]),
        "shouted": np.array([b"X", b"\xc3\x89"]),
        "pair_bytes": np.array([[b"x"] * 2, [b"\xc3\xa9"] * 2]),
    }
    answer = loaded(post("multi_io", npz(**sent), NPZ), NPZ)
    assert sorted(answer.files) == sorted(wanted)
    message = answered(post("multi_io", proto(**sent), PROTOBUF))
    assert message.model_spec.name == "multi_io"
    for name, value in wanted.items():
        same(answer[name], value)
        assert tf.make_ndarray(message.outputs[name]).tolist() == value.tolist()


def test_only_the_outputs_asked_for_come(post):
    request = request_of(a=np.ones((1, 2), np.float32), b=np.int64([1]), c=np.array([b"x"]))
    request.output_filter.append("doubled")
    assert list(answered(post("multi_io", request.SerializeToString(), PROTOBUF)).outputs) == ["doubled"]
    request.output_filter[0] = "nothing"
    refused = post("multi_io", request.SerializeToString(), PROTOBUF)
    assert (refused.status_code, "'nothing'" in refused.json()["error"]) == (400, True)


def test_text_goes_both_ways(post):
    answer = loaded(post("text_bytes", npy(np.array(["é", "b"])), NPY), NPY)
    assert answer.tolist() == ["é".encode(), b"b"]


def test_json_is_json_whatever_its_content_type_says(post):
    for kind in (NPY, PROTOBUF, "application/x-www-form-urlencoded"):
        answer = post("half_plus_two", b'{"instances": [[1.0]]}', kind)
        assert answer.json() == {"predictions": [[2.5]]}


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (b"", NPY, "neither a .npy nor a .npz"),
        (b"\x93NUMPY\x01", NPY, "not a readable .npy"),
        (npy(np.ones((1, 1))), NPY, "expects float"),
        (npz(y=np.ones((1, 1), np.float32)), NPZ, "Missing but required: {'x'}"),
        (npy(np.ones((1, 2), np.float32)), NPY, "expects shape [-1,1]"),
        (b"\xff\xff", PROTOBUF, "not a tensorflow.serving.PredictRequest"),
        (b"", PROTOBUF, "Missing but required: {'x'}"),
        (b"[1]", "application/json", "not object"),
    ],
)
def test_a_wrong_body_is_refused_by_name_in_json(body, kind, says, post):
    refused = post("half_plus_two", body, kind)
    assert refused.status_code == 400
    assert refused.headers["content-type"] == "application/json"
    assert says in refused.json()["error"]


def test_a_message_must_not_contradict_the_url(post):
    request = request_of(x=np.ones((1, 1), np.float32))
    request.model_spec.name = "half_plus_two"
    assert answered(post("half_plus_two", request.SerializeToString(), PROTOBUF)).outputs
    request.model_spec.version.value = 5
    refused = post("half_plus_two", request.SerializeToString(), PROTOBUF)
    assert (refused.status_code, "version 5, the URL for none" in refused.text) == (400, True)
    request.model_spec.name = "mlp"
    refused = post("half_plus_two", request.SerializeToString(), PROTOBUF)
    assert "asks for model 'mlp', the URL for 'half_plus_two'" in refused.text


def test_a_file_that_inflates_beyond_the_limit_is_refused(post):
    file = io.BytesIO()
    np.savez_compressed(file, x=np.zeros((10_000, 1), np.float32))
    refused = post("half_plus_two", file.getvalue(), NPZ, server="small")
    assert (refused.status_code, "inflated .npz" in refused.json()["error"]) == (413, True)


def test_what_is_passed_on_although_not_as_declared_is_said(post):
    answer = post("half_plus_two", npy(np.float32([1, 2])), NPY)
    assert "passed on as sent" in answer.headers["x-unstuck-warning"]
    same(loaded(answer, NPY), np.float32([2.5, 3]))
