"""Whether requests are the reference after a cast: pure reading of the comparison."""

from statistics import median

from unstuck.doctor.evidence.profile import Fit, InputComparison

CASTS = frozenset({
    "cast to integers", "rounded to integers", "rounded down to integers", "bytes in the other order",
    "quantised to 8 bits, signed", "quantised to 8 bits, unsigned", "the bits of a float read as an integer",
})  # fmt: skip
STEP = 0.2  # of the deviation, which a step of 1 must be to matter


def trained_whole(each: InputComparison) -> float:
    """The share of whole numbers in the reference, of the middle place."""
    return median(place.reference.whole for place in each.places)


def best_cast(each: InputComparison) -> Fit | None:
    """The cast that makes the reference what the requests are; None where nothing is lost, or nothing fits."""
    moving = [place for place in each.places if place.requests.std > 0]
    if not moving or each.reference == "graph" or trained_whole(each) > 0.5:
        return None
    if min(place.requests.whole for place in each.places) < 0.999:
        return None
    casts = [fit for fit in each.fits if fit.preparation.name in CASTS and fit.of == "reference"]
    others = [fit for fit in each.fits if fit.preparation.name not in CASTS]
    fit = min(casts, key=lambda fit: fit.apart, default=None)
    if fit is None or fit.apart > 0.25 or (others and min(other.apart for other in others) <= fit.apart):
        return None
    coarse = median(place.reference.std for place in each.places) * STEP < 1
    return fit if coarse and fit.apart <= 0.6 * each.apart else None
