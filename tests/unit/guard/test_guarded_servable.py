"""What of a servable's runs is noticed, learned and held back."""

from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from fakes import FakeServable, signature, spec

from unstuck.core import dtypes
from unstuck.core.servables import Servable
from unstuck.core.signatures import narrowed
from unstuck.errors import Code, EngineError, Quarantined
from unstuck.guard.guarded import MANY, TRIES, GuardedServable, Known, is_finite

X = {"x": np.ones(3, np.float32)}
WHY = Quarantined("m", 1, "canary", "wrong")


class Inner(FakeServable):
    run_all = Servable.run_all


@dataclass
class Watching:
    heard: list[Any] = field(default_factory=list)
    verdict: Exception | None = None

    def failed(self, guarded, signature, error):
        self.heard.append((signature.name, error))

    def not_finite(self, guarded, signature, alias):
        self.heard.append((signature.name, alias))
        if self.verdict:
            raise self.verdict


def guarded(function, watching=None, stateless=("serving_default",), outputs=()):
    known = signature(spec("x"), outputs=outputs)
    servable = Inner(function, {known.name: known}, frozenset(stateless))
    return GuardedServable(servable, watching or Watching()), known


def twice(inputs):
    return {"y": inputs["x"] * 2}


def failing(code=Code.INTERNAL):
    def run(inputs):
        raise EngineError("broken", code=code)

    return run


def test_it_answers_as_what_it_guards():
    servable, known = guarded(twice)
    assert servable.run(known, X)["y"].tolist() == [2, 2, 2]
    assert servable.run_all([known], X["x"])[0]["y"].tolist() == [2, 2, 2]
    assert servable.signatures == {"serving_default": known}
    assert servable.stateless == {"serving_default"}
    assert servable.has_run


@pytest.mark.parametrize("error", [EngineError("broken", code=Code.DATA_LOSS), RuntimeError("broken")])
@pytest.mark.parametrize("way", ["run", "run_all"])
def test_a_failed_run_is_told_and_fails_all_the_same(error, way):
    def run(inputs):
        raise error

    watching = Watching()
    servable, known = guarded(run, watching)
    servable.arm({})
    with pytest.raises(type(error), match="broken"):
        servable.run(known, X) if way == "run" else servable.run_all([known], X["x"])
    assert watching.heard == [("serving_default", error)]


def test_nothing_is_held_against_one_that_does_not_serve_yet():
    watching = Watching()
    servable, known = guarded(failing(), watching)
    with pytest.raises(EngineError):
        servable.run(known, X)
    assert not watching.heard


def test_an_input_that_a_client_got_wrong_is_not_even_suspicious():
    watching = Watching()
    servable, known = guarded(failing(Code.INVALID_ARGUMENT), watching)
    servable.arm({})
    with pytest.raises(EngineError):
        servable.run(known, X)
    assert not watching.heard


NAN = {"x": np.array([np.nan, 1, 1], np.float32)}


def test_an_answer_that_is_not_finite_is_held_back_where_a_known_one_is():
    watching = Watching()
    servable, known = guarded(twice, watching)
    servable.arm({})
    servable.run(known, X)
    assert np.isnan(servable.run(known, NAN)["y"]).any(), "it is given out once nothing was found"
    assert watching.heard == [("serving_default", "y")]
    watching.verdict = WHY
    with pytest.raises(Quarantined):
        servable.run(known, NAN)
    with pytest.raises(Quarantined):
        servable.run_all([known], NAN["x"])


def test_not_where_nothing_finite_is_known():
    watching = Watching()
    servable, known = guarded(twice, watching)
    servable.arm({})
    servable.run(known, NAN)
    assert not watching.heard


def test_not_for_a_while_after_a_check_that_found_nothing():
    watching = Watching()
    servable, known = guarded(twice, watching)
    servable.arm({})
    servable.run(known, X)
    servable.acquit(took_s=100)
    servable.run(known, NAN)
    assert not watching.heard


