"""The inside of an ONNX model: its nodes are named and linked, and what they compute can be fetched."""

from pathlib import Path

import numpy as np
import pytest

from unstuck.engines.onnx.tracing import TracedOnnx
from unstuck.errors import EngineError, LoadFailed
from unstuck.testing import onnx_models

pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")
NAME = "serving_default"


def test_every_tensor_between_input_and_output_can_be_fetched(tmp_path: Path):
    traced = TracedOnnx(onnx_models.half_plus_two(tmp_path / "half"))
    graph = traced.graph(NAME)
    assert [(node.op, node.inputs) for node in graph.nodes if node.inputs] == [
        ("Mul", ("x:0", "a:0")),
        ("AddV2", (graph.by_name["half"].tensors[0], "b:0")),
    ]
    x = np.array([[4.0], [6.0]], np.float32)
    half, a, y = traced.fetch(NAME, {"x": x}, ["half:0", "a:0", graph.outputs["y"]])
    assert half.tolist() == [[2.0], [3.0]]
    assert a.tolist() == [0.5]
    assert y.tolist() == [[4.0], [5.0]]
    traced.close()


def test_constants_need_no_inputs_and_results_do(tmp_path: Path):
    traced = TracedOnnx(onnx_models.half_plus_two(tmp_path / "half"))
    assert traced.fetch(NAME, {}, ["b:0"])[0].tolist() == [2.0]
    with pytest.raises(EngineError, match="nothing was given for x"):
        traced.fetch(NAME, {}, ["half:0"])
    with pytest.raises(LoadFailed, match="no signature 'other'"):
        traced.graph("other")


def test_weights_beside_the_file_are_read(tmp_path: Path):
    traced = TracedOnnx(onnx_models.external_weights(tmp_path / "beside"))
    weights = traced.weights(NAME)
    assert {name: values.shape for name, values in weights.items()} == {"w": (1000,)}
    assert weights["w"].tolist() == [1.0] * 1000


def test_strings_pass_as_bytes(tmp_path: Path):
    traced = TracedOnnx(onnx_models.multi_io(tmp_path / "multi"))
    rows = {"a": np.ones((1, 2), np.float32), "b": np.array([3]), "c": np.array([b"ab"], object)}
    shouted, more = traced.fetch(NAME, rows, [traced.graph(NAME).outputs["shouted"], "more:0"])
    assert shouted.tolist() == [b"AB"]
    assert more.tolist() == [b"x"]


def test_what_a_branch_takes_from_around_it_is_an_input_of_the_branch(tmp_path: Path):
    traced = TracedOnnx(onnx_models.noise(tmp_path / "noise"))
    branch = next(node for node in traced.graph(NAME).nodes if node.op == "If")
    assert branch.inputs == ("drawn:0", "x:0")


def test_values_that_are_no_tensors_are_left_out(tmp_path: Path):
    traced = TracedOnnx(onnx_models.label_and_map(tmp_path / "map"))
    graph = traced.graph(NAME)
    assert list(graph.outputs) == ["label"]
    assert [node.op for node in graph.nodes] == ["Placeholder", "ArgMax"]


def test_a_model_that_the_runtime_refuses_is_said_so(tmp_path: Path):
    with pytest.raises(LoadFailed, match="cannot be loaded by ONNX Runtime"):
        TracedOnnx(onnx_models.custom_op(tmp_path / "custom"))
