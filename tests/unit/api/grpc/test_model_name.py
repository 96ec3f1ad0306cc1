"""The model's name, read from the first bytes of a message."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_serving.apis import classification_pb2, inference_pb2, predict_pb2, regression_pb2

from unstuck.api.grpc.model_name import INFERENCES, model_name
from unstuck.api.grpc.service import PREDICT

CLASSIFY, REGRESS, MULTI = (path for path in INFERENCES if path != PREDICT)


def predict(name, **options):
    request = predict_pb2.PredictRequest(**options)
    request.model_spec.name = name
    request.inputs["x"].float_val.extend([1.0] * 300)
    return request.SerializeToString()


@pytest.mark.parametrize("name", ["m", "a model", "ümläut", "x" * 200, "x" * 20_000])
def test_of_each_kind_of_inference(name):
    assert model_name(predict(name), PREDICT) == name
    for path, request in (
        (CLASSIFY, classification_pb2.ClassificationRequest()),
        (REGRESS, regression_pb2.RegressionRequest()),
    ):
        request.model_spec.name = name
        request.input.example_list.examples.add()
        assert model_name(request.SerializeToString(), path) == name
    multi = inference_pb2.MultiInferenceRequest()
    for each in (name, "other"):
        multi.tasks.add().model_spec.name = each
    assert model_name(multi.SerializeToString(), MULTI) == name


def test_a_version_beside_it_is_no_matter():
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    request.model_spec.version.value = 3
    assert model_name(request.SerializeToString(), PREDICT) == "m"


@pytest.mark.parametrize(
    "payload", [b"", b"\n", b"\n\x00", b"\n\x05", b"\x12\x02ab", b"\n\xff\xff\xff", b"\n\x03\n\x01\xff"]
)
def test_where_it_is_not_found_there_is_none(payload):
    assert model_name(payload, PREDICT) == ""


@given(st.binary(max_size=64), st.sampled_from(sorted(INFERENCES)))
def test_no_bytes_are_too_strange(payload, path):
    assert isinstance(model_name(payload, path), str)
