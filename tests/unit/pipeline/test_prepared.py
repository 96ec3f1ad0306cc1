"""A pipeline around a model of any engine: what it prepares, what it hands over, what clients see of it."""

import numpy as np
import pytest
import yaml
from fakes import FakeLoader, FakeServable, signature, spec

from unstuck.core import dtypes
from unstuck.core.signatures import narrowed
from unstuck.errors import SetupError
from unstuck.pipeline.document import PipelineError
from unstuck.pipeline.loader import PreparedLoader
from unstuck.pipeline.prepared import PreparedCall, PreparedServable

PREPARE = """
import numpy as np


def count(text):
    return np.array([len(each) for each in text], np.float32)
"""
COUNT = {"function": "prepare.py:count", "from": "text", "dtype": "float"}
TEXT, X = {"dtype": "string"}, {"dtype": "float"}
TEXTS = np.array([b"a", b"bcd"], object)


class Model(FakeServable):
    """x float [-1,1] and z float [-1] to y, which is x + z, and ``z``."""

    def __init__(self):
        outputs = spec("y", shape=(None, 1)), spec("z", shape=(None,))
        own = signature(spec("x", shape=(None, 1)), spec("z", shape=(None,)), outputs=outputs)
        self.narrowed_to = []
        super().__init__(lambda inputs: {"y": inputs["x"] + inputs["z"][:, None], "z": inputs["z"]}, {own.name: own})

    def run(self, signature, inputs):
        self.narrowed_to.append([*signature.outputs])
        outputs = super().run(signature, inputs)
        return {alias: outputs[alias] for alias in signature.outputs}

    def run_all(self, signatures, tensor):
        return [(each.name, tensor) for each in signatures]


def no_framework(where, *_):
    raise SetupError(f"{where} is prepared by a framework that is not installed.")


@pytest.fixture
def loader_of(tmp_path):
    """``loader_of(declared)``: of a Model, which it keeps as ``model``, with this pipeline around it."""
    (tmp_path / "prepare.py").write_text(PREPARE)

    def loader(declared, compile_stage=no_framework, inner=None):
        file = tmp_path / "pipeline.yaml"
        file.write_text(yaml.safe_dump({"signatures": {"serving_default": declared}}, sort_keys=False))
        return PreparedLoader(inner or FakeLoader(Model()), file, compile_stage)

    return loader


RENAMES = {"raw": {"size": X, "weight": X}, "inputs": {"x": "size", "z": "weight"}}
RAW = {"size": np.array([1, 2], np.float32), "weight": np.array([10, 20], np.float32)}


def test_renames_need_no_framework(loader_of):
    servable = loader_of({**RENAMES, "outputs": {"sum": "y"}}).load()
    own = servable.signatures["serving_default"]
    assert {alias: str(each) for alias, each in own.inputs.items()} == {"size": "float [-1]", "weight": "float [-1]"}
    assert {alias: str(each) for alias, each in own.outputs.items()} == {"sum": "float [-1,1]"}
    assert own.outputs["sum"].alias == "sum"
    assert {alias: value.tolist() for alias, value in servable.run(own, RAW).items()} == {"sum": [[11], [22]]}


def test_python_steps_and_names_need_no_framework(loader_of):
    python = {"raw": {"text": TEXT}, "python": {"length": COUNT}, "inputs": {"x": "length", "z": "length"}}
    servable = loader_of(python).load()
    own = servable.signatures["serving_default"]
    assert [*own.inputs] == ["text"]
    assert servable.run(own, {"text": TEXTS})["y"].tolist() == [[2], [6]]


def test_the_models_own_signature_stays_beside_it(loader_of):
    servable = loader_of(RENAMES).load()
    assert [*servable.signatures] == ["serving_default", "serving_default_unprepared"]
    unprepared = servable.signatures["serving_default_unprepared"]
    inputs = {"x": np.ones((1, 1), np.float32), "z": np.ones(1, np.float32)}
    assert servable.run(unprepared, inputs)["y"].tolist() == [[2]]
    assert unprepared.name == "serving_default_unprepared"


@pytest.mark.parametrize("outputs", [None, {"z": "z", "y": "y"}])
def test_outputs_that_are_not_asked_for_are_not_given(loader_of, outputs):
    inner = FakeLoader(Model())
    servable = loader_of(RENAMES | ({"outputs": outputs} if outputs else {}), inner=inner).load()
    got = servable.run(narrowed(servable.signatures["serving_default"], ["z"]), RAW)
    assert {alias: value.tolist() for alias, value in got.items()} == {"z": [10, 20]}
    assert inner.servable.narrowed_to == [["y", "z"] if outputs else ["z"]]


