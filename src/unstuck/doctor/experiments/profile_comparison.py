"""Compares the requests' numbers with training's, and looks for the change that lies between them."""

from collections.abc import Iterator, Sequence

import numpy as np

from unstuck.core.signatures import Tensor, TensorSpec
from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.preparation import Preparation
from unstuck.doctor.evidence.profile import Fit, InputComparison, Numbers, PlaceComparison, ProfileComparison
from unstuck.doctor.evidence.vocabulary import VocabularyProbe
from unstuck.doctor.experiments.byte_order import swaps
from unstuck.doctor.experiments.input_scaling import input_scaling
from unstuck.doctor.experiments.naming import names_of
from unstuck.doctor.experiments.preparing import prepared
from unstuck.doctor.experiments.reference import (
    by_place,
    distance,
    known_rows_or_none,
    places_of,
    row_shape,
    sent_rows,
    values_of,
)  # fmt: skip
from unstuck.doctor.lab import Lab, Row
from unstuck.errors import UnstuckError

MOST_FITS = 6
TENTH, FAR = 0.1, 3.0  # what the graph makes of an input: a deviation below, a mean beyond, is no normalised one
DIVISORS = (100, 1000, 32768, 65535)  # percents, thousandths, samples of sound, depths and 16-bit pixels
BEYOND = 0.01  # what normalised pixels end at may be passed by
FITS_OTHER = 0.25  # the distance at which a place's values are taken for another's


def run(lab: Lab) -> ProfileComparison:
    """Raises NotRun where there are no requests, or nothing to compare them with."""
    if lab.question.pipeline_file is not None:
        raise NotRun("a pipeline prepares the requests, so they are not compared with what the model takes")
    sent, known = sent_rows(lab), known_rows_or_none(lab)
    found: list[InputComparison] = []
    for alias, spec in lab.signature.inputs.items():
        values = values_of(sent, alias)
        if not values or spec.dtype.is_string or values[0].dtype.kind not in "fiu":
            continue
        source, trained = known or ("graph", [])
        reference = values_of(trained, alias)
        each = _against(lab, spec, values, source, reference) if reference else _against_graph(lab, spec, values)
        found.extend([each] if each else [])
    if not found:
        raise NotRun("no input of numbers has training data, golden rows or a scaling in the graph to compare with")
    if known is not None:
        found = _with_exchanged(found, sent, known[1])
    ids = _looked_up(lab)
    found = [each.model_copy(update={"is_index": each.input in ids}) for each in found]
    return ProfileComparison(signature=lab.signature.name, inputs=found)


def _looked_up(lab: Lab) -> set[str]:
    """The inputs whose numbers are rows of an embedding, or keys of a table."""
    try:
        probe = lab.find(VocabularyProbe)
    except NotRun:
        return set()
    keys = {each.input for each in probe.inputs if each.known_by == "table" and not each.dtype.startswith("float")}
    return keys | {each.input for each in probe.inputs if each.known_by == "embedding"}


def _with_exchanged(
    found: Sequence[InputComparison], sent: Sequence[Row], known: Sequence[Row]
) -> list[InputComparison]:
    """Marks the inputs that are off and hold what another of them held in training, which holds theirs or a third's."""
    off = [each for each in found if each.off and each.reference != "graph"]

    def fits(one: InputComparison, other: InputComparison) -> bool:
        places = len(one.places)
        if one.input == other.input or places != len(other.places):
            return False
        own, trained = by_place(values_of(sent, one.input), places), by_place(values_of(known, other.input), places)
        return float(np.mean([distance(own[:, at], trained[:, at]) for at in range(places)])) <= FITS_OTHER

    pairs = {(one.input, other.input) for one in off for other in off if fits(one, other)}
    moved = {one for one, _ in pairs} & {other for _, other in pairs}
    return [each.model_copy(update={"exchanged": True}) if each.input in moved else each for each in found]


def numbers(values: Tensor) -> Numbers:
    """What ``values`` are, those that are not finite left out."""
    finite = values[np.isfinite(values)].astype(np.float64)
    if not finite.size:
        return Numbers(mean=0.0, std=0.0, minimum=0.0, maximum=0.0)
    return Numbers(
        mean=float(finite.mean()),
        std=float(finite.std()),
        minimum=float(finite.min()),
        maximum=float(finite.max()),
        whole=float((finite == np.round(finite)).mean()),
        distinct=len(np.unique(finite)),
        count=int(finite.size),
    )


def _against(
    lab: Lab, spec: TensorSpec, values: Sequence[Tensor], source: str, reference: Sequence[Tensor]
) -> InputComparison:
    places = places_of(spec)
    sent, known = by_place(values, places), by_place(reference, places)
    names = names_of(lab).get(spec.alias, [str(at) for at in range(places)] if places > 1 else [""])
    compared = [_place(names[at], sent[:, at], known[:, at]) for at in range(places)]
    off = [at for at, each in enumerate(compared) if each.is_off]
    chosen = off or list(range(places))
    fits = [fit for change in _changes(sent, known, off) if (fit := _fit(change, sent, known, chosen))]
    if places > 1:
        fits.extend(_cast_fits(sent, known, chosen))
    else:
        fits.extend(_cast_fits(sent, known, [0]))
    return InputComparison(
        input=spec.alias,
        dtype=spec.dtype.name,
        shape=row_shape(spec),
        reference=source,
        rows=len(values),
        reference_rows=len(reference),
        places=compared,
        apart=float(np.mean([compared[at].apart for at in chosen])),
        fits=sorted(fits, key=lambda fit: fit.apart)[:MOST_FITS],
        exchanged=bool(off) and _exchanged(sent, known, off),
    )


