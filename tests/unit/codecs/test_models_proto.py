"""GetModelMetadata and GetModelStatus against tensorflow-serving-api's own messages, both ways."""

import pytest
from fakes import signature, spec
from google.protobuf.json_format import MessageToDict
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis.get_model_metadata_pb2 import (
    GetModelMetadataRequest,
    GetModelMetadataResponse,
    SignatureDefMap,
)
from tensorflow_serving.apis.get_model_status_pb2 import GetModelStatusRequest, GetModelStatusResponse

from unstuck.codecs import models_proto
from unstuck.core import dtypes
from unstuck.core.models import ModelSpec, State, VersionStatus
from unstuck.core.signatures import Signature, TensorSpec
from unstuck.errors import Code, EngineError, InvalidRequest, LoadFailed, UnreadableMessage

REQUESTS = {
    "metadata": (models_proto.parse_metadata, GetModelMetadataRequest, {"metadata_field": ["signature_def"]}),
    "status": (models_proto.parse_status, GetModelStatusRequest, {}),
}
BOTH = pytest.mark.parametrize("rpc", REQUESTS)


def asked(rpc, *, name="m", version=None, label=None, **fields):
    """What the bytes of an official request are read as."""
    parse, message_type, defaults = REQUESTS[rpc]
    message = message_type(**{**defaults, **fields})
    message.model_spec.name = name
    if version is not None:
        message.model_spec.version.value = version
    if label is not None:
        message.model_spec.version_label = label
    return parse(message.SerializeToString())


@BOTH
@pytest.mark.parametrize(
    ("fields", "want"),
    [
        ({}, ModelSpec("m")),
        ({"version": 3}, ModelSpec("m", version=3)),
        ({"version": 0}, ModelSpec("m", version=0)),
        ({"name": "größe"}, ModelSpec("größe")),
    ],
)
def test_a_request_says_which_model_it_means(rpc, fields, want):
    assert asked(rpc, **fields) == want


def test_a_label_names_a_version_of_the_metadata():
    assert asked("metadata", label="stable") == ModelSpec("m", label="stable")


@BOTH
def test_a_request_without_a_model_spec_is_refused(rpc):
    parse, message_type, defaults = REQUESTS[rpc]
    with pytest.raises(InvalidRequest, match="Missing ModelSpec"):
        parse(message_type(**defaults).SerializeToString())


def test_metadata_of_no_name_is_refused_and_a_status_is_looked_for():
    """TensorFlow Serving's GetModelStatus knows no rule about names: it finds no such model."""
    with pytest.raises(InvalidRequest, match="ModelSpec has no name"):
        asked("metadata", name="", version=1)
    assert asked("status", name="", version=1) == ModelSpec("", version=1)


@BOTH
@pytest.mark.parametrize("payload", [b"\xff", b"{}", b"\x0a\x03\x0a\x01\xff", b"\x0a\x02\x0a"])
def test_bytes_that_are_no_request_are_told_as_such(rpc, payload):
    parse, message_type, _ = REQUESTS[rpc]
    with pytest.raises(UnreadableMessage, match=f"not a tensorflow.serving.{message_type.__name__}"):
        parse(payload)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        ([], "must specify at least one metadata_field"),
        (["signature"], "Metadata field 'signature' is not supported. Ask for 'signature_def'."),
        (["signature_def", "labels"], "Metadata field 'labels' is not supported"),
        ([""], "Metadata field '' is not supported"),
    ],
)
def test_only_signatures_can_be_asked_for(names, says):
    with pytest.raises(InvalidRequest) as caught:
        asked("metadata", metadata_field=names)
    assert says in str(caught.value)


def test_they_may_be_asked_for_twice():
    assert asked("metadata", metadata_field=["signature_def"] * 2) == ModelSpec("m")


# Metadata


def metadata(signatures, version=7):
    """What official clients read: the whole message, and its signatures."""
    response = GetModelMetadataResponse.FromString(models_proto.encode_metadata("m", version, signatures))
    known = SignatureDefMap()
    assert list(response.metadata) == ["signature_def"]
    assert response.metadata["signature_def"].Unpack(known)
    return response, known.signature_def


@pytest.mark.parametrize("version", [0, 7, 2**63 - 1])
def test_metadata_says_which_version_it_is_of(version):
    response, known = metadata({}, version)
    assert (response.model_spec.name, response.model_spec.version.value) == ("m", version)
    assert response.model_spec.HasField("version")
    assert response.model_spec.signature_name == ""
    assert not known


