"""The REST answers about a model: its versions' status and its signatures.

Source: ToJsonString in tensorflow_serving/model_servers/http_rest_api_util.cc: protobuf's JSON mapping, with every
field printed and 64-bit integers as strings.
"""

from collections.abc import Iterable, Mapping

import orjson
from google.protobuf.json_format import MessageToDict

from unstuck.core.models import VersionStatus
from unstuck.core.signatures import Signature, TensorSpec
from unstuck.proto.wire.tensor_pb2 import TensorProto


def status(versions: Iterable[VersionStatus]) -> bytes:
    """GetModelStatusResponse of ``versions``, newest first."""
    return orjson.dumps(
        {
            "model_version_status": [
                {
                    "version": str(each.version),
                    "state": each.state.name,
                    "status": {
                        "error_code": "OK" if each.error is None else each.error.code.name,
                        "error_message": "" if each.error is None else str(each.error),
                    },
                }
                for each in sorted(versions, key=lambda each: each.version, reverse=True)
            ]
        },
        option=orjson.OPT_INDENT_2,
    )


def metadata(model: str, version: int, signatures: Mapping[str, Signature]) -> bytes:
    """GetModelMetadataResponse with the one metadata field that exists, ``signature_def``."""
    return orjson.dumps(
        {
            "model_spec": {"name": model, "signature_name": "", "version": str(version)},
            "metadata": {
                "signature_def": {"signature_def": {name: _signature(each) for name, each in signatures.items()}}
            },
        },
        option=orjson.OPT_INDENT_2,
    )


def _signature(signature: Signature) -> dict[str, object]:
    return {
        "inputs": {alias: _tensor(spec) for alias, spec in signature.inputs.items()},
        "outputs": {alias: _tensor(spec) for alias, spec in signature.outputs.items()},
        "method_name": signature.method_name,
        "defaults": {alias: _as_json(default) for alias, default in signature.defaults.items()},
    }


def _as_json(default: bytes) -> object:
    return MessageToDict(
        TensorProto.FromString(default), preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def _tensor(spec: TensorSpec) -> dict[str, object]:
    info: dict[str, object] = {"dtype": spec.dtype.proto_name}
    if spec.has_shape:
        sizes = [-1 if size is None else size for size in spec.shape or ()]
        dims = [{"size": str(size), "name": ""} for size in sizes]
        info["tensor_shape"] = {"dim": dims, "unknown_rank": spec.shape is None}
    return {**info, "name": spec.name}
