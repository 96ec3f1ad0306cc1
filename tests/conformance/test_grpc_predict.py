"""PredictionService.Predict through the official stubs: what TensorFlow Serving's own tests ask, and the refusals."""

from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from grpc_wire import (
    FIELDS,
    TIMEOUT_S,
    Case,
    Refusal,
    call,
    check_refusal,
    check_warning,
    example,
    params,
    predict,
    spec,
    tensor,
)
from tensorflow.core.framework.tensor_pb2 import TensorProto
from tensorflow_serving.apis.predict_pb2 import PredictRequest
from tensorflow_serving.apis.prediction_service_pb2_grpc import PredictionServiceStub

from unstuck.testing.models import DTYPES

HALF = "half_plus_two"
MATRIX = [float(number) for number in range(1, 10)]
HALVED = [value / 2 + 2 for value in MATRIX]
NAMES = "mapping/input-names"
TYPE = "preprocessing/wrong-type"
SHAPE = "mapping/wrong-shape"
TWO = example(x=2.0).SerializeToString()


def x(shape: list[int] | None, *values: float) -> TensorProto:
    return tensor("float", shape, *values)


ONE_ROW = x([1, 1], 2.0)
MULTI = {
    "a": tensor("float", [2, 2], 1, 2, 3, 4),
    "b": tensor("int64", [2], 10, 20),
    "c": tensor("string", [2], b"foo", b"bar"),
}
TOTAL = tensor("float", [2], 13, 27)
DOUBLED = tensor("int64", [2], 20, 40)
SHOUTED = tensor("string", [2], b"FOO", b"BAR")
PAIRS = tensor("string", [2, 2], b"foo", b"foo", b"bar", b"bar")

