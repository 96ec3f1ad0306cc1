"""What the proof says of real SavedModels, and that those which pass it answer the same alone and in batches."""

import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unstuck.batching.continuous import ContinuousBatches
from unstuck.batching.fair import FairThreads
from unstuck.batching.proof import draw, examine
from unstuck.engines.tensorflow import ENGINE
from unstuck.inference.placement import Placement
from unstuck.inference.predict import PreparedCall
from unstuck.inference.together import merge_key
from unstuck.inference.waiting import WaitingCall, WaitingCalls
from unstuck.lifecycle.harness import AvailableVersion

TIMEOUT_S = 60
WIDTH = 6


def exported(path, call, **variables):
    """A SavedModel of ``call(module, x)``, float [-1,6], with ``variables``."""
    from unstuck.engines.tensorflow.runtime import tf

    module = tf.Module()
    for name, value in variables.items():
        setattr(module, name, tf.Variable(value))
    spec = tf.TensorSpec([None, WIDTH], tf.float32, name="x")
    function = tf.function(lambda x: call(tf, module, x), input_signature=[spec])
    tf.saved_model.save(module, str(path / "1"), signatures=function)
    return path / "1"


def keras_model(path, training):
    from unstuck.engines.tensorflow.runtime import tf

    inputs = tf.keras.Input([WIDTH])
    hidden = tf.keras.layers.Dense(8, activation="relu")(inputs)
    outputs = tf.keras.layers.BatchNormalization()(hidden, training=training)
    tf.keras.Model(inputs, outputs).export(str(path / "1"), verbose=False)
    return path / "1"


def weights(*shape):
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def dense(tf, module, x):
    return {"y": tf.nn.softmax(tf.nn.relu(x @ module.w) @ module.v)}


def words(tf, module, x):
    ids = tf.cast(tf.abs(x) * 10, tf.int64) % 4
    return {"label": tf.gather(tf.constant(["zero", "one", "two", "three"]), ids), "ids": ids}


def loop(tf, module, x):
    return {"y": tf.while_loop(lambda step, h: step < 20, lambda step, h: (step + 1, tf.tanh(h @ module.w)), [0, x])[1]}


def per_row(tf, module, x):
    return {"y": tf.map_fn(lambda row: tf.sort(row) - tf.reduce_mean(row), x)}


def shared_batch_norm(tf, module, x):
    mean, variance = tf.nn.moments(x, [0])
    return {"y": tf.nn.batch_normalization(x, mean, variance, None, None, 1e-3)}


def rank(tf, module, x):
    return {"rank": tf.argsort(tf.reduce_sum(x, 1))}


def attention(tf, module, x):
    return {"y": tf.nn.softmax(x @ tf.transpose(x)) @ x}


def share_of_largest(tf, module, x):
    return {"y": x / tf.reduce_max(tf.abs(x))}


def dropout(tf, module, x):
    return {"y": tf.nn.dropout(x, 0.5)}


def counted(tf, module, x):
    module.calls.assign_add(1.0)
    return {"y": x + module.calls}


SAFE = {
    "dense layers": (dense, {"w": weights(WIDTH, 8), "v": weights(8, 3)}),
    "words": (words, {}),
    "a loop": (loop, {"w": weights(WIDTH, WIDTH)}),
    "row by row": (per_row, {}),
}
MIXING = {
    "batch statistics": shared_batch_norm,
    "argsort across rows": rank,
    "attention across rows": attention,
    "share of the batch's largest": share_of_largest,
}


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """``load(export)``: what ``export(path)`` has written, loaded."""
    loaders = []

    def load(export):
        loaders.append(ENGINE.loader(export(tmp_path_factory.mktemp("model"))))
        return loaders[-1].load()

    yield load
    for loader in loaders:
        loader.unload()


def verdict(servable):
    return examine(servable, servable.signatures["serving_default"])


@pytest.mark.parametrize("call", MIXING.values(), ids=MIXING)
def test_a_model_that_mixes_rows_is_caught(load, call):
    found = verdict(load(lambda path: exported(path, call)))
    assert found.is_wrong
    assert "answer differently" in found.why_not
    assert all(found.why_not_merged(merging) for merging in ("off", "auto", "on"))


@pytest.mark.slow
def test_batch_normalisation_in_training_mode_is_not_merged_and_at_inference_it_is(load):
    training, inference = (verdict(load(lambda path, on=on: keras_model(path, on))) for on in (True, False))
    assert training.why_not_merged("auto")
    assert inference.why_not_merged("auto") == ""
    assert inference.why_not_merged("off") == "batching is off"


@pytest.mark.parametrize(("call", "variables"), [(dropout, {}), (counted, {"calls": 0.0})], ids=["dropout", "state"])
def test_what_cannot_be_proven_is_merged_only_where_that_is_asked_for(load, call, variables):
    found = verdict(load(lambda path: exported(path, call, **variables)))
    assert "may change state" in found.why_not_merged("auto")
    assert found.why_not_merged("on") == ""
    assert found.why_not_merged("off") == "batching is off"


@pytest.fixture(scope="module", params=SAFE.values(), ids=SAFE)
def model(request, load):
    call, variables = request.param
    servable = load(lambda path: exported(path, call, **variables))
    assert verdict(servable).why_not_merged("auto") == ""
    return AvailableVersion("m", 1, servable, frozenset({"serving_default"}))


class Answers:
    """Keeps each call's outputs, as a front end would."""

    def __init__(self, expected):
        self.outputs, self._left, self.all_there = {}, expected, threading.Event()
        self._lock = threading.Lock()

    def answered(self, ran, calls, answers):
        for call, answer in zip(calls, answers, strict=True):
            self._keep(call.sent, answer)

    def failed(self, call, error):
        self._keep(call.sent, error)

    def _keep(self, number, answer):
        with self._lock:
            assert number not in self.outputs
            self.outputs[number] = answer
            if len(self.outputs) == self._left:
                self.all_there.set()


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(1, 5), min_size=1, max_size=40), st.integers(0, 1000), st.integers(1, 2))
def test_batched_is_unbatched(model, rows_of_calls, seed, cpus):
    signature = model.servable.signatures["serving_default"]
    random = np.random.default_rng(seed)
    (spec,) = signature.inputs.values()
    calls = [PreparedCall(model, signature, {spec.alias: draw(spec, rows, random)}, []) for rows in rows_of_calls]
    answers = Answers(len(calls))
    with FairThreads(2) as workers:
        batches = ContinuousBatches(WaitingCalls(Placement()).run, workers, cpus=cpus)
        for number in random.permutation(len(calls)).tolist():
            call = WaitingCall(calls[number], lambda outputs: outputs, lambda: True, answers, number)
            batches.add(merge_key(calls[number]), call, call.rows)
        assert answers.all_there.wait(TIMEOUT_S)
    for number, call in enumerate(calls):
        alone = model.servable.run(signature, call.inputs)
        for alias, expected in alone.items():
            got = answers.outputs[number][alias]
            if expected.dtype.kind == "f":
                np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
            else:
                np.testing.assert_array_equal(got, expected)
