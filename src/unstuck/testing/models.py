"""Small SavedModels with known answers: ``half_plus_two(path)`` writes ``path/123/saved_model.pb`` and its files.

Each function takes the model's base path, which it creates, and a version, and returns the version's folder. Most of
the models are those that TensorFlow Serving tests itself with, rebuilt: same signatures, same answers. The others have
one trait each that a server may get wrong. Shapes are written as ``float [-1,2]``; -1 is any size, ``[?]`` any shape.

Importing this module does not import TensorFlow.
"""

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from unstuck.testing.faulty_models import slow
from unstuck.testing.saving import (
    Tensors,
    asset_file,
    import_tensorflow,
    new_graph,
    save_one,
    save_tf1,
    save_tf2,
    signature_def,
    traced,
)

HIDDEN = 128
DTYPES = (
    *("float16", "bfloat16", "float32", "float64", "bool", "string"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)
VOCABULARY = ("zero", "one", "two", "three")
_ABC = {"a": 0.5, "b": 2.0, "c": 3.0}


def half_plus_two(base_path: Path, version: int = 123) -> Path:
    """y = x / 2 + 2, as TensorFlow 1 exported it: float [-1,1] both.

    ``regress_x_to_y``, ``regress_x_to_y2`` (x / 2 + 3) and ``classify_x_to_y`` take serialized tf.Examples, string [?];
    ``regress_x2_to_y3`` and ``classify_x2_to_y3`` take float [-1,1] and give x / 2 + 3. Has the asset ``foo.txt``.
    """
    with new_graph() as (tf, session):
        a, b, c = (tf.compat.v1.get_variable(n, initializer=v, use_resource=False) for n, v in _ABC.items())
        example = tf.compat.v1.placeholder(tf.string, name="tf_example")
        features = {name: tf.io.FixedLenFeature([1], tf.float32, default_value=[0.0]) for name in ("x", "x2")}
        parsed = tf.io.parse_example(example, features)
        x, x2 = (tf.ensure_shape(parsed[name], [None, 1], name=name) for name in features)
        y = tf.identity(a * x + b, name="y")
        y2 = tf.identity(a * x + c, name="y2")
        y3 = tf.identity(a * x2 + c, name="y3")
        signatures = {
            "serving_default": signature_def(tf, {"x": x}, {"y": y}),
            "regress_x_to_y": signature_def(tf, {"inputs": example}, {"outputs": y}, "regress"),
            "regress_x_to_y2": signature_def(tf, {"inputs": example}, {"outputs": y2}, "regress"),
            "regress_x2_to_y3": signature_def(tf, {"inputs": x2}, {"outputs": y3}, "regress"),
            "classify_x_to_y": signature_def(tf, {"inputs": example}, {"scores": y}, "classify"),
            "classify_x2_to_y3": signature_def(tf, {"inputs": x2}, {"scores": y3}, "classify"),
        }
        return save_tf1(tf, session, base_path, version, signatures, asset=True)


def half_plus_two_tf2(base_path: Path, version: int = 123) -> Path:
    """y = x / 2 + 2, as TensorFlow 2 exports it: float [1] both; signatures and asset as ``half_plus_two``'s."""
    tf = import_tensorflow()
    module = tf.Module()
    module.a, module.b, module.c = (tf.Variable(value, name=name) for name, value in _ABC.items())
    module.asset = tf.saved_model.Asset(asset_file(base_path))

    def from_x(name: str, alias: str, offset: Any) -> Any:
        def call(**inputs: Any) -> Tensors:
            return {alias: module.a * inputs[name] + offset}

        return traced(tf, call, {name: tf.TensorSpec([1], tf.float32, name)})

    def from_example(alias: str, offset: Any) -> Any:
        def call(inputs: Any) -> Tensors:
            feature = {"x": tf.io.FixedLenFeature([1], tf.float32, default_value=[0.0])}
            return {alias: module.a * tf.io.parse_example(inputs, feature)["x"] + offset}

        return traced(tf, call, {"inputs": tf.TensorSpec([None], tf.string, "inputs")})

    signatures = {
        "serving_default": from_x("x", "y", module.b),
        "regress_x_to_y": from_example("outputs", module.b),
        "regress_x_to_y2": from_example("outputs", module.c),
        "regress_x2_to_y3": from_x("inputs", "outputs", module.c),
        "classify_x_to_y": from_example("scores", module.b),
        "classify_x2_to_y3": from_x("inputs", "scores", module.c),
    }
    return save_tf2(tf, module, base_path, version, signatures)


def half_plus_three(base_path: Path, version: int = 123) -> Path:
    """y = x / 2 + 3, a TensorFlow 1 export that declares x and y as float [] although any shape is meant.

    Its regress signature even declares its serialized tf.Examples as float. TensorFlow Serving's quick start uses it.
    """
    with new_graph() as (tf, session):
        a, c = (tf.compat.v1.get_variable(n, initializer=_ABC[n], use_resource=False) for n in "ac")
        example = tf.compat.v1.placeholder(tf.string, name="tf_example")
        parsed = tf.io.parse_example(example, {"x": tf.io.FixedLenFeature([1], tf.float32)})
        x = tf.identity(parsed["x"], name="x")
        y = tf.add(a * x, c, name="y")
        signatures = {
            "serving_default": signature_def(tf, {"x": x}, {"y": y}),
            "tensorflow/serving/regress": signature_def(
                tf, {"inputs": example}, {"outputs": tf.identity(y, name="Identity")}, "regress"
            ),
        }
        for signature in signatures.values():
            for info in (*signature.inputs.values(), *signature.outputs.values()):
                info.dtype = tf.float32.as_datatype_enum
                info.ClearField("tensor_shape")  # absent, which reads as []
        return save_tf1(tf, session, base_path, version, signatures, asset=True)


def two_versions(base_path: Path) -> Path:
    """``half_plus_two`` as versions 123 and 124; returns the newer's folder."""
    half_plus_two(base_path, 123)
    return half_plus_two(base_path, 124)


def counter(base_path: Path, version: int = 123) -> Path:
    """Counts in a reference variable of TensorFlow 1; every output is float_ref [].

    ``get_counter``, ``incr_counter`` and ``reset_counter`` take nothing; ``incr_counter_by`` takes ``delta``,
    float [?]. There is no default signature.
    """
    with new_graph() as (tf, session):
        count = tf.compat.v1.get_variable("counter", initializer=0.0, use_resource=False)
        delta = tf.compat.v1.placeholder(tf.float32, name="delta")
        outputs = {
            "get_counter": count,
            "incr_counter": tf.compat.v1.assign_add(count, 1.0),
            "reset_counter": tf.compat.v1.assign(count, 0.0),
        }
        signatures = {name: signature_def(tf, {}, {"output": output}) for name, output in outputs.items()}
        by = tf.compat.v1.assign_add(count, delta)
        signatures["incr_counter_by"] = signature_def(tf, {"delta": delta}, {"output": by})
        return save_tf1(tf, session, base_path, version, signatures)


def matrix_half_plus_two(base_path: Path, version: int = 1) -> Path:
    """y = x / 2 + 2, float [-1,3,3] both, without variables."""
    with new_graph() as (tf, session):
        x = tf.compat.v1.placeholder(tf.float32, [None, 3, 3], name="x")
        y = tf.add(x * 0.5, 2.0, name="y")
        return save_tf1(tf, session, base_path, version, {"serving_default": signature_def(tf, {"x": x}, {"y": y})})


def mlp(base_path: Path, version: int = 1) -> Path:
    """A dense network with fixed random weights: x float [-1,64] to logits float [-1,10]."""
    import numpy as np

    tf = import_tensorflow()
    random = np.random.default_rng(0)
    module = tf.Module()
    sizes = (64, HIDDEN, HIDDEN, 10)
    module.weights = [
        tf.Variable(random.normal(0, rows**-0.5, (rows, columns)).astype(np.float32))
        for rows, columns in pairwise(sizes)
    ]

    def call(x: Any) -> Tensors:
        *hidden, last = module.weights
        for weights in hidden:
            x = tf.nn.relu(x @ weights)
        return {"logits": x @ last}

    return save_one(tf, base_path, version, call, module, x=("float32", [None, 64]))


def dtypes(base_path: Path, version: int = 1) -> Path:
    """y = x, one signature for each of ``DTYPES``, named after it: [?] both. The default signature is ``float32``."""
    tf = import_tensorflow()

    def call(x: Any) -> Tensors:
        return {"y": tf.identity(x)}

    signatures = {name: traced(tf, call, {"x": tf.TensorSpec(None, name, "x")}) for name in DTYPES}
    return save_tf2(tf, tf.Module(), base_path, version, {"serving_default": signatures["float32"], **signatures})


def multi_io(base_path: Path, version: int = 1) -> Path:
    """Several inputs and outputs, of several dtypes.

    Inputs of every signature: ``a`` float [-1,2], ``b`` int64 [-1], ``c`` string [-1]. Outputs of the default one:
    ``total`` float [-1] (a's row sums plus b), ``doubled`` int64 [-1] (2 b), ``shouted`` string [-1] (c in capitals),
    ``pair_bytes`` string [-1,2] (c twice). ``with_scalar`` gives ``total`` and ``count`` int32 [], ``uneven`` gives
    ``total`` and ``first`` string [1].
    """
    tf = import_tensorflow()
    specs = {
        "a": tf.TensorSpec([None, 2], tf.float32, "a"),
        "b": tf.TensorSpec([None], tf.int64, "b"),
        "c": tf.TensorSpec([None], tf.string, "c"),
    }

    def total(a: Any, b: Any) -> Any:
        return tf.reduce_sum(a, axis=1) + tf.cast(b, tf.float32)

    def serving_default(a: Any, b: Any, c: Any) -> Tensors:
        shouted = tf.strings.upper(c, encoding="utf-8")
        return {"total": total(a, b), "doubled": 2 * b, "shouted": shouted, "pair_bytes": tf.stack([c, c], axis=1)}

    def with_scalar(a: Any, b: Any, c: Any) -> Tensors:
        return {"total": total(a, b), "count": tf.size(c)}

    def uneven(a: Any, b: Any, c: Any) -> Tensors:
        return {"total": total(a, b), "first": c[:1]}

    signatures = {call.__name__: traced(tf, call, specs) for call in (serving_default, with_scalar, uneven)}
    return save_tf2(tf, tf.Module(), base_path, version, signatures)


def text_bytes(base_path: Path, version: int = 1) -> Path:
    """Its input again, under an alias that means bytes: ``text`` string [-1] to ``text_bytes`` string [-1]."""
    tf = import_tensorflow()

    def call(text: Any) -> Tensors:
        return {"text_bytes": tf.identity(text)}

    return save_one(tf, base_path, version, call, text=("string", [None]))


def scalar_output(base_path: Path, version: int = 1) -> Path:
    """A sum over the batch: x float [-1] to ``total`` float []."""
    tf = import_tensorflow()

    def call(x: Any) -> Tensors:
        return {"total": tf.reduce_sum(x)}

    return save_one(tf, base_path, version, call, x=("float32", [None]))


def complex_output(base_path: Path, version: int = 1) -> Path:
    """An output that JSON has no form for: x float [-1] to ``spectrum`` complex64 [-1].

    ``from_complex`` takes x complex64 [-1] and gives ``real`` float [-1].
    """
    tf = import_tensorflow()

    def call(x: Any) -> Tensors:
        return {"spectrum": tf.complex(x, x)}

    def from_complex(x: Any) -> Tensors:
        return {"real": tf.math.real(x)}

    signatures = {
        "serving_default": traced(tf, call, {"x": tf.TensorSpec([None], tf.float32, "x")}),
        "from_complex": traced(tf, from_complex, {"x": tf.TensorSpec([None], tf.complex64, "x")}),
    }
    return save_tf2(tf, tf.Module(), base_path, version, signatures)


def nan_output(base_path: Path, version: int = 1) -> Path:
    """y = log(x), float [-1] both: NaN below 0, -Infinity at 0. ``double`` is the same in double."""
    tf = import_tensorflow()

    def call(x: Any) -> Tensors:
        return {"y": tf.math.log(x)}

    signatures = {
        "serving_default": traced(tf, call, {"x": tf.TensorSpec([None], tf.float32, "x")}),
        "double": traced(tf, call, {"x": tf.TensorSpec([None], tf.float64, "x")}),
    }
    return save_tf2(tf, tf.Module(), base_path, version, signatures)


def vocabulary_lookup(base_path: Path, version: int = 1) -> Path:
    """Finds words in a hash table filled from an asset: ``words`` string [-1] to ``ids`` int64 [-1], -1 if unknown."""
    tf = import_tensorflow()
    module = tf.Module()
    rows = tf.lookup.TextFileInitializer(
        asset_file(base_path, "vocabulary.txt", "\n".join(VOCABULARY)),
        *(tf.string, tf.lookup.TextFileIndex.WHOLE_LINE),
        *(tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER),
    )
    module.table = tf.lookup.StaticHashTable(rows, default_value=-1)

    def call(words: Any) -> Tensors:
        return {"ids": module.table.lookup(words)}

    return save_one(tf, base_path, version, call, module, words=("string", [None]))


def asset_reader(base_path: Path, version: int = 1) -> Path:
    """Reads its asset at every call: ``prefix`` string [-1] to ``text`` string [-1], the asset's text after each."""
    tf = import_tensorflow()
    module = tf.Module()
    module.asset = tf.saved_model.Asset(asset_file(base_path))

    def call(prefix: Any) -> Tensors:
        return {"text": prefix + tf.io.read_file(module.asset)}

    return save_one(tf, base_path, version, call, module, prefix=("string", [None]))


def examples(base_path: Path, version: int = 1) -> Path:
    """Gives back what its tf.Examples hold, as Classify and Regress want it and as they must refuse it.

    A feature ``class`` holds labels, ``score`` floats, ``output`` one float. Every signature takes ``inputs``, string
    [-1], unless its name says otherwise. Right are ``serving_default`` (``classes`` and ``scores``, both [-1,-1]),
    ``classes_only``, ``scores_only``, ``plus_one`` (scores + 1), ``other_method`` (as the default, under a method name
    that nobody knows), ``regress`` (``outputs`` [-1]) and ``regress_plus_one`` ([-1,1]). ``runs`` and ``runs_too``
    regress to how often the model has run. The others have one fault each, which their name tells; ``fails`` fails
    unless each label is a number.
    """
    with new_graph() as (tf, session):
        example = tf.compat.v1.placeholder(tf.string, [None], name="tf_example")
        other = tf.compat.v1.placeholder(tf.string, [None], name="other")
        lists = {"class": tf.string, "score": tf.float32}
        features = {key: tf.io.FixedLenSequenceFeature([], dtype, allow_missing=True) for key, dtype in lists.items()}
        parsed = tf.io.parse_example(example, {**features, "output": tf.io.FixedLenFeature([], tf.float32, 0.0)})
        classes, scores, output = parsed["class"], parsed["score"], parsed["output"]
        counter = tf.compat.v1.get_variable("runs", initializer=0.0, use_resource=True)
        runs = tf.fill(tf.shape(output), tf.identity(counter.assign_add(1.0)))
        column = output[:, None]
        both = {"classes": classes, "scores": scores}
        classify = {
            "serving_default": both,
            "classes_only": {"classes": classes},
            "scores_only": {"scores": scores},
            "plus_one": {**both, "scores": scores + 1},
            "classes_of_rank_1": {**both, "classes": classes[:, 0]},
            "classes_of_floats": {**both, "classes": tf.identity(scores)},
            "classes_of_one_row": {**both, "classes": classes[:1]},
            "scores_of_rank_3": {**both, "scores": scores[:, :, None]},
            "scores_of_strings": {**both, "scores": tf.identity(classes)},
            "scores_of_doubles": {**both, "scores": tf.cast(scores, tf.float64)},
            "scores_of_one_row": {**both, "scores": scores[:1]},
            "scores_of_one_class": {**both, "scores": scores[:, :1]},
            "three_outputs": {**both, "outputs": output},
            "misnamed_outputs": {"labels": classes},
            "fails": {"scores": tf.strings.to_number(classes)},
        }
        regress = {
            "regress": output,
            "regress_plus_one": column + 1,
            "runs": runs,
            "runs_too": tf.identity(runs),
            "regress_of_rank_0": tf.reduce_sum(output),
            "regress_of_rank_3": column[:, :, None],
            "regress_of_two_columns": tf.concat([column, column], axis=1),
            "regress_of_strings": tf.as_string(output),
            "regress_of_doubles": tf.cast(output, tf.float64),
            "regress_of_one_row": output[:1],
        }
        inputs = {"inputs": example}
        signatures = {
            **{name: signature_def(tf, inputs, outputs, "classify") for name, outputs in classify.items()},
            **{name: signature_def(tf, inputs, {"outputs": values}, "regress") for name, values in regress.items()},
            "other_method": signature_def(tf, inputs, both, "other"),
            "misnamed_input": signature_def(tf, {"examples": example}, both, "classify"),
            "two_inputs": signature_def(tf, {**inputs, "other": other}, both, "classify"),
        }
        return save_tf1(tf, session, base_path, version, signatures)


EXPORTS: Mapping[str, Callable[[Path], Path]] = {
    export.__name__: export
    for export in (
        *(half_plus_two, half_plus_two_tf2, half_plus_three, two_versions, counter, matrix_half_plus_two),
        *(mlp, dtypes, multi_io, text_bytes, scalar_output, complex_output, slow, nan_output),
        *(vocabulary_lookup, asset_reader, examples),
    )
}


def export_all(folder: Path) -> dict[str, Path]:
    """Exports every model of ``EXPORTS``; returns their base paths by name."""
    for name, export in EXPORTS.items():
        export(folder / name)
    return {name: folder / name for name in EXPORTS}