ANSWERED = [
    Case("a-row", predict(HALF, x=ONE_ROW), {"y": x([1, 1], 3)}),
    Case("rows", predict(HALF, x=x([3, 1], 1, 2, 5)), {"y": x([3, 1], 2.5, 3, 4.5)}),
    Case("no-rows", predict(HALF, x=x([0, 1])), {"y": x([0, 1])}),
    Case("the-default-signature-by-name", predict(HALF, "serving_default", x=ONE_ROW), {"y": x([1, 1], 3)}),
    Case("by-version", predict(spec(HALF, version=123), x=ONE_ROW), {"y": x([1, 1], 3)}),
    Case("the-newest-version", predict("two_versions", x=ONE_ROW), {"y": x([1, 1], 3)}),
    Case("a-name-with-reserved-characters", predict("a b+c/d:é", x=ONE_ROW), {"y": x([1, 1], 3)}, sources=("own",)),
    # TensorFlow Serving's own integration test sends [1] where [-1,1] is declared, its unit tests send [].
    Case("as-their-client-sends", predict(HALF, x=x([1], 2)), {"y": x([1], 3)}, ["'x'", "[1]", "[-1,1]"]),
    Case("as-their-unit-tests-send", predict(HALF, x=x([], 2)), {"y": x([], 3)}, ["'x'", "[]", "[-1,1]"]),
    Case("three-rows-of-rank-1", predict(HALF, x=x([3], 1, 2, 5)), {"y": x([3], 2.5, 3, 4.5)}, ["'x'", "[3]"]),
    Case("tf2", predict("half_plus_two_tf2", x=x([1], 2)), {"y": x([1], 3)}),
    Case("tf2-of-rank-0", predict("half_plus_two_tf2", x=x([], 2)), {"y": x([], 3)}, ["'x'", "[]", "[1]"]),
    Case("tf2-another-batch", predict("half_plus_two_tf2", x=x([2], 2, 4)), {"y": x([2], 3, 4)}, ["[2]", "[1]"]),
    Case("half-plus-three", predict("half_plus_three", x=x([], 2)), {"y": x([], 4)}),
    Case("any-shape-where-none-is-declared", predict("half_plus_three", x=x([1], 2)), {"y": x([1], 4)}),
    Case("a-regress-signature", predict(HALF, "regress_x2_to_y3", inputs=ONE_ROW), {"outputs": x([1, 1], 4)}),
    Case(
        *("a-classify-signature", predict(HALF, "classify_x2_to_y3", inputs=ONE_ROW), {"scores": x([1, 1], 4)}),
        sources=("own",),
    ),
    Case(
        "a-classify-signature-of-tf2",
        predict("half_plus_two_tf2", "classify_x2_to_y3", inputs=x([1], 2)),
        {"scores": x([1], 4)},
    ),
    *(
        Case(
            f"serialized-examples-for-{model}",
            predict(model, "regress_x_to_y", inputs=tensor("string", [2], TWO, TWO)),
            {"outputs": x([2, 1], 3, 3)},
        )
        for model in (HALF, "half_plus_two_tf2")
    ),
    Case("a-filter", predict(HALF, outputs=["y"], x=ONE_ROW), {"y": x([1, 1], 3)}),
    Case("a-filter-takes-one-of-many", predict("multi_io", outputs=["doubled"], **MULTI), {"doubled": DOUBLED}),
    Case(
        "a-filter-takes-two-of-many",
        predict("multi_io", outputs=["shouted", "total"], **MULTI),
        {"shouted": SHOUTED, "total": TOTAL},
    ),
    Case(
        "several-inputs-and-outputs",
        predict("multi_io", **MULTI),
        {"total": TOTAL, "doubled": DOUBLED, "shouted": SHOUTED, "pair_bytes": PAIRS},
    ),
    Case(
        "outputs-of-several-ranks",
        predict("multi_io", "with_scalar", **MULTI),
        {"total": TOTAL, "count": tensor("int32", [], 2)},
    ),
    Case("a-scalar-output", predict("scalar_output", x=x([3], 1, 2, 3)), {"total": x([], 6)}),
    Case("matrix-from-values", predict("matrix_half_plus_two", x=x([1, 3, 3], *MATRIX)), {"y": x([1, 3, 3], *HALVED)}),
    Case(
        "matrix-from-content",
        predict("matrix_half_plus_two", x=tensor("float", [1, 3, 3], content=np.array(MATRIX, "<f4").tobytes())),
        {"y": x([1, 3, 3], *HALVED)},
    ),
    Case(
        "a-short-list-is-repeated",
        predict("dtypes", x=x([2, 3], 1, 2)),
        {"y": x([2, 3], 1, 2, 2, 2, 2, 2)},
    ),
    Case("complex", predict("complex_output", x=x([2], 1, 2)), {"spectrum": tensor("complex64", [2], 1, 1, 2, 2)}),
    Case(
        "from-complex",
        predict("complex_output", "from_complex", x=tensor("complex64", [2], 1, 5, 2, 6)),
        {"real": x([2], 1, 2)},
    ),
    Case(
        "a-table",
        predict("vocabulary_lookup", words=tensor("string", [2], b"two", b"?")),
        {"ids": tensor("int64", [2], 2, -1)},
    ),
    Case("strict-and-as-declared", predict(HALF, x=ONE_ROW), {"y": x([1, 1], 3)}, server="strict"),
]
REFUSED = [
    Case("no-model-spec", PredictRequest(inputs={"x": ONE_ROW}), Refusal("INVALID_ARGUMENT", ["model_spec"])),
    Case("nothing", PredictRequest(), Refusal("INVALID_ARGUMENT", ["model_spec"])),
    Case("no-name", predict("", x=ONE_ROW), Refusal("INVALID_ARGUMENT", ["name"])),
    Case(
        "unknown-model",
        predict("half_plus_tow", x=ONE_ROW),
        Refusal("NOT_FOUND", ["half_plus_tow", HALF], hints=["half_plus_two"]),
        sources=("own", "tfs"),
    ),
    Case("unknown-version", predict(spec(HALF, version=7), x=ONE_ROW), Refusal("NOT_FOUND", [HALF, "7", "123"])),
    Case("version-0", predict(spec(HALF, version=0), x=ONE_ROW), Refusal("NOT_FOUND", [HALF, "0"])),
    Case("version-below-0", predict(spec(HALF, version=-1), x=ONE_ROW), Refusal("NOT_FOUND", [HALF, "-1"])),
    Case("a-version-not-loaded", predict(spec("two_versions", version=123), x=ONE_ROW), Refusal("NOT_FOUND", ["123"])),
    Case("unknown-label", predict(spec(HALF, label="st"), x=ONE_ROW), Refusal("INVALID_ARGUMENT", [HALF, "st"])),
    Case("unknown-label-and-model", predict(spec("m", label="st"), x=ONE_ROW), Refusal("INVALID_ARGUMENT", ["st"])),
    Case(
        "unknown-signature",
        predict(HALF, "regress_x_to_z", x=ONE_ROW),
        Refusal("FAILED_PRECONDITION", [HALF, "regress_x_to_z"], "mapping/wrong-signature", ["regress_x_to_y"]),
    ),
    Case(
        "no-default-signature",
        predict("counter"),
        Refusal("FAILED_PRECONDITION", ["counter", "serving_default", "incr_counter"], "mapping/wrong-signature"),
    ),
    Case("no-inputs", predict(HALF), Refusal("INVALID_ARGUMENT", [HALF, "serving_default", "'x'"], NAMES)),
    Case(
        "misnamed-input",
        predict(HALF, X=ONE_ROW),
        Refusal("INVALID_ARGUMENT", [HALF, "serving_default", "'x'", "'X'"], NAMES),
    ),
    Case(
        "misnamed-inputs",
        predict(HALF, unknown_key1=tensor("string", [1], b"v"), unknown_key2=x([1], 1)),
        Refusal("INVALID_ARGUMENT", ["'x'", "'unknown_key1'", "'unknown_key2'"], NAMES),
    ),
    Case("an-extra-input", predict(HALF, x=ONE_ROW, z=ONE_ROW), Refusal("INVALID_ARGUMENT", ["'z'", "'x'"], NAMES)),
    Case(
        "a-missing-input",
        predict("multi_io", a=MULTI["a"], c=MULTI["c"]),
        Refusal("INVALID_ARGUMENT", ["multi_io", "'b'"], NAMES),
    ),
    Case(
        "an-input-for-none",
        predict("counter", "get_counter", x=ONE_ROW),
        Refusal("INVALID_ARGUMENT", ["counter", "get_counter", "'x'"], NAMES),
    ),
    *(
        Case(
            f"{dtype}-for-float",
            predict(HALF, x=tensor(dtype, [1, 1], value)),
            Refusal("INVALID_ARGUMENT", [HALF, "serving_default", "'x'", "float", dtype], TYPE),
        )
        for dtype, value in {"string": b"v", "bool": True, "double": 2.0, "int32": 2, "int64": 2, "half": 1}.items()
    ),
    Case(
        "a-type-that-holds-no-values",
        predict(HALF, x=TensorProto(dtype="DT_QINT8", tensor_shape=ONE_ROW.tensor_shape)),
        Refusal("INVALID_ARGUMENT", [HALF, "'x'", "float", "qint8"]),
    ),
    Case(
        "a-reference-type",
        predict(HALF, x=TensorProto(dtype="DT_FLOAT_REF", tensor_shape=ONE_ROW.tensor_shape)),
        Refusal("INVALID_ARGUMENT", [HALF, "'x'", "float"]),
    ),
    Case("no-dtype", predict(HALF, x=TensorProto(float_val=[2])), Refusal("INVALID_ARGUMENT", ["'x'", "dtype"])),
    Case("too-wide", predict(HALF, x=x([1, 2], 1, 2)), Refusal("INVALID_ARGUMENT", ["'x'", "[-1,1]", "[1,2]"], SHAPE)),
    Case("too-deep", predict(HALF, x=x([1, 1, 1], 1)), Refusal("INVALID_ARGUMENT", ["[-1,1]", "[1,1,1]"], SHAPE)),
    Case(
        "another-row",
        predict("matrix_half_plus_two", x=x([1, 9], *MATRIX)),
        Refusal("INVALID_ARGUMENT", ["matrix_half_plus_two", "'x'", "[-1,3,3]", "[1,9]"], SHAPE),
    ),
    Case(
        "a-row-without-its-batch",
        predict("matrix_half_plus_two", x=x([3, 3], *MATRIX)),
        Refusal("INVALID_ARGUMENT", ["'x'", "[-1,3,3]", "[3,3]"], SHAPE),
    ),
    Case("too-many-values", predict(HALF, x=x([1, 1], 1, 2)), Refusal("INVALID_ARGUMENT", ["'x'", "[1,1]", "2"])),
    Case("no-shape", predict(HALF, x=x(None, 1)), Refusal("INVALID_ARGUMENT", ["'x'", "shape"])),
    Case("a-negative-size", predict(HALF, x=x([-1, 1], 1)), Refusal("INVALID_ARGUMENT", ["'x'", "[-1,1]"])),
    Case("huge-by-repeating", predict(HALF, x=x([1 << 40, 1], 1)), Refusal("INVALID_ARGUMENT", ["'x'"])),
    Case("beyond-64-bits", predict(HALF, x=x([1 << 62, 1 << 62], 1)), Refusal("INVALID_ARGUMENT", ["'x'"])),
    Case(
        "content-of-another-size",
        predict(HALF, x=tensor("float", [2, 1], content=bytes(7))),
        Refusal("INVALID_ARGUMENT", ["'x'", "[2,1]", "8", "7"]),
    ),
    Case(
        "values-in-another-field",
        predict(HALF, x=tensor("float", [1, 1], double_val=[2.0])),
        Refusal("INVALID_ARGUMENT", ["'x'", "float_val", "double_val"]),
    ),
    Case(
        "an-unknown-output",
        predict(HALF, outputs=["Y"], x=ONE_ROW),
        Refusal("INVALID_ARGUMENT", [HALF, "serving_default", "'Y'", "'y'"], hints=["'y'"]),
    ),
    Case("an-output-twice", predict(HALF, outputs=["y", "y"], x=ONE_ROW), Refusal("INVALID_ARGUMENT", ["'y'"])),
    Case(
        "no-example",
        predict(HALF, "regress_x_to_y", inputs=tensor("string", [1], b"no example")),
        Refusal("INVALID_ARGUMENT", [HALF, "regress_x_to_y", "parse"]),
    ),
    Case(
        "strict",
        predict(HALF, x=x([1], 2)),
        Refusal("INVALID_ARGUMENT", [HALF, "'x'", "[1]", "[-1,1]"]),
        server="strict",
    ),
]


