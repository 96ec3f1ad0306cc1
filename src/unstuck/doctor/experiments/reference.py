"""The requests' values and those that the model is known to take, input by input."""

from collections.abc import Sequence

import numpy as np

from unstuck.core.signatures import Tensor, TensorSpec
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.lab import Lab, Row, rows_of, spread

ROWS = 512
PLACES = 256
MOST_VALUES = 20_000  # of a place


def sent_rows(lab: Lab) -> list[Row]:
    """Rows of the requests that fit the signature, at most ROWS. Raises NotRun where there are none."""
    rows = [
        row
        for request in lab.requests
        if request.inputs and request.signature == lab.signature.name
        for row in rows_of(request.inputs)
    ]
    if not rows:
        raise NotRun("no request fits the signature")
    return spread(rows, ROWS)


def known_rows(lab: Lab) -> tuple[str, list[Row]]:
    """``training``, ``golden`` or ``profile``, and their rows; those of a profile may lack some inputs.

    A pipeline's inputs are raw, the training data are what it makes of them; a profile is of what clients send.

    Raises:
        NotRun: there is none of them, or a pipeline stands between.
        ProfileError: the model's profile cannot be read.
    """
    if lab.question.pipeline_file is not None:
        raise NotRun("a pipeline prepares the requests, so they are not compared with what the model takes")
    if lab.question.training_data is not None:
        return "training", spread(list(rows_of(lab.training)), ROWS)
    if lab.question.golden is not None:
        return "golden", spread([row for each in lab.golden for row in rows_of(each.inputs)], ROWS)
    try:
        return "profile", lab.profiled
    except NotRun:
        raise NotRun("neither --training-data nor --golden rows were given, and the model has no profile") from None


def known_rows_or_none(lab: Lab) -> tuple[str, list[Row]] | None:
    """As ``known_rows``; None where there are none."""
    try:
        return known_rows(lab)
    except NotRun:
        return None


def values_of(rows: Sequence[Row], alias: str) -> list[Tensor]:
    return [np.asarray(row[alias]) for row in rows if alias in row]


def places_of(spec: TensorSpec) -> int:
    """How many places of the last dimension are looked at each by itself."""
    last = spec.shape[-1] if spec.shape and len(spec.shape) > 1 else None
    return last if last is not None and last <= PLACES else 1


def by_place(arrays: Sequence[Tensor], places: int) -> "np.ndarray":
    """All values as float64 [values, places], at most MOST_VALUES of them."""
    found = np.concatenate([array.astype(np.float64).reshape(-1, places) for array in arrays])
    if len(found) > MOST_VALUES:
        found = found[np.linspace(0, len(found) - 1, MOST_VALUES).astype(int)]
    return found


def row_shape(spec: TensorSpec) -> list[int]:
    """The shape without the batch, -1 for any size."""
    return [-1 if size is None else size for size in (spec.shape or (None,))[1:]]


def distance(one: "np.ndarray", other: "np.ndarray") -> float:
    """The Kolmogorov-Smirnov distance of two samples: 0 for the same distribution, 1 for ranges apart."""
    one, other = np.sort(one[np.isfinite(one)]), np.sort(other[np.isfinite(other)])
    if not one.size or not other.size:
        return 1.0
    both = np.concatenate([one, other])
    below_one = np.searchsorted(one, both, side="right") / one.size
    below_other = np.searchsorted(other, both, side="right") / other.size
    return float(np.abs(below_one - below_other).max())
