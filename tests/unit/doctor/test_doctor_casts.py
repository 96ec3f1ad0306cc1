import numpy as np
import pytest

from unstuck.doctor.casting import cast_numbers
from unstuck.doctor.evidence.profile import InputComparison
from unstuck.doctor.experiments.profile_comparison import _cast_fits, _changes, _fit, _place

RANDOM = np.random.default_rng(3)
TRAINED = RANDOM.normal(size=(300, 4))
PICTURES = np.clip(RANDOM.normal(0.2, 0.3, (300, 4)), 0, 1)


def compared(sent: np.ndarray, known: np.ndarray = TRAINED) -> InputComparison:
    """As the experiment compares them, without a lab."""
    places = [_place(str(at), sent[:, at], known[:, at]) for at in range(known.shape[1])]
    chosen = list(range(len(places)))
    fits = [fit for change in _changes(sent, known, chosen) if (fit := _fit(change, sent, known, chosen))]
    fits += _cast_fits(sent, known, chosen)
    return InputComparison(
        input="x", dtype="float", shape=[4], reference="training", rows=len(sent), reference_rows=len(known),
        places=places, apart=float(np.mean([place.apart for place in places])),
        fits=sorted(fits, key=lambda fit: fit.apart)[:6],
    )  # fmt: skip


def bytes_of(values: np.ndarray) -> np.ndarray:
    low, high = values.min(0), values.max(0)
    return np.round((values - low) / (high - low) * 255)


def test_numbers_quantised_to_bytes_by_column_are_another_encoding():
    fault = cast_numbers(compared(bytes_of(RANDOM.normal(size=(80, 4)))))
    assert fault is not None
    assert "quantised" in fault.why


def test_one_column_cast_to_integers_is_named():
    sent = RANDOM.normal(size=(80, 4))
    sent[:, 2] = np.trunc(sent[:, 2])
    fault = cast_numbers(compared(sent))
    assert fault is not None
    assert fault.location.feature == "2"


@pytest.mark.parametrize(
    ("sent", "known"),
    [
        pytest.param(RANDOM.normal(size=(80, 4)), TRAINED, id="alike"),
        pytest.param(RANDOM.normal(400, 90, (80, 4)), TRAINED, id="raw"),
        pytest.param(RANDOM.integers(0, 256, (80, 4)) * 1.0, RANDOM.random((300, 4)), id="pixels"),
        pytest.param(np.round(PICTURES[:80] * 255), PICTURES, id="pixels whose zeros were others, too"),
        pytest.param(np.round(PICTURES[:80] * 255), PICTURES * 2 - 1, id="pixels of -1 to 1"),
        pytest.param(RANDOM.integers(18, 85, (80, 4)) * 1.0, RANDOM.integers(18, 85, (300, 4)) / 20 - 2.5, id="ages"),
    ],
)
def test_numbers_that_lost_nothing_are_not(sent: np.ndarray, known: np.ndarray):
    assert cast_numbers(compared(sent, known)) is None
