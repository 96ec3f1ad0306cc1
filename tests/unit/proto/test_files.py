"""Our minimal messages of model files have official fields, with their numbers and types; some are left out."""

import onnx
import pytest
from google.protobuf.descriptor import FieldDescriptor
from tensorflow.core.protobuf import saved_model_pb2 as tensorflow_saved_model

from unstuck.proto.wire import onnx_pb2, saved_model_pb2

# Declared empty here: what is inside is never read.
OPAQUE = {"OtherType", "TypeSpecProto", "ResourceHandleProto", "VariantTensorDataProto"}


def pairs(ours, official, seen=None):
    """Each of our messages below ``ours``, with the official one of the same field."""
    seen = {} if seen is None else seen
    if ours.full_name not in seen and ours.name not in OPAQUE:
        seen[ours.full_name] = (ours, official)
        for field in ours.fields:
            theirs = official.fields_by_name.get(field.name)
            if field.message_type and theirs is not None:
                pairs(field.message_type, theirs.message_type, seen)
    return list(seen.values())


PAIRS = [
    *pairs(onnx_pb2.ModelProto.DESCRIPTOR, onnx.ModelProto.DESCRIPTOR),
    *pairs(saved_model_pb2.SavedModel.DESCRIPTOR, tensorflow_saved_model.SavedModel.DESCRIPTOR),
]


@pytest.mark.parametrize(("ours", "official"), PAIRS, ids=lambda message: message.full_name)
def test_a_message_has_official_fields_only(ours, official):
    def described(field):
        kind = FieldDescriptor.TYPE_INT32 if field.type == FieldDescriptor.TYPE_ENUM else field.type
        return field.name, field.number, kind, field.is_repeated

    assert {described(field) for field in ours.fields} <= {described(field) for field in official.fields}


def test_both_formats_are_covered():
    assert {"unstuck.wire.onnx.NodeProto", "unstuck.wire.tensorflow.NodeDef"} <= {ours.full_name for ours, _ in PAIRS}
