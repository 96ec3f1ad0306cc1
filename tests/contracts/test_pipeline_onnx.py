"""A pipeline around an ONNX model: TensorFlow prepares and maps, ONNX Runtime runs, and both see what was declared."""

import subprocess
import sys

import numpy as np
import pytest
import yaml

from unstuck.batching.proof import why_not_mergeable
from unstuck.core.signatures import narrowed
from unstuck.engines.onnx import ENGINE
from unstuck.engines.tensorflow import compile_stage
from unstuck.errors import EngineError
from unstuck.pipeline.document import PipelineError
from unstuck.pipeline.loader import PreparedLoader
from unstuck.testing import onnx_models

KINDS = ["book", "film"]
# a float [-1,2], b int64 [-1] and c string [-1] are what the model takes; total is the sum of a and b, doubled is 2 b,
# and shouted is c in capitals.
RAW = {"text": {"dtype": "string"}, "price": {"dtype": "double"}, "kind": {"dtype": "string"}}
TO_FLOAT = {"cast": {"dtype": "float"}}
INPUTS = {
    "a": {
        "concat": [
            {"from": "price", "steps": [{"z_score": {"mean": 3.0, "std": 2.0}}, TO_FLOAT]},
            {"from": "kind", "steps": ["lowercase", {"vocabulary": {"tokens": KINDS, "unknown": -1}}, TO_FLOAT]},
        ]
    },
    "b": {"from": "kind", "steps": ["lowercase", {"vocabulary": {"file": "kinds.txt", "unknown": 0, "first_id": 1}}]},
    "c": {"from": "text", "steps": ["strip", "remove_punctuation"]},
}
OUTPUTS = {
    "kind": {"from": "doubled", "steps": [{"labels": {"names": ["none", "-", "book", "-", "film"], "unknown": "?"}}]},
    "total": {"from": "total", "steps": [{"scale": {"factor": 10}}]},
    "title": "shouted",
    "both": {"stack": ["doubled", {"constant": 7, "steps": [{"cast": {"dtype": "int64"}}]}]},
}
DECLARED = {"raw": RAW, "inputs": INPUTS, "outputs": OUTPUTS}
ROWS = {
    "text": np.array([b" War, and peace! ", "Läuft".encode(), b"?"], object),
    "price": np.array([5, 3, -1.0]),
    "kind": np.array([b"Book", b"FILM", b"other"], object),
}


@pytest.fixture
def path(tmp_path):
    return onnx_models.multi_io(tmp_path / "m")


@pytest.fixture
def load(tmp_path, path):
    """``load(declared)``: the model's servable with this pipeline around it."""
    (tmp_path / "kinds.txt").write_text("\n".join(KINDS) + "\n")
    loaders = []

    def servable(declared):
        file = tmp_path / "pipeline.yaml"
        file.write_text(yaml.safe_dump({"signatures": {"serving_default": declared}}, sort_keys=False))
        loaders.append(PreparedLoader(ENGINE.loader(path), file, compile_stage))
        return loaders[-1].load()

    yield servable
    for loader in loaders:
        loader.unload()


def test_text_and_numbers_are_prepared_and_mapped_as_by_hand(load):
    servable = load(DECLARED)
    own = servable.signatures["serving_default"]
    got = servable.run(own, ROWS)
    kinds = [0, 1, -1]
    a = np.stack([(ROWS["price"] - 3) / 2, kinds], axis=1).astype(np.float32)
    b = np.array([1, 2, 0])
    by_hand = {"a": a, "b": b, "c": np.array([b"War and peace", "Läuft".encode(), b""], object)}
    model = servable.run(servable.signatures["serving_default_unprepared"], by_hand)
    np.testing.assert_array_equal(got["total"], model["total"] * 10)
    np.testing.assert_array_equal(model["total"], a.sum(axis=1) + b)
    assert got["kind"].tolist() == [b"book", b"film", b"none"]
    assert got["both"].tolist() == [[2, 7], [4, 7], [0, 7]]
    assert got["title"].tolist() == [b"WAR AND PEACE", "LäUFT".encode(), b""]


def test_clients_see_raw_inputs_and_declared_outputs(load):
    own = load(DECLARED).signatures["serving_default"]
    assert {alias: str(each) for alias, each in own.inputs.items()} == {
        "kind": "string [-1]", "price": "double [-1]", "text": "string [-1]",
    }  # fmt: skip
    assert {alias: each.dtype.name for alias, each in own.outputs.items()} == {
        "both": "int64", "kind": "string", "title": "string", "total": "float",
    }  # fmt: skip
    assert str(own.outputs["both"]) == "int64 [-1,2]"


