"""Writes a SavedModel with its pipeline inside: any server of SavedModels then takes the raw inputs."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from unstuck.core.signatures import Signature
from unstuck.engines.tensorflow import graph, meta_graph, ops, pipeline, unsafe
from unstuck.engines.tensorflow.files import ASSETS, NewAssets
from unstuck.engines.tensorflow.runtime import loader_impl, tf
from unstuck.errors import LoadFailed, SetupError
from unstuck.pipeline.checks import UNPREPARED, place
from unstuck.pipeline.document import PipelineError
from unstuck.pipeline.schema import Pipeline

INIT_OP = "__saved_model_init_op"  # TensorFlow 2's signature that names what a loader runs first; before, a collection
_INIT_COLLECTIONS = ("saved_model_main_op", "legacy_init_op")
_ASSETS_COLLECTION = "saved_model_assets"  # of old models, which loaders read only where there is no asset_file_def


def bake(
    version_path: Path,
    declared: Pipeline,
    folder: Path,
    out: Path,
    tags: tuple[str, ...] = ("serve",),
    *,
    allow_unsafe_ops: bool = False,
) -> None:
    """Writes ``out``, a version folder: the model of ``version_path``, its signatures wrapped by the pipeline.

    Variables and assets are copied as they are; vocabularies become assets beside them. TensorFlow 2's object graph is
    left out, as it knows nothing of the wrapped signatures: ``tf.saved_model.load`` still gives all signatures.

    Args:
        version_path: a SavedModel.
        declared: its pipeline.
        folder: where the files are that steps name.
        out: must not exist.
        tags: the meta graph's.
        allow_unsafe_ops: bake models that do more than compute: see ``unsafe``.

    Raises:
        SetupError: ``out`` exists.
        LoadFailed: the model does more than compute or cannot be loaded, or the pipeline does not fit it.
    """
    if out.exists():
        raise SetupError(f"{out} exists.", hint="Name a folder that does not exist: nothing is overwritten.")
    _check_bakeable(declared)
    exported = graph.read_meta_graph(version_path, tags)
    if not allow_unsafe_ops:
        unsafe.check(exported, version_path)
    ops.ensure_registered(meta_graph.op_names(exported), ())
    with tf.compat.v1.Session(graph=tf.Graph()) as session, session.graph.as_default():
        try:
            tf.compat.v1.saved_model.loader.load(session, list(tags), str(version_path))
        except Exception as error:
            raise LoadFailed(f"{version_path} cannot be loaded by TensorFlow {tf.__version__}: {error}") from error
        files = NewAssets(folder, version_path / ASSETS)
        signatures, initializers = pipeline.wrap(session, meta_graph.signatures_of(exported), declared, files)
        first = [session.graph.as_graph_element(name) for name in _init_ops(exported)]
        init = tf.group(*first, *initializers, name="unstuck_init") if first or initializers else None
        saved_model = loader_impl.parse_saved_model(str(version_path))
        for written in saved_model.meta_graphs:
            if sorted(written.meta_info_def.tags) == sorted(tags):
                rewrite(written, session.graph, signatures, declared, init)
                _add_assets(written, files.names)
    shutil.copytree(
        version_path, out, ignore=shutil.ignore_patterns("saved_model.pb*", "fingerprint.pb", "assets.extra")
    )
    for name, content in files.contents.items():
        (out / ASSETS).mkdir(exist_ok=True)
        (out / ASSETS / name).write_bytes(content)
    (out / "saved_model.pb").write_bytes(saved_model.SerializeToString())


def _check_bakeable(declared: Pipeline) -> None:
    for name, each in declared.signatures.items():
        if each.python:
            raise PipelineError(
                f"{place(name)} python.{next(iter(each.python))}: it runs in Python, and a SavedModel has ops alone.",
                hint="Serve the model with this pipeline, or do it by steps under inputs, which are ops.",
            )


def rewrite(written: Any, tf_graph: Any, signatures: Mapping[str, Signature], declared: Pipeline, init: Any) -> None:
    """Makes ``written``, the loaded model's meta graph, that of ``tf_graph``, with the signatures as wrapped.

    Args:
        written: changed in place.
        tf_graph: the session's, wrapped.
        signatures: of ``pipeline.wrap``.
        declared: the pipeline.
        init: the op that a loader is to run first; None to leave that as it is.
    """
    written.graph_def.CopyFrom(tf_graph.as_graph_def())
    written.ClearField("object_graph_def")
    for name in declared.signatures:
        written.signature_def[name + UNPREPARED].CopyFrom(written.signature_def[name])
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


def _add_assets(written: Any, names: Mapping[str, str]) -> None:
    """Declares the assets ``names``, each by the tensor that a loader feeds its path to."""
    if not names:
        return
    if not written.asset_file_def and _ASSETS_COLLECTION in written.collection_def:
        for packed in written.collection_def[_ASSETS_COLLECTION].any_list.value:
            packed.Unpack(written.asset_file_def.add())
    for tensor, name in names.items():
        asset = written.asset_file_def.add()
        asset.tensor_info.name, asset.filename = tensor, name


def _init_ops(exported: Any) -> list[str]:
    """The ops that a loader of the original runs first."""
    if INIT_OP in exported.signature_def:
        return [exported.signature_def[INIT_OP].outputs[INIT_OP].name]
    for collection in _INIT_COLLECTIONS:
        if collection in exported.collection_def:
            return list(exported.collection_def[collection].node_list.value)
    return []