@pytest.mark.parametrize(("case", "source"), params(ANSWERED))
def test_answered(case, source, channel_of, models_of):
    answer = call(channel_of(source, case.server), case.request)
    assert answer.error is None, answer.error.details()
    asked, got = case.request.model_spec, answer.message.model_spec
    newest = max(int(folder.name) for folder in models_of(source)[asked.name].iterdir())
    assert got == spec(asked.name, asked.signature_name or "serving_default", newest)
    assert dict(answer.message.outputs) == case.answer
    check_warning(answer, case.warns)


@pytest.mark.parametrize(("case", "source"), params(REFUSED))
def test_refused(case, source, channel_of):
    check_refusal(call(channel_of(source, case.server), case.request), case.answer)


@pytest.mark.parametrize("source", ["own", "tfs"])
def test_signatures_without_inputs_or_with_state(source, channel_of):
    """PredictionWithCustomizedSignatures of predict_impl_test.cc; a reference variable's dtype is answered as float."""

    def count(name: str, *outputs: str, **inputs: TensorProto) -> Mapping[str, TensorProto]:
        answer = call(channel_of(source), predict("counter", name, outputs=outputs, **inputs))
        assert answer.error is None, answer.error.details()
        assert answer.message.model_spec == spec("counter", name, 123)
        return dict(answer.message.outputs)

    assert count("reset_counter") == {"output": x([], 0)}
    assert count("get_counter") == {"output": x([], 0)}
    assert count("incr_counter") == {"output": x([], 1)}
    assert count("reset_counter") == {"output": x([], 0)}
    assert count("incr_counter", "output") == {"output": x([], 1)}
    assert count("incr_counter_by", delta=x([], 3)) == {"output": x([], 4)}
    assert count("get_counter") == {"output": x([], 4)}


