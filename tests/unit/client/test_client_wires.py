"""What the client writes, the server's codecs read; what they write, the client reads. REST and gRPC."""

import json

import numpy as np
import pytest
from fakes import JSON_DTYPES, signature, spec
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from unstuck.client import json_tensors
from unstuck.client.examples import examples_json
from unstuck.client.failures import UnreadableAnswer
from unstuck.client.grpc_wire import GrpcWire
from unstuck.client.messages import Reply
from unstuck.client.rest_wire import RestWire
from unstuck.codecs import (
    examples_proto,
    json_answer,
    json_examples,
    model_json,
    models_proto,
    predict_json,
    predict_proto,
)
from unstuck.codecs.examples_proto import Source
from unstuck.core import dtypes
from unstuck.core.dtypes import BFLOAT16, BOOL, COMPLEX64, DOUBLE, FLOAT, HALF, INT64, STRING, UINT64
from unstuck.core.models import ModelSpec, State, VersionStatus
from unstuck.errors import Code, EngineError, MalformedBody, UnsupportedType, WrongShape, WrongType
from unstuck.proto.wire.inference_pb2 import ClassificationRequest

REST, GRPC = RestWire("http://h"), GrpcWire("grpc://h")
MODEL = ModelSpec("m")


def encode(sig, tensors):
    return json_tensors.encode(sig, tensors, json_tensors.batch_size(sig, tensors))


def same(want, got):
    assert want.keys() == got.keys()
    for alias, array in want.items():
        assert got[alias].dtype == array.dtype
        assert got[alias].shape == array.shape
        is_bfloat16 = array.dtype == BFLOAT16.numpy  # whose NaN NumPy does not take for one
        kind = np.float32 if is_bfloat16 else array.dtype
        np.testing.assert_array_equal(got[alias].astype(kind), array.astype(kind))


def tensors(data, rows, dtype):
    sides = array_shapes(min_dims=0, max_dims=2, max_side=3)
    shape = data.draw(sides) if rows is None else (rows, *data.draw(sides))
    if dtype is STRING:
        return data.draw(arrays(object, shape, elements=st.binary(max_size=4), fill=st.nothing()))
    if dtype is BFLOAT16:
        with np.errstate(all="ignore"):
            return data.draw(arrays(np.float32, shape)).astype(BFLOAT16.numpy)
    return data.draw(arrays(dtype.numpy, shape))


@given(st.data(), st.lists(st.sampled_from(JSON_DTYPES), min_size=1, max_size=3), st.sampled_from([None, 1, 3]))
def test_both_wires_carry_every_dtype(data, kinds, rows):
    sent = {f"t{number}": tensors(data, rows, dtype) for number, dtype in enumerate(kinds)}
    shape = None if rows is None else (None,)
    specs = [spec(alias, dtype, shape) for alias, dtype in zip(sent, kinds, strict=True)]
    sig = signature(*specs, outputs=tuple(specs), name="s")
    body = encode(sig, sent)
    request = predict_json.parse(body)
    assert request.signature_name == "s"
    assert request.format == ("instances" if rows else "inputs")
    same(sent, request.bind(sig))
    assert request.warnings == []
    texts = {alias: array for alias, array in sent.items() if array.dtype != object}
    if texts:
        narrow = signature(*specs, outputs=tuple(each for each in specs if each.alias in texts))
        answer = json_answer.encode(texts, request.format)
        same(texts, json_tensors.decode(read_document(answer), narrow))
    call = GRPC.predict(MODEL, sig, sent)
    same(sent, predict_proto.parse(call.request.body).bind(sig))
    for as_content in (True, False):
        payload = predict_proto.encode(sent, "m", 1, "s", as_content=as_content)
        same(sent, dict(call.read(Reply(0, payload))))


def read_document(body):
    from unstuck.client.rest_wire import load

    return load(body)


OPEN, SCALAR = (None,), ()


