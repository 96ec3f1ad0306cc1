import json

import pytest
from fakes import signature, spec

from unstuck.codecs import model_json
from unstuck.core import dtypes
from unstuck.core.models import State, VersionStatus
from unstuck.errors import LoadFailed


def test_status_lists_versions_newest_first_as_protobuf_writes_them():
    versions = [
        VersionStatus(3, State.END, LoadFailed("it is broken", hint="mend it")),
        VersionStatus(2**63 - 1, State.AVAILABLE),
        VersionStatus(10, State.LOADING),
    ]
    ok = {"error_code": "OK", "error_message": ""}
    broken = {"error_code": "FAILED_PRECONDITION", "error_message": "it is broken mend it"}
    assert json.loads(model_json.status(versions)) == {
        "model_version_status": [
            {"version": "9223372036854775807", "state": "AVAILABLE", "status": ok},
            {"version": "10", "state": "LOADING", "status": ok},
            {"version": "3", "state": "END", "status": broken},
        ]
    }


@pytest.mark.parametrize(
    ("shape", "tensor_shape"),
    [
        (None, {"dim": [], "unknown_rank": True}),
        ((), {"dim": [], "unknown_rank": False}),
        ((None, 3), {"dim": [{"size": "-1", "name": ""}, {"size": "3", "name": ""}], "unknown_rank": False}),
    ],
)
def test_metadata_describes_each_signature(shape, tensor_shape):
    sigs = {"s": signature(spec("x", dtypes.INT64, shape), outputs=(spec("y", dtypes.STRING, shape),), name="s")}

    def tensor(alias, dtype):
        return {"dtype": dtype, "tensor_shape": tensor_shape, "name": f"serving_default_{alias}:0"}

    assert json.loads(model_json.metadata("m", 7, sigs)) == {
        "model_spec": {"name": "m", "signature_name": "", "version": "7"},
        "metadata": {
            "signature_def": {
                "signature_def": {
                    "s": {
                        "inputs": {"x": tensor("x", "DT_INT64")},
                        "outputs": {"y": tensor("y", "DT_STRING")},
                        "method_name": "tensorflow/serving/predict",
                        "defaults": {},
                    }
                }
            }
        },
    }
