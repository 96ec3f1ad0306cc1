"""Do the answers look like those of a model that works? A fast server of one constant answer is worth nothing."""

from collections.abc import Mapping

import numpy as np

from unstuck.bench.requests import Requests
from unstuck.bench.target import Target
from unstuck.client.prediction import Prediction
from unstuck.core.signatures import Tensor
from unstuck.errors import UnstuckError

ENOUGH = 5  # distinct requests, before one answer to all of them says anything
MOST_READ = 200


def notes(target: Target, requests: Requests, answers: Mapping[int, bytes], command: str) -> list[str]:
    """What is odd about the answers, a sentence each; ``command`` finds out why."""
    if requests.signature is None:
        return []
    firsts = {requests.bodies[number]: answer for number, answer in list(answers.items())[:MOST_READ]}
    try:
        read = [target.read(requests.signature, answer) for answer in firsts.values()]
    except UnstuckError as error:
        return [f"An answer cannot be read: {error}"]
    found: list[str] = []
    if len(read) >= ENOUGH and all(_alike(one, read[0]) for one in read[1:]):
        found.append(f"All {len(read)} distinct requests got the same answer. To find out why: {command}")
    blank = sum(any(_has_nan(array) for array in one.values()) for one in read)
    if blank:
        found.append(f"{blank} of {len(read)} answers have NaN in them. To find out why: {command}")
    return found


def _alike(one: Prediction, other: Prediction) -> bool:
    """Equal but for noise in the last digits."""
    return one.keys() == other.keys() and all(_close(one[alias], other[alias]) for alias in one)


def _close(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape or one.dtype != other.dtype:
        return False
    if one.dtype.kind in "fc":
        return bool(np.allclose(one, other, rtol=1e-5, atol=1e-7, equal_nan=True))
    return bool((one == other).all())


def _has_nan(array: Tensor) -> bool:
    return array.dtype.kind in "fc" and bool(np.isnan(array).any())