def test_the_model_runs_only_for_outputs_that_something_is_made_of(loader_of):
    inner = FakeLoader(Model())
    servable = loader_of({**RENAMES, "outputs": {"weight": "z"}}, inner=inner).load()
    assert servable.run(servable.signatures["serving_default"], RAW)["weight"].tolist() == [10, 20]
    assert inner.servable.narrowed_to == [["z"]]


@pytest.mark.parametrize("stateless", [False, True])
def test_it_is_stateless_if_the_model_and_its_python_are(loader_of, stateless):
    python = {"length": {**COUNT, "stateless": stateless}}
    declared = {"raw": {"text": TEXT}, "python": python, "inputs": {"x": "length", "z": "length"}}
    inner = FakeLoader(Model())
    both = {"serving_default", "serving_default_unprepared"}
    assert loader_of(declared, inner=inner).load().stateless == (both if stateless else both - {"serving_default"})
    inner.servable.stateless = frozenset()
    assert loader_of(declared, inner=inner).load().stateless == set()


@pytest.mark.parametrize(
    ("declared", "says"),
    [
        ({"raw": {"a": X, "b": TEXT}, "inputs": {"x": "a", "z": "b"}}, "inputs.z: it is string, and the model takes"),
        ({"raw": {"a": {**X, "shape": [2]}}, "inputs": {"x": "a", "z": "a"}}, "inputs.x: it has the shape [-1,2], and"),
        ({"raw": {"a": X}, "inputs": {"x": "a"}}, "input 'z' (float [-1]) is not declared"),
        ({**RENAMES, "outputs": {"sum": "x"}}, "outputs.sum: 'x' does not exist"),
        ({"raw": {"t": TEXT}, "python": {"n": {**COUNT, "from": "t", "function": "no.py:f"}},
          "inputs": {"x": "n", "z": "n"}}, "no.py cannot be loaded"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_the_model_unloaded(loader_of, declared, says):
    inner = FakeLoader(Model())
    with pytest.raises(PipelineError) as caught:
        loader_of(declared, inner=inner).load()
    assert caught.value.message.startswith("Signature 'serving_default', pipeline")
    assert says in caught.value.message
    assert inner.unloaded == 1


class Doubled:
    """A stage of a framework that doubles what it is given."""

    def __init__(self, where, expressions, sources, wanted, folder):
        self.outputs = {alias: spec(alias) for alias in expressions}
        self.sources = {alias: [*each.names()] for alias, each in expressions.items()}
        self.asked = (where, sorted(sources), wanted and sorted(wanted), folder)
        self.closed = 0

    def run(self, known):
        return {alias: known[name] * 2 for alias, (name,) in self.sources.items()}

    def close(self):
        self.closed += 1


def test_what_names_cannot_do_is_asked_of_the_framework_and_closed(loader_of, tmp_path):
    stages = []

    def compiled(*arguments):
        stages.append(Doubled(*arguments))
        return stages[-1]

    steps = {"from": "length", "steps": [{"scale": {"factor": 2}}]}
    outputs = {"sum": {"from": "y", "steps": [{"scale": {"factor": 2}}]}}
    declared = {"raw": {"text": TEXT}, "python": {"length": COUNT}, "inputs": {"x": steps, "z": steps}}
    inner = FakeLoader(Model())
    loader = loader_of({**declared, "outputs": outputs}, compiled, inner)
    servable = loader.load()
    where = "Signature 'serving_default', pipeline"
    assert [each.asked for each in stages] == [
        (f"{where} inputs", ["length"], ["x", "z"], tmp_path),
        (f"{where} outputs", ["y"], None, tmp_path),
    ]
    inner.servable.function = lambda inputs: {"y": inputs["x"] + inputs["z"]}
    inner.servable.run = lambda _, inputs: inner.servable.function(inputs)
    assert servable.run(servable.signatures["serving_default"], {"text": TEXTS})["sum"].tolist() == [8, 24]
    loader.unload()
    assert ([each.closed for each in stages], inner.unloaded) == ([1, 1], 1)


def test_a_framework_that_is_not_installed_is_said(loader_of):
    steps = {"from": "size", "steps": [{"scale": {"factor": 2}}]}
    inner = FakeLoader(Model())
    with pytest.raises(SetupError, match=r"pipeline inputs is prepared by a framework that is not installed\."):
        loader_of({**RENAMES, "inputs": {"x": steps, "z": "weight"}}, inner=inner).load()
    assert inner.unloaded == 1


def test_signatures_that_take_nothing_prepared_are_run_together_by_the_engine():
    model = Model()
    other = signature(spec("x", dtypes.STRING), name="other")
    model.signatures = {**model.signatures, "other": other}
    own = model.signatures["serving_default"]
    servable = PreparedServable(model, {"serving_default": PreparedCall(own, own, lambda inputs: {**inputs})})
    tensor = np.ones(1, np.float32)
    assert servable.run_all([other], tensor) == [("other", tensor)]
    assert servable.run_all([own], tensor)[0]["z"].tolist() == [1]
