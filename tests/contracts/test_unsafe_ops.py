"""SavedModels that do more than compute are refused before anything of them runs; ordinary ones load."""

from dataclasses import replace

import pytest

from unstuck.core.signatures import DEFAULT_SIGNATURE
from unstuck.engines.onnx import ENGINE as ONNX
from unstuck.engines.preparing import loader
from unstuck.engines.tensorflow import ENGINE
from unstuck.engines.tensorflow.graph import read_meta_graph
from unstuck.engines.tensorflow.inspect import inspect
from unstuck.engines.tensorflow.unsafe import unsafe_nodes
from unstuck.errors import LoadFailed
from unstuck.pipeline import PLACE
from unstuck.testing import models, onnx_models
from unstuck.testing.saving import new_graph, save_tf2, signature_def

tf = pytest.importorskip("tensorflow")

TRUSTING = replace(ENGINE, allow_unsafe_ops=True)
TEXT = tf.TensorSpec([], tf.string, "text")
NUMBERS = tf.TensorSpec([None], tf.float32, "x")


def saved(folder, call, module=None, spec=TEXT):
    function = tf.function(call, input_signature=[spec])
    return save_tf2(tf, module or tf.Module(), folder / "m", 1, {DEFAULT_SIGNATURE: function})


def write(text):
    tf.io.write_file(text, "x")
    return {"y": text}


def python(text):
    return {"y": tf.py_function(lambda given: given, [text], tf.string)}


def numpy(text):
    return {"y": tf.numpy_function(lambda given: given, [text], tf.string)}


def read_what_the_client_says(text):
    return {"y": tf.io.read_file(text)}


def read_what_the_graph_says(text):
    return {"y": text + tf.io.read_file("/etc/hostname")}


def list_files(text):
    return {"y": tf.io.matching_files(text)}


def print_to_a_file(text):
    tf.print(text, output_stream="file:///tmp/printed")
    return {"y": text}


def in_a_branch(text):
    return {"y": tf.cond(tf.strings.length(text) > 3, lambda: tf.io.read_file("/etc/hostname"), lambda: text)}


def in_a_loop(text):
    return {
        "y": tf.while_loop(lambda each: tf.strings.length(each) < 9, lambda each: (tf.io.read_file(each),), (text,))[0]
    }


def lines_of_a_file(text):
    lines = tf.data.TextLineDataset("/etc/hostname")
    return {"y": lines.reduce(text, lambda before, line: before + line)}


def in_a_datasets_function(text):
    numbers = tf.data.Dataset.range(1).map(lambda _: tf.io.read_file("/etc/hostname"))
    return {"y": numbers.reduce(text, lambda before, line: before + line)}


def cached_in_a_file(text):
    numbers = tf.data.Dataset.range(1).map(lambda _: text).cache("/tmp/cached")
    return {"y": numbers.reduce(text, lambda before, line: before + line)}


def save_a_checkpoint(text):
    tf.raw_ops.SaveV2(prefix=text, tensor_names=["a"], shape_and_slices=[""], tensors=[tf.constant(1)])
    return {"y": text}


def restore_a_checkpoint(text):
    (value,) = tf.raw_ops.RestoreV2(prefix=text, tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.string])
    return {"y": value}


UNSAFE = [
    (write, "WriteFile", "writes files"),
    (python, "EagerPyFunc", "calls Python"),
    (numpy, "PyFunc", "calls Python"),
    (read_what_the_client_says, "ReadFile", "reads files of the server's machine: others than the model's assets"),
    (read_what_the_graph_says, "ReadFile", "reads files"),
    (list_files, "MatchingFiles", "reads files"),
    (print_to_a_file, "PrintV2", "writes files"),
    (in_a_branch, "ReadFile", "reads files"),
    (in_a_loop, "ReadFile", "reads files"),
    (lines_of_a_file, "TextLineDataset", "reads files"),
    (in_a_datasets_function, "ReadFile", "reads files"),
    (cached_in_a_file, "CacheDatasetV2", "writes files"),
    (save_a_checkpoint, "SaveV2", "writes files"),
    (restore_a_checkpoint, "RestoreV2", "reads files"),
]


QUICK = (write, python, read_what_the_client_says, print_to_a_file, in_a_datasets_function)