@pytest.mark.parametrize(
    ("sig", "inputs", "body"),
    [
        (signature(spec("x", FLOAT, OPEN), outputs=(spec("y", FLOAT, OPEN),)), {"x": [1]}, {"instances": [1.0]}),
        (signature(spec("x", FLOAT, OPEN), outputs=(spec("y", FLOAT, SCALAR),)), {"x": [1]}, {"inputs": [1.0]}),
        (signature(spec("x", FLOAT), outputs=(spec("y", FLOAT, OPEN),)), {"x": [1]}, {"inputs": [1.0]}),
        (signature(spec("x", FLOAT, OPEN), outputs=(spec("y", FLOAT, OPEN),)), {"x": []}, {"inputs": []}),
        (signature(spec("x", FLOAT, OPEN), outputs=(spec("y", FLOAT, OPEN),)), {"x": 1}, {"inputs": 1.0}),
        (
            signature(spec("a", FLOAT, OPEN), spec("b", STRING, OPEN), outputs=(spec("y", FLOAT, OPEN),)),
            {"a": [1, 2], "b": [b"u", b"\xff"]},
            {"instances": [{"a": 1.0, "b": "u"}, {"a": 2.0, "b": {"b64": "/w=="}}]},
        ),
        (
            signature(spec("a", FLOAT, OPEN), spec("b_bytes", STRING, OPEN), outputs=(spec("y", FLOAT, OPEN),)),
            {"a": [1, 2], "b_bytes": [b"u"]},
            {"inputs": {"a": [1.0, 2.0], "b_bytes": [{"b64": "dQ=="}]}},
        ),
    ],
)
def test_rows_where_the_batch_is_defined(sig, inputs, body):
    sent = {alias: np.array(value, sig.inputs[alias].dtype.numpy) for alias, value in inputs.items()}
    assert json.loads(encode(sig, sent)) == body


def test_the_default_signature_is_not_named_so_that_calls_may_be_joined():
    sig = signature(spec("x", FLOAT, (None, 2)), outputs=(spec("y", FLOAT, OPEN),))
    body = encode(sig, {"x": np.array([[1.0, 2.0]], np.float32)})
    assert body == b'{"instances":[[1.0,2.0]]}'


def test_nan_and_infinity_are_written_and_read_as_tensorflow_serving_does():
    specials = np.array([np.nan, np.inf, -np.inf, 0.5], np.float32)
    sig = signature(spec("x", FLOAT, OPEN), outputs=(spec("y", FLOAT, OPEN),))
    assert encode(sig, {"x": specials}) == b'{"instances":[NaN,Infinity,-Infinity,0.5]}'
    read = json_tensors.decode(read_document(b'{"predictions": [NaN, Infinity, -Infinity, 0.5]}'), sig)
    np.testing.assert_array_equal(read["y"], specials)


def test_what_json_cannot_hold_is_refused():
    with pytest.raises(UnsupportedType, match=r"complex64.*grpc://"):
        encode(signature(spec("x", COMPLEX64)), {"x": np.array([1j], np.complex64)})
    with pytest.raises(WrongShape, match=r"\[0,3\], which JSON cannot tell"):
        encode(signature(spec("x", FLOAT)), {"x": np.zeros((0, 3), np.float32)})


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"predictions": [1.5]}', "int64"),
        (b'{"predictions": [1, [2]]}', "'y'"),
        (b'{"answers": [1]}', "got the keys ['answers']"),
        (b"[1]", "not a JSON object"),
        (b"<html>", "not JSON"),
        (b"\xff", "not JSON"),
    ],
)
def test_answers_of_another_form(body, says):
    sig = signature(spec("x", FLOAT, OPEN), outputs=(spec("y", INT64, OPEN),))
    call = REST.predict(MODEL, sig, {"x": np.zeros(1, np.float32)})
    with pytest.raises(UnreadableAnswer) as error:
        call.read(Reply(200, body))
    assert says in str(error.value)


@pytest.mark.parametrize(
    "body", [b'{"predictions": [1, 2]}', b'{"predictions": [{"a": 1}]}', b'{"outputs": {"a": [1]}}', b'{"outputs": 5}']
)
def test_answers_with_other_outputs(body):
    sig = signature(spec("x"), outputs=(spec("a", INT64, OPEN), spec("b", INT64, OPEN)))
    with pytest.raises(UnreadableAnswer, match="expected the outputs 'a', 'b'"):
        json_tensors.decode(json.loads(body), sig)


SIGNATURES = {
    "serving_default": signature(
        spec("a", FLOAT, (None, 2)), spec("b", dtypes.from_number(101), ()), outputs=(spec("y", UINT64),)
    ),
    "other": signature(*(spec(each.name, each, (3,)) for each in (BOOL, DOUBLE, HALF, STRING)), name="other"),
}


