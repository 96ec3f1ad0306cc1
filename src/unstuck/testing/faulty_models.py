"""SavedModels that take their time or break, written as in ``unstuck.testing.models``.

Importing this module does not import TensorFlow.
"""

import time
from pathlib import Path
from typing import Any

from unstuck.testing.saving import Tensors, import_tensorflow, save_one, save_tf2, traced


def slow(base_path: Path, version: int = 1, *, busy_s: float = 0.5) -> Path:
    """y = x / 2 + 2, float [-1] both, after computing for ``busy_s`` seconds on one core."""
    tf = import_tensorflow()

    @tf.autograph.experimental.do_not_convert
    def call(x: Any) -> Tensors:
        end = tf.timestamp() + tf.constant(busy_s, tf.float64)

        def unfinished(_: Any) -> Any:
            return tf.timestamp() < end

        def compute(matrix: Any) -> Any:
            return (matrix @ matrix,)

        (waste,) = tf.while_loop(unfinished, compute, (tf.eye(64),))
        return {"y": x / 2 + 2 + 0 * tf.reduce_sum(waste)}

    return save_one(tf, base_path, version, call, x=("float32", [None]))


def laborious(base_path: Path, version: int = 1, *, cpu_s: float = 0.02) -> Path:
    """y = x / 2 + 2, float [-1] both, after about ``cpu_s`` seconds of one core's work for each row.

    It is so much work, however long it takes: on half a core it takes twice as long. Rows that go together save none.
    """
    tf = import_tensorflow()

    def work(rows: Any, rounds: Any) -> Any:
        def multiply(matrix: Any, done: Any) -> Any:
            return matrix @ matrix * 0.25, done + 1

        def unfinished(_: Any, done: Any) -> Any:
            return done < rows * rounds

        return tf.while_loop(unfinished, multiply, (tf.eye(64), 0))[0]

    timed = tf.function(work)
    rounds, seconds = 50, 0.0
    while seconds < cpu_s:  # until one call takes as long
        timed(1, tf.constant(rounds))
        began = time.process_time()
        timed(1, tf.constant(rounds))
        seconds = time.process_time() - began
        rounds = max(rounds + 1, int(rounds * min(1.05 * cpu_s / max(seconds, 1e-6), 10)))

    @tf.autograph.experimental.do_not_convert
    def call(x: Any) -> Tensors:
        waste = tf.reduce_sum(work(tf.shape(x)[0], rounds))
        return {"y": x / 2 + 2 + 0 * waste}

    return save_one(tf, base_path, version, call, x=("float32", [None]))


def breakable(base_path: Path, version: int = 1) -> Path:
    """y = weight x + 2, float [-1] both; the weight is 0.5 until ``set_weight``, float [], has given it another.

    ``unpacked`` inflates ``packed`` to ``text``, string [-1] both, with DATA_LOSS for what is no zlib.
    """
    tf = import_tensorflow()
    module = tf.Module()
    module.weight = tf.Variable(0.5)

    def call(x: Any) -> Tensors:
        return {"y": module.weight * x + 2}

    def set_weight(weight: Any) -> Tensors:
        return {"weight": module.weight.assign(weight)}

    def unpacked(packed: Any) -> Tensors:
        return {"text": tf.io.decode_compressed(packed, "ZLIB")}

    signatures = {
        "serving_default": traced(tf, call, {"x": tf.TensorSpec([None], tf.float32, "x")}),
        "set_weight": traced(tf, set_weight, {"weight": tf.TensorSpec([], tf.float32, "weight")}),
        "unpacked": traced(tf, unpacked, {"packed": tf.TensorSpec([None], tf.string, "packed")}),
    }
    return save_tf2(tf, module, base_path, version, signatures)
