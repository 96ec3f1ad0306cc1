"""Python steps: what may be declared, a user's function run and held to what it was declared to return."""

import sys

import numpy as np
import pytest
import yaml
from fakes import signature, spec

from unstuck.core import dtypes
from unstuck.errors import Code, EngineError, WrongShape
from unstuck.pipeline.checks import check
from unstuck.pipeline.document import PipelineError, read_pipeline
from unstuck.pipeline.python_steps import PythonSteps

RAW = {"text": {"dtype": "string"}, "x": {"dtype": "float"}, "pair": {"dtype": "float", "shape": [2]}}
TOKENS = {"tokenizer": "t.json", "from": "text", "length": 4}
CLEAN = {"function": "prepare.py:clean", "from": "text", "dtype": "string"}
PREPARE = """
from dataclasses import dataclass

import numpy as np


@dataclass
class Answer:  # dataclasses look their module up
    value: "int"


def clean(text):
    return np.array([each.decode().strip().upper() for each in text], object)


def lengths(text, x):
    if (x < 0).any():
        raise ValueError("x is below 0")
    return np.array([len(each) for each in text], np.int64) * x.astype(np.int64)


def pairs(text):
    return np.stack([np.arange(2, dtype=np.float32) + len(each) for each in text]) if len(text) else text


def broken(text):
    return {}["missing"]


def returned(x):
    return RESULTS[int(x[0])]


RESULTS = [
    [1.0],
    np.zeros(1),
    np.zeros((1, 1), np.float32),
    np.zeros(2, np.float32),
    np.array([None]),
    np.array(["\\ud800"]),
    np.array(["one"]),
]
no_function = 1
"""


@pytest.fixture
def read(tmp_path):
    def pipeline(python, inputs=None, raw=RAW):
        path = tmp_path / "pipeline.yaml"
        declared = {"raw": raw, "python": python, "inputs": inputs or {"ids": "x"}}
        path.write_text(yaml.safe_dump({"signatures": {"serving_default": declared}}, sort_keys=False))
        return read_pipeline(path)

    return pipeline


@pytest.fixture
def steps(read, tmp_path):
    """``steps({…})``: these steps, each of which an input uses."""
    (tmp_path / "prepare.py").write_text(PREPARE)

    def loaded(python):
        inputs = {name: name for name in python}
        return PythonSteps("serving_default", read(python, inputs).signatures["serving_default"], tmp_path)

    return loaded


def texts(*values):
    return np.array([value.encode() for value in values], object)


# What may be declared


@pytest.mark.parametrize(
    ("python", "says"),
    [
        ({"tokens": {"from": "text"}}, "tokens: expected {tokenizer: FILE, …} or {function: FILE.py:NAME, …}"),
        ({"tokens": "t.json"}, "tokens: expected {tokenizer: FILE, …} or {function: FILE.py:NAME, …}"),
        ({"tokens": {"tokenizer": "t.json", "from": "text"}}, "python.tokens: length is required"),
        ({"tokens": {**TOKENS, "length": 0}}, "tokens.length: input should be greater than 0"),
        ({"tokens": {**TOKENS, "give": "ids"}}, "tokens.give: extra inputs are not permitted"),
        ({"tokens": {**TOKENS, "tokenizer": "../t.json"}}, "tokenizer: expected a file beside the pipeline file, got"),
        ({"tokens": {**TOKENS, "tokenizer": "/t.json"}}, "tokenizer: expected a file beside the pipeline file, got"),
        ({"tokens": {**TOKENS, "from": ["text", "text", "text"]}}, "tokens.from: list should have at most 2 items"),
        ({"f": {**CLEAN, "function": "prepare.clean"}}, "f.function: expected FILE.py:NAME, got 'prepare.clean'"),
        ({"f": {**CLEAN, "function": "prepare.py:"}}, "f.function: expected FILE.py:NAME, got 'prepare.py:'"),
        ({"f": {**CLEAN, "function": "a/../../b.py:f"}}, "f.function: expected a file beside the pipeline file"),
        ({"f": {**CLEAN, "dtype": "text"}}, "f.dtype: there is no dtype 'text'"),
        ({"f": {**CLEAN, "from": []}}, "f.from: list should have at least 1 item"),
    ],
)
def test_what_is_declared_wrongly_is_said_with_its_line(read, tmp_path, python, says):
    with pytest.raises(PipelineError) as caught:
        read(python)
    assert says in caught.value.message
    line = int(caught.value.message.split("line ")[1].split(",")[0])
    lines = (tmp_path / "pipeline.yaml").read_text().splitlines()
    assert lines.index("    python:") < line - 1 < lines.index("    inputs:")