def test_outputs_asked_for_alone_are_given_alone(load):
    servable = load(DECLARED)
    got = servable.run(narrowed(servable.signatures["serving_default"], ["kind"]), ROWS)
    assert {alias: value.tolist() for alias, value in got.items()} == {"kind": [b"book", b"film", b"none"]}


def test_calls_are_merged_where_the_models_own_are(load):
    outputs = {"kind": OUTPUTS["kind"], "title": "shouted"}
    servable = load({**DECLARED, "outputs": outputs})
    assert why_not_mergeable(servable, servable.signatures["serving_default"]) == ""


def test_outputs_of_constants_alone_have_a_row_for_each_row(load):
    servable = load({**DECLARED, "outputs": {"version": {"constant": "v2"}}})
    got = servable.run(servable.signatures["serving_default"], ROWS)
    assert got["version"].tolist() == [b"v2"] * 3


@pytest.mark.parametrize(
    ("alias", "expression", "says", "hint"),
    [
        ("b", "kind", "inputs.b: it is string, and the model takes int64 [-1]", "vocabulary or hash"),
        ("b", "price", "inputs.b: it is double, and the model takes int64 [-1]", "cast: {dtype: int64}"),
        (
            "a",
            {"from": "price", "steps": [TO_FLOAT]},
            "inputs.a: it has the shape [-1], and the model takes float",
            "reshape",
        ),
        ("c", {"from": "text", "steps": ["split"]}, "inputs.c: its rows have different lengths", "pad"),
        ("c", {"from": "text", "steps": ["log"]}, "inputs.c: step 0 (log): it takes numbers, got string", ""),
        ("b", {"from": "kind", "steps": [{"vocabulary": {"file": "no.txt", "unknown": 0}}]}, "no.txt cannot be", ""),
    ],
)
def test_what_does_not_fit_is_refused_and_said_where(load, alias, expression, says, hint):
    inputs = {**INPUTS, alias: expression}
    raw = {name: each for name, each in RAW.items() if f"'{name}'" in str(inputs)}
    with pytest.raises(PipelineError) as caught:
        load({"raw": raw, "inputs": inputs})
    assert caught.value.message.startswith("Signature 'serving_default', pipeline inputs.")
    assert says in caught.value.message
    assert hint in caught.value.hint
    assert bool(hint) == bool(caught.value.hint)


def test_what_the_frameworks_refuse_names_the_input(load):
    servable = load(DECLARED)
    with pytest.raises(EngineError) as caught:
        servable.run(servable.signatures["serving_default"], {**ROWS, "price": np.ones(1)})
    assert "'price' declared double [-1], got [1]" in str(caught.value)


SCRIPT = """
import sys
from pathlib import Path
sys.modules["tensorflow"] = None
import numpy as np
from unstuck.engines.onnx import ENGINE
from unstuck.engines.tensorflow import compile_stage
from unstuck.errors import SetupError
from unstuck.pipeline.loader import PreparedLoader

loader = PreparedLoader(ENGINE.loader(Path(sys.argv[1])), Path(sys.argv[2]), compile_stage)
try:
    servable = loader.load()
except SetupError as error:
    print(error)
else:
    raw = {"size": np.array([1.0], np.float32)}
    print(servable.run(servable.signatures["serving_default"], raw)["y"].tolist())
"""


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("size", "[[2.5]]"),
        (
            {"from": "size", "steps": ["log"]},
            "Signature 'serving_default', pipeline inputs is prepared by TensorFlow, and TensorFlow is not installed. "
            'Run: pip install "unstuck[tensorflow]"',
        ),
    ],
)
def test_without_tensorflow_names_alone_are_mapped_and_steps_say_what_to_install(tmp_path, expression, says):
    model = onnx_models.half_plus_two(tmp_path / "m")
    file = tmp_path / "pipeline.yaml"
    declared = {"raw": {"size": {"dtype": "float"}}, "inputs": {"x": expression}}
    file.write_text(yaml.safe_dump({"signatures": {"serving_default": declared}}))
    command = [sys.executable, "-c", SCRIPT, str(model), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout.strip(), done.stderr) == (says, "")
