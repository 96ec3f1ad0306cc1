"""Compares each feature in the requests with the same, and with every other, feature in training."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from math import prod

import numpy as np

from unstuck.doctor.evidence.base import NotRun
from unstuck.doctor.evidence.feature_profile import ColumnProfile, Copied, FeatureProfile, Moved
from unstuck.doctor.experiments.exchanging import FIT, MISFIT, exchanged, put_right, turned
from unstuck.doctor.experiments.naming import names_of
from unstuck.doctor.experiments.running import stack
from unstuck.doctor.experiments.tensor_profile import moved_axes
from unstuck.doctor.experiments.transformations import Array, Feature, groups
from unstuck.doctor.lab import Lab, Row, rows_of

MAX_ROWS = 512
MAX_COLUMNS = 256
MIN_ROWS = 10
CHANCE = 1.95  # times sqrt(1/n + 1/m): what chance lets two samples of one distribution be apart, once in a thousand
MAX_PLACES = 64  # of a whole input
MIN_TURNED = 4  # columns: of fewer, an exchange says as much
MAX_VALUES = 10_000  # of a feature, that different ones are counted of
MIN_KINDS = 5  # different values: flags of which two shift are often alike
DEFAULTS = (0.0, -1.0)
EXACT = 1e-4  # of the deviation: the mean itself


def run(lab: Lab) -> FeatureProfile:
    """Raises NotRun without requests and training data of the same shape."""
    training = lab.training
    requests = _requests(lab, training)
    rows = len(next(iter(requests.values())))
    if rows < MIN_ROWS:
        raise NotRun(f"only {rows} request rows have the shapes of training: too few to compare columns")
    columns: list[ColumnProfile] = []
    copied: list[Copied] = []
    moved: list[Moved] = []
    for group in groups(requests, names_of(lab)):
        if len(group.features) > MAX_COLUMNS:
            continue
        apart = _misfits(group.features, requests, training)
        named = [feature for feature in group.features if feature.column is not None or _is_scalar(requests, feature)]
        columns += [
            _column(feature, requests, training, apart.get((at, at), 0.0))
            for at, feature in enumerate(group.features)
            if feature in named
        ]
        if group.is_tensor:
            continue
        copied += _copied(group.features, requests, training, apart)
        apart_at = partial(_apart_at, group.features, requests, training)
        if takes := exchanged(_candidates(group.features, apart, training), apart):
            found = _moved(group.features, takes, apart)
        elif takes := _turned(group.features, apart_at):
            found = _in_turn(group.features, takes, apart_at)
        else:
            continue
        moved.append(found.model_copy(update={"moves": put_right(lab, group, takes, requests)}))
    for alias in requests:
        moved += moved_axes(alias, requests[alias], training[alias])
    return FeatureProfile(
        requests=rows,
        training=len(next(iter(training.values()))),
        distinct=len({repr([values[at : at + 1].tolist() for values in requests.values()]) for at in range(rows)}),
        columns=columns[:MAX_COLUMNS],
        copied=copied,
        moved=moved,
    )


def _requests(lab: Lab, training: Mapping[str, Array]) -> dict[str, Array]:
    """The requests' rows that have training's shapes, stacked."""
    wanted = {alias: values.shape[1:] for alias, values in training.items()}
    rows: list[Row] = [
        row
        for each in lab.requests
        if each.inputs and each.signature == lab.signature.name
        for row in rows_of(each.inputs)
        if {alias: np.shape(values)[1:] for alias, values in row.items()} == wanted
    ]
    if not rows:
        raise NotRun("no request has the shapes of the training data")
    return stack(rows[:MAX_ROWS])


def _is_scalar(batch: Mapping[str, Array], feature: Feature) -> bool:
    return prod(batch[feature.input].shape[1:]) == 1


def _flat(feature: Feature, batch: Mapping[str, Array]) -> Array:
    values = feature.of(batch)
    return values.reshape(len(values), -1)[:, 0] if values.size else values


def _rows(feature: Feature, batch: Mapping[str, Array]) -> Array:
    values = feature.of(batch)
    return values.reshape(len(values), -1)


def _apart(one: Feature, other: Feature, requests: Mapping[str, Array], training: Mapping[str, Array]) -> float:
    """Of whole inputs with several places, the worst of the first ones."""
    sent, trained = _rows(one, requests), _rows(other, training)
    places = range(min(sent.shape[1], MAX_PLACES if one.column is None else 1))
    return max((apart_of(sent[:, at], trained[:, at]) for at in places), default=0.0)


def apart_of(one: Array, other: Array) -> float:
    """The Kolmogorov-Smirnov distance of two samples, in units of what chance allows. Text: of how often each came."""
    if one.dtype.kind not in "fiub" or other.dtype.kind not in "fiub":
        return _text_apart(one, other)
    first, second = (np.sort(each[np.isfinite(each)]) for each in (one.astype(np.float64), other.astype(np.float64)))
    if not len(first) or not len(second):
        return 0.0
    at = np.concatenate([first, second])
    below = np.searchsorted(first, at, side="right") / len(first) - np.searchsorted(second, at, side="right") / len(
        second
    )
    return float(np.abs(below).max()) / chance(len(first), len(second))


def chance(one: int, other: int) -> float:
    return CHANCE * float(np.sqrt(1 / one + 1 / other))


def _text_apart(one: Array, other: Array) -> float:
    first, second = ([str(each) for each in values.tolist()] for values in (one, other))
    known = set(second)
    new = sum(each not in known for each in first) / max(len(first), 1)
    return new / chance(len(first), len(second))


def _misfits(
    features: Sequence[Feature], requests: Mapping[str, Array], training: Mapping[str, Array]
) -> dict[tuple[int, int], float]:
    """By (feature in the requests, feature in training), how far they are apart; only for those that do not fit."""
    found: dict[tuple[int, int], float] = {}
    bad: list[int] = []
    for at, feature in enumerate(features):
        found[at, at] = _apart(feature, feature, requests, training)
        if found[at, at] > FIT:
            bad.append(at)
    for one in bad:
        for other in bad:
            found[one, other] = _apart(features[one], features[other], requests, training)
    return found


def _column(
    feature: Feature, requests: Mapping[str, Array], training: Mapping[str, Array], apart: float
) -> ColumnProfile:
    sent, trained = (feature.of(batch).ravel() for batch in (requests, training))
    found = ColumnProfile(
        feature=feature.name,
        input=feature.input,
        apart=apart,
        trained_distinct=len(np.unique(trained[:: 1 + trained.size // MAX_VALUES])),
    )
    if not _is_constant(sent):
        return found
    value = sent[0]
    same = np.asarray(trained == value)
    return found.model_copy(
        update={
            "constant": str(value.item() if hasattr(value, "item") else value),
            "is_default": _is_default(value, trained),
            "trained_share": float(same.mean()),
        }
    )


def _is_constant(values: Array) -> bool:
    """Zeros of either sign are one value, and so are numbers that are none."""
    return bool(values.size) and bool(np.all((values == values[0]) | (values != values) & (values[0] != values[0])))


def _is_default(value: object, trained: Array) -> bool:
    if isinstance(value, bytes | str):
        return value in (b"", "") or str(value).lower() in ("unknown", "none", "nan", "null", "b'unknown'")
    number = float(value)  # type: ignore[arg-type]
    if np.isnan(number) or number in DEFAULTS:
        return True
    values = trained.astype(np.float64)
    spread = float(np.nanstd(values))
    return spread > 0 and abs(number - float(np.nanmean(values))) < EXACT * spread


def _copied(
    features: Sequence[Feature],
    requests: Mapping[str, Array],
    training: Mapping[str, Array],
    apart: Mapping[tuple[int, int], float],
) -> Iterator[Copied]:
    values = [_rows(feature, requests) for feature in features]
    distinct = [_kinds(column) for column in values]
    for one in range(len(features)):
        for other in range(one + 1, len(features)):
            if distinct[one] < 2 or bool(np.any(values[one] != values[other])):
                continue
            first, second = _rows(features[one], training), _rows(features[other], training)
            same = float(np.asarray(first == second).all(axis=1).mean())
            original, copy = (one, other) if apart[one, one] <= apart[other, other] else (other, one)
            yield Copied(
                original=features[original].name,
                copy_=features[copy].name,
                input=", ".join(dict.fromkeys((features[original].input, features[copy].input))),
                trained_share=same,
                distinct=distinct[one],
                copy_apart=apart[copy, copy],
                original_apart=apart[original, original],
            )


def _candidates(
    features: Sequence[Feature], apart: Mapping[tuple[int, int], float], training: Mapping[str, Array]
) -> list[int]:
    """Features that do not fit their own training values."""
    return [
        at
        for at, feature in enumerate(features)
        if apart[at, at] > MISFIT and len(set(_flat(feature, training).tolist())) >= MIN_KINDS
    ]


def _moved(features: Sequence[Feature], takes: Mapping[int, int], apart: Mapping[tuple[int, int], float]) -> Moved:
    order = [takes.get(at, at) for at in range(len(features))]
    return Moved(
        input=", ".join(dict.fromkeys(features[at].input for at in sorted(takes))),
        features=[features[at].name for at in sorted(takes)],
        what=", ".join(f"{features[at].name} holds the values of {features[takes[at]].name}" for at in sorted(takes)),
        apart=min(apart[at, at] for at in takes),
        apart_moved=max(apart[at, takes[at]] for at in takes),
        order=order if len(order) <= 64 else [],
    )


def _turned(features: Sequence[Feature], apart: Callable[[int, int], float]) -> dict[int, int]:
    """By column of one input, the one in training whose values it holds, if all begin at another place."""
    is_one = len({feature.input for feature in features}) == 1 and all(each.column is not None for each in features)
    if not is_one or not MIN_TURNED <= len(features) <= MAX_PLACES:
        return {}
    return turned(len(features), apart)


def _apart_at(
    features: Sequence[Feature], requests: Mapping[str, Array], training: Mapping[str, Array], one: int, other: int
) -> float:
    return _apart(features[one], features[other], requests, training)


def _in_turn(features: Sequence[Feature], takes: Mapping[int, int], apart: Callable[[int, int], float]) -> Moved:
    return Moved(
        input=features[0].input,
        features=[feature.name for feature in features],
        what=f"the columns of {features[0].input} begin at another place: {features[0].name} holds the values of "
        f"{features[takes[0]].name}, {features[1].name} those of {features[takes[1]].name}, and so on",
        apart=max(apart(at, at) for at in takes),
        apart_moved=max(apart(at, takes[at]) for at in takes),
        order=list(takes.values()),
    )


def _kinds(values: Array) -> int:
    """How many different rows."""
    return len({row.tobytes() if row.dtype != object else repr(row.tolist()) for row in values})
