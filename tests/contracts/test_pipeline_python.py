"""Python steps before a SavedModel: run by the server, then the graph; never part of a baked model."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import yaml

from unstuck.batching.proof import why_not_mergeable
from unstuck.core.signatures import narrowed
from unstuck.engines.tensorflow import ENGINE
from unstuck.engines.tensorflow.bake import bake
from unstuck.errors import Code, EngineError
from unstuck.pipeline.document import PipelineError, read_pipeline
from unstuck.testing import models

PREPARE = """
import numpy as np


def sizes(text, factor):
    if any(len(each) > 40 for each in text):
        raise ValueError("a text is longer than 40 bytes")
    return np.stack([[len(each), each.count(b" ")] for each in text]).astype(np.float32) * factor[:, None]


def title(text):
    return np.array([each.decode().title() for each in text], object)


def ranks(text):
    return np.argsort(np.argsort(text)).astype(np.int64)  # of a text among those that it came with
"""
# a float [-1,2], b int64 [-1] and c string [-1] are what the model takes.
SIZES = {"function": "prepare.py:sizes", "from": ["text", "factor"], "dtype": "float", "shape": [2], "stateless": True}
TITLE = {"function": "prepare.py:title", "from": "text", "dtype": "string", "stateless": True}
DECLARED = {
    "raw": {"text": {"dtype": "string"}, "factor": {"dtype": "float"}},
    "python": {"sizes": SIZES, "title": TITLE},
    "inputs": {
        "a": {"from": "sizes", "steps": [{"scale": {"factor": 2}}]},
        "b": {"from": "factor", "steps": [{"cast": {"dtype": "int64"}}]},
        "c": {"from": "title", "steps": [{"replace": {"pattern": "War", "by": "Peace"}}]},
    },
    "outputs": {"total": "total", "shouted": "shouted"},
}
RAW = {"text": np.array([b"war and war", "né".encode()], object), "factor": np.array([1, 3], np.float32)}


@pytest.fixture(scope="module")
def multi_io(tmp_path_factory):
    """total is the sum of a and b; shouted is c in capitals."""
    return models.multi_io(tmp_path_factory.mktemp("python"))


@pytest.fixture
def load(tmp_path, multi_io):
    (tmp_path / "prepare.py").write_text(PREPARE)
    loaders = []

    def servable(declared):
        file = tmp_path / "pipeline.yaml"
        file.write_text(yaml.safe_dump({"signatures": {"serving_default": declared}}, sort_keys=False))
        loaders.append(replace(ENGINE, pipeline_file=file).loader(multi_io))
        return loaders[-1].load()

    yield servable
    for loader in loaders:
        loader.unload()


def test_python_runs_first_and_the_graph_takes_what_it_gives(load):
    servable = load(DECLARED)
    own = servable.signatures["serving_default"]
    assert {alias: str(each) for alias, each in own.inputs.items()} == {"factor": "float [-1]", "text": "string [-1]"}
    got = servable.run(own, RAW)
    assert [*got] == ["shouted", "total"]
    assert got["total"].tolist() == [2 * (11 + 2) + 1, 2 * 3 * (3 + 0) + 3]
    assert got["shouted"].tolist() == [b"PEACE AND PEACE", "NÉ".encode()]
    assert servable.run(narrowed(own, ["total"]), RAW)["total"].tolist() == got["total"].tolist()


def test_the_models_other_signatures_are_as_they_were(load):
    servable = load(DECLARED)
    inputs = {"a": np.ones((1, 2), np.float32), "b": np.array([1]), "c": np.array([b"x"], object)}
    unprepared = servable.run(servable.signatures["serving_default_unprepared"], inputs)
    assert unprepared["total"].tolist() == [3]
    assert servable.run(servable.signatures["uneven"], inputs)["first"].tolist() == [b"x"]
    assert "uneven" in servable.stateless


def test_calls_are_merged_only_where_a_function_says_that_rows_are_their_own_and_they_are(load):
    def why_not(python, inputs):
        servable = load({**DECLARED, "python": python, "inputs": {**DECLARED["inputs"], **inputs}})
        return why_not_mergeable(servable, servable.signatures["serving_default"])

    both = {"sizes": SIZES, "title": TITLE}
    assert why_not(both, {}) == ""
    assert "may change state" in why_not({**both, "title": {**TITLE, "stateless": False}}, {})
    ranks = {"function": "prepare.py:ranks", "from": "text", "dtype": "int64", "stateless": True}
    assert "its rows answer differently" in why_not({**both, "ranks": ranks}, {"b": "ranks"})


def test_a_value_error_of_a_function_is_the_clients(load):
    servable = load(DECLARED)
    with pytest.raises(EngineError, match="refused its input: a text is longer than 40 bytes") as caught:
        servable.run(servable.signatures["serving_default"], {**RAW, "text": np.array([b"x" * 41] * 2, object)})
    assert caught.value.code is Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("python", "says"),
    [
        ({"sizes": {**SIZES, "shape": [3]}}, "inputs.a: it has the shape [-1,3], and the model takes float [-1,2]"),
        ({"sizes": {**SIZES, "dtype": "string"}}, "inputs.a: step 0 (scale): it takes numbers, got string"),
        ({"sizes": {**SIZES, "function": "prepare.py:size"}}, "python.sizes: prepare.py has no function 'size'"),
        ({"title": {**TITLE, "from": "texts"}}, "python.title: 'texts' does not exist"),
    ],
)
def test_what_does_not_fit_is_refused_at_load(load, python, says):
    with pytest.raises(PipelineError) as caught:
        load({**DECLARED, "python": {**DECLARED["python"], **python}})
    assert caught.value.message.startswith("Signature 'serving_default', pipeline")
    assert says in caught.value.message


def test_it_is_not_baked(load, multi_io, tmp_path):
    load(DECLARED)
    with pytest.raises(PipelineError) as caught:
        bake(multi_io, read_pipeline(tmp_path / "pipeline.yaml"), tmp_path, tmp_path / "out")
    assert str(caught.value) == (
        "Signature 'serving_default', pipeline python.sizes: it runs in Python, and a SavedModel has ops alone. "
        "Serve the model with this pipeline, or do it by steps under inputs, which are ops."
    )
    assert not (tmp_path / "out").exists()
    command = [sys.executable, "-m", "unstuck", "bake", str(multi_io), str(tmp_path / "out")]
    done = subprocess.run(
        [*command, f"--pipeline={tmp_path / 'pipeline.yaml'}"], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode != 0
    assert "python.sizes: it runs in Python" in done.stderr
