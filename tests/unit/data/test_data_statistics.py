"""What is gathered batch by batch is what NumPy says of the whole."""

import numpy as np
import pytest

from unstuck.data.columns import Column
from unstuck.data.profiling import NumberStatistics, TextStatistics, statistics_of
from unstuck.data.statistics import Distinct, Frequencies, Moments
from unstuck.pipeline.words import words

RANDOM = np.random.default_rng(5)


def gathered(array: np.ndarray, size: int) -> dict:
    statistics = statistics_of(Column("x", array.dtype, array.shape[1:]))
    for start in range(0, len(array), size):
        statistics.add(array[start : start + size])
    return statistics.profile("float").model_dump()


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (4, 3), (5000,)])
def test_moments_range_and_missing_are_those_of_the_whole(shape: tuple[int, ...], size: int) -> None:
    array = RANDOM.normal(1e6, 2.0, (97, *shape))  # a mean that a naive sum of squares would drown in
    array[3:40][RANDOM.random((37, *shape)) < 0.2] = np.nan
    array[0] = np.inf
    found = gathered(array, size)
    known = np.where(np.isfinite(array), array, np.nan)
    axes = tuple(range(array.ndim - 1)) if shape and shape[-1] <= 4096 else None
    for name, function in (("mean", np.nanmean), ("std", np.nanstd), ("min", np.nanmin), ("max", np.nanmax)):
        want = function(known, axis=axes)
        np.testing.assert_allclose(found[name], want[0] if shape == (1,) else want, rtol=1e-9, err_msg=name)
    assert found["missing"] == pytest.approx(np.isnan(known).mean())
    assert found["shape"] == list(shape)


def test_quantiles_of_few_rows_are_exact_and_of_many_near() -> None:
    few = RANDOM.normal(size=(400, 3))
    found = gathered(few, 9)["quantiles"]
    for percent, values in found.items():
        np.testing.assert_allclose(values, np.quantile(few, int(percent) / 100, axis=0))
    many = RANDOM.random(100_000)
    for percent, value in gathered(many, 4096)["quantiles"].items():
        assert abs(value - int(percent) / 100) < 5 * 0.005


def test_of_large_rows_some_positions_are_enough_for_the_quantiles() -> None:
    images = RANDOM.random((50, 40, 40, 3)) * [1, 10, 100]
    found = gathered(images, 8)
    np.testing.assert_allclose(found["quantiles"]["50"], [0.5, 5, 50], rtol=0.1)
    np.testing.assert_allclose(found["mean"], images.mean((0, 1, 2)))


def test_a_column_that_is_missing_everywhere_has_statistics_without_a_warning() -> None:
    found = gathered(np.full(10, np.nan), 3)
    assert (found["missing"], found["mean"], found["std"], found["min"], found["distinct"]) == (1, 0, 0, 0, 0)
    assert gathered(np.array([True, False, True]), 2)["mean"] == pytest.approx(2 / 3)


def test_few_distinct_values_are_counted_and_many_estimated() -> None:
    for kinds in (1, 300, 4095):
        distinct = Distinct()
        for _ in range(3):
            distinct.add_numbers(RANDOM.permutation(kinds) / 7)
        distinct.add_numbers(np.array([0.0, -0.0, np.nan]))
        assert (distinct.count(), distinct.is_exact) == (kinds, True)
    for kinds in (20_000, 300_000):
        numbers, texts = Distinct(), Distinct()
        for start in range(0, kinds, 5000):
            numbers.add_numbers(np.arange(start, start + 5000) / 3)
            texts.add_texts([b"text %d" % each for each in range(start, start + 5000)])
        for distinct in (numbers, texts):
            assert not distinct.is_exact
            assert distinct.count() == pytest.approx(kinds, rel=0.08)


def test_frequencies_are_bounded_and_keep_what_is_frequent() -> None:
    counts = Frequencies(limit=100)
    for start in range(0, 10_000, 50):
        counts.add([b"often"] * 5 + [b"%d" % each for each in range(start, start + 50)])
        assert len(counts) <= 100
    assert not counts.is_exact
    (text, count), *_ = counts.ranked()
    assert text == b"often"
    assert 1000 - counts.total / 50 <= count <= 1000
    assert counts.total == 11_000


def test_words_of_one_frequency_are_in_keras_order() -> None:
    counts = Frequencies(limit=100)
    counts.add([b"a", b"b", b"c", b"c", b"b", b"z"])
    assert counts.is_exact
    assert counts.ranked() == [(b"c", 2), (b"b", 2), (b"z", 1), (b"a", 1)]
    assert counts.ranked(1) == [(b"c", 2)]


def test_text() -> None:
    texts = np.empty(6, object)
    texts[:] = [b"The film, the PLOT!", b"", "Größe Ä".encode(), b"film", b"film", b"\xff film"]
    statistics = TextStatistics((), "words")
    statistics.add(texts[:4])
    statistics.add(texts[4:])
    assert dict(statistics.tokens.ranked()) == {
        b"film": 4,
        b"the": 2,
        b"plot": 1,
        "größe".encode(): 1,
        "Ä".encode(): 1,
        b"\xff": 1,
    }
    found = statistics.profile("string")
    assert (found.missing, found.distinct) == (pytest.approx(1 / 6), 4)
    assert [(each.value, each.count) for each in found.frequent] == [("film", 2)]
    assert found.lengths is not None
    assert (found.lengths.min, found.lengths.max) == (0, 19)
    assert statistics.tokens_of_most() == 4
    assert words(b"don't  stop.\tnow") == [b"dont", b"stop", b"now"]


def test_an_empty_batch_changes_nothing() -> None:
    moments = Moments()
    moments.add(np.array([[1.0], [3.0]]))
    before = moments.statistics()
    moments.add(np.full((2, 1), np.nan))
    assert {name: values.tolist() for name, values in moments.statistics().items()} == {
        name: values.tolist() for name, values in before.items()
    }
    assert isinstance(statistics_of(Column("x", np.dtype(np.float32))), NumberStatistics)
