"""Which model a message means, against tensorflow-serving-api's own ModelSpec."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorflow_serving.apis.model_pb2 import ModelSpec as OfficialSpec

from unstuck.codecs import model_spec_proto
from unstuck.core.models import ModelSpec
from unstuck.errors import Code, InvalidRequest, UnreadableMessage
from unstuck.proto.wire import model_pb2

NAMES = st.text(min_size=1, max_size=20)
VERSIONS = st.integers(-(2**63), 2**63 - 1)


def official(name="m", version=None, label=None, signature_name="") -> bytes:
    message = OfficialSpec(name=name, signature_name=signature_name)
    if version is not None:
        message.version.value = version
    if label is not None:
        message.version_label = label
    return message.SerializeToString()


def read(payload):
    return model_spec_proto.to_spec(model_spec_proto.read(model_pb2.ModelSpec, payload))


@given(NAMES, st.none() | VERSIONS, st.text(max_size=5))
def test_a_name_and_perhaps_a_version(name, version, signature_name):
    assert read(official(name, version, signature_name=signature_name)) == ModelSpec(name, version=version)


@given(NAMES, st.text(max_size=20))
def test_a_name_and_a_label(name, label):
    assert read(official(name, label=label)) == ModelSpec(name, label=label)


@pytest.mark.parametrize(("version", "label"), [(0, None), (None, "")])
def test_nought_and_the_empty_label_are_versions_asked_for(version, label):
    got = read(official(version=version, label=label))
    assert (got.version, got.label) == (version, label)
    assert got != ModelSpec("m")


def test_a_version_without_a_value_is_version_nought():
    message = OfficialSpec(name="m")
    message.version.SetInParent()
    assert read(message.SerializeToString()) == ModelSpec("m", version=0)


def test_of_a_version_and_a_label_the_one_sent_last_counts():
    version, label = official("", version=3), official("", label="stable")
    assert read(official() + version + label) == ModelSpec("m", label="stable")
    assert read(official() + label + version) == ModelSpec("m", version=3)


@pytest.mark.parametrize("fields", [{}, {"version": 1}, {"label": "stable"}])
def test_a_spec_without_a_name_is_refused_where_one_is_needed(fields):
    message = model_pb2.ModelSpec.FromString(official("", **fields))
    assert model_spec_proto.to_spec(message) == ModelSpec("", **fields)
    with pytest.raises(InvalidRequest, match="ModelSpec has no name specified") as caught:
        model_spec_proto.named(message)
    assert "model_spec.name" in caught.value.hint
    assert model_spec_proto.named(model_pb2.ModelSpec.FromString(official("m", **fields))) == ModelSpec("m", **fields)


def test_a_message_without_a_spec_is_refused():
    with pytest.raises(InvalidRequest, match="Missing ModelSpec") as caught:
        model_spec_proto.required(False)
    assert "model_spec.name" in caught.value.hint
    model_spec_proto.required(True)


@pytest.mark.parametrize(
    "payload",
    [b"\xff", b"text", b"\x0a", b"\x0a\x05m", b"\x0a\x01\xff", b"\x0a\x02\xc3(", b"\x12\x0b" + b"\xff" * 11],
    ids=repr,
)
def test_bytes_that_are_no_message_are_told_as_such(payload):
    with pytest.raises(
        UnreadableMessage, match=f"{len(payload)} bytes are not a tensorflow.serving.ModelSpec"
    ) as caught:
        model_spec_proto.read(model_pb2.ModelSpec, payload)
    assert caught.value.code is Code.INTERNAL


@given(NAMES, VERSIONS, st.text(max_size=20))
def test_what_is_written_has_the_official_bytes(name, version, signature_name):
    message = model_pb2.ModelSpec()
    model_spec_proto.fill(message, name, version, signature_name)
    assert message.SerializeToString() == official(name, version, signature_name=signature_name)


def test_without_a_signature_none_is_written():
    message = model_pb2.ModelSpec()
    model_spec_proto.fill(message, "m", 1)
    assert message.SerializeToString() == official(version=1)