@pytest.mark.parametrize(
    ("shape", "has_shape", "want"),
    [
        ((), True, {}),
        ((None,), True, {"dim": [{"size": "-1"}]}),
        ((3, None, 0), True, {"dim": [{"size": "3"}, {"size": "-1"}, {}]}),
        (None, True, {"unknown_rank": True}),
        (None, False, None),
    ],
    ids=["a scalar", "a row", "three dimensions", "of unknown rank", "without a shape"],
)
def test_a_shape_is_as_the_export_has_it(shape, has_shape, want):
    x = TensorSpec("x", "StatefulPartitionedCall:0", dtypes.INT64, shape, has_shape)
    _, known = metadata({"s": signature(x, outputs=(x,))})
    for info in (known["s"].inputs["x"], known["s"].outputs["x"]):
        assert (info.name, info.dtype) == ("StatefulPartitionedCall:0", 9)
        assert info.HasField("tensor_shape") == (want is not None)
        assert MessageToDict(info.tensor_shape, preserving_proto_field_name=True) == (want or {})


@pytest.mark.parametrize("number", [*range(1, 25), 0, 101, 107, 120])
def test_every_dtype_keeps_its_number(number):
    _, known = metadata({"s": signature(spec("x", dtypes.from_number(number)))})
    assert known["s"].inputs["x"].dtype == number


def test_every_signature_is_there_with_its_method_name():
    x, y = spec("x", dtypes.STRING), spec("größe")
    sigs = {
        "serving_default": signature(x, spec("b"), outputs=(y,)),
        "c": Signature("c", {"inputs": x}, {"scores": y}, method_name="tensorflow/serving/classify"),
        "": Signature("", {}, {}, method_name=""),
    }
    _, known = metadata(sigs)
    assert known.keys() == sigs.keys()
    for name, each in sigs.items():
        assert known[name].inputs.keys() == each.inputs.keys()
        assert known[name].outputs.keys() == each.outputs.keys()
        assert known[name].method_name == each.method_name


def test_defaults_are_told_as_they_were_exported():
    floats = TensorProto(dtype="DT_FLOAT", float_val=[0.1, float("inf"), -1e-45])
    floats.tensor_shape.dim.add(size=3)
    texts = TensorProto(dtype="DT_STRING", string_val=[b"\xff\0", b""])
    content = TensorProto(dtype="DT_INT64", tensor_content=b"\1" + bytes(7))
    exported = {"f": floats, "t": texts, "c": content}
    base = signature(spec("f"), spec("t", dtypes.STRING), spec("c", dtypes.INT64))
    defaults = {alias: tensor.SerializeToString() for alias, tensor in exported.items()}
    _, known = metadata({"s": Signature(base.name, base.inputs, base.outputs, defaults=defaults)})
    assert known["s"].defaults == exported


def test_the_largest_float_is_a_default_too():
    largest = TensorProto(dtype="DT_FLOAT", float_val=[3.4028234663852886e38])
    base = signature(spec("x"))
    default = largest.SerializeToString()
    _, known = metadata({"s": Signature(base.name, base.inputs, base.outputs, defaults={"x": default})})
    assert known["s"].defaults["x"] == largest


# Status


def test_status_lists_versions_newest_first_as_official_clients_read_it():
    versions = [
        VersionStatus(3, State.END, LoadFailed("it is broken", hint="mend it")),
        VersionStatus(2**63 - 1, State.AVAILABLE),
        VersionStatus(0, State.END, EngineError("größer", code=Code.RESOURCE_EXHAUSTED)),
        VersionStatus(10, State.LOADING),
    ]
    want = GetModelStatusResponse()
    for version, state, code, text in (
        (2**63 - 1, "AVAILABLE", "OK", ""),
        (10, "LOADING", "OK", ""),
        (3, "END", "FAILED_PRECONDITION", "it is broken mend it"),
        (0, "END", "RESOURCE_EXHAUSTED", "größer"),
    ):
        added = want.model_version_status.add(version=version, state=state)
        added.status.SetInParent()
        added.status.MergeFrom(type(added.status)(error_code=code, error_message=text))
    payload = models_proto.encode_status(versions)
    assert GetModelStatusResponse.FromString(payload) == want
    assert payload == want.SerializeToString()


@pytest.mark.parametrize("state", State, ids=lambda state: state.name)
def test_every_state_has_its_official_name(state):
    payload = models_proto.encode_status(iter([VersionStatus(1, state)]))
    (status,) = GetModelStatusResponse.FromString(payload).model_version_status
    assert type(status).State.Name(status.state) == state.name
    assert status.HasField("status"), "with the code OK"


@pytest.mark.parametrize("code", Code, ids=lambda code: code.name)
def test_every_code_has_its_official_name(code):
    status = VersionStatus(1, State.END, EngineError("gone", code=code))
    (official,) = GetModelStatusResponse.FromString(models_proto.encode_status([status])).model_version_status
    descriptor = official.status.DESCRIPTOR.fields_by_name["error_code"].enum_type
    assert descriptor.values_by_number[official.status.error_code].name == code.name


def test_no_versions_are_an_empty_message():
    assert models_proto.encode_status([]) == b""