@pytest.mark.parametrize(
    ("call", "op", "does"),
    [pytest.param(*case, marks=[] if case[0] in QUICK else pytest.mark.slow, id=case[0].__name__) for case in UNSAFE],
)
def test_a_signature_that_does_harm_is_refused(tmp_path, call, op, does):
    path = saved(tmp_path, call)
    with pytest.raises(LoadFailed, match=rf"does more than compute: {op} \(node '[\w/]+'\) {does}") as caught:
        ENGINE.loader(path).load()
    assert f"is run by the signature {DEFAULT_SIGNATURE!r}." in caught.value.message
    assert "--allow_unsafe_ops" in caught.value.hint
    assert not caught.value.may_pass
    told = {each.op: each.warning for each in inspect(path, ["serve"]).ops}
    assert "only served with --allow_unsafe_ops" in told[op]
    trusting = TRUSTING.loader(path)
    assert DEFAULT_SIGNATURE in trusting.load().signatures
    trusting.unload()


def test_it_is_refused_before_it_can_do_any_harm(tmp_path):
    """By an op that runs when the model is loaded."""
    victim = tmp_path / "victim"
    with new_graph() as (v1, session):
        x = v1.compat.v1.placeholder(v1.float32, [None], "x")
        y = v1.identity(x + v1.compat.v1.get_variable("v", initializer=1.0, use_resource=False), "y")
        init = v1.raw_ops.WriteFile(filename=str(victim), contents="written")
        session.run(v1.compat.v1.global_variables_initializer())
        builder = v1.compat.v1.saved_model.Builder(str(tmp_path / "m"))
        signatures = {DEFAULT_SIGNATURE: signature_def(v1, {"x": x}, {"y": y})}
        builder.add_meta_graph_and_variables(session, ["serve"], signatures, main_op=init)
        builder.save()
    with pytest.raises(LoadFailed, match=r"WriteFile .* writes files .* is run by loading the model"):
        ENGINE.loader(tmp_path / "m").load()
    assert not victim.exists()
    trusting = TRUSTING.loader(tmp_path / "m")
    trusting.load()
    trusting.unload()
    assert victim.read_text() == "written"


def test_restoring_variables_may_not_do_harm_either(tmp_path):
    path = models.half_plus_two(tmp_path / "m")
    changed = saved_model(path)
    graph = changed.meta_graphs[0].graph_def
    graph.node.add(name="name", op="Const").attr["value"].tensor.string_val.append(b"/tmp/x")
    graph.node.add(name="harm", op="WriteFile", input=["name", "name"])
    restore = changed.meta_graphs[0].saver_def.restore_op_name
    next(node for node in graph.node if node.name == restore).input.append("^harm")
    (path / "saved_model.pb").write_bytes(changed.SerializeToString())
    with pytest.raises(LoadFailed, match=r"WriteFile \(node 'harm'\) .* is run by restoring its variables"):
        ENGINE.loader(path).load()


def saved_model(path):
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    return SavedModel.FromString((path / "saved_model.pb").read_bytes())


def test_a_table_may_be_filled_from_the_models_asset_and_from_no_other_file(tmp_path):
    path = models.vocabulary_lookup(tmp_path / "m")
    assert unsafe_nodes(read_meta_graph(path, ["serve"])) == []
    changed = saved_model(path)
    graph = changed.meta_graphs[0].graph_def
    (asset,) = changed.meta_graphs[0].asset_file_def
    assign = next(node for node in graph.node if node.op == "AssignVariableOp")
    graph.node.add(name="hosts", op="Const").attr["value"].tensor.string_val.append(b"/etc/hosts")
    assert assign.input[1] == asset.tensor_info.name.removesuffix(":0")
    assign.input[1] = "hosts"
    (path / "saved_model.pb").write_bytes(changed.SerializeToString())
    with pytest.raises(LoadFailed, match=r"InitializeTableFromTextFileV2 .* reads files"):
        ENGINE.loader(path).load()


def test_a_constant_that_is_called_an_asset_is_none_where_the_loader_does_not_feed_it(tmp_path):
    path = saved(tmp_path, read_what_the_graph_says)
    changed = saved_model(path)
    for meta_graph in changed.meta_graphs:
        for function in meta_graph.graph_def.library.function:
            for node in [each for each in function.node_def if each.op == "Const"]:
                meta_graph.asset_file_def.add(filename="x").tensor_info.name = f"{node.name}:0"
    assert [each.op for each in unsafe_nodes(changed.meta_graphs[0])] == ["ReadFile"]


