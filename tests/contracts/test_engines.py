"""Every engine passes the contract; and what is particular to one of them."""

from pathlib import Path

import numpy as np
import pytest

pytest.register_assert_rewrite("unstuck.testing.engine_contract")

from unstuck.core import dtypes  # noqa: E402
from unstuck.engines import installed  # noqa: E402
from unstuck.engines.tensorflow import ENGINE  # noqa: E402
from unstuck.errors import Code, EngineError  # noqa: E402
from unstuck.testing import models  # noqa: E402
from unstuck.testing.engine_contract import EngineContract  # noqa: E402


class TestTensorFlow(EngineContract):
    engine = ENGINE
    framework = "tensorflow"

    @classmethod
    def export(cls, base_path: Path) -> Path:
        return models.multi_io(base_path)

    @classmethod
    def break_model(cls, version_path: Path) -> None:
        pb = version_path / "saved_model.pb"
        pb.write_bytes(pb.read_bytes()[:100])


def test_every_installed_engine_is_tested_here():
    tested = {each.engine.platform for each in EngineContract.__subclasses__()}
    assert {engine.platform for engine in installed()} == tested


@pytest.fixture
def load(tmp_path):
    """``load(export)``: that model of ``unstuck.testing.models`` as a servable; unloaded afterwards."""
    loaders = []

    def servable_of(export):
        loaders.append(ENGINE.loader(export(tmp_path / export.__name__)))
        return loaders[-1].load()

    yield servable_of
    for loader in loaders:
        loader.unload()


def test_tensorflow_gives_every_dtype_back(load):
    servable = load(models.dtypes)
    for name in models.DTYPES:
        signature = servable.signatures[name]
        dtype = signature.inputs["x"].dtype
        for shape in ((), (0,), (3,), (2, 2)):
            x = np.full(shape, b"a\0\xff" if dtype is dtypes.STRING else 1, dtype.numpy)
            y = servable.run(signature, {"x": x})["y"]
            assert (y.dtype, y.shape, y.tolist()) == (x.dtype, shape, x.tolist()), name


@pytest.mark.parametrize(
    ("export", "stateful"),
    [
        (models.mlp, set()),
        (models.vocabulary_lookup, set()),
        (models.half_plus_two, set()),
        (models.half_plus_two_tf2, set()),
        (models.counter, {"incr_counter", "incr_counter_by", "reset_counter"}),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_tensorflow_tells_signatures_that_change_state(load, export, stateful):
    servable = load(export)
    assert servable.signatures.keys() - servable.stateless - {"__saved_model_init_op"} == stateful


def test_tensorflow_keeps_the_state_of_a_model_apart_from_anothers(tmp_path):
    path = models.counter(tmp_path / "counter")
    first, second = (ENGINE.loader(path) for _ in range(2))
    one, two = first.load(), second.load()

    def count(servable, name="get_counter"):
        return float(servable.run(servable.signatures[name], {})["output"])

    assert [count(one, "incr_counter"), count(one, "incr_counter"), count(two), count(one)] == [1, 2, 0, 2]
    first.unload()
    second.unload()


@pytest.mark.parametrize(("text", "code"), [("not a tf.Example", Code.INVALID_ARGUMENT)], ids=["INVALID_ARGUMENT"])
def test_tensorflow_says_which_op_failed_and_what_came(load, text, code):
    servable = load(models.half_plus_two)
    signature = servable.signatures["classify_x_to_y"]
    with pytest.raises(EngineError, match="Could not parse example input") as caught:
        servable.run(signature, {"inputs": np.array([text.encode()], object)})
    assert caught.value.code is code
    assert caught.value.hint == "Inputs: 'inputs' declared string [?], got [1]."


@pytest.mark.parametrize("value", [1, 1.5, True, "text"], ids=repr)
def test_tensorflow_refuses_an_input_of_another_dtype(load, value):
    """Codecs give the spec's dtype; whatever else comes is the framework's to refuse, in our words."""
    servable = load(models.mlp)
    with pytest.raises(EngineError) as caught:
        servable.run(servable.signatures["serving_default"], {"x": np.full((1, 64), value)})
    assert caught.value.code is Code.INVALID_ARGUMENT
