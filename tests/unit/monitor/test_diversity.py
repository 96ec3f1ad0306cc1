"""Which answers are noticed as constant, and which are not. Inputs and answers are drawn; no model is needed."""

import logging
import threading
import time

import ml_dtypes
import numpy as np
import pytest
from fakes import signature, spec
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from unstuck.core import dtypes
from unstuck.core.signatures import narrowed
from unstuck.monitor import diversity
from unstuck.monitor.answers import LABEL_INPUTS, LEAST_INPUTS, inputs_needed
from unstuck.monitor.diversity import DiversityMonitor
from unstuck.proto.wire.example_pb2 import Example

ENOUGH = 50
NUMBERS = signature(spec("x", dtypes.FLOAT, (None, 3)), outputs=(spec("y", dtypes.FLOAT, (None, None)),))
RANDOM = np.random.default_rng(5)


class Watched:
    """One watched version, and what was told of it."""

    def __init__(self, *signatures) -> None:
        self.told = []
        self.monitor = DiversityMonitor(lambda *change: self.told.append(change))
        self.signatures = {each.name: each for each in signatures or (NUMBERS,)}
        self.observer = self.monitor.watch("m", 1, self.signatures, "ask about {}".format)

    def send(self, inputs, outputs, name="serving_default", rows=()):
        self.observer.ran(self.signatures[name], inputs, outputs, rows)

    def send_each(self, inputs, outputs):
        """One call a row."""
        for at in range(len(next(iter(inputs.values())))):
            self.send(
                {alias: array[at : at + 1] for alias, array in inputs.items()},
                {alias: array[at : at + 1] for alias, array in outputs.items()},
            )

    @property
    def known(self):
        return self.monitor.document("m", 1)["serving_default"]

    @property
    def flagged(self):
        assert self.known["flagged"] == bool(self.observer.notices)
        return self.known["flagged"]


@pytest.fixture(autouse=True)
def _looks_at_everything(monkeypatch):
    monkeypatch.setattr(diversity, "PAUSE", 0)


def inputs(rows, columns=3):
    return {"x": RANDOM.normal(size=(rows, columns)).astype(np.float32)}


def repeated(answer, rows, dtype=np.float32):
    return {"y": np.array([answer] * rows, dtype)}


def text(values):
    return np.array(values, object)


def ranked(rows):
    """Scores that vary, of four classes whose order does not."""
    scores = np.array([0.85, 0.1, 0.04, 0.01]) * RANDOM.uniform(0.7, 1.3, (rows, 4))
    return scores / scores.sum(-1, keepdims=True)


CONSTANT = {
    "a number": np.full((ENOUGH, 1), 0.31, np.float32),
    "a number without a dimension of its own": np.full(ENOUGH, 0.31, np.float32),
    "a pinned sigmoid": np.float32(1) - RANDOM.choice([0, 6e-8, 1.2e-7], (ENOUGH, 1)).astype(np.float32),
    "a pinned softmax": np.stack([1 - (p := RANDOM.uniform(0, 1e-7, ENOUGH)), p], 1).astype(np.float32),
    "numbers up to rounding": (np.array([[3.7, -250.3, 1e-9]]) * RANDOM.uniform(1, 1 + 5e-7, (ENOUGH, 3))),
    "not a number": np.full((ENOUGH, 2), np.nan, np.float32),
    "infinity": np.full((ENOUGH, 1), np.inf, np.float32) * np.array([[1, 0.5]], np.float32),
    "half precision": np.full((ENOUGH, 2), 0.3, np.float16),
    "bfloat16": np.full((ENOUGH, 2), 0.3, ml_dtypes.bfloat16),
    "always one of four classes": ranked(ENOUGH).astype(np.float32),
    "a map of numbers": np.full((ENOUGH, 8, 8), 0.5, np.float32),
    "more numbers than are kept": np.full((ENOUGH, 300_000), 0.5, np.float32),
}