def test_a_variable_that_something_else_writes_to_keeps_no_asset(tmp_path):
    path = models.asset_reader(tmp_path / "m")
    changed = saved_model(path)
    meta_graph = changed.meta_graphs[0]
    assert unsafe_nodes(meta_graph) == []
    graph = meta_graph.graph_def
    variable = next(node for node in graph.node if node.op == "VarHandleOp")
    graph.node.add(name="hosts", op="Const").attr["value"].tensor.string_val.append(b"/etc/hosts")
    graph.node.add(name="again", op="Identity", input=[variable.name])
    graph.node.add(name="write", op="AssignVariableOp", input=["again", "hosts"])
    next(node for node in graph.node if node.name == meta_graph.saver_def.restore_op_name).input.append("^write")
    assert [each.op for each in unsafe_nodes(meta_graph)] == ["ReadFile"]


def test_what_only_converters_run_is_looked_at_too(tmp_path):
    """TensorFlow 2's loader runs the functions of the objects, which no signature needs to reach."""
    path = models.vocabulary_lookup(tmp_path / "m")
    changed = saved_model(path)
    library = changed.meta_graphs[0].graph_def.library.function
    destroyer = next(each for each in library if "destroyer" in each.signature.name)
    destroyer.node_def.add(name="harm", op="WriteFile", input=["Const:output:0", "Const:output:0"])
    (found,) = unsafe_nodes(changed.meta_graphs[0])
    assert (found.op, found.run_by) == ("WriteFile", "loading the model")


def prints(text):
    tf.print(text)
    return {"y": text}


def cached_in_memory(text):
    numbers = tf.data.Dataset.range(1).map(lambda _: text).cache()
    return {"y": numbers.reduce(text, lambda before, line: before + line)}


@pytest.mark.parametrize("call", [prints, cached_in_memory])
def test_harmless_relatives_are_served(tmp_path, call):
    made = ENGINE.loader(saved(tmp_path, call))
    assert DEFAULT_SIGNATURE in made.load().signatures
    made.unload()


def test_the_models_of_our_tests_are_ordinary(tmp_path):
    for name, base_path in models.export_all(tmp_path).items():
        for file in base_path.glob("*/saved_model.pb"):
            assert unsafe_nodes(read_meta_graph(file.parent, ["serve"])) == [], name


PIPELINE = """
signatures:
  serving_default:
    raw: {text: {dtype: string}}
    python: {length: {function: "measure.py:length", from: text, dtype: float, shape: [1]}}
    inputs: {x: length}
"""
MEASURE = """
import numpy as np


def length(text):
    return np.array([[len(each)] for each in text], np.float32)
"""


@pytest.mark.parametrize(
    ("export", "engine"),
    [(models.half_plus_two, ENGINE), (onnx_models.half_plus_two, ONNX)],
    ids=["tensorflow", "onnx"],
)
def test_python_that_came_with_the_model_is_refused(tmp_path, export, engine):
    path = export(tmp_path / "m")
    (path / PLACE).parent.mkdir(parents=True)
    (path / PLACE).write_text(PIPELINE)
    harm = f"open({str(tmp_path / 'victim')!r}, 'w')\n"
    (path / PLACE).with_name("measure.py").write_text(MEASURE + harm)
    with pytest.raises(
        LoadFailed, match=r"came with the model and names the Python function 'measure\.py:length'"
    ) as caught:
        loader(engine, path, None).load()
    assert f"--pipeline_file={path / PLACE}" in caught.value.hint
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize("location", ["../../secret", "/etc/hostname"])
def test_weights_of_an_onnx_model_lie_in_its_folder(tmp_path, location):
    import onnx

    path = onnx_models.external_weights(tmp_path / "m") / "model.onnx"
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    path.write_bytes(model.SerializeToString())
    with pytest.raises(LoadFailed, match=f"weights are in {location}, which is outside of its folder"):
        ONNX.loader(path.parent).load()


def test_python_that_the_operator_names_is_run(tmp_path):
    path = onnx_models.half_plus_two(tmp_path / "m")
    (tmp_path / "pipeline.yaml").write_text(PIPELINE)
    (tmp_path / "measure.py").write_text(MEASURE)
    made = loader(ONNX, path, tmp_path / "pipeline.yaml", may_call_python=True)
    servable = made.load()
    assert "text" in servable.signatures[DEFAULT_SIGNATURE].inputs
    made.unload()