# Every dtype in every encoding. Values are what the dtype's field holds: bits for half and bfloat16.


def numpy_of(dtype: str) -> Any:
    return np.dtype({"bfloat16": ml_dtypes.bfloat16, "string": object}.get(dtype, dtype))


def sample(dtype: str) -> list[Any]:
    kind = numpy_of(dtype)
    if dtype == "string":
        return [b"", b"\xff\x00bytes", "é模".encode()]
    if dtype == "bool":
        return [True, False, True]
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        return [int(limits.min), 1, int(limits.max)]
    return [1.5, -0.0, float("inf")] if kind.itemsize > 2 else np.array([1.5, -0.0, np.inf], kind).view("u2").tolist()


def content(dtype: str, values: list[Any]) -> bytes:
    if dtype == "string":  # the lengths, each below 128, then the bytes
        return bytes(map(len, values)) + b"".join(values)
    bits = numpy_of(dtype).itemsize == 2 and dtype in ("float16", "bfloat16")
    return np.array(values, "<u2" if bits else numpy_of(dtype)).tobytes()


PROTO_NAMES = {"float16": "half", "float32": "float", "float64": "double"}
ENCODINGS = ("values", "content", "scalar", "short", "zeros", "empty")


@pytest.mark.parametrize("server", ["plain", "content"])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_in_every_encoding(dtype, encoding, server, channel_of):
    values, name = sample(dtype), PROTO_NAMES.get(dtype, dtype)
    zero: Any = b"" if dtype == "string" else 0
    sent, want = {
        "values": (tensor(name, [3], *values), tensor(name, [3], *values)),
        "content": (tensor(name, [3], content=content(dtype, values)), tensor(name, [3], *values)),
        "scalar": (tensor(name, [], values[0]), tensor(name, [], values[0])),
        "short": (tensor(name, [2, 2], *values[:2]), tensor(name, [2, 2], *values[:2], values[1], values[1])),
        "zeros": (tensor(name, [2]), tensor(name, [2], zero, zero)),
        "empty": (tensor(name, [2, 0]), tensor(name, [2, 0])),
    }[encoding]
    answer = call(channel_of("own", server), predict("dtypes", dtype, x=sent))
    assert answer.error is None, answer.error.details()
    if server == "content" and dtype != "string":
        stored = list(getattr(want, FIELDS[name]))
        want = tensor(name, [dim.size for dim in want.tensor_shape.dim], content=content(dtype, stored))
    assert dict(answer.message.outputs) == {"y": want}


