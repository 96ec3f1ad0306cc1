"""Image-like and sequence inputs against training: would other axes, or channels in another order, fit better?"""

import itertools
from collections.abc import Iterator
from math import prod

import numpy as np

from unstuck.doctor.evidence.feature_profile import Moved
from unstuck.doctor.experiments.arrangement import rearranged_axes
from unstuck.doctor.experiments.transformations import Array, layouts

MAX_CHANNELS = 4
CHANCE = 1.95
MISFIT, FIT = 1.25, 1.0  # of what chance allows
BETTER = 2.0  # times, that a rearrangement must fit better
ROWS = 256
MAX_ELEMENTS = 64 * 64 * 4  # of a row: larger ones are compared by channels alone
LIKE, UNLIKE = 0.8, 0.4  # correlation of the mean pictures


def moved_axes(alias: str, sent: Array, trained: Array) -> Iterator[Moved]:
    """The rearrangement of a tensor's axes or channels that makes the requests look like training; at most one."""
    if sent.dtype.kind not in "fiu" or sent.shape[1:] != trained.shape[1:] or prod(sent.shape[1:]) < 4:
        return
    sent, trained = (each[:ROWS].astype(np.float64) for each in (sent, trained))
    found = _channels(alias, sent, trained) if sent.ndim > 2 else None
    found = found or _pictures(alias, sent, trained)
    if found is not None:
        yield found
    else:
        yield from rearranged_axes(alias, sent, trained)


def _channels(alias: str, sent: Array, trained: Array) -> Moved | None:
    count = sent.shape[-1]
    if not 2 <= count <= MAX_CHANNELS:
        return None
    right = _statistics(trained, range(count))
    fits = {order: _worst(_statistics(sent, order), right) for order in itertools.permutations(range(count))}
    as_is = fits.pop(tuple(range(count)))
    fitting = [order for order, apart in fits.items() if apart <= FIT]
    if as_is <= MISFIT or len(fitting) != 1 or as_is < BETTER * fits[fitting[0]]:
        return None
    order = list(fitting[0])
    return Moved(
        input=alias,
        features=[f"channel {at}" for at, source in enumerate(order) if at != source],
        what=f"its channels fit training in the order {order}",
        apart=as_is,
        apart_moved=fits[fitting[0]],
        is_layout=True,
        order=order,
    )


def _statistics(values: Array, order: "range | tuple[int, ...]") -> list[Array]:
    """For each row: every channel's mean and deviation, and how much each is above each other."""
    flat = values.reshape(len(values), -1, values.shape[-1])[..., list(order)]
    mean, spread = flat.mean(axis=1), flat.std(axis=1)
    pairs = itertools.combinations(range(flat.shape[-1]), 2)
    return [*mean.T, *spread.T, *(mean[:, one] - mean[:, other] for one, other in pairs)]


def _worst(one: list[Array], other: list[Array]) -> float:
    return max(_apart(first, second) for first, second in zip(one, other, strict=True))


def _apart(one: Array, other: Array) -> float:
    at = np.concatenate([one, other])
    first, second = np.sort(one), np.sort(other)
    below = np.searchsorted(first, at, side="right") / len(one) - np.searchsorted(second, at, side="right") / len(other)
    return float(np.abs(below).max()) / (CHANCE * float(np.sqrt(1 / len(one) + 1 / len(other))))


def _pictures(alias: str, sent: Array, trained: Array) -> Moved | None:
    """By the mean picture, place by place.

    Of an order that only exchanges channels, the picture within each of them must fit: a few channels' levels are like
    training's in some order by chance, where the requests are of one kind of picture.
    """
    if sent[0].size > MAX_ELEMENTS or len(sent) < 20:
        return None
    wanted, own = trained.mean(axis=0).ravel(), sent.mean(axis=0).ravel()
    half = trained[::2].mean(axis=0).ravel(), trained[1::2].mean(axis=0).ravel()
    as_is = _alike(own, wanted)
    if as_is > UNLIKE or _alike(*half) < LIKE:
        return None
    channels = sent.shape[-1]
    has_inner = sent.ndim > 2 and _alike_within(channels, *half) >= LIKE
    fits: list[tuple[float, str, list[int]]] = []
    for each in layouts(alias, sent):
        order = list(each.order or ())
        undone = np.empty_like(own)
        undone[order] = own
        if not _only_channels(order, sent.shape):
            fits.append((_alike(undone, wanted), each.what, order))
        elif has_inner:
            fits.append((_alike_within(channels, undone, wanted), each.what, order))
    fits.sort(key=lambda each: -each[0])
    if not fits or fits[0][0] < LIKE or (len(fits) > 1 and fits[1][0] > fits[0][0] - 0.1):
        return None
    like, what, order = fits[0]
    return Moved(
        input=alias,
        features=[],
        what=what,
        apart=1 - as_is,
        apart_moved=1 - like,
        is_layout=True,
        order=order if len(order) <= 64 else [],
    )


def _only_channels(order: list[int], shape: tuple[int, ...]) -> bool:
    """Whether each place keeps its numbers: only the last axis is in another order."""
    if len(shape) < 3:
        return False
    places = np.asarray(order).reshape(-1, shape[-1]) // shape[-1]
    return bool((places == np.arange(len(places))[:, None]).all())


def _alike_within(channels: int, one: Array, other: Array) -> float:
    """As ``_alike``, whatever the channels' levels."""
    first, second = (each.reshape(-1, channels) - each.reshape(-1, channels).mean(axis=0) for each in (one, other))
    return _alike(first.ravel(), second.ravel())


def _alike(one: Array, other: Array) -> float:
    if np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])
