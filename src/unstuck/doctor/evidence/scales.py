"""Whether requests are on another scale than training, and in which direction: pure reading of the comparison."""

from dataclasses import dataclass, replace
from math import sqrt
from statistics import median
from typing import Literal

from unstuck.doctor.evidence.casts import is_quantised, turned_bytes
from unstuck.doctor.evidence.preparation import Trial, Trials
from unstuck.doctor.evidence.profile import Fit, InputComparison, PlaceComparison, ProfileComparison

Direction = Literal["missing", "double"]

UNCOMPARED = "no input of numbers has training data, golden rows or a scaling in the graph to compare with"
MATTERS = 0.05  # of the answers' range: less change of an answer is no consequence
OWN = "to training's mean and deviation"  # the change that any two samples of one shape have
MUCH, LITTLE = 4.0, 0.1  # ratios of deviations
NEARLY_ALL = 0.9
MANY_PLACES, MANY_ROWS = 3, 20
SHAPED = 0.25  # the distance from which two samples have other shapes


@dataclass(frozen=True)
class Mismatch:
    """An input on another scale.

    Attributes:
        input: the comparison.
        direction: its normalisation is missing, or was done twice.
        fit: the change that lies between.
        changed: how far the answers move once it is undone, in units; None where that was not tried.
        confidence: of a fault.
    """

    input: InputComparison
    direction: Direction
    fit: Fit
    changed: float | None
    confidence: float

    @property
    def places(self) -> str:
        """The places that are off, in words; empty for all of them."""
        off = self.input.off or self.input.places
        names = [each.name for each in off if each.name]
        return "" if len(off) == len(self.input.places) else ", ".join(names[:6])


def mismatches(profile: ProfileComparison, trials: Trials | None, direction: Direction) -> list[Mismatch]:
    """The inputs whose normalisation is missing (done twice), the clearest first."""
    found = [each for comparison in profile.inputs if (each := _mismatch(comparison, trials))]
    if 2 * sum(_off_the_graph(each.input) for each in found) < sum(
        len(each.places) for each in profile.inputs if each.reference == "graph"
    ):
        found = [each for each in found if each.input.reference != "graph"]
    mine = [each for each in _moving_together(found, trials) if each.direction == direction]
    return sorted(mine, key=lambda each: (-each.confidence, each.fit.apart))


def _moving_together(found: list[Mismatch], trials: Trials | None) -> list[Mismatch]:
    """``found``, with how far the answers move once all are put right, where no answer moves by one of them alone.

    An input so far off hides what another does: the model's answers stay where the one that is left has put them.
    """
    if trials is None or trials.together is None or len(found) < 2 or any((it.changed or 0) >= MATTERS for it in found):
        return found
    moved = _moved(trials.together, trials)
    return found if moved is None else [replace(each, changed=moved) for each in found]


def _off_the_graph(each: InputComparison) -> int:
    return sum(bool(place.apart) for place in each.places) if each.reference == "graph" else 0


def _mismatch(each: InputComparison, trials: Trials | None) -> Mismatch | None:
    if each.is_index:
        return None
    found = _of_graph(each) if each.reference == "graph" else _of_reference(each)
    if found is None or turned_bytes(each) is not None:
        return None
    fit, direction, confidence = found
    changed = _changed(each.input, fit, trials)
    return Mismatch(each, direction, fit, changed, confidence)


def _changed(input_: str, fit: Fit, trials: Trials | None) -> float | None:
    if trials is None or fit.repair is None:
        return None
    return _moved(trials.of(input_, fit.repair.name), trials)


def _moved(trial: Trial | None, trials: Trials) -> float | None:
    if trial is None or trial.failed == trial.rows:
        return None
    return 1.0 if trials.as_sent.failed > trial.failed else trial.changed


