"""What versions will need, from their files alone: what counts, and what is not read."""

import sys

import pytest

from unstuck.engines.onnx.estimate import estimate as onnx_estimate
from unstuck.engines.tensorflow.estimate import estimate as tensorflow_estimate
from unstuck.engines.tflite.estimate import estimate as tflite_estimate
from unstuck.proto.wire.onnx_pb2 import ModelProto
from unstuck.proto.wire.saved_model_pb2 import SavedModel

MEBIBYTE = 1 << 20


@pytest.fixture(autouse=True)
def imported(monkeypatch):
    """The frameworks: what they take for themselves is not counted any more."""
    for name in ("tensorflow", "onnxruntime", "ai_edge_litert"):
        monkeypatch.setitem(sys.modules, name, object())


def sparse(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.truncate(size)


class SavedModels:
    def __init__(self, folder):
        self.folder = folder
        self.message = SavedModel()
        self.meta_graph = self.message.meta_graphs.add()
        self.nodes(1)

    def nodes(self, count):
        for number in range(count):
            self.meta_graph.graph_def.node.add(name=f"n{number}", op="NoOp")

    def estimate(self):
        (self.folder / "saved_model.pb").write_bytes(self.message.SerializeToString())
        found = tensorflow_estimate(self.folder)
        assert found is not None
        return found


@pytest.fixture
def saved_model(tmp_path):
    return SavedModels(tmp_path)


def test_variables_count_by_their_size(saved_model, tmp_path):
    before = saved_model.estimate()
    sparse(tmp_path / "variables" / "variables.data-00000-of-00001", 100 * MEBIBYTE)
    assert 100 * MEBIBYTE < saved_model.estimate() - before < 130 * MEBIBYTE


def test_nodes_count_those_of_functions_too(saved_model):
    before = saved_model.estimate()
    saved_model.nodes(100)
    for_nodes = saved_model.estimate() - before
    function = saved_model.meta_graph.graph_def.library.function.add()
    for number in range(100):
        function.node_def.add(name=f"n{number}", op="NoOp")
    assert saved_model.estimate() - before == 2 * for_nodes
    assert for_nodes > MEBIBYTE


def test_constants_count_many_times(saved_model):
    before = saved_model.estimate()
    node = saved_model.meta_graph.graph_def.node.add(name="c", op="Const")
    node.attr["value"].tensor.string_val.append(b"x" * MEBIBYTE)
    assert 15 * MEBIBYTE < saved_model.estimate() - before < 25 * MEBIBYTE


def test_first_calls_count_by_what_goes_in_and_out_of_the_largest_signature(saved_model):
    before = saved_model.estimate()
    for name, size in (("small", 10), ("large", 224)):
        signature = saved_model.meta_graph.signature_def[name]
        for tensors, sizes in ((signature.inputs, (-1, size, size, 3)), (signature.outputs, (-1, 1000))):
            for each in sizes:
                tensors["t"].tensor_shape.dim.add(size=each)
    taken = saved_model.estimate() - before
    assert 13 * 224 * 224 * 3 * 4 * 10 < taken < 13 * 224 * 224 * 3 * 4 * 50


def test_the_framework_counts_until_it_is_imported(saved_model, monkeypatch):
    warm = saved_model.estimate()
    monkeypatch.delitem(sys.modules, "tensorflow")
    assert saved_model.estimate() - warm > 200 * MEBIBYTE


@pytest.mark.parametrize("content", [None, b"", b"\xff" * 9, b"\x0f"], ids=repr)
def test_a_savedmodel_that_cannot_be_read_is_unknown(tmp_path, content):
    if content is not None:
        (tmp_path / "saved_model.pb").write_bytes(content)
    assert tensorflow_estimate(tmp_path) is None


def onnx_model(path, external=""):
    model = ModelProto(ir_version=8)
    value = model.graph.input.add(name="x")
    for size in (None, 100):
        dim = value.type.tensor_type.shape.dim.add()
        if size:
            dim.dim_value = size
    tensor = model.graph.initializer.add(name="w")
    if external:
        tensor.external_data.add(key="location", value=external)
        tensor.external_data.add(key="offset", value="0")
    path.write_bytes(model.SerializeToString())


def test_onnx_counts_its_file_and_those_beside_it(tmp_path):
    path = tmp_path / "model.onnx"
    onnx_model(path)
    before = onnx_estimate(tmp_path)
    assert before == onnx_estimate(path)
    sparse(tmp_path / "unrelated.bin", 50 * MEBIBYTE)
    assert onnx_estimate(tmp_path) == before
    sparse(tmp_path / "weights.bin", 100 * MEBIBYTE)
    onnx_model(path, "weights.bin")
    after = onnx_estimate(tmp_path)
    assert before
    assert after
    assert 200 * MEBIBYTE < after - before < 250 * MEBIBYTE


@pytest.mark.parametrize("external", ["missing.bin", "../../missing.bin"])
def test_weights_that_are_not_there_leave_it_unknown(tmp_path, external):
    onnx_model(tmp_path / "model.onnx", external)
    assert onnx_estimate(tmp_path) is None


@pytest.mark.parametrize("content", [None, b"", b"\xff" * 9])
def test_an_onnx_file_that_cannot_be_read_is_unknown(tmp_path, content):
    if content is not None:
        (tmp_path / "model.onnx").write_bytes(content)
    assert onnx_estimate(tmp_path) is None


@pytest.mark.parametrize("content", [None, b"", b"TFL3", b"\xff\xff\xff\xffTFL3" + b"\xff" * 99])
def test_a_tflite_file_that_cannot_be_read_is_unknown(tmp_path, content):
    if content is not None:
        (tmp_path / "model.tflite").write_bytes(content)
    assert tflite_estimate(tmp_path) is None