@pytest.mark.parametrize("answers", CONSTANT.values(), ids=CONSTANT)
def test_one_answer_to_varied_inputs_is_noticed(answers):
    watched = Watched()
    watched.send_each(inputs(ENOUGH), {"y": answers})
    assert watched.flagged
    ((model, version, name, constant),) = watched.told
    assert (model, version, name) == ("m", 1, "serving_default")
    assert LEAST_INPUTS <= constant.inputs <= ENOUGH
    (notice,) = watched.observer.notices.values()
    why = "ask about serving_default finds out why"
    assert notice == f"{constant.inputs} varied inputs in a row got {constant.same}: {why}"
    assert watched.known["distinct_inputs"] == ENOUGH


ORDERLY = {
    "numbers": RANDOM.normal(size=(500, 2)).astype(np.float32),
    "numbers that vary slightly": (1013.2 + RANDOM.normal(0, 0.3, (500, 1))).astype(np.float32),
    "numbers that vary very slightly": (0.5 + RANDOM.normal(0, 1e-4, (500, 1))).astype(np.float32),
    "a small probability": RANDOM.uniform(1e-9, 1e-7, (500, 1)).astype(np.float32),
    "a value beside a large constant": np.stack([np.full(500, 1.7e9), RANDOM.uniform(0, 1, 500)], 1),
    "two classes, of which one is rare": np.stack([1 - (p := RANDOM.uniform(0.001, 0.2, 500)), p], 1),
    "a rare label": (RANDOM.random((500, 1)) < 0.001).astype(np.int64),
    "one label": np.zeros((500, 1), np.int64),
    "one word": text([[b"ok"]] * 500),
    "one truth": np.zeros((500, 1), bool),
    "one label as a float": np.full((500, 1), 2, np.float32),
    "one label of four, one-hot": np.eye(4, dtype=np.float32)[np.zeros(500, int)],
    "one label of four bits": np.zeros((500, 1), ml_dtypes.int4),
    "rain, on few days": np.maximum(RANDOM.normal(-2, 1, (500, 1)), 0).astype(np.float32),
    "few leaves of a tree": RANDOM.choice(np.float32([0.1, 0.2, 0.3]), (500, 1), p=[0.8, 0.1, 0.1]),
    "one class of four, the others in any order": RANDOM.dirichlet([60, 1, 1, 1], 500),
    "four classes": RANDOM.dirichlet([1, 1, 1, 1], 500).astype(np.float32),
}


@pytest.mark.parametrize("answers", ORDERLY.values(), ids=ORDERLY)
def test_a_model_in_order_is_not_flagged(answers):
    watched = Watched()
    watched.send_each(inputs(500), {"y": answers})
    assert not watched.flagged
    assert watched.told == []


@pytest.mark.parametrize("answers", [ORDERLY["one label"], ORDERLY["one word"], ORDERLY["one truth"]])
def test_one_label_for_everybody_is_noted(answers):
    watched = Watched()
    watched.send_each(inputs(500), {"y": answers})
    assert watched.known["note"].endswith("varied inputs in a row got the same label or number, which may be right.")
    orderly = Watched()
    orderly.send_each(inputs(500), {"y": ORDERLY["four classes"]})
    assert orderly.known["note"] == ""