def _of_graph(each: InputComparison) -> tuple[Fit, Direction, float] | None:
    """Against what the graph itself takes off and divides by."""
    off = [place for place in each.places if place.apart]
    if not off or 2 * len(off) < len(each.places):
        return None
    if not each.grows and 2 * sum(place.requests.is_normalised for place in off) > len(off) and _is_not_whole(off):
        return each.fits[0], "double", 0.9
    return None


def _is_not_whole(places: list[PlaceComparison]) -> bool:
    return median(place.requests.whole for place in places) < 0.9


def _of_reference(each: InputComparison) -> tuple[Fit, Direction, float] | None:
    off = each.off
    if not off or each.exchanged or 3 * len(off) < len(each.places):
        return None
    limit = min(0.45, SHAPED + 0.7 * noise(each.rows, each.reference_rows))
    scales = [fit for fit in each.fits if fit.preparation.kinds != ["swap bytes"]]
    repairs = [fit for fit in scales if fit.repair is not None and fit.apart <= min(limit, 0.6 * each.apart)]
    if not repairs:
        return None
    best = min(repairs, key=lambda fit: fit.apart)
    gained = max(0.1, 0.6 * noise(each.rows, each.reference_rows))  # by a change that is fitted to the samples
    usual = [fit for fit in repairs if fit.preparation.name != OWN and fit.apart <= best.apart + gained]
    if usual:
        return usual[0], "missing" if usual[0].of == "requests" else "double", 0.95
    if is_quantised(each):
        return None
    direction = _direction(off)
    return (best, direction, 0.9) if _is_far(each, off, direction, best) else None


def noise(rows: int, others: int) -> float:
    """The Kolmogorov-Smirnov distance of two such samples of one distribution, exceeded once in 20 times."""
    return 1.36 * sqrt((rows + others) / max(1, rows * others))


def _is_far(each: InputComparison, off: list[PlaceComparison], direction: Direction, fit: Fit) -> bool:
    """Whether another scale is sure where any would fit: beyond training's range, or far narrower in every place."""
    if median(place.outside for place in off) >= 0.5:
        return True
    if direction == "missing":
        if _in_own_units(each, off):
            return True
        return median(place.ratio for place in off) >= MUCH and median(place.outside for place in off) >= 0.3
    narrow = len(off) == len(each.places) >= 3 and max(place.ratio for place in off) <= LITTLE
    return narrow and each.rows >= 30 and fit.apart <= 0.2


def _in_own_units(each: InputComparison, off: list[PlaceComparison]) -> bool:
    """Whether training standardised every place, and most hold what they are measured in: each its own size.

    Some are far beyond training, which no part of its rows is; few are below zero, as the mean of what was
    standardised twice is.
    """
    if 3 * len(off) < 2 * len(each.places) or len(off) < MANY_PLACES or each.rows < MANY_ROWS:
        return False
    if not all(place.reference.is_standardised for place in each.places):
        return False
    beyond = sum(place.outside >= NEARLY_ALL for place in off)
    sizes = [place.requests.std for place in off]
    below = sum(place.requests.mean < 0 for place in off)
    return 4 * beyond >= len(off) and max(sizes) >= MUCH * min(sizes) and 3 * below <= len(off)


def _direction(off: list[PlaceComparison]) -> Direction:
    """In which direction a change of scale without a name goes.

    Normalised twice, numbers are next to -mean / deviation: below zero, as raw ones seldom are.
    """
    if all(place.ratio <= LITTLE for place in off):
        below = sum(place.requests.mean < 0 for place in off)
        return "double" if 2 * below > len(off) or not off[0].reference.is_normalised else "missing"
    sent = sum(place.requests.is_normalised for place in off) > len(off) / 2
    known = sum(place.reference.is_normalised for place in off) > len(off) / 2
    if sent != known:
        return "double" if sent else "missing"
    ratio = median(place.ratio for place in off)
    if ratio >= MUCH or ratio <= 1 / MUCH:
        return "missing" if ratio > 1 else "double"
    larger = sum(abs(place.requests.mean) > abs(place.reference.mean) for place in off)
    return "missing" if 2 * larger >= len(off) else "double"
