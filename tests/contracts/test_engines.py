"""Every engine passes the contract; and what is particular to one of them."""

import logging
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.register_assert_rewrite("unstuck.testing.engine_contract")

from unstuck.core import dtypes  # noqa: E402
from unstuck.core.signatures import narrowed  # noqa: E402
from unstuck.engines import installed  # noqa: E402
from unstuck.engines.onnx import ENGINE as ONNX  # noqa: E402
from unstuck.engines.tensorflow import ENGINE  # noqa: E402
from unstuck.engines.tflite import ENGINE as TFLITE  # noqa: E402
from unstuck.errors import Code, EngineError, LoadFailed, SetupError  # noqa: E402
from unstuck.proto.wire import example_pb2  # noqa: E402
from unstuck.testing import models, onnx_models, tflite_models  # noqa: E402
from unstuck.testing.engine_contract import EngineContract  # noqa: E402

EXAMPLE = example_pb2.Example(
    features={"feature": {"x": {"float_list": {"value": [2]}}, "x2": {"float_list": {"value": [3]}}}}
).SerializeToString()


class TestTensorFlow(EngineContract):
    engine = ENGINE
    framework = "tensorflow"
    # In half_plus_two, signatures share one input tensor; in half_plus_two_tf2, each has its own.
    one_input = (
        (models.half_plus_two, np.array([EXAMPLE, EXAMPLE], object)),
        (models.half_plus_two, np.array([[2], [3]], np.float32)),
        (models.half_plus_two_tf2, np.array([EXAMPLE, EXAMPLE], object)),
        (models.half_plus_two_tf2, np.array([2], np.float32)),
    )

    @classmethod
    def export(cls, base_path: Path) -> Path:
        return models.multi_io(base_path)

    @classmethod
    def break_model(cls, version_path: Path) -> None:
        pb = version_path / "saved_model.pb"
        pb.write_bytes(pb.read_bytes()[:100])


class TestOnnx(EngineContract):
    engine = ONNX
    framework = "onnxruntime"
    one_input = ((onnx_models.half_plus_two, np.array([[2], [3]], np.float32)),)

    @classmethod
    def export(cls, base_path: Path) -> Path:
        return onnx_models.multi_io(base_path)

    @classmethod
    def break_model(cls, version_path: Path) -> None:
        file = version_path / "model.onnx"
        file.write_bytes(file.read_bytes()[:100])

    def test_strings_are_any_bytes(self, servable, signature):
        """ONNX's strings are text: any UTF-8 goes through as it is, and other bytes are refused, never replaced."""
        texts = [b"", b"\0", b"a\0b\0", "é😀".encode(), b"b'x'", b"x" * 100_000]
        inputs = {"a": np.zeros((6, 2), np.float32), "b": np.zeros(6, np.int64), "c": np.array(texts, object)}
        outputs = servable.run(signature, inputs)
        assert outputs["pair_bytes"].tolist() == [[text, text] for text in texts]
        with pytest.raises(EngineError, match=r"'c' holds bytes that are not UTF-8 \(b'.xff'\)") as caught:
            servable.run(signature, {**inputs, "c": np.array([b"\xff"] * 6, object)})
        assert caught.value.code is Code.INVALID_ARGUMENT


class TestTfLite(EngineContract):
    engine = TFLITE
    framework = "ai_edge_litert"
    one_input = (
        (tflite_models.half_plus_two, np.array([[2], [3]], np.float32)),
        (tflite_models.two_signatures, np.array([[2, 3]], np.float32)),
    )
    shout = bytes  # TensorFlow Lite has no op that puts text into capitals

    @classmethod
    def export(cls, base_path: Path) -> Path:
        return tflite_models.multi_io(base_path)

    @classmethod
    def break_model(cls, version_path: Path) -> None:
        file = version_path / "model.tflite"
        file.write_bytes(file.read_bytes()[:100])


def test_every_installed_engine_is_tested_here():
    tested = {each.engine.platform for each in EngineContract.__subclasses__()}
    assert {engine.platform for engine in installed()} == tested


@pytest.mark.parametrize("contract", EngineContract.__subclasses__())
def test_inspecting_finds_the_signatures_that_loading_does(contract, tmp_path):
    path = contract.export(tmp_path / "m")
    loader = contract.engine.loader(path)
    loaded = {name: each for name, each in loader.load().signatures.items() if each.inputs}
    assert contract.engine.inspect(path).signatures == loaded
    loader.unload()
    contract.break_model(path)
    with pytest.raises(LoadFailed):
        contract.engine.inspect(path)


