"""What is particular to TensorFlow Lite models; what every engine does is in test_engines.py."""

import sys
import threading
import time

import numpy as np
import pytest

from unstuck.batching.proof import why_not_mergeable
from unstuck.core.signatures import narrowed
from unstuck.engines.tflite import ENGINE, TfLiteEngine
from unstuck.engines.tflite.servable import Pool
from unstuck.errors import Code, EngineError, LoadFailed, SetupError
from unstuck.proto.wire.example_pb2 import Example
from unstuck.testing import tflite_models

DEFAULT = "serving_default"


@pytest.fixture
def load(tmp_path):
    """``load(export)``: that model as a servable; unloaded afterwards."""
    loaders = []

    def servable_of(export, engine=ENGINE):
        loaders.append(engine.loader(export(tmp_path / f"{export.__name__}{len(loaders)}")))
        return loaders[-1].load()

    yield servable_of
    for loader in loaders:
        loader.unload()


def run(servable, name=DEFAULT, **inputs):
    return servable.run(servable.signatures[name], inputs)


def test_every_dtype_comes_back(load):
    servable = load(tflite_models.dtypes)
    signature = servable.signatures[DEFAULT]
    assert {alias[2:] for alias in signature.inputs} == {*tflite_models.DTYPES}
    for rows in (1, 3):
        inputs = {
            alias: np.full((rows, 2), b"a\0\xff" if spec.dtype.is_string else 1, spec.dtype.numpy)
            for alias, spec in signature.inputs.items()
        }
        outputs = servable.run(signature, inputs)
        for alias, x in inputs.items():
            y = outputs[alias.replace("x_", "y_")]
            assert y.dtype.num == x.dtype.num, "not only of equal values: JSON goes by the very type"
            assert (y.dtype, y.tolist()) == (x.dtype, x.tolist()), alias


def test_signatures_of_other_graphs_than_the_first(load):
    servable = load(tflite_models.two_signatures)
    assert [*servable.signatures] == ["double", "triple"]
    for rows in (1, 4, 2):
        x = np.arange(2 * rows, dtype=np.float32).reshape(rows, 2)
        assert run(servable, "triple", x=x)["y"].tolist() == (3 * x).tolist()
        assert run(servable, "double", x=x)["y"].tolist() == (2 * x).tolist()


def test_a_state_of_the_graph_begins_anew_with_each_call(load):
    """TensorFlow Serving keeps it, so that an answer depends on the calls before it."""
    servable = load(tflite_models.recurrent)
    x = np.array([[2]], np.float32)
    assert [run(servable, x=x)["y"].tolist() for _ in range(3)] == [[[2.0]]] * 3
    assert servable.stateless == {DEFAULT}


@pytest.mark.parametrize("export", [tflite_models.counter, tflite_models.noise], ids=lambda each: each.__name__)
def test_a_graph_that_writes_variables_or_draws_numbers_is_not_stateless(load, export):
    assert not load(export).stateless


