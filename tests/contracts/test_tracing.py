"""The inside of a SavedModel: what can be watched equals what the model answers, in every way of exporting it."""

import numpy as np
import pytest

from unstuck.engines.tensorflow.runtime import tf
from unstuck.engines.tensorflow.tracing import TracedSavedModel
from unstuck.errors import LoadFailed

ROWS = np.arange(16, dtype=np.int32).reshape(2, 8)


@pytest.fixture(scope="module")
def lstm(tmp_path_factory):
    import keras

    keras.utils.set_random_seed(0)
    ids = keras.Input((8,), dtype="int32", name="ids")
    inner = keras.layers.LSTM(6, name="reader")(keras.layers.Embedding(20, 8, name="words")(ids))
    model = keras.Model(ids, keras.layers.Dense(1, "sigmoid", name="head")(inner))
    folder = tmp_path_factory.mktemp("lstm") / "1"
    model.export(folder, verbose=False)
    return folder, model


@pytest.fixture
def traced():
    opened = []

    def trace(folder, **settings):
        opened.append(TracedSavedModel(folder, **settings))
        return opened[-1]

    yield trace
    for each in opened:
        each.close()


def nodes(graph, op):
    return [node for node in graph.nodes if node.op == op]


def test_the_inlined_graph_answers_as_the_model(lstm, traced):
    folder, model = lstm
    watched = traced(folder)
    graph = watched.graph("serving_default")
    (answer,) = watched.fetch("serving_default", {"ids": ROWS}, list(graph.outputs.values()))
    np.testing.assert_allclose(answer, model.predict(ROWS, verbose=0), rtol=1e-5)
    assert not [node for node in graph.nodes if "PartitionedCall" in node.op]


def test_layers_have_the_names_that_their_author_gave(lstm, traced):
    graph = traced(lstm[0]).graph("serving_default")
    assert {node.layer for node in nodes(graph, "MatMul")} == {"reader/lstm_cell", "head"}
    assert {node.layer for node in nodes(graph, "GatherV2")} >= {"words"}


def test_the_first_turns_of_a_loop_can_be_watched(lstm, traced):
    watched = traced(lstm[0])
    graph = watched.graph("serving_default")
    gates = [node for node in nodes(graph, "Sigmoid") if node.inside]
    assert len(gates) == 3 * 4  # three gates, four turns
    assert all(node.inside in graph.by_name for node in gates)
    values = watched.fetch("serving_default", {"ids": ROWS}, [node.tensors[0] for node in gates])
    assert all(value.shape == (2, 6) and (value > 0).all() and (value < 1).all() for value in values)


def test_weights_are_those_of_the_layers(lstm, traced):
    folder, model = lstm
    weights = traced(folder).weights("serving_default")
    (kernel,) = (value for name, value in weights.items() if "head/kernel" in name)
    np.testing.assert_array_equal(kernel, model.get_layer("head").kernel.numpy())
    assert {value.shape for value in weights.values()} >= {(20, 8), (6, 24), (8, 24)}


class Gathering(tf.Module):
    """A table that is gathered from by its handle, and never read whole."""

    def __init__(self):
        super().__init__()
        self.table = tf.Variable(tf.reshape(tf.range(12.0), (4, 3)), name="table")

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "ids")])
    def serve(self, ids):
        return {"y": tf.gather(self.table, ids)}


def test_a_table_that_is_only_gathered_from_is_a_weight(tmp_path, traced):
    module = Gathering()
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"serving_default": module.serve})
    weights = traced(tmp_path / "1").weights("serving_default")
    assert {name: values.shape for name, values in weights.items()} == {"table": (4, 3)}