def test_metadata_and_status_are_read_from_both():
    rest = REST.metadata(MODEL).read(Reply(200, model_json.metadata("m", 2, SIGNATURES)))
    grpc = GRPC.metadata(MODEL).read(Reply(0, models_proto.encode_metadata("m", 2, SIGNATURES)))
    assert rest == grpc
    assert (rest.model, rest.version) == ("m", 2)
    assert {name: dict(each.inputs) for name, each in rest.signatures.items()} == {
        name: dict(each.inputs) for name, each in SIGNATURES.items()
    }
    states = [
        VersionStatus(2, State.LOADING),
        VersionStatus(1, State.END, EngineError("Out of memory.", code=Code.RESOURCE_EXHAUSTED)),
    ]
    for read in (
        REST.status(MODEL).read(Reply(200, model_json.status(states))),
        GRPC.status(MODEL).read(Reply(0, models_proto.encode_status(states))),
    ):
        assert [(each.version, each.state) for each in read] == [(2, State.LOADING), (1, State.END)]
        assert read[0].error is None
        assert (read[1].error.code, str(read[1].error)) == (Code.RESOURCE_EXHAUSTED, "Out of memory.")


@pytest.mark.parametrize("call", [REST.metadata(MODEL), REST.status(MODEL), REST.classify(MODEL, "", b"")])
@pytest.mark.parametrize("body", [b"{}", b'{"results": [1], "model_version_status": [{}], "metadata": 5}'])
def test_other_documents_are_unreadable(call, body):
    with pytest.raises(UnreadableAnswer):
        call.read(Reply(200, body))


def test_unreadable_messages():
    with pytest.raises(UnreadableAnswer, match="not a GetModelStatusResponse"):
        GRPC.status(MODEL).read(Reply(0, b"\xff"))


@pytest.mark.parametrize(
    ("spec_", "path"),
    [
        (ModelSpec("m"), "/v1/models/m"),
        (ModelSpec("a b/é:c", version=3), "/v1/models/a%20b%2F%C3%A9%3Ac/versions/3"),
        (ModelSpec("m", label="new/er"), "/v1/models/m/labels/new%2Fer"),
    ],
)
def test_paths(spec_, path):
    assert REST.status(spec_).request.path == path
    assert models_proto.parse_metadata(GRPC.metadata(spec_).request.body) == spec_


# Examples


def test_examples_are_the_same_over_both():
    members = examples_json(
        [{"age": np.float32(1), "n": 2, "ok": True, "words": ["u", b"\xff"], "v": np.array([1.5, np.nan])}],
        {"of": "all"},
    )
    rest = json_examples.parse(REST.classify(MODEL, "s", members).request.body)
    grpc = examples_proto.parse(ClassificationRequest, GRPC.classify(MODEL, "s", members).request.body)
    assert rest.signature_name == grpc.signature_name == "s"
    assert len(rest.examples) == len(grpc.examples) == 1
    from unstuck.proto.wire.example_pb2 import Example

    read = Example.FromString(grpc.examples[0])
    assert read.SerializeToString(deterministic=True) == Example.FromString(rest.examples[0]).SerializeToString(
        deterministic=True
    )
    features = read.features.feature
    assert list(features["age"].float_list.value) == [1.0]
    assert list(features["ok"].int64_list.value) == [1]
    assert list(features["words"].bytes_list.value) == [b"u", b"\xff"]
    assert np.isnan(features["v"].float_list.value[1])
    assert list(features["of"].bytes_list.value) == [b"all"]


@pytest.mark.parametrize(
    ("examples", "kind"),
    [([], MalformedBody), ({"a": 1}, MalformedBody), ([1], MalformedBody), ([{"a": None}], WrongType),
     ([{"a": [[1]]}], WrongType), ([{"a": "\ud800"}], WrongType)],
)  # fmt: skip
def test_what_is_no_example(examples, kind):
    with pytest.raises(kind):
        examples_json(examples)


def test_classes_and_values_are_read_from_both():
    labels, scores = np.array([[b"u", b"v"]], object), np.array([[0.5, np.inf]], np.float32)
    source = Source("m", 1, "")
    rest, grpc = json_examples.encode_classes(labels, scores), examples_proto.encode_classes(source, labels, scores)
    assert REST.classify(MODEL, "", b"").read(Reply(200, rest)) == [[("u", 0.5), ("v", np.inf)]]
    assert GRPC.classify(MODEL, "", b'"examples":[{}]').read(Reply(0, grpc)) == [[("u", 0.5), ("v", np.inf)]]
    values = np.array([0.1, np.nan], np.float32)
    for wire, members, payload in (
        (REST, b"", json_examples.encode_values(values)),
        (GRPC, b'"examples":[{}]', examples_proto.encode_values(source, values)),
    ):
        read = wire.regress(MODEL, "", members).read(Reply(200, payload))
        assert read.dtype == np.float32
        np.testing.assert_array_equal(read, values)
