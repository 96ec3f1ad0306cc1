"""How TensorFlow's engine answers narrowed and joined signatures: in one run, and without keeping all of them."""

from itertools import permutations

import numpy as np
import pytest

from unstuck.core.signatures import narrowed
from unstuck.engines.tensorflow import ENGINE
from unstuck.errors import Code, EngineError, UnstuckError
from unstuck.proto.wire.example_pb2 import Example
from unstuck.testing import models

EXAMPLES = np.array(
    [Example(features={"feature": {"output": {"float_list": {"value": [5]}}}}).SerializeToString()], object
)


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


@pytest.fixture
def few(monkeypatch):
    """How many narrowed or joined calls are kept, in this test."""
    from unstuck.engines.tensorflow import servable

    monkeypatch.setattr(servable, "MAX_OTHER_CALLS", 3)
    return 3


@pytest.fixture
def made(monkeypatch):
    """Every call that has been made ready, by what it gives."""
    from unstuck.engines.tensorflow.servable import SavedModelServable

    made = []
    make = SavedModelServable._call
    monkeypatch.setattr(
        SavedModelServable, "_call", lambda self, signature: made.append([*signature.outputs]) or make(self, signature)
    )
    return made


def test_a_narrowed_signature_asks_for_its_own_tensors_alone(load, monkeypatch):
    servable = load(models.examples)
    signature = servable.signatures["serving_default"]
    asked, make = [], servable._session._make_callable_from_options
    monkeypatch.setattr(
        servable._session,
        "_make_callable_from_options",
        lambda options: asked.append([*options.fetch]) or make(options),
    )
    for alias in ("scores", "classes"):
        outputs = servable.run(narrowed(signature, [alias]), {"inputs": EXAMPLES})
        assert [*outputs] == [alias]
        assert asked.pop() == [signature.outputs[alias].name]
    servable.run(signature, {"inputs": EXAMPLES})
    assert not asked, "the whole signature was ready"


def test_several_signatures_are_one_run(load):
    """``runs`` and ``runs_too`` give how often the model has run."""
    servable = load(models.examples)
    counters = [servable.signatures[name] for name in ("runs", "runs_too")]
    for run in (1, 2, 3):
        outputs = servable.run_all(counters, EXAMPLES)
        assert [each["outputs"].tolist() for each in outputs] == [[run], [run]]


def test_signatures_of_which_one_fails_fail_together_with_the_frameworks_code(load):
    servable = load(models.examples)
    bad = np.array([b"no example"], object)
    with pytest.raises(EngineError, match="Could not parse example") as caught:
        servable.run_all([servable.signatures[name] for name in ("regress", "scores_only")], bad)
    assert caught.value.code is Code.INVALID_ARGUMENT
    assert "'inputs' declared string [-1], got [1]" in caught.value.hint


@pytest.mark.parametrize("label", [b"word", b"\xff\xfe", b"\xed\xa0\x80"], ids=repr)
def test_what_tensorflow_says_of_any_bytes_is_the_frameworks_error(load, label):
    """It quotes the string, whatever its bytes are: ``could not correctly convert string: …``."""
    servable = load(models.examples)
    signature = servable.signatures["fails"]
    example = Example(features={"feature": {"class": {"bytes_list": {"value": [label]}}}}).SerializeToString()
    tensor = np.array([example], object)
    for run in (lambda: servable.run(signature, {"inputs": tensor}), lambda: servable.run_all([signature], tensor)):
        with pytest.raises(EngineError, match="could not correctly convert string"):
            run()


def test_any_number_of_combinations_is_answered_but_only_so_many_are_kept(load, few, made):
    servable = load(models.examples)
    names = ["regress", "regress_plus_one", "scores_only", "serving_default"]
    made.clear()
    for _ in range(2):
        for combination in permutations(names, 2):
            both = servable.run_all([servable.signatures[name] for name in combination], EXAMPLES)
            for name, outputs in zip(combination, both, strict=True):
                if name.startswith("regress"):
                    assert outputs["outputs"].ravel().tolist() == [5 + (name == "regress_plus_one")]
                else:
                    assert outputs["scores"].shape == (1, 0)
            assert len(servable._other_calls) <= few
    assert len(servable._other_calls) == few
    assert len(made) == 2 * 12 - few, "what is kept is not made again"


def test_any_number_of_filters_is_answered_but_only_so_many_are_kept(load, few, made):
    servable = load(models.multi_io)
    signature = servable.signatures["serving_default"]
    inputs = {"a": np.ones((2, 2), np.float32), "b": np.arange(2), "c": np.array([b"a", b"b"], object)}
    whole = servable.run(signature, inputs)
    made.clear()
    filters = list(permutations(signature.outputs, 2))
    for _ in range(2):
        for aliases in filters:
            outputs = servable.run(narrowed(signature, aliases), inputs)
            assert {alias: array.tolist() for alias, array in outputs.items()} == {
                alias: whole[alias].tolist() for alias in aliases
            }
    assert len(servable._other_calls) == few
    assert len(made) == 2 * len(filters) - few


def test_filters_of_two_signatures_are_kept_apart(load):
    """``serving_default``, ``with_scalar`` and ``uneven`` all have ``total``."""
    servable = load(models.multi_io)
    inputs = {"a": np.ones((2, 2), np.float32), "b": np.arange(2), "c": np.array([b"a", b"b"], object)}
    for name in ("with_scalar", "uneven", "serving_default"):
        signature = servable.signatures[name]
        for alias, array in servable.run(signature, inputs).items():
            outputs = servable.run(narrowed(signature, [alias]), inputs)
            assert [*outputs] == [alias]
            assert outputs[alias].tolist() == array.tolist()


def test_a_signature_that_gives_no_tensor_is_refused_in_words(load):
    """TensorFlow exports its initialiser as ``__saved_model_init_op``; a request may name it."""
    servable = load(models.multi_io)
    with pytest.raises(UnstuckError):
        servable.run(servable.signatures["__saved_model_init_op"], {})
