"""Writes a SavedModel with its pipeline inside: any server of SavedModels then takes the raw inputs."""

import shutil
from pathlib import Path
from typing import Any

from unstuck.core.signatures import Signature
from unstuck.engines.tensorflow import graph, meta_graph, ops, pipeline
from unstuck.engines.tensorflow.runtime import loader_impl, tf
from unstuck.errors import LoadFailed, SetupError
from unstuck.pipeline.schema import Pipeline

INIT_OP = "__saved_model_init_op"  # TensorFlow 2's signature that names what a loader runs first; before, a collection
_INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")


def bake(version_path: Path, declared: Pipeline, folder: Path, out: Path, tags: tuple[str, ...] = ("serve",)) -> None:
    """Writes ``out``, a version folder: the model of ``version_path``, its signatures wrapped by the pipeline.

    Variables and assets are copied as they are; vocabularies become constants of the graph. TensorFlow 2's object graph
    is left out, as it knows nothing of the wrapped signatures: ``tf.saved_model.load`` still gives all signatures.

    Args:
        version_path: a SavedModel.
        declared: its pipeline.
        folder: where the files are that steps name.
        out: must not exist.
        tags: the meta graph's.

    Raises:
        SetupError: ``out`` exists.
        LoadFailed: the model cannot be loaded, or the pipeline does not fit it.
    """
    if out.exists():
        raise SetupError(f"{out} exists.", hint="Name a folder that does not exist: nothing is overwritten.")
    exported = graph.read_meta_graph(version_path, tags)
    ops.ensure_registered(meta_graph.op_names(exported), ())
    with tf.compat.v1.Session(graph=tf.Graph()) as session, session.graph.as_default():
        try:
            tf.compat.v1.saved_model.loader.load(session, list(tags), str(version_path))
        except Exception as error:
            raise LoadFailed(f"{version_path} cannot be loaded by TensorFlow {tf.__version__}: {error}") from error
        signatures, initializers = pipeline.wrap(session, meta_graph.signatures_of(exported), declared, folder)
        first = [session.graph.as_graph_element(name) for name in _init_ops(exported)]
        init = tf.group(*first, *initializers, name="unstuck_init") if first or initializers else None
        saved_model = loader_impl.parse_saved_model(str(version_path))
        for written in saved_model.meta_graphs:
            if sorted(written.meta_info_def.tags) == sorted(tags):
                _rewrite(written, session.graph, signatures, declared, init)
    shutil.copytree(
        version_path, out, ignore=shutil.ignore_patterns("saved_model.pb*", "fingerprint.pb", "assets.extra")
    )
    (out / "saved_model.pb").write_bytes(saved_model.SerializeToString())


def _rewrite(written: Any, tf_graph: Any, signatures: dict[str, Signature], declared: Pipeline, init: Any) -> None:
    written.graph_def.CopyFrom(tf_graph.as_graph_def())
    written.ClearField("object_graph_def")
    for name in declared.signatures:
        written.signature_def[name + pipeline.UNPREPARED].CopyFrom(written.signature_def[name])
        definition = written.signature_def[name]
        for infos, specs in (
            (definition.inputs, signatures[name].inputs),
            (definition.outputs, signatures[name].outputs),
        ):
            infos.clear()
            for alias, spec in specs.items():
                infos[alias].CopyFrom(
                    tf.compat.v1.saved_model.build_tensor_info(tf_graph.get_tensor_by_name(spec.name))
                )
        definition.method_name = signatures[name].method_name
        definition.defaults.clear()
    if init is not None:  # in a collection, as tf.saved_model.load would make a function of a signature, and fail
        written.signature_def.pop(INIT_OP, None)
        for collection in _INIT_COLLECTIONS:
            written.collection_def.pop(collection, None)
        written.collection_def[_INIT_COLLECTIONS[0]].node_list.value.append(init.name)


def _init_ops(exported: Any) -> list[str]:
    """The ops that a loader of the original runs first."""
    if INIT_OP in exported.signature_def:
        return [exported.signature_def[INIT_OP].outputs[INIT_OP].name]
    for collection in _INIT_COLLECTIONS:
        if collection in exported.collection_def:
            return list(exported.collection_def[collection].node_list.value)
    return []
