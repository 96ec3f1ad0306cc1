import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fakes import FakeModel, FakeServable, signature, spec

from unstuck.core.batching import Batching, BatchingParameters
from unstuck.core.dtypes import FLOAT, STRING
from unstuck.core.signatures import narrowed
from unstuck.errors import Code, EngineError, InvalidRequest, QueueFull
from unstuck.inference.batched import BatchKey, Run, batch_key, parameters_of, run_all, run_batch, split

SIG = signature(spec("x", FLOAT, (None, None)), outputs=(spec("y", FLOAT, (None,)), spec("z", FLOAT, (None,))))
PLAIN = BatchingParameters()


def sums(inputs):
    total = inputs["x"].sum(axis=1)
    return {"y": total, "z": -total}


def model(function=sums, parameters=PLAIN, add=None):
    servable = FakeServable(function, {SIG.name: SIG})
    return FakeModel(servable, batching=Batching({SIG.name: parameters}, add))


class Told:
    """Keeps the outcomes by what was sent, as lists."""

    def __init__(self):
        self.heard = {}
        self.calls = 0

    def __call__(self, runs, took):
        self.calls += 1
        assert took.run_ns >= 0
        for run in runs:
            outcome = run.outcome
            is_error = isinstance(outcome, BaseException)
            self.heard[run.sent] = outcome if is_error else {alias: each.tolist() for alias, each in outcome.items()}


def batch(told, served, *rows, parameters=PLAIN, is_wanted=lambda: True):
    runs = [
        Run(served, SIG, {"x": np.array(values, np.float32)}, told, name, is_wanted)
        for name, values in zip("abcdef", rows, strict=False)
    ]
    key = batch_key(served, SIG, runs[0].inputs)
    run_batch(BatchKey(key.model, key.signature, key.ranks, parameters), runs)
    return told.heard


def test_calls_run_as_one_and_each_gets_its_own_rows():
    served, told = model(), Told()
    heard = batch(told, served, [[1, 2]], [[3, 4], [5, 6]])
    assert heard == {"a": {"y": [3], "z": [-3]}, "b": {"y": [7, 11], "z": [-7, -11]}}
    assert len(served.servable.runs) == 1
    assert told.calls == 1


def test_one_call_alone_is_padded_too():
    served = model()
    allowed = BatchingParameters(max_batch_size=4, allowed_batch_sizes=(4,))
    assert batch(Told(), served, [[1, 2]], parameters=allowed)["a"] == {"y": [3], "z": [-3]}
    assert served.servable.runs[0]["x"].shape == (4, 2)


def test_where_the_framework_fails_each_hears_of_itself():
    def no_negatives(inputs):
        if (inputs["x"] < 0).any():
            raise EngineError(f"negative among {len(inputs['x'])}", code=Code.OUT_OF_RANGE)
        return sums(inputs)

    heard = batch(Told(), model(no_negatives), [[1, 2]], [[-1, 0]], [[3, 4]])
    assert heard["a"] == {"y": [3], "z": [-3]}
    assert heard["c"] == {"y": [7], "z": [-7]}
    assert heard["b"].message == "negative among 1"
    assert heard["b"].code is Code.OUT_OF_RANGE


def test_an_error_that_is_no_error_of_ours_is_heard_as_well():
    def fail(inputs):
        raise ZeroDivisionError

    assert isinstance(batch(Told(), model(fail), [[1, 2]])["a"], ZeroDivisionError)


def test_calls_that_do_not_fit_together_are_all_refused_each_with_an_error_of_its_own():
    served = model()
    heard = batch(Told(), served, [[1, 2]], [[1, 2, 3]])
    assert heard["a"].code is heard["b"].code is Code.FAILED_PRECONDITION
    assert heard["a"] is not heard["b"]
    assert not served.servable.runs


def test_an_output_without_a_row_for_each_is_everybodys_error():
    heard = batch(Told(), model(lambda inputs: {"y": inputs["x"].sum(), "z": inputs["x"]}), [[1, 2]], [[1, 2]])
    assert {each.code for each in heard.values()} == {Code.FAILED_PRECONDITION}


