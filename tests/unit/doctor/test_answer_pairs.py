import numpy as np

from unstuck.doctor.experiments.answer_pairs import pairs_of


def test_the_number_that_varies_most() -> None:
    known = {"a": np.array([[0.0, 1.0], [0.1, 3.0]]), "b": np.array([1.0, 1.5])}
    came = {"a": np.array([[9.0, 1.5], [9.0, 2.5]]), "b": np.array([0.0, 0.0])}
    assert pairs_of(known, came) == [(1.0, 1.5), (3.0, 2.5)]


def test_what_is_no_number_or_of_another_shape_has_none() -> None:
    assert pairs_of({"a": np.array([b"x", b"y"], object)}, {"a": np.array([b"x", b"y"], object)}) == []
    assert pairs_of({"a": np.zeros((2, 2))}, {"a": np.zeros((2, 3))}) == []
    assert pairs_of({"a": np.zeros((0, 2))}, {"a": np.zeros((0, 2))}) == []
    assert pairs_of({}, {}) == []