def test_a_variable_is_shared_by_all_calls(load):
    servable = load(tflite_models.counter, TfLiteEngine(interpreters=4))
    one = np.array([1], np.float32)
    threads = [threading.Thread(target=lambda: [run(servable, by=one) for _ in range(25)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert run(servable, by=one)["count"].tolist() == [101.0]


def test_a_model_without_signatures_is_called_by_its_tensors_names(load, caplog):
    servable = load(tflite_models.recurrent)
    signature = servable.signatures[DEFAULT]
    assert ([*signature.inputs], [*signature.outputs]) == (["x"], ["y"])
    assert signature.method_name == "tensorflow/serving/predict"
    assert "has no signature; one is made of its tensors' names" in caplog.text


def test_a_batch_of_one_is_open_and_what_the_graph_cannot_take_is_told(load):
    servable = load(tflite_models.fixed_batch)
    signature = servable.signatures[DEFAULT]
    assert signature.inputs["x"].shape == (None, 4)
    assert signature.outputs["y"].shape == (None, 2, 2)
    with pytest.raises(EngineError) as caught:
        run(servable, x=np.zeros((2, 4), np.float32))
    assert caught.value.code is Code.INVALID_ARGUMENT
    came = "Inputs: 'x' declared float [-1,4], got [2,4]."
    assert caught.value.hint == f"{came} The model was converted with a batch of 1, and may take no other."
    assert run(servable, x=np.zeros((1, 4), np.float32))["y"].shape == (1, 2, 2)
    assert "could not be run" in why_not_mergeable(servable, signature)


def test_calls_are_merged_where_rows_do_not_meet(load):
    servable = load(tflite_models.half_plus_two)
    assert why_not_mergeable(servable, servable.signatures[DEFAULT]) == ""


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.zeros((1, 1), np.float64), "Got value of type FLOAT64 but expected type FLOAT32"),
        (np.full((1, 1), "text"), "expected type FLOAT32"),
    ],
    ids=["dtype", "text"],
)
def test_a_wrong_input_is_refused_in_one_line(load, x, says, capfd):
    servable = load(tflite_models.half_plus_two)
    capfd.readouterr()
    with pytest.raises(EngineError, match=says) as caught:
        run(servable, x=x)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_nothing_is_written_to_standard_error(load, capfd):
    run(load(tflite_models.half_plus_two), x=np.zeros((1, 1), np.float32))
    assert capfd.readouterr().err == ""


def empty(base_path):
    path = tflite_models.half_plus_two(base_path)
    (path / "model.tflite").write_bytes(b"")
    return path


def custom_op(base_path):
    path = tflite_models.flex(base_path)
    file = path / "model.tflite"
    file.write_bytes(file.read_bytes().replace(b"FlexStaticRegex", b"MineStaticRegex"))
    return path


@pytest.mark.parametrize(
    ("export", "says", "hint"),
    [
        (
            tflite_models.flex,
            "needs ops of TensorFlow, which LiteRT does not have: FlexStaticRegexReplace",
            "SavedModel",
        ),
        (custom_op, "cannot be loaded by LiteRT .*unresolved custom op: MineStaticRegexReplace", ""),
        (empty, "is not a TensorFlow Lite model: the file is empty, or of another format", ""),
    ],
)
def test_why_a_model_cannot_be_loaded(tmp_path, export, says, hint, capfd):
    path = export(tmp_path / "broken")
    capfd.readouterr()
    with pytest.raises(LoadFailed, match=says) as caught:
        ENGINE.loader(path).load()
    assert str(path / "model.tflite") in str(caught.value)
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_file_that_is_cut_off_anywhere_is_refused(tmp_path):
    path = tflite_models.multi_io(tmp_path / "m")
    file = path / "model.tflite"
    whole = file.read_bytes()
    for size in range(0, len(whole) - 1, 97):
        file.write_bytes(whole[:size])
        with pytest.raises(LoadFailed, match=str(path)):
            ENGINE.loader(path).load()


def test_it_may_be_a_file_by_itself(tmp_path):
    file = (tflite_models.half_plus_two(tmp_path / "m") / "model.tflite").rename(tmp_path / "any.tflite")
    assert ENGINE.recognises(file)
    assert not ENGINE.recognises(tmp_path / "missing.tflite")
    assert not ENGINE.recognises(tmp_path)
    loader = ENGINE.loader(file)
    assert [*loader.load().signatures] == [DEFAULT]
    loader.unload()


