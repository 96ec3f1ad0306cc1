"""Small TensorFlow Lite models with known answers: ``half_plus_two(path)`` writes ``path/1/model.tflite``.

Each function takes the model's base path, which it creates, and a version, and returns the version's folder. Shapes are
written as in ``unstuck.testing.models``. Importing this module does not import TensorFlow, whose converter writes them.
"""

import os
import struct
import tempfile
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

DTYPES = ("bool", "float32", "int8", "int16", "int32", "int64", "string", "uint8", "uint32", "complex64")

Specs = Mapping[str, tuple[str, Sequence[int | None]]]


def half_plus_two(base_path: Path, version: int = 1) -> Path:
    """y = x / 2 + 2: float [-1,1] both."""

    def call(x: Any) -> Mapping[str, Any]:
        return {"y": x * 0.5 + 2.0}

    return _save(base_path, version, {"serving_default": (call, {"x": ("float32", [None, 1])})})


def multi_io(base_path: Path, version: int = 1) -> Path:
    """The default signature of ``unstuck.testing.models.multi_io``; but ``shouted`` is ``c`` as it came.

    TensorFlow Lite has no op that puts text into capitals.
    """
    tf = _tensorflow()

    def call(a: Any, b: Any, c: Any) -> Mapping[str, Any]:
        return {
            "total": tf.reduce_sum(a, 1) + tf.cast(b, tf.float32),
            "doubled": 2 * b,
            "shouted": tf.reshape(c, [-1]),
            "pair_bytes": tf.tile(tf.expand_dims(c, 1), [1, 2]),
        }

    inputs = {"a": ("float32", [None, 2]), "b": ("int64", [None]), "c": ("string", [None])}
    return _save(base_path, version, {"serving_default": (call, inputs)})


def dtypes(base_path: Path, version: int = 1) -> Path:
    """Each of its inputs again: ``x_NAME`` to ``y_NAME``, [-1,2] both, for every name in ``DTYPES``."""
    tf = _tensorflow()

    def call(**inputs: Any) -> Mapping[str, Any]:
        return {f"y_{alias[2:]}": tf.reshape(x, [-1, 2]) for alias, x in inputs.items()}

    return _save(base_path, version, {"serving_default": (call, {f"x_{name}": (name, [None, 2]) for name in DTYPES})})


def two_signatures(base_path: Path, version: int = 1) -> Path:
    """``double`` and ``triple``: y = 2 x and 3 x, float [-1,2] both, in graphs of their own."""

    def times(factor: float) -> Callable[..., Mapping[str, Any]]:
        def call(x: Any) -> Mapping[str, Any]:
            return {"y": factor * x}

        return call

    inputs = {"x": ("float32", [None, 2])}
    return _save(base_path, version, {"double": (times(2.0), inputs), "triple": (times(3.0), inputs)})


def counter(base_path: Path, version: int = 1) -> Path:
    """Adds ``by``, float [1], to a variable, and gives it: ``count``, float [1]."""
    tf = _tensorflow()
    total = tf.Variable([0.0])

    def call(by: Any) -> Mapping[str, Any]:
        return {"count": total.assign_add(by)}

    return _save(base_path, version, {"serving_default": (call, {"by": ("float32", [1])})}, variables=[total])


def recurrent(base_path: Path, version: int = 1) -> Path:
    """A layer with a state, relu(x + state): ``x`` and ``y``, float [1,1]. Its state is a variable tensor of the graph.

    Converters write such layers for LSTMs; their first state is 0, and a run leaves its last one behind.
    """
    lite: Any = import_module("ai_edge_litert.schema_py_generated")

    def tensor(name: str, shape: list[int], buffer: int = 0, *, is_variable: bool = False) -> Any:
        made = lite.TensorT()
        made.name, made.shape, made.buffer, made.isVariable = name, shape, buffer, is_variable
        return made

    def buffer(*values: float) -> Any:
        made = lite.BufferT()
        made.data = struct.pack(f"<{len(values)}f", *values) if values else None
        return made

    model, graph, code, layer = lite.ModelT(), lite.SubGraphT(), lite.OperatorCodeT(), lite.OperatorT()
    weights = [tensor("weights", [1, 1], 1), tensor("recurrent", [1, 1], 1), tensor("bias", [1], 2)]
    graph.tensors = [tensor("x", [1, 1]), *weights, tensor("state", [1, 1], is_variable=True), tensor("y", [1, 1])]
    code.builtinCode = code.deprecatedBuiltinCode = lite.BuiltinOperator.RNN
    code.version = 1
    layer.inputs, layer.outputs = [0, 1, 2, 3, 4], [5]
    layer.builtinOptionsType = lite.BuiltinOptions.RNNOptions
    layer.builtinOptions = lite.RNNOptionsT()
    layer.builtinOptions.fusedActivationFunction = lite.ActivationFunctionType.RELU
    graph.operators, graph.inputs, graph.outputs = [layer], [0], [5]
    model.version, model.subgraphs, model.operatorCodes = 3, [graph], [code]
    model.buffers = [buffer(), buffer(1.0), buffer(0.0)]
    builder: Any = import_module("flatbuffers").Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    path = base_path / str(version)
    path.mkdir(parents=True)
    (path / "model.tflite").write_bytes(bytes(builder.Output()))
    return path