class Branching(tf.Module):
    """Two inputs, of which one is not used; a branch; two outputs."""

    def __init__(self):
        super().__init__()
        self.scale = tf.Variable([2.0, 3.0], name="scale")
        keys, values = tf.constant(["a", "b"]), tf.constant([1, 2], tf.int64)
        self.table = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(keys, values), -1)

    @tf.function(
        input_signature=[
            tf.TensorSpec([None, 2], tf.float32, "x"),
            tf.TensorSpec([None], tf.string, "word"),
            tf.TensorSpec([None], tf.float32, "unused"),
        ]
    )
    def serve(self, x, word, unused):
        moved = tf.cond(tf.reduce_sum(x) > 0, lambda: x * self.scale, lambda: x - 1.0)
        return {"y": moved, "id": self.table.lookup(word)}


@pytest.fixture(scope="module")
def branching(tmp_path_factory):
    folder, module = tmp_path_factory.mktemp("branching") / "1", Branching()
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    return folder


INPUTS = {
    "x": np.array([[1, 2]], np.float32),
    "word": np.array([b"b"], object),
    "unused": np.array([0], np.float32),
}


def test_both_sides_of_a_branch_can_be_watched(branching, traced):
    watched = traced(branching)
    graph = watched.graph("serving_default")
    (times,), (minus,) = nodes(graph, "Mul"), nodes(graph, "Sub")
    assert times.inside == minus.inside != ""
    one, other = watched.fetch("serving_default", INPUTS, [times.tensors[0], minus.tensors[0]])
    np.testing.assert_array_equal(one, [[2, 6]])
    np.testing.assert_array_equal(other, [[0, 1]])


def test_each_output_depends_on_its_own_inputs(branching, traced):
    from unstuck.doctor.experiments.model_graph import reaches

    assert reaches(traced(branching).graph("serving_default")) == {"y": ["x"], "id": ["word"]}


def test_tables_are_read_as_they_stand_after_loading(branching, traced):
    (table,) = traced(branching).tables()
    assert (sorted(table.keys), table.size) == ([b"a", b"b"], 2)


def test_the_pipeline_beside_a_model_is_watched_with_it(branching, traced, tmp_path):
    pipeline = tmp_path / "pipeline.yaml"
    pipeline.write_text(
        "signatures: {serving_default: {raw: {a: {dtype: float}, b: {dtype: float}, word: {dtype: string}},"
        " inputs: {x: {concat: [b, a]}, word: word, unused: a}}}"
    )
    watched = traced(branching, pipeline_file=pipeline)
    graph = watched.graph("serving_default")
    row = {"a": np.array([2], np.float32), "b": np.array([1], np.float32), "word": np.array([b"b"], object)}
    (answer,) = watched.fetch("serving_default", row, [graph.outputs["y"]])
    np.testing.assert_array_equal(answer, [[2, 6]])
    assert set(graph.inputs) == {"a", "b", "word"}


def test_loops_of_tensorflow_1_are_walked_around(traced, tmp_path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        tf.compat.v1.disable_control_flow_v2()
        try:
            x = tf.compat.v1.placeholder(tf.float32, [None, 3], "x")
            _, y = tf.while_loop(lambda i, _: i < 5, lambda i, y: (i + 1, tf.tanh(y)), [tf.constant(0), x])
        finally:
            tf.compat.v1.enable_control_flow_v2()
        inputs, outputs = (
            {name: tf.compat.v1.saved_model.build_tensor_info(tensor)} for name, tensor in (("x", x), ("y", y))
        )
        definition = tf.compat.v1.saved_model.signature_def_utils.build_signature_def(inputs, outputs, "predict")
        builder = tf.compat.v1.saved_model.Builder(str(tmp_path / "1"))
        builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": definition})
        builder.save()
    watched = traced(tmp_path / "1")
    graph = watched.graph("serving_default")
    assert nodes(graph, "Tanh")[0].tensors == ()
    every = [tensor for node in graph.nodes for tensor in node.tensors]
    values = watched.fetch("serving_default", {"x": np.ones((1, 3), np.float32)}, every)
    assert len(values) == len(every)


def test_a_folder_that_is_no_model_is_said_to_be_none(tmp_path):
    with pytest.raises(LoadFailed, match=r"saved_model\.pb"):
        TracedSavedModel(tmp_path)
