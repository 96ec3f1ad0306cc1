"""Variables that a SavedModel's signatures read, and that its own restore leaves out.

``tf.saved_model.save`` of a Keras 3 model, or of a ``tf.Module`` that holds one, writes such files: TensorFlow Serving
loads them, and every call fails with "Could not find variable" (keras-team/keras#19274, tensorflow/serving#2250). Their
values are in the checkpoint all the same, each with the variable's name.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from unstuck.engines.tensorflow.meta_graph import MetaGraph, Reach, node_name
from unstuck.engines.tensorflow.runtime import tf, trackable_object_graph_pb2
from unstuck.errors import LoadFailed

_OBJECTS = "_CHECKPOINTABLE_OBJECT_GRAPH"
_VALUE = "VARIABLE_VALUE"
_HINT = (
    "Export Keras 3 models with model.export(path). A tf.Module that holds one must track its variables itself: "
    "self.variables_of_model = [each.value for each in model.variables]."
)


def restore(session: Any, exported: MetaGraph, version_path: Path) -> None:
    """Gives the variables that were left out their values. In the session's graph.

    Raises:
        LoadFailed: the checkpoint has no value for one of them, or several.
    """
    suspects = _left_out(exported)
    # One run for all: each further one would hand the whole graph over again.
    checks = [tf.raw_ops.VarIsInitializedOp(resource=_handle(session, node.name)) for node in suspects]
    left_out = [node for node, has_value in zip(suspects, session.run(checks), strict=True) if not has_value]
    if not left_out:
        return
    prefix = str(version_path / "variables" / "variables")
    keys = _keys_by_name(prefix)
    unknown = sorted(_name(node) for node in left_out if len(keys.get(_name(node), ())) != 1)
    if unknown:
        raise LoadFailed(
            f"{version_path} reads variables that it does not restore: {', '.join(unknown)}. Every call would fail.",
            hint=_HINT,
        )
    session.run([_assign(session, node, prefix, keys[_name(node)][0]) for node in left_out])


def _left_out(exported: MetaGraph) -> list[Any]:
    """The handles that a signature reaches, and that nothing in the graph assigns."""
    assigned = {node_name(node.input[0]) for node in exported.graph_def.node if node.op == "AssignVariableOp"}
    reach = Reach(exported)
    reached: dict[str, Any] = {}
    for signature in exported.signature_def.values():
        for (body, name), node in reach.nodes(signature).items():
            if not body and node.op == "VarHandleOp" and name not in assigned:
                reached[name] = node
    return list(reached.values())


def _keys_by_name(prefix: str) -> Mapping[str, list[str]]:
    """Where the checkpoint keeps the values, by the names that the variables had."""
    objects = trackable_object_graph_pb2.TrackableObjectGraph()
    reader = tf.train.load_checkpoint(prefix)
    if reader.has_tensor(_OBJECTS):
        objects.ParseFromString(reader.get_tensor(_OBJECTS))
    keys: defaultdict[str, list[str]] = defaultdict(list)
    for attribute in _attributes(objects):
        if attribute.name == _VALUE:
            keys[attribute.full_name].append(attribute.checkpoint_key)
    return keys


def _attributes(objects: Any) -> Iterable[Any]:
    return (attribute for node in objects.nodes for attribute in node.attributes)


def _assign(session: Any, node: Any, prefix: str, key: str) -> Any:
    dtype = tf.as_dtype(node.attr["dtype"].type)
    (value,) = tf.raw_ops.RestoreV2(prefix=prefix, tensor_names=[key], shape_and_slices=[""], dtypes=[dtype])
    shape = tf.TensorShape(node.attr["shape"].shape)
    return tf.raw_ops.AssignVariableOp(resource=_handle(session, node.name), value=tf.ensure_shape(value, shape))


def _handle(session: Any, name: str) -> Any:
    return session.graph.get_tensor_by_name(f"{name}:0")


def _name(node: Any) -> str:
    return node.attr["shared_name"].s.decode() or node.name