def test_one_label_for_ten_thousand_is_flagged():
    watched = Watched()
    for _ in range(2 * LABEL_INPUTS // 64):
        watched.send(inputs(64), repeated([1], 64, np.int64))
    assert watched.flagged


def test_rare_labels_are_never_flagged():
    watched = Watched()
    for _ in range(2 * LABEL_INPUTS // 64):
        watched.send(inputs(64), {"y": (RANDOM.random((64, 1)) < 0.002).astype(np.int64)})
    assert watched.told == []


def test_the_odds_of_one_class_for_all():
    """If any mix of the classes is as likely as another: see docs/diversity.md."""
    assert [inputs_needed(classes) for classes in (2, 3, 4, 1000)] == [LABEL_INPUTS, 76, LEAST_INPUTS, LEAST_INPUTS]


def test_repeated_requests_prove_nothing():
    watched = Watched()
    few = inputs(LEAST_INPUTS - 1)
    for _ in range(10):
        watched.send_each(few, repeated([0.5], LEAST_INPUTS - 1))
    assert (watched.flagged, watched.known["inputs_since_change"]) == (False, LEAST_INPUTS - 1)
    watched.send(inputs(1), repeated([0.5], 1))
    assert watched.flagged


def test_a_health_check_between_the_requests_hides_nothing():
    watched, probe = Watched(), inputs(1)
    for _ in range(ENOUGH):
        watched.send(probe, repeated([0.9], 1))
        watched.send(inputs(1), repeated([0.5], 1))
    assert watched.flagged


@pytest.mark.parametrize("columns", [2, 40])
def test_inputs_that_differ_in_one_column_alone_prove_nothing(columns):
    watched = Watched(signature(spec("x", dtypes.FLOAT, (None, columns))))
    same = np.ones((200, columns), np.float32)
    same[:, 1] = np.arange(200)
    watched.send_each({"x": same}, repeated([0.5], 200))
    assert (watched.flagged, watched.known["note"]) == (False, "")
    same = same.copy()
    same[:, 0] = RANDOM.normal(size=200)
    watched.send_each({"x": same}, repeated([0.5], 200))
    assert watched.flagged


def test_features_that_are_always_missing_do_not_differ():
    watched = Watched()
    rows = np.full((200, 3), np.nan, np.float32)
    rows[:, 0] = np.arange(200)
    watched.send_each({"x": rows}, repeated([0.5], 200))
    assert not watched.flagged


def test_ids_beside_equal_features_prove_nothing():
    watched = Watched(signature(spec("id", dtypes.STRING, (None,)), spec("x", dtypes.FLOAT, (None, 3))))
    ids = text([b"customer %d" % number for number in range(200)])
    watched.send_each({"id": ids, "x": np.ones((200, 3), np.float32)}, repeated([0.5], 200))
    assert not watched.flagged


def test_a_sentence_beside_a_constant_is_enough():
    watched = Watched(signature(spec("language", dtypes.STRING, (None,)), spec("text", dtypes.STRING, (None,))))
    texts = text([b"a sentence with number %d" % number for number in range(ENOUGH)])
    watched.send_each({"language": text([b"en"] * ENOUGH), "text": texts}, repeated([0.5], ENOUGH))
    assert watched.flagged


@pytest.mark.parametrize("dtype", [dtypes.STRING, dtypes.INT64])
def test_the_only_input_may_be_one_value(dtype):
    watched = Watched(signature(spec("x", dtype, (None,))))
    values = text([b"%d" % number for number in range(ENOUGH)]) if dtype.is_string else np.arange(ENOUGH)
    watched.send_each({"x": values}, repeated([0.5], ENOUGH))
    assert watched.flagged


def test_token_ids_of_any_length():
    watched = Watched(signature(spec("ids", dtypes.INT64, (None, None)), spec("types", dtypes.INT64, (None, None))))
    for number in range(ENOUGH):
        length = 3 + number % 5
        watched.send(
            {"ids": RANDOM.integers(0, 100, (1, length)), "types": np.zeros((1, length), int)}, repeated([0.5], 1)
        )
    assert watched.flagged


def example(**features):
    message = Example()
    for name, value in features.items():
        message.features.feature[name].float_list.value.append(value)
    return message.SerializeToString()


def test_of_examples_one_feature_alone_proves_nothing():
    of_examples = signature(spec("inputs", dtypes.STRING, (None,)))
    object.__setattr__(of_examples, "takes_examples", True)
    watched = Watched(of_examples)
    watched.send_each({"inputs": text([example(id=i, a=1, b=2) for i in range(100)])}, repeated([0.5], 100))
    assert not watched.flagged
    watched.send_each({"inputs": text([example(id=i, a=i, b=2) for i in range(100)])}, repeated([0.5], 100))
    assert watched.flagged


def test_a_flag_clears_once_answers_vary_and_can_be_set_again():
    watched = Watched()
    watched.send_each(inputs(ENOUGH), repeated([0.5], ENOUGH))
    since = watched.known["since"]
    assert time.time() - 60 < since <= time.time()
    watched.send_each(inputs(ENOUGH), {"y": RANDOM.normal(size=(ENOUGH, 1))})
    assert (watched.flagged, watched.known["since"]) == (False, None)
    watched.send_each(inputs(ENOUGH), repeated([0.25], ENOUGH))
    assert watched.flagged
    assert [constant is None for *_, constant in watched.told] == [False, True, False]


def test_a_class_that_comes_after_all_clears_the_flag_and_is_remembered():
    """Traffic of nearly one class alone: at most one false alarm."""
    watched = Watched()
    scores = ranked(2000)
    scores[np.arange(60, 2000, 100)] = [0, 0, 0.1, 0.9]
    watched.send_each(inputs(2000), {"y": scores})
    assert not watched.flagged
    assert len(watched.told) == 2


@pytest.mark.parametrize("at", [0, 3, 12, 29])
def test_a_single_exception_hides_nothing(at):
    answers = np.full((ENOUGH, 1), 0.31)
    answers[at] = 0.7
    watched = Watched()
    watched.send_each(inputs(ENOUGH), {"y": answers})
    assert watched.flagged


def test_an_output_that_is_constant_by_design_is_no_fault():
    two = signature(
        spec("x", dtypes.FLOAT, (None, 3)),
        outputs=(
            spec("scale", dtypes.FLOAT, (None, 1)),
            spec("version", dtypes.STRING, (None,)),
            spec("y", dtypes.FLOAT, (None, 1)),
        ),
    )
    watched = Watched(two)
    outputs = {"scale": np.full((100, 1), 0.5), "version": text([b"v1"] * 100), "y": RANDOM.normal(size=(100, 1))}
    watched.send_each(inputs(100), outputs)
    assert (watched.flagged, watched.known["constant_outputs"]) == (False, ["scale"])
    for _ in range(100):  # whoever asks for it alone
        asked = narrowed(two, ["scale"])
        watched.observer.ran(asked, inputs(1), {"scale": np.full((1, 1), 0.5)}, ())
    assert not watched.flagged


def test_a_label_beside_a_constant_number_is_noticed():
    watched = Watched()
    watched.send_each(inputs(ENOUGH), {"label": np.zeros(ENOUGH, int), "y": np.full((ENOUGH, 1), 0.3)})
    assert watched.flagged


def test_all_rows_of_merged_calls_count():
    watched = Watched()
    watched.send(inputs(ENOUGH), repeated([0.5], ENOUGH), rows=[1] * ENOUGH)
    assert watched.flagged


@pytest.mark.parametrize(
    "fixed",
    [
        signature(spec("x", dtypes.FLOAT, (64, 3))),
        signature(spec("x", dtypes.FLOAT, None)),
        signature(spec("x", dtypes.FLOAT, (None, 3)), outputs=(spec("y", dtypes.FLOAT, ()),)),
    ],
)
def test_where_rows_are_not_told_apart_a_run_counts_as_one(fixed):
    watched = Watched(fixed)
    watched.send(inputs(64), repeated([0.5], 64))
    assert watched.known["distinct_inputs"] == 1
    for _ in range(ENOUGH):
        watched.send(inputs(64), repeated([0.5], 64))
    assert watched.flagged


def test_signatures_without_inputs_are_not_watched():
    watched = Watched(signature(name="constant"))
    watched.send({}, repeated([0.5], 1), name="constant")
    assert watched.monitor.document("m", 1) == {}


def test_signatures_are_judged_apart():
    watched = Watched(NUMBERS, signature(spec("x", dtypes.FLOAT, (None, 3)), name="other"))
    for _ in range(ENOUGH):
        watched.send(inputs(1), repeated([0.5], 1))
        watched.send(inputs(1), {"y": RANDOM.normal(size=(1, 1))}, name="other")
    assert set(watched.observer.notices) == {"serving_default"}


@given(
    arrays.arrays(np.float32, st.tuples(st.integers(1, 120), st.just(2)), elements=st.floats(-1e6, 1e6, width=32)),
    arrays.arrays(np.float32, st.just((2,)), elements=st.floats(-1e6, 1e6, width=32)),
)
def test_flagged_only_with_enough_distinct_inputs_and_one_answer(rows, answer):
    """Whatever the inputs: as many distinct ones are needed, and an answer that is no label."""
    watched = Watched(signature(spec("x", dtypes.FLOAT, (None, 2))))
    watched.send_each({"x": rows}, {"y": np.tile(answer, (len(rows), 1))})
    distinct = len(np.unique(rows.view(np.uint32), axis=0))
    both_differ = all(len(np.unique(rows[:, column])) > 1 for column in (0, 1))
    is_label = bool((np.rint(answer) == answer).all())
    assert watched.flagged == (distinct >= LEAST_INPUTS and both_differ and not is_label)


@given(st.integers(1, 200), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_answers_that_vary_are_never_flagged(rows, width, seed):
    watched = Watched()
    draw = np.random.default_rng(seed)
    watched.send_each({"x": draw.normal(size=(rows, 3))}, {"y": draw.normal(size=(rows, width))})
    assert watched.told == []


def test_memory_is_bounded():
    watched = Watched()
    state = watched.observer.signatures["serving_default"]
    for _ in range(100):
        watched.send(inputs(64, 10_000), {"y": RANDOM.normal(size=(64, 2))})
    assert len(state._latest) <= diversity.LATEST
    assert all(len(first) <= 4096 for first in state._differences._first.values())
    sketches = [state._inputs._new, state._inputs._old, state._answers._new, state._answers._old]
    assert all(len(each._smallest) <= diversity.SKETCH for each in sketches)


def test_after_the_first_looks_there_are_pauses(monkeypatch):
    monkeypatch.setattr(diversity, "PAUSE", 1e9)
    monkeypatch.setattr(diversity, "FIRST_LOOKS_NS", 1)
    watched = Watched()
    for _ in range(100):
        watched.send(inputs(1), {"y": RANDOM.normal(size=(1, 1))})
    assert watched.known["distinct_inputs"] == 2  # the first, and one that closes the gate


def test_of_huge_rows_only_some_are_looked_at():
    watched = Watched(signature(spec("x", dtypes.FLOAT, (None, None)), outputs=(spec("y", dtypes.FLOAT, (None, 1)),)))
    watched.send(inputs(32, 400_000), repeated([0.5], 32))
    assert watched.known["distinct_inputs"] == 5


def test_after_a_quiet_time_a_burst_is_looked_at():
    watched = Watched()
    gate = watched.observer._gate
    gate.close_for(0)
    quiet = gate.opens_ns
    assert time.perf_counter_ns() - quiet >= diversity.BURST_NS
    for _ in range(100):
        gate.close_for(diversity.BURST_NS // 200)
    assert gate.opens_ns < time.perf_counter_ns()
    for _ in range(110):
        gate.close_for(diversity.BURST_NS // 100)
    assert gate.opens_ns > time.perf_counter_ns()


def test_an_error_in_it_reaches_no_call(monkeypatch, caplog):
    watched = Watched()
    monkeypatch.setattr(diversity, "rows_of", lambda *_: 1 / 0)
    with caplog.at_level(logging.ERROR):
        watched.send(inputs(1), repeated([0.5], 1))
    assert "are watched no more" in caplog.text
    assert watched.monitor.document("m", 1) == {}
    watched.send(inputs(1), repeated([0.5], 1))


def test_threads_may_run_at_once():
    watched = Watched()

    def work():
        for _ in range(200):
            watched.send(inputs(1), repeated([0.5], 1))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert watched.flagged
    assert len(watched.told) == 1


def test_metrics():
    watched = Watched()
    watched.send_each(inputs(ENOUGH), repeated([0.5], ENOUGH))
    found = {
        family.name: (family.kind, [(dict(s.labels), s.value) for s in family.samples])
        for family in watched.monitor.families()
    }
    labels = {"model": "m", "version": "1", "signature": "serving_default"}
    assert found == {
        "unstuck_distinct_inputs": ("gauge", [(labels, 50.0)]),
        "unstuck_distinct_outputs": ("gauge", [(labels, 1.0)]),
        "unstuck_constant_answers": ("gauge", [(labels, 1.0)]),
    }


def test_a_version_that_is_gone_is_forgotten():
    watched = Watched()
    del watched.observer
    assert watched.monitor.document("m", 1) == {}
    assert all(family.samples == [] for family in watched.monitor.families())
