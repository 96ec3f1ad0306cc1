"""Keras 3 models saved by tf.saved_model.save: their own restore leaves the variables out."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from unstuck.engines.tensorflow import ENGINE, stray_variables
from unstuck.engines.tensorflow.tracing import TracedSavedModel
from unstuck.errors import LoadFailed

X = np.array([[1, 2, 3, 4], [4, 3, 2, 1]], np.float32)


@pytest.fixture(scope="module")
def model():
    layers = keras.layers
    return keras.Sequential([layers.Input([4]), layers.Dense(5), layers.BatchNormalization(), layers.Dense(3)])


@pytest.fixture(scope="module", params=["the model itself", "a module that holds it"])
def saved(request, model, tmp_path_factory):
    class Holder(tf.Module):
        def __init__(self):
            super().__init__()
            self.model = model
            self.seen = tf.Variable(7.0)

        @tf.function(input_signature=[tf.TensorSpec([None, 4], tf.float32, "x")])
        def serve(self, x):
            return {"y": self.model(x), "seen": tf.fill([tf.shape(x)[0]], self.seen.read_value())}

    folder = tmp_path_factory.mktemp("saved") / "1"
    if request.param == "the model itself":
        tf.saved_model.save(model, str(folder))
    else:
        tf.saved_model.save(holder := Holder(), str(folder), signatures={"serving_default": holder.serve})
    return folder


def test_it_answers_as_the_model_does(saved, model):
    loader = ENGINE.loader(saved)
    servable = loader.load()
    signature = servable.signatures["serving_default"]
    outputs = servable.run(signature, dict.fromkeys(signature.inputs, X))
    np.testing.assert_allclose(outputs.get("y", outputs.get("output_0")), model(X), rtol=1e-6)
    if "seen" in outputs:
        assert outputs["seen"].tolist() == [7, 7]
    loader.unload()


def test_it_can_be_traced(saved, model):
    traced = TracedSavedModel(saved)
    name = "serving_default"
    (output, *_) = [tensor for alias, tensor in traced.graph(name).outputs.items() if alias != "seen"]
    (alias,) = traced.signatures[name].inputs
    np.testing.assert_allclose(traced.fetch(name, {alias: X}, [output])[0], model(X), rtol=1e-6)
    traced.close()


@pytest.mark.parametrize("keys", [[], ["one", "other"]])
def test_a_variable_without_its_one_value_is_no_servable_model(saved, monkeypatch, keys):
    monkeypatch.setattr(stray_variables, "_keys_by_name", lambda _: SimpleNamespace(get=lambda *_: keys))
    with pytest.raises(LoadFailed, match=r"reads variables that it does not restore: .*dense.*kernel") as refused:
        ENGINE.loader(saved).load()
    assert "model.export(path)" in refused.value.hint