@pytest.mark.parametrize("rows", [1, 3, 200])
def test_a_network_answers_as_in_tensorflow(rows, channel_of, models_of):
    import tensorflow as tf

    model = tf.saved_model.load(str(models_of("own")["mlp"] / "1"))
    inputs = np.random.default_rng(rows).normal(size=(rows, 64)).astype(np.float32)
    answer = call(channel_of("own"), predict("mlp", x=tf.make_tensor_proto(inputs)))
    want = model.signatures["serving_default"](x=tf.constant(inputs))["logits"]
    np.testing.assert_allclose(tf.make_ndarray(answer.message.outputs["logits"]), want, rtol=0, atol=1e-5)


def test_a_request_tensorflow_makes_is_answered_with_what_it_reads(channel_of):
    import tensorflow as tf

    request = predict("multi_io", **{alias: tf.make_tensor_proto(tf.make_ndarray(MULTI[alias])) for alias in MULTI})
    answer = PredictionServiceStub(channel_of("own")).Predict(request, timeout=TIMEOUT_S)
    assert tf.make_ndarray(answer.outputs["pair_bytes"]).tolist() == [[b"foo", b"foo"], [b"bar", b"bar"]]
    assert tf.make_ndarray(answer.outputs["total"]).tolist() == [13.0, 27.0]