def test_who_no_longer_waits_is_not_run():
    served, told = model(), Told()
    assert batch(told, served, [[1, 2]], is_wanted=lambda: False) == {}
    assert not served.servable.runs


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_a_split_run_is_told_once_when_all_its_parts_have_run(order):
    served, told = model(), Told()
    whole = Run(served, SIG, {"x": np.arange(12, dtype=np.float32).reshape(6, 2)}, told, "whole")
    parts = split(whole, [1, 3, 2])
    assert [part.rows for part in parts] == [1, 3, 2]
    key = batch_key(served, SIG, whole.inputs)
    for at in order[:-1]:
        run_batch(key, [parts[at]])
    assert told.calls == 0
    run_batch(key, [parts[order[-1]]])
    assert told.heard == {"whole": {"y": [1, 5, 9, 13, 17, 21], "z": [-1, -5, -9, -13, -17, -21]}}
    assert told.calls == 1


def test_parts_may_run_at_the_same_time():
    barrier = threading.Barrier(2, timeout=10)

    def together(inputs):
        barrier.wait()
        return sums(inputs)

    served, told = model(together), Told()
    parts = split(Run(served, SIG, {"x": np.ones((4, 1), np.float32)}, told, "whole"), [2, 2])
    key = batch_key(served, SIG, parts[0].inputs)
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda part: run_batch(key, [part]), parts))
    assert told.heard["whole"]["y"] == [1, 1, 1, 1]


def test_an_error_of_one_part_is_the_runs():
    def no_threes(inputs):
        if (inputs["x"] == 3).any():
            raise EngineError("three", code=Code.INTERNAL)
        return sums(inputs)

    served, told = model(no_threes), Told()
    parts = split(Run(served, SIG, {"x": np.arange(4, dtype=np.float32).reshape(4, 1)}, told, "whole"), [2, 2])
    for part in parts:
        run_batch(batch_key(served, SIG, part.inputs), [part])
    assert told.heard["whole"].message == "three"


def test_keys_tell_apart_what_must_not_share_a_batch():
    served, x = model(), {"x": np.zeros((1, 2))}
    key = batch_key(served, SIG, x)
    assert key == batch_key(served, SIG, {"x": np.zeros((5, 3))}), "other lengths are padded, or refused as a batch"
    assert parameters_of(key) is PLAIN
    assert key != batch_key(model(), SIG, x), "another version"
    assert key != batch_key(served, narrowed(SIG, ["y"]), x), "other outputs"
    assert key != batch_key(served, SIG, {"x": np.zeros(1)}), "another rank"


def test_signatures_without_parameters_and_models_without_batching_have_no_key():
    served = model()
    served.batching = Batching({"another": PLAIN}, None)
    assert batch_key(served, SIG, {"x": np.zeros((1, 2))}) is None
    served.batching = None
    assert batch_key(served, SIG, {"x": np.zeros((1, 2))}) is None


class Examples(FakeServable):
    def run_all(self, signatures, tensor):
        return [self.run(each, dict.fromkeys(each.inputs, tensor)) for each in signatures]


TEXTS = signature(spec("inputs", STRING, (None,)), outputs=(spec("y", FLOAT, (None,)),))


def lengths(add=None, parameters=PLAIN):
    servable = Examples(
        lambda inputs: {"y": np.array([len(each) for each in inputs["inputs"]], np.float32)}, {TEXTS.name: TEXTS}
    )
    batching = Batching({TEXTS.name: parameters}, add) if add else None
    return FakeModel(servable, batching=batching)


def test_examples_wait_for_their_batch():
    waiting = []

    def add(key, run, rows):
        waiting.append(run)
        assert rows == 2
        if len(waiting) == 2:
            run_batch(key, waiting)

    served = lengths(add)
    with ThreadPoolExecutor(2) as threads:
        calls = [np.array([b"a" * size, b""], object) for size in (1, 2)]
        answers = list(threads.map(lambda each: run_all(served, [TEXTS], each)[0]["y"].tolist(), calls))
    assert answers == [[1, 0], [2, 0]]
    assert len(served.servable.runs) == 1


def test_examples_of_a_model_without_batching_run_at_once():
    served = lengths()
    assert run_all(served, [TEXTS], np.array([b"abc"], object))[0]["y"].tolist() == [3]


@pytest.mark.parametrize("error", [QueueFull("full"), InvalidRequest("too large")])
def test_examples_that_are_refused(error):
    def add(key, run, rows):
        raise error

    with pytest.raises(type(error)):
        run_all(lengths(add), [TEXTS], np.array([b"abc"], object))


def test_an_error_of_examples_is_raised():
    served = lengths(lambda key, run, rows: run_batch(key, [run]))
    served.servable.function = lambda inputs: {"y": np.float32(1)}
    with pytest.raises(EngineError, match="has shape"):
        run_all(served, [TEXTS], np.array([b"abc"], object))
