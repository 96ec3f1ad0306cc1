"""How models for tests are written: as TensorFlow 1 does, and as TensorFlow 2. Importing it imports no TensorFlow."""

import shutil
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ASSET_TEXT = "asset-file-contents"

Tensors = Mapping[str, Any]


def import_tensorflow() -> Any:
    """TensorFlow, once a model is made."""
    from unstuck.engines.tensorflow.runtime import tf

    return tf


@contextmanager
def new_graph() -> Generator[tuple[Any, Any]]:
    """TensorFlow with a fresh default graph, and a session on it."""
    tf = import_tensorflow()
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        yield tf, session


def signature_def(tf: Any, inputs: Tensors, outputs: Tensors, method: str = "predict") -> Any:
    """Of tensors of the graph, by alias; ``method`` is what of TensorFlow Serving's API calls it."""
    info = tf.compat.v1.saved_model.utils.build_tensor_info
    return tf.compat.v1.saved_model.signature_def_utils.build_signature_def(
        {alias: info(tensor) for alias, tensor in inputs.items()},
        {alias: info(tensor) for alias, tensor in outputs.items()},
        f"tensorflow/serving/{method}",
    )


def save_tf1(
    tf: Any, session: Any, base_path: Path, version: int, signatures: Mapping[str, Any], *, asset: bool = False
) -> Path:
    """Initialises and saves the session's variables; with the asset ``foo.txt`` if so wanted."""
    v1 = tf.compat.v1
    main_op = None
    if asset:  # held in a variable that an op run at load time fills, as TensorFlow Serving's own models do
        path = tf.constant(asset_file(base_path))
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, path)
        name = v1.get_variable("filename_tensor", initializer="", trainable=False, use_resource=False, collections=[])
        main_op = v1.assign(name, path, name="read_asset_path").op
    session.run(v1.global_variables_initializer())
    builder = v1.saved_model.builder.SavedModelBuilder(str(base_path / str(version)))
    builder.add_meta_graph_and_variables(
        session,
        [v1.saved_model.tag_constants.SERVING],
        signature_def_map=dict(signatures),
        assets_collection=v1.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
        main_op=main_op,
        strip_default_attrs=True,
    )
    builder.save()
    return _saved(base_path, version)


def traced(tf: Any, call: Callable[..., Tensors], specs: Mapping[str, Any]) -> Any:
    """``call`` traced for keyword arguments of these specs."""
    return tf.function(call).get_concrete_function(**specs)


def save_one(
    tf: Any,
    base_path: Path,
    version: int,
    call: Callable[..., Tensors],
    module: Any = None,
    **inputs: tuple[str, list[int | None]],
) -> Path:
    """Saves ``call`` as the default signature; ``inputs`` are dtype and shape by alias."""
    specs = {alias: tf.TensorSpec(shape, dtype, alias) for alias, (dtype, shape) in inputs.items()}
    return save_tf2(tf, module or tf.Module(), base_path, version, {"serving_default": traced(tf, call, specs)})


def save_tf2(tf: Any, module: Any, base_path: Path, version: int, signatures: Mapping[str, Any]) -> Path:
    """Saves functions as signatures, by name; ``module`` holds their variables and assets."""
    tf.saved_model.save(module, str(base_path / str(version)), signatures=dict(signatures))
    return _saved(base_path, version)


def asset_file(base_path: Path, name: str = "foo.txt", text: str = ASSET_TEXT) -> str:
    """A file that saving copies into the version's ``assets/``; gone afterwards, so that nothing can depend on it."""
    path = base_path / ".source" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return str(path)


def _saved(base_path: Path, version: int) -> Path:
    shutil.rmtree(base_path / ".source", ignore_errors=True)
    return base_path / str(version)