def test_not_of_an_output_that_was_not_asked_for():
    watching = Watching()
    servable, known = guarded(lambda x: {**twice(x), "z": x["x"]}, watching, outputs=(spec("y"), spec("z")))
    servable.arm({})
    servable.run(known, X)
    servable.inner.function = twice
    servable.run(narrowed(known, ["y"]), X)
    assert not watching.heard


def test_what_is_condemned_answers_nothing_and_is_not_run():
    servable, known = guarded(twice)
    servable.condemn(WHY)
    for _ in range(2):
        with pytest.raises(Quarantined) as raised:
            servable.run(known, X)
        assert raised.value is not WHY, "who is told may change it"
    with pytest.raises(Quarantined):
        servable.run_all([known], X["x"])
    assert not servable.inner.runs


def test_nor_what_had_begun():
    def run(inputs):
        servable.condemn(WHY)
        return twice(inputs)

    servable, known = guarded(run)
    with pytest.raises(Quarantined):
        servable.run(known, X)


def test_the_first_input_that_works_is_kept_as_it_was():
    servable, known = guarded(twice)
    mine = {"x": np.ones(3, np.float32)}
    servable.run(known, mine)
    mine["x"][:] = 7
    servable.run(known, mine)
    (kept,) = servable.known["serving_default"]
    assert kept.inputs["x"].tolist() == [1, 1, 1]
    assert kept.finite == {"y"}


def test_a_later_one_whose_outputs_are_finite_takes_its_place():
    servable, known = guarded(twice)
    servable.run(known, NAN)
    assert servable.known["serving_default"][0].finite == set()
    servable.run(known, X)
    assert servable.known["serving_default"][0].finite == {"y"}
    servable.run(known, NAN)
    assert servable.known["serving_default"][0].finite == {"y"}


def test_it_does_not_look_for_one_for_ever():
    servable, known = guarded(twice)
    for _ in range(TRIES):
        servable.run(known, NAN)
    servable.run(known, X)
    assert servable.known["serving_default"][0].finite == set()


def test_nothing_is_learned_of_runs_that_change_state_of_large_inputs_and_of_parts():
    servable, known = guarded(twice, stateless=())
    servable.run(known, X)
    assert not servable.known
    servable, known = guarded(twice)
    servable.run(known, {"x": np.ones(1 << 19, np.float32)})
    assert not servable.known
    servable, known = guarded(lambda x: {**twice(x), "z": x["x"]}, outputs=(spec("y"), spec("z")))
    servable.inner.function = twice
    servable.run(narrowed(known, ["y"]), X)
    assert not servable.known


def test_golden_rows_take_the_place_of_what_was_learned():
    servable, known = guarded(twice)
    servable.run(known, X)
    golden = [Known("line 1", "serving_default", X, frozenset())]
    servable.arm({"serving_default": golden})
    servable.run(known, X)
    assert servable.known["serving_default"] is golden


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16])
@pytest.mark.parametrize("size", [1, 8, 9, MANY, MANY + 1])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_finite(dtype, size, bad):
    values = np.full((1, size), 3, dtype)
    assert is_finite(values)
    values[0, size // 2] = bad
    assert not is_finite(values)


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((0, 3), np.float32),
        np.full(3, 1.7e308),
        np.full(100, 1e30, np.float32),
        np.array(1.0),
        np.array([1e300, -1e300] * 50),
    ],
)
def test_sums_that_overflow_are_no_infinity(values):
    assert is_finite(values)


def test_strings_and_integers_are_none_of_its_business():
    servable, known = guarded(
        lambda x: {"y": np.array([b"a"], object), "z": np.array([1])},
        outputs=(spec("y", dtypes.STRING), spec("z", dtypes.INT64)),
    )
    servable.arm({})
    assert servable.run(known, X)["y"].tolist() == [b"a"]
