"""Real conversions of real SavedModels, compared and switched; only what was measured is made up."""

import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from unstuck.choosing import choice as choosing
from unstuck.choosing import conversion
from unstuck.choosing.chooser import Chooser
from unstuck.choosing.timing import Timing
from unstuck.core.signatures import narrowed
from unstuck.engines.onnx import OnnxEngine
from unstuck.engines.tensorflow import TensorFlowEngine
from unstuck.engines.tensorflow.runtime import tf
from unstuck.errors import EngineError
from unstuck.testing import models

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def chosen(cache, monkeypatch):
    """``chosen(path)``: the servable of the SavedModel and its choice, decided, as if ONNX Runtime were faster."""
    loaders = []
    monkeypatch.setattr(choosing, "measure", lambda *runs, batches, cancelled: [Timing(1, 2.0, 1.0)])

    def choose(path):
        chooser = Chooser("auto", ("serve",), cache, OnnxEngine().loader)
        loader = chooser.loader("m", 1, path, TensorFlowEngine().loader(path), has_pipeline=False)
        loaders.append(loader)
        servable = loader.load()
        choice = chooser._choices["m", 1]
        choice.decide()
        return servable, choice

    yield choose
    for each in loaders:
        each.unload()


@pytest.fixture
def basic_pitch():
    spec = find_spec("basic_pitch")  # found, not imported: the package needs libraries that are not there
    assert spec is not None, "basic-pitch is not installed; ./dev setup installs it"
    return Path(spec.submodule_search_locations[0]) / "saved_models" / "icassp_2022"


def saved(folder, call, *specs, module=None):
    path = folder / "1"
    tf.saved_model.save(module or tf.Module(), str(path), signatures=tf.function(call, input_signature=list(specs)))
    return path


@pytest.fixture(scope="module")
def embedding(tmp_path_factory):
    """ids int64 [-1,-1] to probabilities and the class of the largest; a second input is not used."""
    random = np.random.default_rng(0)
    module = tf.Module()
    module.table = tf.Variable(random.normal(size=(50, 8)).astype(np.float32))
    module.weights = tf.Variable(random.normal(size=(8, 4)).astype(np.float32))

    def call(ids, unused):
        logits = tf.reduce_mean(tf.gather(module.table, ids), 1) @ module.weights
        return {"p": tf.nn.softmax(logits), "best": tf.argmax(logits, 1)}

    specs = tf.TensorSpec([None, None], tf.int64, "ids"), tf.TensorSpec([None], tf.float32, "unused")
    return saved(tmp_path_factory.mktemp("embedding"), call, *specs, module=module)


def test_a_converted_model_answers_as_tensorflow_does(chosen, embedding):
    servable, choice = chosen(embedding)
    decided = choice.document()["signatures"]["serving_default"]
    assert decided["engine"] == "onnx", decided
    assert decided["largest_difference"] < 1e-6
    signature = servable.signatures["serving_default"]
    first = servable.first
    for shape in ((1, 3), (7, 5), (64, 11)):
        inputs = {"ids": np.random.default_rng(1).integers(0, 50, shape), "unused": np.zeros(shape[0], np.float32)}
        expected, got = first.run(signature, inputs), servable.run(signature, inputs)
        assert list(got) == ["best", "p"]
        assert np.array_equal(expected["best"], got["best"])
        assert got["best"].dtype == np.int64
        np.testing.assert_allclose(got["p"], expected["p"], rtol=1e-5, atol=1e-6)
        assert list(servable.run(narrowed(signature, ["p"]), inputs)) == ["p"]


def test_errors_stay_tensorflows_also_where_onnx_would_answer(chosen, embedding):
    """ONNX's Gather takes -1 for the last row."""
    servable, choice = chosen(embedding)
    assert choice.document()["signatures"]["serving_default"]["left_to_tensorflow"] == ["negative"]
    for wrong in (-1, 50):
        inputs = {"ids": np.array([[1, wrong]]), "unused": np.zeros(1, np.float32)}
        with pytest.raises(EngineError, match=rf"TensorFlow failed: .*{wrong} is not in \[0, 50\)"):
            servable.run(servable.signatures["serving_default"], inputs)


def test_a_result_is_kept_for_the_next_start(chosen, tmp_path, monkeypatch):
    path = models.mlp(tmp_path)
    _, choice = chosen(path)
    assert choice.engine() == "onnx"
    monkeypatch.setattr(conversion, "run", lambda *_: pytest.fail("converted again"))
    _, choice = chosen(path)
    assert choice.engine() == "onnx"


def test_an_unknown_op_stays_with_tensorflow_and_is_named(chosen, tmp_path):
    def call(x):
        return {"y": tf.math.igamma(tf.abs(x) + 1.0, tf.abs(x))}

    path = saved(tmp_path, call, tf.TensorSpec([None, 3], tf.float32, "x"))
    for found_before in ("", " (as it was found before)"):
        servable, choice = chosen(path)
        reason = choice.document()["signatures"]["serving_default"]["reason"]
        assert reason == "tf2onnx failed: ValueError: there is no such op in ONNX: Igamma" + found_before
    assert servable.run(servable.signatures["serving_default"], {"x": np.ones((2, 3), np.float32)})["y"].shape == (2, 3)


def test_a_model_of_keras_2_with_its_optimizer_is_converted(chosen, basic_pitch):
    _, choice = chosen(basic_pitch / "nmp")
    decided = choice.document()["signatures"]["serving_default"]
    assert decided["engine"] == "onnx", decided
    assert decided["largest_difference"] < 1e-4


def test_strings_and_state_stay_with_tensorflow(chosen, tmp_path):
    _, choice = chosen(models.multi_io(tmp_path / "multi_io"))
    assert {each["reason"] for each in choice.document()["signatures"].values()} == {"'c' holds strings"}
    _, choice = chosen(models.counter(tmp_path / "counter"))
    assert choice.engine() == "tensorflow"


def test_an_unload_ends_a_conversion_at_once(cache, tmp_path, monkeypatch):
    hangs = [sys.executable, "-c", "import time; time.sleep(60)"]
    monkeypatch.setattr("unstuck.choosing.chooser.command", lambda *_: hangs)
    chooser = Chooser("auto", ("serve",), cache, OnnxEngine().loader)
    path = models.mlp(tmp_path, 7)
    loader = chooser.loader("m", 7, path, TensorFlowEngine().loader(path), has_pipeline=False)
    loader.load()
    state = chooser.begin("m", 7)["engine_choice"]
    end = time.monotonic() + 20
    while not list(cache.glob("*.partial")):
        assert time.monotonic() < end
        time.sleep(0.05)
    began = time.monotonic()
    loader.unload()
    assert time.monotonic() - began < 10
    assert state()["state"] == "ended"
    assert not list(cache.glob("*.partial"))
    chooser.stop()


def test_a_conversion_ends_with_its_server_however_that_ends(tmp_path):
    arguments = [str(tmp_path / "model"), "serve", "s", str(tmp_path / "out.onnx"), str(8 << 30)]
    command = [sys.executable, "-m", "unstuck.choosing.convert", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        assert child.stdin is not None
        child.stdin.close()  # as the system does for a process that was killed
        assert child.wait(60) == 1
        assert child.stdout is not None
        assert child.stdout.read() == b"", "it went on to say that there is no such model"
