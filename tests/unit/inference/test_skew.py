"""Requests beside a training profile: what is far outside is counted, said or refused; what is merely rare is not."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.fakes import FakeModel, FakeModels, FakeServable, signature, spec
from unstuck.core.dtypes import BFLOAT16, FLOAT, HALF, INT8, INT64, STRING
from unstuck.core.models import ModelSpec
from unstuck.errors import InvalidRequest
from unstuck.inference.predict import prepare
from unstuck.inference.skew import watch_requests
from unstuck.pipeline.profile import ProfileError

NAN = float("nan")


def watch(folder: Path, taken: Any, policy: Any = "warn", name: str = "serving_default", **features: Any) -> Any:
    profile = {"schema": 1, "rows": 9, "signature": name, "features": features}
    (folder / "profile.json").write_text(json.dumps(profile))
    return watch_requests(folder / "profile.json", {"serving_default": taken}, policy)


def said(watching: Any, taken: Any, **inputs: Any) -> list[str]:
    return watching.warnings(taken, inputs, tentative=False)


def number(**fields: Any) -> dict[str, Any]:
    return {"dtype": "float", "min": 0.0, "max": 10.0, **fields}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (-30.0, ""),
        (40.0, ""),
        (-30.5, "input 'x', row 1 is -30.5; in training it was from 0 to 10, and -30 to 40 passes"),
        (41.0, "row 1 is 41"),
        (np.inf, "row 1 is inf"),
        (NAN, "row 1 is nan; in training no value was missing"),
    ],
)
def test_numbers_far_outside_of_trainings_range(tmp_path: Path, value: float, says: str) -> None:
    taken = signature(spec("x", FLOAT, (None,)))
    found = said(watch(tmp_path, taken, x=number()), taken, x=np.array([5.0, value], np.float32))
    assert len(found) == bool(says)
    assert says in "".join(found)
    assert "(1 of 2 rows are unlike training)" in found[0] if found else True


def test_nan_passes_where_training_had_some_but_hides_nothing(tmp_path: Path) -> None:
    taken = signature(spec("x", FLOAT, (None,)))
    watching = watch(tmp_path, taken, x=number(missing=0.1))
    assert said(watching, taken, x=np.array([NAN, 1], np.float32)) == []
    assert "row 1 is 99" in said(watching, taken, x=np.array([NAN, 99], np.float32))[0]


def test_each_place_of_the_last_dimension_has_its_range(tmp_path: Path) -> None:
    """Two features in the wrong order: each in the range of the other."""
    taken = signature(spec("x", FLOAT, (None, 2)))
    watching = watch(tmp_path, taken, x=number(shape=[2], min=[20, 300], max=[120, 6000]))
    assert said(watching, taken, x=np.array([[70, 3000]], np.float32)) == []
    (found,) = said(watching, taken, x=np.array([[70, 3000], [3000, 70], [2999, 60]], np.float32))
    assert found.startswith("input 'x', row 1 is 3000; in training it was from 20 to 120")
    assert "2 of 3 rows" in found


def test_a_last_dimension_of_any_size_is_held_against_the_widest_range(tmp_path: Path) -> None:
    taken = signature(spec("x", FLOAT, (None, None)))
    watching = watch(tmp_path, taken, x=number(shape=[2], min=[0, 0], max=[1, 10]))
    assert said(watching, taken, x=np.full((1, 3), 39, np.float32)) == []
    assert "place [2] is 50" in said(watching, taken, x=np.array([[1, 1, 50]], np.float32))[0]


@pytest.mark.parametrize("dtype", [INT8, INT64, HALF, BFLOAT16], ids=lambda dtype: dtype.name)
def test_every_dtype_is_compared_as_it_is(tmp_path: Path, dtype: Any) -> None:
    taken = signature(spec("x", dtype, (None,)))
    watching = watch(tmp_path, taken, x=number(dtype=dtype.name))
    assert said(watching, taken, x=np.array([40, -30]).astype(dtype.numpy)) == []
    assert said(watching, taken, x=np.array([44, -30]).astype(dtype.numpy)) != []
    wide = watch(tmp_path, taken, x=number(dtype=dtype.name, min=-1e30, max=1e30))
    assert said(wide, taken, x=np.array([127, -128]).astype(dtype.numpy)) == []


def test_a_feature_of_one_value_in_training_may_be_others_of_its_size(tmp_path: Path) -> None:
    taken = signature(spec("x", FLOAT, (None,)))
    watching = watch(tmp_path, taken, x=number(min=5, max=5))
    assert said(watching, taken, x=np.array([-10, 20], np.float32)) == []
    assert said(watching, taken, x=np.array([21], np.float32)) != []


TEXT = signature(spec("t", STRING, (None,)))


def text(folder: Path, of: str = "words", coverage: float = 1.0, **fields: Any) -> dict[str, Any]:
    (folder / "vocab.txt").write_text("film\nplot\ngröße\n")
    vocabulary = {"file": "vocab.txt", "of": of, "size": 3, "coverage": coverage}
    return {"dtype": "string", "vocabulary": vocabulary, **fields}


def texts(*values: str) -> np.ndarray:
    return np.array([value.encode() for value in values], object)


def test_text_of_which_no_word_is_known(tmp_path: Path) -> None:
    watching = watch(tmp_path, TEXT, t=text(tmp_path))
    assert said(watching, TEXT, t=texts("A FILM!", "Die größe", "?!")) == []
    (found,) = said(watching, TEXT, t=texts("film", "le cinéma", "[1, 2]"))
    assert found == (
        "input 't', row 1 is 'le cinéma', and no of its words is in training's vocabulary "
        "(2 of 3 rows are unlike training)"
    )
    assert "is empty, and in training no text was" in said(watching, TEXT, t=texts(""))[0]
    assert said(watch(tmp_path, TEXT, t=text(tmp_path, missing=0.1)), TEXT, t=texts("")) == []


def test_values_and_poor_vocabularies(tmp_path: Path) -> None:
    watching = watch(tmp_path, TEXT, t=text(tmp_path, of="values"))
    assert said(watching, TEXT, t=texts("plot")) == []
    assert "'Plot', and no such value is in" in said(watching, TEXT, t=texts("Plot"))[0]
    poor = watch(tmp_path, TEXT, t=text(tmp_path, coverage=0.5))
    assert said(poor, TEXT, t=texts("le cinéma")) == []
    plain = watch(tmp_path, TEXT, t={"dtype": "string"})
    assert said(plain, TEXT, t=texts("le cinéma")) == []


def test_policies(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    taken = signature(spec("x", FLOAT, (None,)))
    bad = np.array([1, 99, 99], np.float32)
    with caplog.at_level(logging.WARNING):
        counting = watch(tmp_path, taken, "count", x=number())
        for _ in range(60):
            assert said(counting, taken, x=bad) == []
            counting.warnings(taken, {"x": bad[:1]}, tentative=False)
    assert counting.counts == {"x": 120}
    counted = [int(record.getMessage().split(" such rows")[0].split()[-1]) for record in caplog.records]
    assert counted == [2, 10, 100]
    warning = watch(tmp_path, taken, "warn", x=number())
    assert "row 1 is 99" in said(warning, taken, x=bad)[0]
    assert warning.counts == {"x": 2}
    rejecting = watch(tmp_path, taken, "reject", x=number())
    with pytest.raises(InvalidRequest, match=r"row 1 is 99.*\. Send values as in training; --on_skew=warn"):
        said(rejecting, taken, x=bad)
    assert rejecting.counts == {"x": 2}
    assert said(rejecting, taken, x=bad[:1]) == []


def test_a_tentative_call_is_not_counted_where_it_is_prepared_again(tmp_path: Path) -> None:
    taken = signature(spec("x", FLOAT, (None,)))
    bad = {"x": np.array([99], np.float32)}
    for policy, says, counts in (("count", 0, {"x": 1}), ("warn", 1, {}), ("reject", 1, {})):
        watching = watch(tmp_path, taken, policy, x=number())
        assert len(watching.warnings(taken, bad, tentative=True)) == says
        assert watching.counts == counts


class Request:
    signature_name, warnings = "", ()

    def __init__(self, **inputs: Any) -> None:
        self.inputs = inputs
        self.warnings = list[str]()

    def bind(self, signature: Any) -> Any:
        return self.inputs


def test_prepare_tells_or_refuses_with_the_models_name(tmp_path: Path) -> None:
    taken = signature(spec("x", FLOAT, (None,)))

    def call(policy: str, value: float, **options: Any) -> Any:
        watching = watch(tmp_path, taken, policy, x=number())
        served = FakeModel(FakeServable(dict, {"serving_default": taken}), watch=watching)
        request = Request(x=np.array([value], np.float32))
        return prepare(FakeModels({"m": served}), ModelSpec("m"), request, **options)  # type: ignore[arg-type]

    assert call("warn", 5).warnings == []
    assert "is 99" in call("warn", 99).warnings[0]
    assert call("count", 99).warnings == []
    for options in ({"policy": "reject"}, {"policy": "warn", "strict_inputs": True}):
        with pytest.raises(InvalidRequest, match=r"Model 'm' version 7, signature 'serving_default': input 'x', row 0"):
            call(value=99, **options)
    assert call("reject", 99, tentative=True).warnings, "so that it is not merged, and heard of alone"


def test_a_profile_of_another_model_is_said_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    taken = signature(spec("x", FLOAT, (None,)), spec("t", STRING, (None,)))
    assert watch(tmp_path, taken, name="other", x=number()) is None
    watching = watch(tmp_path, taken, y=number(), t=number(), x=number())
    assert [record.getMessage().split(" has ")[1] for record in caplog.records if " has " in record.getMessage()] == [
        ["'y' (float), but signature 'serving_default'", "no such input"][0],
        "'t' (float), but signature 'serving_default' takes string [-1]",
    ]
    assert said(watching, taken, x=np.array([99], np.float32), t=texts("x")) != []
    assert watching.warnings(signature(spec("x"), name="serving_default_unprepared"), {}, tentative=False) == []


def test_a_vocabulary_that_is_missing_is_an_error(tmp_path: Path) -> None:
    feature = text(tmp_path)
    (tmp_path / "vocab.txt").unlink()
    with pytest.raises(ProfileError, match=r"names a vocabulary that cannot be read"):
        watch(tmp_path, TEXT, t=feature)