def test_how_to_install_its_runtime_is_said(tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("ai_edge_litert", "unstuck.engines.tflite."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    with pytest.raises(SetupError) as caught:
        ENGINE.loader(tmp_path / "model.tflite").load()
    assert caught.value.hint == 'Run: pip install "unstuck[tflite]"'


def test_inspecting_says_what_it_found(tmp_path):
    inspection = ENGINE.inspect(tflite_models.counter(tmp_path / "m"))
    assert inspection.format == "TensorFlow Lite model"
    warnings = {each.op: each.warning for each in inspection.ops}
    assert warnings["ASSIGN_VARIABLE"] == "changes a variable: a call may change what later ones get"
    assert warnings["ADD"] == ""
    assert "exported by" in inspection.facts


def example(**features):
    return Example(features={"feature": features}).SerializeToString()


def objects(*texts):
    array = np.empty(len(texts), object)
    array[:] = texts
    return array


X = {"float_list": {"value": [1, 2]}}


def test_tf_examples_are_parsed(load):
    servable = load(tflite_models.examples)
    signature = servable.signatures[DEFAULT]
    assert signature.takes_examples
    assert servable.stateless == {DEFAULT}
    inputs = objects(example(x=X), example(x=X, word={"bytes_list": {"value": [b"a\0"]}}, other=X))
    for _ in range(2):
        outputs = run(servable, inputs=inputs)
        assert outputs["y"].tolist() == [[2.0, 4.0]] * 2
        assert outputs["word"].tolist() == [[b"none"], [b"a\0"]]
    assert run(servable, inputs=inputs[:0])["y"].shape == (0, 2)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (b"\xff", "Row 1 is not a serialised tf.Example"),
        (b"", r"Row 1: the feature 'x' must have 2 values \(float\), and has 0"),
        (example(x={"float_list": {"value": [1]}}), "'x' must have 2 values .float., and has 1"),
        (example(x={"int64_list": {"value": [1, 2]}}), "'x' must be float, and is int64"),
    ],
    ids=["bytes", "missing", "too few", "another kind"],
)
def test_an_example_that_the_model_does_not_parse_is_refused(load, given, says):
    servable = load(tflite_models.examples)
    with pytest.raises(EngineError, match=says) as caught:
        run(servable, inputs=objects(example(x=X), given))
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert run(servable, inputs=objects(example(x=X)))["y"].tolist() == [[2.0, 4.0]]


def test_a_narrowed_signature_leaves_the_others_out(load):
    servable = load(tflite_models.multi_io)
    inputs = {"a": np.zeros((1, 2), np.float32), "b": np.arange(1), "c": np.array([b"x"], object)}
    outputs = servable.run(narrowed(servable.signatures[DEFAULT], ["doubled"]), inputs)
    assert {alias: array.tolist() for alias, array in outputs.items()} == {"doubled": [0]}


class SlowInterpreter:
    """Counts how many of its kind run at once."""

    running, most, made = 0, 0, 0
    lock = threading.Lock()

    def __init__(self):
        type(self).made += 1

    def run(self, entry, inputs, aliases):
        with self.lock:
            type(self).running += 1
            type(self).most = max(self.most, self.running)
        time.sleep(0.02)
        with self.lock:
            type(self).running -= 1
        if inputs.get("fail"):
            raise RuntimeError("refused")
        return {}


def test_a_pool_runs_as_many_at_once_as_it_may_and_makes_no_more(monkeypatch):
    for name in ("running", "most", "made"):
        monkeypatch.setattr(SlowInterpreter, name, 0)
    pool = Pool(SlowInterpreter, 3)
    for _ in range(5):
        pool.run(None, {}, [])
    assert SlowInterpreter.made == 1, "one is enough for calls one after the other"
    threads = [threading.Thread(target=pool.run, args=(None, {}, [])) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (SlowInterpreter.most, SlowInterpreter.made) == (3, 3)


def test_an_interpreter_that_failed_is_not_used_again():
    pool = Pool(SlowInterpreter, 1)
    before = SlowInterpreter.made
    for _ in range(2):
        with pytest.raises(RuntimeError):
            pool.run(None, {"fail": True}, [])
    pool.run(None, {}, [])
    assert SlowInterpreter.made == before + 2
