"""Whether requests are the reference after a cast: pure reading of the comparison."""

from statistics import median

from unstuck.doctor.evidence.profile import Fit, InputComparison, PlaceComparison

CASTS = frozenset({
    "cast to integers", "rounded to integers", "rounded down to integers",
    "quantised to 8 bits, signed", "quantised to 8 bits, unsigned", "the bits of a float read as an integer",
    "the bits of a half float read as an integer",
})  # fmt: skip
STEP = 0.2  # of the deviation, which a step of 1 must be to matter
CONTINUOUS = 0.05  # of the values: so few are whole, or come again, of what is measured
BYTE = 100  # the least span of whole numbers that fill a byte
MANY = 20  # times as many different values
AGAIN = 0.1  # of the values, that come again where a byte holds them
ENOUGH = 20  # rows
SCALES_OF_BYTES = ((255.0, 0.0), (127.5, 127.5))  # by which 0 to 1, and -1 to 1, become bytes: factor, offset
ALIKE = 0.05  # part of the factor
TURNED = 0.2  # the distance from which numbers may have their bytes turned


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
    casts = [fit for fit in each.fits if fit.preparation.name in CASTS and fit.of == "reference" and not of_pixels(fit)]
    others = [fit for fit in each.fits if fit.preparation.name not in CASTS]
    fit = min(casts, key=lambda fit: fit.apart, default=None)
    if fit is None or fit.apart > 0.25 or (others and min(other.apart for other in others) <= fit.apart):
        return None
    coarse = median(place.reference.std for place in each.places) * STEP < 1
    return fit if coarse and fit.apart <= 0.6 * each.apart else None


def of_pixels(fit: Fit) -> bool:
    """Whether a quantisation is but an ordinary normalisation undone: bytes are then the raw scale, and nothing lost.

    Training's numbers, which fill 0 to 1 or -1 to 1, were once such bytes.
    """
    done = fit.preparation
    return done.kinds == ["quantise"] and any(
        abs(done.factor[0] - factor) <= ALIKE * factor and abs(done.offset[0] - offset) <= ALIKE * factor
        for factor, offset in SCALES_OF_BYTES
    )


def turned_bytes(each: InputComparison) -> Fit | None:
    """The fit of numbers whose bytes are turned, which brings them onto the reference; None where it does not."""
    found = [fit for fit in each.fits if fit.preparation.kinds == ["swap bytes"]]
    fit = min(found, key=lambda fit: fit.apart, default=None)
    if fit is None or each.reference == "graph" or each.rows < ENOUGH or each.apart < TURNED:
        return None
    if any(other.apart <= fit.apart for other in each.fits if other not in found):
        return None  # bytes turned spread over all magnitudes, so that no change of scale comes as near
    by_chance = 1.36 * ((each.rows + each.reference_rows) / max(1, each.rows * each.reference_rows)) ** 0.5
    return fit if fit.apart <= min(max(0.15, by_chance), each.apart / 2) else None


def is_quantised(each: InputComparison) -> bool:
    """Whether every place holds bytes, many of them the same, where the reference hardly repeats a value.

    No change of scale that can be undone makes that of it: what the bytes were made of is lost.
    """
    if not each.places or each.reference == "graph":
        return False
    sent, known = [place.requests for place in each.places], [place.reference for place in each.places]
    fill = all(
        one.whole >= 0.999 and one.minimum >= -128 and one.maximum <= 255 and one.maximum - one.minimum >= BYTE
        for one in sent
    )
    came_again = median(one.repeated for one in sent) >= AGAIN
    finer = all(
        other.repeated <= CONTINUOUS or (other.count <= one.count and other.distinct >= MANY * one.distinct)
        for one, other in zip(sent, known, strict=True)
    )
    return fill and came_again and finer and trained_whole(each) <= CONTINUOUS


def whole_places(each: InputComparison, by_chance: float) -> list[PlaceComparison]:
    """The places of an input that hold whole numbers alone, as if cast, where the reference has next to none.

    Args:
        by_chance: how far two samples of one distribution may be apart.
    """
    if each.rows < ENOUGH:
        return []
    return [
        place
        for place in each.places
        if place.requests.whole >= 0.999
        and place.requests.distinct >= 3
        and place.reference.whole <= CONTINUOUS
        and place.reference.std * STEP < 1
        and place.cast_apart <= max(0.25, by_chance)
    ]