def _place(name: str, sent: "np.ndarray", known: "np.ndarray") -> PlaceComparison:
    requests, reference = numbers(sent), numbers(known)
    margin = 0.5 * (reference.maximum - reference.minimum) or max(abs(reference.maximum), 1e-9)
    outside = (sent < reference.minimum - margin) | (sent > reference.maximum + margin)
    cast, cast_apart = _nearest_cast(sent, known) if requests.whole == 1.0 > reference.whole else ("", 1.0)
    return PlaceComparison(
        cast=cast,
        cast_apart=cast_apart,
        name=name,
        requests=requests,
        reference=reference,
        apart=distance(sent, known),
        outside=float(outside.mean()),
    )


def _nearest_cast(sent: "np.ndarray", known: "np.ndarray") -> tuple[str, float]:
    casts = {
        "cast to integers": np.trunc(known),
        "rounded to integers": np.round(known),
        "rounded down to integers": np.floor(known),
    }
    return min(((name, distance(sent, values)) for name, values in casts.items()), key=lambda each: each[1])


def _exchanged(sent: "np.ndarray", known: "np.ndarray", off: Sequence[int]) -> bool:
    """Whether most places that are off hold what another place held in training."""
    others = range(known.shape[1])
    moved = [
        at for at in off if any(distance(sent[:, at], known[:, other]) <= FITS_OTHER for other in others if other != at)
    ]
    return len(moved) > len(off) / 2


Change = tuple[Preparation, str, Preparation | None]  # what is changed is "requests" or "reference"


def _changes(sent: "np.ndarray", known: "np.ndarray", off: Sequence[int]) -> Iterator[Change]:
    """The usual normalisations, done to the reference or left undone on the requests."""
    trained = known[:, list(off)] if off else known
    least, most = float(trained.min(initial=0.0)), float(trained.max(initial=0.0))
    if least >= -BEYOND and most <= 1 + BEYOND:
        yield _affine("divided by 255", 1 / 255), "requests", None
    if least >= -1 - BEYOND and most <= 1 + BEYOND:
        yield _affine("divided by 127.5, less 1", 1 / 127.5, -1.0), "requests", None
    yield Preparation(name="logarithm", kinds=["log"]), "requests", None
    yield Preparation(name="logarithm of 1 + x", kinds=["log"], offset=[1.0]), "requests", None
    yield _affine("divided by 255", 1 / 255), "reference", _affine("times 255", 255.0)
    undone = _affine("plus 1, times 127.5", 127.5, 127.5)
    yield _affine("divided by 127.5, less 1", 1 / 127.5, -1.0), "reference", undone
    yield _affine("times 2, less 1", 2.0, -1.0), "requests", None
    for size in DIVISORS:
        if np.abs(sent).max(initial=0.0) <= size:
            yield _affine(f"divided by {size}", 1 / size), "requests", None
        if np.abs(known).max(initial=0.0) <= size:
            yield _affine(f"divided by {size}", 1 / size), "reference", _affine(f"times {size}", float(size))
    exp = Preparation(name="exponential", kinds=["exp"])
    yield Preparation(name="logarithm", kinds=["log"]), "reference", exp
    less = Preparation(name="exponential less 1", kinds=["exp"], offset=[1.0])
    yield Preparation(name="logarithm of 1 + x", kinds=["log"], offset=[1.0]), "reference", less
    mean, std = known.mean(0), _above_zero(known.std(0))
    yield from _both_ways("less training's mean, by its deviation", mean, std)
    low, high = known.min(0), known.max(0)
    yield from _both_ways("from training's range to 0..1", low, _above_zero(high - low))
    own_mean, own_std = sent.mean(0), _above_zero(sent.std(0))
    is_most = 2 * len(off) > sent.shape[1]  # then the others need it as well, and only look as if they fitted
    wanted = np.array([is_most or at in off for at in range(sent.shape[1])])
    scale = np.where(wanted & (known.std(0) > 0) & (sent.std(0) > 0), std / own_std, 1.0)
    moved = np.where(scale != 1.0, mean - own_mean * scale, 0.0)
    yield _affine_of("to training's mean and deviation", scale, moved), "requests", None


def _both_ways(name: str, centre: "np.ndarray", width: "np.ndarray") -> Iterator[Change]:
    yield _affine_of(name, 1 / width, -centre / width), "reference", _affine_of(f"undone: {name}", width, centre)


def _affine(name: str, factor: float, offset: float = 0.0) -> Preparation:
    return Preparation(name=name, kinds=["affine"], factor=[factor], offset=[offset])


