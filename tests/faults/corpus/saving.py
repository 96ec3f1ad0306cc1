"""Saves what the families are written in: Keras models, tf.Modules and TensorFlow 1 sessions."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

Edit = Callable[[Any], None]


def export(model: Any, base: Path, edit: Edit | None = None, version: int = 1) -> Path:
    """Saves a Keras model as ``model.export`` does, once ``edit`` had its way with it."""
    if edit:
        edit(model)
    folder = base / str(version)
    model.export(str(folder), verbose=False)
    return folder


def save_module(
    module: Any, base: Path, signatures: Mapping[str, tuple[Callable[..., Any], Sequence[Any]]], version: int = 1
) -> Path:
    """Saves a tf.Module; ``signatures`` are (function that returns outputs by name, its TensorSpecs) by name."""
    import tensorflow as tf

    functions = {
        name: tf.function(body, input_signature=list(specs)).get_concrete_function()
        for name, (body, specs) in signatures.items()
    }
    folder = base / str(version)
    tf.saved_model.save(module, str(folder), signatures=functions)
    return folder


def save_tf1(
    session: Any, base: Path, signatures: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]], version: int
) -> Path:
    """Saves a session's graph with TensorFlow 1's builder; ``signatures`` are (inputs, outputs) by name."""
    import tensorflow as tf

    v1 = tf.compat.v1
    folder = base / str(version)
    builder = v1.saved_model.Builder(str(folder))
    build = v1.saved_model.signature_def_utils.build_signature_def
    info = v1.saved_model.build_tensor_info
    defs = {
        name: build(
            {alias: info(tensor) for alias, tensor in inputs.items()},
            {alias: info(tensor) for alias, tensor in outputs.items()},
            "tensorflow/serving/predict",
        )
        for name, (inputs, outputs) in signatures.items()
    }
    tables = v1.tables_initializer()
    builder.add_meta_graph_and_variables(session, ["serve"], defs, main_op=tables)
    builder.save()
    return folder
