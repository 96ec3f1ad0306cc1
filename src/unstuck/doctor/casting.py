"""What the check of encodings says of numbers: those of an input that were cast, quantised, or cast in some columns."""

from unstuck.doctor.check import Fault, Location
from unstuck.doctor.evidence.casts import best_cast, is_quantised, of_pixels, trained_whole, turned_bytes, whole_places
from unstuck.doctor.evidence.profile import Fit, InputComparison
from unstuck.doctor.evidence.scales import OWN, noise

PIXELS = ("divided by 255", "divided by 127.5")  # how such changes are called
LITTLE = 0.03  # of distance


def cast_numbers(each: InputComparison) -> Fault | None:
    """A fault where the requests' numbers are the reference's, cast; None where they are not."""
    if (turned := turned_bytes(each)) is not None:
        return _turned(each, turned)
    fit = best_cast(each)
    if fit is None:
        return _quantised(each) if is_quantised(each) and _of_one_shape(each) else _whole(each)
    place = max(each.places, key=lambda place: place.apart)
    return Fault(
        why=f"All numbers of input {each.input!r} are whole, where only {trained_whole(each):.0%} of those of "
        f"the {each.known_from} are: {fit.preparation.name}, those have the requests' distribution.",
        evidence={
            "requests_distinct": place.requests.distinct, "trained_distinct": place.reference.distinct,
            "trained_std": place.reference.std, "distance": each.apart, "distance_of_cast": fit.apart,
            "cast": fit.preparation.name,
        },
        fix=f"Send input {each.input!r} as floats: look for an integer type, a cast or a quantisation in the client.",
        confidence=0.93,
        location=Location(input=each.input),
    )  # fmt: skip


def _turned(each: InputComparison, fit: Fit) -> Fault:
    number = fit.preparation.number
    return Fault(
        why=f"The numbers of input {each.input!r} are {each.apart:.2f} apart from the {each.known_from}, and "
        f"{fit.apart:.2f} {fit.preparation.name}: they were read in the other byte order.",
        evidence={"distance": each.apart, "distance_turned": fit.apart, "number": number},
        fix=f"Read and write input {each.input!r} in one byte order: in the client, np.frombuffer(data, "
        f'np.dtype("{number}").newbyteorder(">")) for data with the high byte first ("<": the low byte).',
        confidence=0.95,
        location=Location(input=each.input),
    )


def _of_one_shape(each: InputComparison) -> bool:
    """Whether a change of scale brings requests and reference together, and not as well one that makes pixels of bytes.

    A change that is fitted to the two samples gains by that: it must be clearly better.
    """
    by_chance = noise(each.rows, each.reference_rows)
    pixels, quantised, fitted = (_nearest(each, names) for names in (PIXELS, ("quantised",), (OWN,)))
    better = quantised + LITTLE < pixels or fitted + max(0.1, 0.6 * by_chance) < pixels
    return better and min(quantised, fitted) <= max(0.25, by_chance)


def _nearest(each: InputComparison, names: tuple[str, ...]) -> float:
    found = [fit for fit in each.fits if fit.preparation.name.startswith(names) and not of_pixels(fit)]
    return min((fit.apart for fit in found), default=1.0)


def _quantised(each: InputComparison) -> Fault:
    sent, known = each.places[0].requests, each.places[0].reference
    return Fault(
        why=f"Input {each.input!r} gets whole numbers from {sent.minimum:.4g} to {sent.maximum:.4g}, many of them the "
        f"same, where the {each.reference} data have numbers from {known.minimum:.4g} to {known.maximum:.4g} that "
        "hardly come twice: they were quantised to bytes, and not brought back.",
        evidence={
            "requests_distinct": sent.distinct, "requests_repeated": sent.repeated,
            "trained_repeated": known.repeated, "distance": each.apart,
        },
        fix=f"Send input {each.input!r} as it was before it was quantised; else undo that by its scale and zero point, "
        "x * scale + zero.",
        confidence=0.92,
        location=Location(input=each.input),
    )  # fmt: skip


def _whole(each: InputComparison) -> Fault | None:
    """Some places of an input alone are cast."""
    by_chance = noise(each.rows, each.reference_rows)
    found = whole_places(each, by_chance) if not each.exchanged and each.reference != "graph" else []
    if not found or len(found) == len(each.places):
        return None
    names = ", ".join(place.name for place in found[:6])
    return Fault(
        why=f"All numbers of {names} of input {each.input!r} are whole in {each.rows} requested rows, where "
        f"{found[0].reference.whole:.0%} of those of the {each.reference} data are: {found[0].cast}, those are "
        f"{found[0].cast_apart:.2f} apart from the requests', as they are {found[0].apart:.2f}.",
        evidence={
            "places": [place.name for place in found[:16]], "requests_distinct": found[0].requests.distinct,
            "trained_distinct": found[0].reference.distinct, "distance_of_cast": found[0].cast_apart,
        },
        fix=f"Send {names} of input {each.input!r} as floats: look for an integer type or a cast in the client.",
        confidence=0.9,
        location=Location(input=each.input, feature=names),
    )  # fmt: skip