@pytest.mark.parametrize(
    ("python", "inputs", "says", "hint"),
    [
        ({"t": TOKENS}, {"ids": "t"}, "inputs.ids: 't' does not exist; what it may be made of: 'text'", ""),
        ({"tokens": TOKENS}, {"ids": "tokens"}, "'tokens' does not exist", "Did you mean 'tokens.ids'?"),
        ({"t": {**TOKENS, "from": "txt"}}, {"ids": "t.ids"}, "python.t: 'txt' does not exist; what is known before it",
            "Did you mean 'text'?"),
        ({"t": {**TOKENS, "from": "f"}, "f": CLEAN}, {"ids": "t.ids"}, "python.t: 'f' does not exist", ""),
        ({"t": {**TOKENS, "from": "x"}}, {"ids": "t.ids"}, "it takes one text a row, and 'x' is float [-1]", ""),
        ({"t": {**TOKENS, "from": "pair"}}, {"ids": "t.ids"}, "and 'pair' is float [-1,2]", ""),
        ({"text": CLEAN}, {"ids": "text"}, "python.text: 'text' is there twice", "another name"),
        ({"f": CLEAN}, {"ids": {"concat": ["text", "x", "pair"]}}, "python.f is not used by any input", "leave it out"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused(read, python, inputs, says, hint):
    model = signature(spec("ids", dtypes.INT64, (None, 4)))
    with pytest.raises(PipelineError) as caught:
        check(read(python, inputs), {"serving_default": model})
    assert says in caught.value.message
    assert hint in caught.value.hint
    assert bool(hint) == bool(caught.value.hint)


def test_raw_inputs_that_only_python_uses_are_used(read):
    raw = {"text": RAW["text"]}
    python = {"f": CLEAN, "t": {**TOKENS, "from": ["f", "text"]}}
    pipeline = read(python, {"ids": "t.ids"}, raw)
    check(pipeline, {"serving_default": signature(spec("ids", dtypes.INT64, (None, 4)))})
    declared = pipeline.signatures["serving_default"]
    assert {name: str(each.spec(name)) for name, each in declared.sources().items()} == {
        "text": "string [-1]", "f": "string [-1]",
        "t.ids": "int64 [-1,4]", "t.attention_mask": "int64 [-1,4]", "t.type_ids": "int64 [-1,4]",
    }  # fmt: skip


# A user's function


def test_functions_get_arrays_in_order_and_the_results_of_those_before_them(steps):
    lengths = {"function": "prepare.py:lengths", "from": ["clean", "x"], "dtype": "int64"}
    pairs = {"function": "prepare.py:pairs", "from": ["clean"], "dtype": "float", "shape": [2]}
    run = steps({"clean": CLEAN, "lengths": lengths, "pairs": pairs}).run
    got = run({"text": texts(" a ", "né"), "x": np.array([1, 3], np.float32)})
    assert got["clean"].tolist() == [b"A", "NÉ".encode()]
    assert got["lengths"].tolist() == [1, 9]
    assert got["pairs"].tolist() == [[1, 2], [3, 4]]


def test_a_function_is_stateless_only_if_it_is_declared_to_be(steps):
    assert not steps({"clean": CLEAN}).stateless
    assert not steps({"clean": {**CLEAN, "stateless": True}, "other": CLEAN}).stateless
    assert steps({"clean": {**CLEAN, "stateless": True}}).stateless


WHERE = "Signature 'serving_default', pipeline python.f (prepare.py:"


def test_a_functions_value_error_is_the_clients_and_any_other_the_servers(steps, caplog):
    lengths = {"function": "prepare.py:lengths", "from": ["text", "x"], "dtype": "int64"}
    with pytest.raises(EngineError) as caught:
        steps({"f": lengths}).run({"text": texts("a"), "x": np.array([-1], np.float32)})
    assert (caught.value.code, caught.value.message) == (
        Code.INVALID_ARGUMENT,
        f"{WHERE}lengths) refused its input: x is below 0",
    )
    assert not caplog.records
    with pytest.raises(EngineError) as caught:
        steps({"f": {**CLEAN, "function": "prepare.py:broken"}}).run({"text": texts("a")})
    assert (caught.value.code, caught.value.message) == (
        Code.INTERNAL,
        f"{WHERE}broken) failed: KeyError: 'missing'",
    )
    assert "prepare.py" in caplog.text
    assert "KeyError" in caplog.text


@pytest.mark.parametrize(
    ("at", "dtype", "says"),
    [
        (0, "float", "must return float [1], got list, which is no NumPy array."),
        (1, "float", "must return float [1], got double [1]."),
        (2, "float", "must return float [1], got float [1,1]."),
        (3, "float", "must return float [1], got float [2]."),
        (4, "string", "must return string [1], got string, which is not all text."),
        (5, "string", "which is not all text."),
        (6, "int64", "must return int64 [1], got str96 [1]."),
    ],
)
def test_what_a_function_returns_is_held_to_what_is_declared(steps, at, dtype, says):
    step = {"function": "prepare.py:returned", "from": "x", "dtype": dtype}
    with pytest.raises(EngineError) as caught:
        steps({"f": step}).run({"x": np.array([at], np.float32)})
    assert caught.value.code is Code.INTERNAL
    assert caught.value.message.startswith(f"{WHERE}returned) must return ")
    assert caught.value.message.endswith(says)


def test_text_of_any_numpy_kind_becomes_bytes(steps):
    step = {"function": "prepare.py:returned", "from": "x", "dtype": "string"}
    assert steps({"f": step}).run({"x": np.array([6], np.float32)})["f"].tolist() == [b"one"]


@pytest.mark.parametrize(
    "x", [np.float32(1), np.ones(2, np.float32), np.ones((1, 1), np.float32)], ids=["scalar", "rows", "rank"]
)
def test_inputs_that_are_not_as_many_rows_are_refused(steps, x):
    lengths = {"function": "prepare.py:lengths", "from": ["text", "x"], "dtype": "int64"}
    with pytest.raises(WrongShape, match=r"as many rows of each input: 'text' declared string \[-1\], got \[1\]"):
        steps({"f": lengths}).run({"text": texts("a"), "x": np.asarray(x)})


@pytest.mark.parametrize(
    ("function", "says", "hint"),
    [
        ("nothing.py:clean", "nothing.py cannot be loaded: FileNotFoundError", ""),
        ("wrong.py:clean", "wrong.py cannot be loaded: SyntaxError", ""),
        ("prepare.py:claen", "prepare.py has no function 'claen'", "Did you mean 'clean'?"),
        ("prepare.py:no_function", "prepare.py has no function 'no_function'", ""),
    ],
)
def test_a_function_that_cannot_be_loaded_is_refused(steps, tmp_path, function, says, hint):
    (tmp_path / "wrong.py").write_text("def clean(:\n")
    with pytest.raises(PipelineError) as caught:
        steps({"f": {**CLEAN, "function": function}})
    assert caught.value.message.startswith("Signature 'serving_default', pipeline python.f: ")
    assert says in caught.value.message
    assert caught.value.hint == hint


# A tokenizer's library


def test_the_library_tokenizers_is_imported_only_where_it_is_named_and_its_absence_said(steps, monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    steps({"clean": CLEAN})
    with pytest.raises(PipelineError) as caught:
        steps({"t": TOKENS})
    assert caught.value.message == (
        "Signature 'serving_default', pipeline python.t: the library tokenizers is not installed."
    )
    assert caught.value.hint == 'Run: pip install "unstuck[tokenizers]"'