def fixed_batch(base_path: Path, version: int = 1) -> Path:
    """``x``, float [1,4], in two rows: ``y``, float [1,2,2]. The graph takes a batch of 1 and no other."""
    tf = _tensorflow()

    def call(x: Any) -> Mapping[str, Any]:
        return {"y": tf.reshape(x, [1, 2, 2])}

    return _save(base_path, version, {"serving_default": (call, {"x": ("float32", [1, 4])})})


def noise(base_path: Path, version: int = 1) -> Path:
    """``x``, float [-1,1], plus random numbers: ``y``."""
    tf = _tensorflow()

    def call(x: Any) -> Mapping[str, Any]:
        return {"y": x + tf.random.uniform(tf.shape(x), seed=1)}

    return _save(base_path, version, {"serving_default": (call, {"x": ("float32", [None, 1])})})


def examples(base_path: Path, version: int = 1) -> Path:
    """Parses tf.Examples, ``inputs``, string [-1]: ``y`` = 2 x, float [-1,2], and ``word``, string [-1,1].

    The features are ``x``, two floats, and ``word``, a text that is ``none`` where an example has none.
    """
    tf = _tensorflow()
    features = {
        "word": tf.io.FixedLenFeature([1], tf.string, default_value=["none"]),
        "x": tf.io.FixedLenFeature([2], tf.float32),
    }

    def call(inputs: Any) -> Mapping[str, Any]:
        parsed = tf.io.parse_example(inputs, features)
        return {"y": 2 * parsed["x"], "word": parsed["word"]}

    return _save(base_path, version, {"serving_default": (call, {"inputs": ("string", [None])})})


def flex(base_path: Path, version: int = 1) -> Path:
    """Needs an op of TensorFlow (SELECT_TF_OPS); cannot be loaded."""
    tf = _tensorflow()

    def call(c: Any) -> Mapping[str, Any]:
        return {"y": tf.strings.regex_replace(c, "a", "b")}

    return _save(base_path, version, {"serving_default": (call, {"c": ("string", [None])})}, flex=True)


def _tensorflow() -> Any:
    from unstuck.engines.tensorflow.runtime import tf

    return tf


def _save(
    base_path: Path,
    version: int,
    signatures: Mapping[str, tuple[Callable[..., Mapping[str, Any]], Specs]],
    *,
    variables: Any = (),
    flex: bool = False,
) -> Path:
    tf = _tensorflow()
    module = tf.Module()
    module.variables_of_the_model = variables
    functions: dict[str, Any] = {}
    for name, (call, inputs) in signatures.items():
        specs = {alias: tf.TensorSpec([*shape], dtype, alias) for alias, (dtype, shape) in inputs.items()}
        functions[name] = tf.function(call).get_concrete_function(**specs)
    path = base_path / str(version)
    path.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder, _silent():
        tf.saved_model.save(module, folder, signatures=functions)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[*functions])
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS,
            *([tf.lite.OpsSet.SELECT_TF_OPS] if flex else []),
        ]
        converter.experimental_enable_resource_variables = True
        converter.allow_custom_ops = not flex
        (path / "model.tflite").write_bytes(converter.convert())
    return path


@contextmanager
def _silent() -> Generator[None]:
    """The converter reports on itself to standard error."""
    kept = os.dup(2)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)