@pytest.fixture
def load(tmp_path):
    """``load(export)``: that model of ``unstuck.testing.models`` as a servable; unloaded afterwards."""
    loaders = []

    def servable_of(export):
        engine = ONNX if export.__module__ == onnx_models.__name__ else ENGINE
        loaders.append(engine.loader(export(tmp_path / export.__name__)))
        return loaders[-1].load()

    yield servable_of
    for loader in loaders:
        loader.unload()


def test_tensorflow_gives_every_dtype_back(load):
    servable = load(models.dtypes)
    for name in models.DTYPES:
        signature = servable.signatures[name]
        dtype = signature.inputs["x"].dtype
        for shape in ((), (0,), (3,), (2, 2)):
            x = np.full(shape, b"a\0\xff" if dtype is dtypes.STRING else 1, dtype.numpy)
            y = servable.run(signature, {"x": x})["y"]
            assert (y.dtype, y.shape, y.tolist()) == (x.dtype, shape, x.tolist()), name


@pytest.mark.parametrize(
    ("export", "stateful"),
    [
        (models.mlp, set()),
        (models.vocabulary_lookup, set()),
        (models.half_plus_two, set()),
        (models.half_plus_two_tf2, set()),
        (models.counter, {"incr_counter", "incr_counter_by", "reset_counter"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_tensorflow_tells_signatures_that_change_state(load, export, stateful):
    servable = load(export)
    assert servable.signatures.keys() - servable.stateless - {"__saved_model_init_op"} == stateful


def test_tensorflow_keeps_the_state_of_a_model_apart_from_anothers(tmp_path):
    path = models.counter(tmp_path / "counter")
    first, second = (ENGINE.loader(path) for _ in range(2))
    one, two = first.load(), second.load()

    def count(servable, name="get_counter"):
        return float(servable.run(servable.signatures[name], {})["output"])

    assert [count(one, "incr_counter"), count(one, "incr_counter"), count(two), count(one)] == [1, 2, 0, 2]
    first.unload()
    second.unload()


@pytest.mark.parametrize(("text", "code"), [("not a tf.Example", Code.INVALID_ARGUMENT)], ids=["INVALID_ARGUMENT"])
def test_tensorflow_says_which_op_failed_and_what_came(load, text, code):
    servable = load(models.half_plus_two)
    signature = servable.signatures["classify_x_to_y"]
    with pytest.raises(EngineError, match="Could not parse example input") as caught:
        servable.run(signature, {"inputs": np.array([text.encode()], object)})
    assert caught.value.code is code
    assert caught.value.hint == "Inputs: 'inputs' declared string [?], got [1]."


@pytest.mark.parametrize("value", [1, 1.5, True, "text"], ids=repr)
def test_tensorflow_refuses_an_input_of_another_dtype(load, value):
    """Codecs give the spec's dtype; whatever else comes is the framework's to refuse, in our words."""
    servable = load(models.mlp)
    with pytest.raises(EngineError) as caught:
        servable.run(servable.signatures["serving_default"], {"x": np.full((1, 64), value)})
    assert caught.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize("export", [onnx_models.dtypes, onnx_models.bfloat16], ids=lambda export: export.__name__)
def test_onnx_gives_every_dtype_back(load, export):
    servable = load(export)
    signature = servable.signatures["serving_default"]
    for alias, spec in signature.inputs.items():
        assert spec.dtype.proto_name == f"DT_{onnx_models.DTYPES[alias[2:]].replace('FLOAT16', 'HALF')}".replace(
            "BHALF", "BFLOAT16"
        )
    for shape in ((), (0,), (3,), (2, 2)):
        inputs = {
            alias: np.full(shape, b"a\0b" if spec.dtype is dtypes.STRING else 1, spec.dtype.numpy)
            for alias, spec in signature.inputs.items()
        }
        outputs = servable.run(signature, inputs)
        for alias, x in inputs.items():
            y = outputs[alias.replace("x_", "y_")]
            assert y.dtype.num == x.dtype.num, "not only of equal values: JSON goes by the very type"
            assert (y.dtype, y.shape, y.tolist()) == (x.dtype, shape, x.tolist()), alias


def test_onnx_initializers_are_no_inputs_and_shapes_are_as_exported(load):
    servable = load(onnx_models.half_plus_two)
    signature = servable.signatures["serving_default"]
    assert [(spec.alias, spec.name, spec.shape) for spec in signature.inputs.values()] == [("x", "x", (None, 1))]
    assert signature.method_name == "tensorflow/serving/predict"
    assert servable.run(signature, {"x": np.array([[2]], np.float32)})["y"].tolist() == [[3]]
    unknown = load(onnx_models.multi_io).signatures["serving_default"].outputs["total"]
    assert (unknown.shape, unknown.has_shape) == (None, False)


def test_onnx_computes_only_what_is_asked_for(load):
    """Without ``total``, unequal lengths of ``a`` and ``b`` do no harm."""
    servable = load(onnx_models.multi_io)
    signature = narrowed(servable.signatures["serving_default"], ["shouted", "doubled"])
    inputs = {"a": np.zeros((1, 2), np.float32), "b": np.arange(3), "c": np.array([b"x"], object)}
    outputs = servable.run(signature, inputs)
    assert {alias: array.tolist() for alias, array in outputs.items()} == {"shouted": [b"X"], "doubled": [0, 2, 4]}


def test_onnx_tells_that_a_graph_draws_random_numbers(load):
    assert not load(onnx_models.noise).stateless


def test_onnx_leaves_out_what_no_answer_can_hold_and_says_so(load, caplog):
    with caplog.at_level(logging.WARNING):
        servable = load(onnx_models.label_and_map)
    signature = servable.signatures["serving_default"]
    assert servable.run(signature, {"x": np.array([[1, 2]], np.float32)})["label"].tolist() == [1]
    assert [*signature.outputs] == ["label"]
    assert "'probabilities' is a sequence and left out of answers. For scikit-learn" in caplog.text


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (np.zeros((1, 2), np.float32), "Got invalid dimensions for input: x"),
        (np.zeros(1, np.float32), "Invalid rank for input: x"),
        (np.zeros((1, 1), np.float64), "Unexpected input data type"),
        (np.full((1, 1), "text"), "ONNX Runtime failed"),
    ],
    ids=["shape", "rank", "dtype", "text"],
)
def test_onnx_refuses_wrong_inputs_in_one_line(load, inputs, says, capfd):
    servable = load(onnx_models.half_plus_two)
    with pytest.raises(EngineError, match=says) as caught:
        servable.run(servable.signatures["serving_default"], {"x": inputs})
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert "'x' declared float [-1,1], got" in caught.value.hint
    assert "\n" not in str(caught.value)
    assert "onnxruntime_src" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def without_weights(base_path):
    path = onnx_models.external_weights(base_path)
    (path / "weights.bin").unlink()
    return path


def empty(base_path):
    path = onnx_models.half_plus_two(base_path)
    (path / "model.onnx").write_bytes(b"")
    return path


@pytest.mark.parametrize(
    ("export", "says", "hint"),
    [
        (onnx_models.custom_op, "cannot be loaded by ONNX Runtime .*Foo", "custom one: export the model with standard"),
        (onnx_models.future_opset, "Opset 999", "pip install -U onnxruntime, or export the model with an older opset."),
        (without_weights, r"keeps its weights in weights\.bin, which is not in /", "Copy it there"),
        (onnx_models.strings_and_bfloat16, "has strings and bfloat16, which ONNX Runtime cannot pass in one call", ""),
        (empty, "holds no ONNX graph: the file is empty", ""),
    ],
)
def test_onnx_says_why_a_model_cannot_be_loaded(tmp_path, export, says, hint, capfd):
    path = export(tmp_path / "broken")
    with pytest.raises(LoadFailed, match=says) as caught:
        ONNX.loader(path).load()
    assert str(path / "model.onnx") in str(caught.value)
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)
    assert "onnxruntime_src" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_onnx_reads_weights_beside_the_model(load):
    servable = load(onnx_models.external_weights)
    y = servable.run(servable.signatures["serving_default"], {"x": np.ones(1000, np.float32)})["y"]
    assert set(y.tolist()) == {2.0}


def test_onnx_may_be_a_file_by_itself(tmp_path):
    file = (onnx_models.half_plus_two(tmp_path / "m") / "model.onnx").rename(tmp_path / "any.onnx")
    assert ONNX.recognises(file)
    assert not ONNX.recognises(tmp_path / "missing.onnx")
    assert not ONNX.recognises(tmp_path)
    loader = ONNX.loader(file)
    assert [*loader.load().signatures] == ["serving_default"]
    loader.unload()


def test_onnx_says_how_to_install_its_runtime(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("onnxruntime", "unstuck.engines.onnx."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SetupError) as caught:
        ONNX.loader(tmp_path / "model.onnx").load()
    assert caught.value.hint == 'Run: pip install "unstuck[onnx]"'
