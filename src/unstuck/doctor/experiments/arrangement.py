"""Which arrangement of a tensor's elements looks like training: by how its channels run along its axes."""

from collections.abc import Iterator
from math import prod

import numpy as np

from unstuck.doctor.evidence.feature_profile import Moved
from unstuck.doctor.experiments.transformations import Array, layouts, pictures_of

MOST_VALUES = 4_000_000
MIN_ROWS = 24
MOST_CHANNELS = 8
MISFIT, FIT, BETTER = 4.0, 2.0, 3.0  # Hotelling's statistic, of what chance gives


def rearranged_axes(alias: str, sent: Array, trained: Array) -> Iterator[Moved]:
    """The order of the elements in which the requests run as training does, where as sent they do not; at most one.

    Args:
        sent, trained: rows of numbers of one shape, float64.
    """
    shape = sent.shape[1:]
    rows = min(len(sent), len(trained), MOST_VALUES // max(1, prod(shape)))
    if rows < MIN_ROWS:
        return
    sent, trained = sent[: MOST_VALUES // prod(shape)], trained[: MOST_VALUES // prod(shape)]
    best: Moved | None = None
    for view in [shape] if len(shape) > 1 else pictures_of(prod(shape)):
        found = _best_of(alias, sent, trained, view)
        if found is not None and (best is None or found.apart_moved < best.apart_moved):
            best = found
    if best is not None:
        yield best


def _best_of(alias: str, sent: Array, trained: Array, view: tuple[int, ...]) -> Moved | None:
    wanted = _statistics(trained.reshape(-1, *view))
    as_is = _misfit(_statistics(sent.reshape(-1, *view)), wanted)
    if as_is < MISFIT:
        return None
    flat = sent.reshape(len(sent), -1)
    fits: list[tuple[float, str, list[int]]] = []
    for each in layouts(alias, sent):
        order = list(each.order or ())
        undone = np.empty_like(flat)
        undone[:, order] = flat
        fits.append((_misfit(_statistics(undone.reshape(-1, *view)), wanted), each.what, order))
    if not fits:
        return None
    apart, what, order = min(fits)
    if apart > FIT or as_is < BETTER * apart:
        return None
    return Moved(
        input=alias,
        features=[],
        what=what,
        apart=as_is,
        apart_moved=apart,
        is_layout=True,
        order=order if len(order) <= 64 else [],
    )


def _statistics(values: Array) -> Array:
    """By row, each channel's mean and deviation, and along every other axis its slope, roughness and skew of steps."""
    if values.ndim < 3:
        return _of_channels(values[..., None])
    is_grey = values.ndim == 3 and values.shape[1] == values.shape[2]
    first, last = values.shape[1], values.shape[-1]
    if first <= MOST_CHANNELS < last:  # channels first
        values = np.moveaxis(values, 1, -1)
    return _of_channels(values[..., None] if is_grey else values)


def _of_channels(values: Array) -> Array:
    rows, channels = len(values), values.shape[-1]
    inner = tuple(range(1, values.ndim - 1))
    deviation = values.std(axis=inner)
    found = [values.mean(axis=inner), deviation]
    for axis in inner:
        steps = np.diff(values, axis=axis)
        if not steps.size:
            continue
        rough = np.abs(steps).mean(axis=inner)
        unit = np.sqrt((steps**2).mean(axis=inner)) + 1e-12
        skew = (steps**3).mean(axis=inner) / unit**3
        found += [steps.mean(axis=inner) * values.shape[axis], rough, np.cbrt(skew)]
    return np.concatenate([each.reshape(rows, channels) for each in found], axis=1)


def _misfit(own: Array, wanted: Array) -> float:
    """Hotelling's two-sample statistic as F: about 1 for samples of one distribution, large for others."""
    spread = wanted.std(axis=0)
    kept = spread > 1e-9 * (np.abs(wanted).mean(axis=0) + 1e-12)
    own, wanted = own[:, kept] / spread[kept], wanted[:, kept] / spread[kept]
    count, both = own.shape[1], len(own) + len(wanted)
    if not count or both <= count + 2:
        return 0.0
    gap: Array = own.mean(axis=0) - wanted.mean(axis=0)
    centred = np.concatenate([own - own.mean(axis=0), wanted - wanted.mean(axis=0)])
    pooled: Array = centred.T @ centred / (both - 2) + 1e-3 * np.eye(count)
    toward: Array = np.linalg.inv(pooled) @ gap
    squared = float(np.sum(gap * toward)) / (1 / len(own) + 1 / len(wanted))
    return squared * (both - count - 1) / (count * (both - 2))