def _affine_of(name: str, factor: "np.ndarray", offset: "np.ndarray") -> Preparation:
    return Preparation(
        name=name, kinds=["affine"], factor=[float(each) for each in factor], offset=[float(each) for each in offset]
    )


def _above_zero(values: "np.ndarray") -> "np.ndarray":
    return np.where(values > 0, values, 1.0)


def _fit(change: Change, sent: "np.ndarray", known: "np.ndarray", chosen: Sequence[int]) -> Fit | None:
    preparation, of, undone = change
    changed = prepared(preparation, sent if of == "requests" else known)
    if not np.isfinite(changed).all():
        return None
    one, other = (changed, known) if of == "requests" else (sent, changed)
    apart = float(np.mean([distance(one[:, at], other[:, at]) for at in chosen]))
    return Fit(preparation=preparation, of=of, apart=apart, undone=undone)


def _cast_fits(sent: "np.ndarray", known: "np.ndarray", chosen: Sequence[int]) -> Iterator[Fit]:
    """What a cast, or bytes read in another way, would have made of the reference."""
    largest = float(np.abs(known).max(initial=0.0)) or 1.0
    changes = [
        Preparation(name="cast to integers", kinds=["truncate"]),
        Preparation(name="rounded to integers", kinds=["round"]),
        Preparation(name="rounded down to integers", kinds=["floor"]),
        Preparation(name="quantised to 8 bits, signed", kinds=["quantise"], factor=[127 / largest]),
        Preparation(name="the bits of a float read as an integer", kinds=["bits"]),
        Preparation(name="the bits of a half float read as an integer", kinds=["half bits"]),
    ]
    low, high = float(known.min()), float(known.max())
    if high > low:
        by = 255 / (high - low)
        changes.append(
            Preparation(name="quantised to 8 bits, unsigned", kinds=["quantise"], factor=[by], offset=[-low * by])
        )
    tried: list[Change] = [(each, "requests", None) for each in swaps(sent)]
    for change in [*tried, *((each, "reference", None) for each in changes)]:
        fit = _fit(change, sent, known, chosen)
        if fit is not None:
            yield fit


def _against_graph(lab: Lab, spec: TensorSpec, values: Sequence[Tensor]) -> InputComparison | None:
    """Against the mean and deviation that the graph itself takes off and divides by."""
    try:
        traced = lab.traced()
        scaling = input_scaling(
            traced, traced.graph(lab.signature.name), lab.signature.name, spec, lab.signature.inputs
        )
    except (NotRun, UnstuckError):
        return None
    if scaling is None:
        return None
    places = places_of(spec)
    if places == 1:
        scaling = tuple(each[:1] if np.ptp(each) == 0 else each for each in scaling)
    if any(each.size not in (1, places) for each in scaling):
        return None
    factor, offset = (np.broadcast_to(each.astype(np.float64), places) for each in scaling)
    sent = by_place(values, places)
    compared = [_expected(str(at) if places > 1 else "", sent[:, at], factor[at], offset[at]) for at in range(places)]
    off = [each for each in compared if each.apart]
    mean, std = -offset / factor, 1 / np.abs(factor)
    made = sent * factor + offset
    return InputComparison(
        input=spec.alias,
        dtype=spec.dtype.name,
        shape=row_shape(spec),
        reference="graph",
        rows=len(values),
        reference_rows=0,
        places=compared,
        apart=float(np.mean([each.apart for each in compared])),
        fits=_graph_fits(mean, std, sent) if off else [],
        grows=bool(np.median(made.std(0)) > FAR) if off else None,
    )


def _expected(name: str, sent: "np.ndarray", factor: float, offset: float) -> PlaceComparison:
    """A place against the numbers that become -1 to 1 in the graph."""
    mean, std = -offset / factor, abs(1 / factor)
    requests = numbers(sent)
    made_mean, made_std = requests.mean * factor + offset, requests.std * abs(factor)
    narrow = made_std < 2 * TENTH and abs(made_mean) > 1.0  # beside what is expected, and much narrower
    is_off = requests.std > 0 and (made_std < TENTH or narrow or made_std > 10 * FAR or abs(made_mean) > 10 * FAR)
    return PlaceComparison(
        name=name,
        requests=requests,
        reference=Numbers(mean=mean, std=std, minimum=mean - std, maximum=mean + std),
        apart=float(is_off),
        outside=float((np.abs(sent * factor + offset) > FAR).mean()) if is_off else 0.0,
    )


def _graph_fits(mean: "np.ndarray", std: "np.ndarray", sent: "np.ndarray") -> list[Fit]:
    """What undoes a normalisation by the graph's own numbers, and what does one before it."""
    before = _affine_of("less the graph's mean, by its deviation", 1 / std, -mean / std)
    undone = _affine_of("undone: the graph's own normalization", std, mean)
    found = [Fit(preparation=before, of="reference", apart=0.0, undone=undone)]
    if float(np.abs(sent).max(initial=0.0)) > 1.5:
        found.append(Fit(preparation=_affine("divided by 255", 1 / 255), of="requests", apart=0.0))
    return found
