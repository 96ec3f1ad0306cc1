"""Rows drawn from a training profile are within its ranges and of its vocabulary."""

import numpy as np
import pytest

from unstuck.core.dtypes import FLOAT, INT64, STRING
from unstuck.core.signatures import Signature, TensorSpec
from unstuck.doctor.profiled import ProfiledRows
from unstuck.pipeline.profile import ProfileError, TrainingProfile


def profile(**features):
    return TrainingProfile.model_validate({"schema": 1, "rows": 500, "features": features})


def signature(**specs):
    inputs = {alias: TensorSpec(alias, alias, dtype, shape) for alias, (dtype, shape) in specs.items()}
    return Signature("serving_default", inputs, {})


def drawn(tmp_path, features, specs):
    return ProfiledRows(profile(**features), tmp_path, signature(**specs), 400)


AGE = {"dtype": "float", "min": 18, "max": 90, "quantiles": {"25": 30, "50": 40, "75": 52}, "distinct": 70}


def test_numbers_have_the_profiles_range_and_quantiles(tmp_path):
    rate = {"dtype": "float", "min": 0.01, "max": 0.9, "quantiles": {"50": 0.113}}
    found = drawn(tmp_path, {"age": AGE, "rate": rate}, {"age": (FLOAT, (None, 1)), "rate": (FLOAT, (None,))})
    ages, rates = found.columns["age"], found.columns["rate"]
    assert ages.shape == (400, 1)
    assert ages.dtype == np.float32
    assert (ages.min() >= 18, ages.max() <= 90) == (True, True)
    assert abs(np.median(ages) - 40) < 3
    assert (ages == np.round(ages)).all()
    assert rates.shape == (400,)
    assert (rates != np.round(rates)).all()
    assert found.is_plausible
    assert found.rows()[3]["age"].shape == (1, 1)


def test_each_place_of_a_vector_has_its_own_range(tmp_path):
    vector = {"dtype": "float", "shape": [2], "min": [0, 100], "max": [1, 200]}
    x = drawn(tmp_path, {"x": vector}, {"x": (FLOAT, (None, 2))}).columns["x"]
    assert (x[:, 0] <= 1).all()
    assert (x[:, 1] >= 100).all()


def test_pictures_are_a_reference_and_no_plausible_rows(tmp_path):
    picture = {"dtype": "float", "shape": [4, 4, 1], "min": 0, "max": 255}
    found = drawn(tmp_path, {"image": picture}, {"image": (FLOAT, (None, 4, 4, 1))})
    assert found.columns["image"].shape == (400, 4, 4, 1)
    assert not found.is_plausible


def test_texts_are_of_the_vocabulary(tmp_path):
    (tmp_path / "words.txt").write_text("good\nbad\nfilm\n")
    known = {"file": "words.txt", "size": 3, "coverage": 1.0}
    lengths = {"dtype": "int64", "mean": 14, "min": 3, "max": 30}
    features = {
        "text": {"dtype": "string", "vocabulary": {**known, "of": "words"}, "lengths": lengths},
        "kind": {"dtype": "string", "vocabulary": {**known, "of": "values"}},
    }
    found = drawn(tmp_path, features, {"text": (STRING, (None,)), "kind": (STRING, (None, 1))}).columns
    assert {word for text in found["text"] for word in text.split()} == {b"good", b"bad", b"film"}
    assert max(map(len, found["text"])) <= 30
    assert len(set(found["text"])) > 10
    assert set(found["kind"].ravel()) == {b"good", b"bad", b"film"}


def test_what_the_profile_does_not_tell_is_left_out(tmp_path):
    features = {"age": AGE, "name": {"dtype": "string", "distinct": 480}, "id": {"dtype": "string"}}
    specs = {"age": (FLOAT, (None,)), "name": (STRING, (None,)), "id": (INT64, (None,)), "other": (FLOAT, (None,))}
    found = drawn(tmp_path, features, specs)
    assert list(found.columns) == ["age"]
    assert not found.is_plausible


def test_a_vocabulary_that_is_not_there_is_an_error_with_its_path(tmp_path):
    known = {"file": "gone.txt", "size": 3, "coverage": 1.0, "of": "values"}
    with pytest.raises(ProfileError, match=r"gone\.txt cannot be read"):
        drawn(tmp_path, {"kind": {"dtype": "string", "vocabulary": known}}, {"kind": (STRING, (None,))})
