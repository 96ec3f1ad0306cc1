"""Hypotheses of what happened to the inputs on their way: each turns rows as sent into rows as they arrived."""

import base64
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt, prod
from typing import Any

import numpy as np

from unstuck.doctor.evidence.replay import Kind

MAX_PAIRS = 48  # features of which every pair is tried
MAX_CYCLES = 5  # features of which every order is tried
MAX_CHANNELS = 4  # of which every order is tried
MIN_SIDE = 4  # of a picture that was flattened
MAX_CUT = 65  # places or words, up to which a cut is looked for
LENGTHS = (8, 10, 12, 16, 20, 24, 30, 32, 40, 48, 50, 60, 64, 80, 96, 100, 120, 128, 140, 160, 200, 255, 256, 500, 512)

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = Mapping[str, Array]
Batch = dict[str, Array]
Names = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Feature:
    """A whole input (``column`` None), or one place of an input's last dimension."""

    input: str
    column: int | None
    name: str

    def of(self, batch: Arrays) -> Array:
        values = batch[self.input]
        return values if self.column is None else values[..., self.column]

    def put(self, batch: Batch, values: "Array | float | bytes") -> None:
        """Replaces it in ``batch``, whose other arrays stay as they are."""
        old = batch[self.input]
        if self.column is None:
            batch[self.input] = np.broadcast_to(np.asarray(values).astype(old.dtype), old.shape)
            return
        new = old.copy()
        new[..., self.column] = values
        batch[self.input] = new


@dataclass(frozen=True, slots=True)
class Group:
    """Features that can take one another's place: they have the same shape, and hold the same kind of value."""

    features: tuple[Feature, ...]
    is_tensor: bool = False  # channels of an image-like or sequence tensor

    def moved(self, batch: Arrays, sources: Mapping[int, "int | float | bytes"], *, constant: bool = False) -> Batch:
        """``batch`` with feature k taken from feature ``sources[k]``, or with that constant."""
        found = dict(batch)
        for at, source in sources.items():
            value = source if constant or not isinstance(source, int) else self.features[source].of(batch)
            self.features[at].put(found, value)
        return found


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What may have happened.

    Attributes:
        apply: gives the rows as they arrived.
        can_undo: whether another hypothesis undoes it, as with any rearrangement.
        order: where each element of a row was taken from; None for what is no rearrangement of one input.
    """

    kind: Kind
    what: str
    input: str
    features: tuple[str, ...]
    apply: Callable[[Arrays], Batch]
    can_undo: bool = True
    order: tuple[int, ...] | None = None


def groups(batch: Arrays, names: Names = {}) -> list[Group]:  # noqa: B006 - never written to
    """The features of a batch of rows, grouped by what can take whose place."""
    alike: dict[tuple[str, tuple[int, ...]], list[Feature]] = {}
    found: list[Group] = []
    for alias, values in batch.items():
        alike.setdefault((_kind(values), values.shape[1:]), []).append(Feature(alias, None, alias))
        if values.ndim > 1 and values.shape[-1] > 1:
            called = names.get(alias) or [f"{alias}[{at}]" for at in range(values.shape[-1])]
            columns = tuple(Feature(alias, at, called[at]) for at in range(values.shape[-1]))
            found.append(Group(columns, is_tensor=values.ndim > 2))
    scalars = [features for (_, shape), features in alike.items() if prod(shape) == 1]
    merged: dict[str, list[Feature]] = {}
    for features in scalars:
        for feature in features:
            merged.setdefault(_kind(batch[feature.input]), []).append(feature)
    whole = [features for (_, shape), features in alike.items() if prod(shape) != 1]
    return [Group(tuple(features)) for features in (*merged.values(), *whole)] + found


def _kind(values: Array) -> str:
    return "text" if values.dtype.kind in "OSU" else "number"


def hypotheses(
    batch: Arrays,
    constants: Arrays,
    names: Names = {},  # noqa: B006 - never written to
) -> Iterator[Hypothesis]:
    """All families, the most frequent mistakes first; the same rearrangement comes once.

    Args:
        batch: rows as they were sent.
        constants: by alias, the mean of an input in training, one row without its batch dimension.
        names: by alias, the columns' names.
    """
    seen: set[tuple[object, ...]] = set()
    for each in _families(batch, constants, names):
        key = (each.input, each.order) if each.order is not None else (each.kind, each.what)
        if key not in seen:
            seen.add(key)
            yield each


def _families(batch: Arrays, constants: Arrays, names: Names) -> Iterator[Hypothesis]:
    found = groups(batch, names)
    for alias, values in batch.items():
        yield from layouts(alias, values)
    for group in found:
        yield from _swaps(group, batch)
    for group in found:
        if len(group.features) <= MAX_PAIRS:
            yield from _drops(group, constants)
            yield from _copies(group)
    yield from _casts(batch)
    yield from _cuts(batch)


def _swaps(group: Group, batch: Arrays) -> Iterator[Hypothesis]:
    count = len(group.features)
    if count < 2:
        return
    if count <= MAX_PAIRS:
        for one, other in itertools.combinations(range(count), 2):
            order = list(range(count))
            order[one], order[other] = other, one
            yield rearranged(group, order, batch)
    if count <= MAX_CYCLES:
        for order in itertools.permutations(range(count)):
            if order != tuple(range(count)):
                yield rearranged(group, order, batch)
        return
    yield rearranged(group, range(count)[::-1], batch, "in the opposite order")
    for by in range(1, min(count, 256)):
        yield rearranged(group, [(at + by) % count for at in range(count)], batch, f"rotated by {by}")
    for width in (each for each in range(2, count) if count % each == 0):
        order = np.arange(count).reshape(-1, width).T.ravel().tolist()
        yield rearranged(group, order, batch, f"read as {count // width} x {width} in the other direction")
    for width in (each for each in range(2, count // 2 + 1) if count % each == 0):
        order = np.arange(count).reshape(-1, width)[::-1].ravel().tolist()
        yield rearranged(group, order, batch, f"in blocks of {width} in the opposite order")


def rearranged(group: Group, order: Sequence[int], batch: Arrays, how: str = "") -> Hypothesis:
    """Feature k arrives with the value of feature ``order[k]``."""
    features = group.features
    sources = {at: source for at, source in enumerate(order) if at != source}
    is_copy = len(set(order)) < len(order)
    inputs = list(dict.fromkeys(features[at].input for at in sources))
    text = _kind(batch[features[0].input]) == "text"
    ids = features[0].column is not None and (text or batch[features[0].input].dtype.kind in "iu")
    kind: Kind = "layout" if group.is_tensor or (ids and how) else "swapped"
    named = tuple(features[at].name for at in sorted(set(sources) | ({*sources.values()} if is_copy else set())))
    moves = ", ".join(f"{features[at].name} gets {features[source].name}" for at, source in list(sources.items())[:6])
    what = f"{how}: {moves}" if how else moves
    if is_copy:
        kind = "duplicated"
    own = features[0].column is not None and batch[features[0].input].ndim == 2
    return Hypothesis(
        kind,
        what + (", …" if len(sources) > 6 else ""),
        ", ".join(inputs),
        named,
        lambda rows: group.moved(rows, sources),
        can_undo=not is_copy,
        order=tuple(int(each) for each in order) if own else None,
    )


def _drops(group: Group, constants: Arrays) -> Iterator[Hypothesis]:
    for at, feature in enumerate(group.features):
        for value, what in _stand_ins(feature, constants):
            yield Hypothesis(
                "dropped",
                f"{feature.name} is replaced by {what}",
                feature.input,
                (feature.name,),
                lambda rows, at=at, value=value: _constant(group, rows, at, value),
                can_undo=False,
            )


def _constant(group: Group, rows: Arrays, at: int, value: float) -> Batch:
    feature = group.features[at]
    if _kind(rows[feature.input]) == "text":
        texts: dict[float, bytes] = {0.0: b"", 1.0: b"[UNK]", -1.0: b"unknown"}
        return group.moved(rows, {at: texts.get(value, b"")}, constant=True)
    return group.moved(rows, {at: value}, constant=True)


def _stand_ins(feature: Feature, constants: Arrays) -> Iterator[tuple[float, str]]:
    yield 0.0, "zero, or the empty text"
    yield -1.0, "-1"
    yield 1.0, "1"
    mean = constants.get(feature.input)
    if mean is not None:
        value = float(np.mean(mean if feature.column is None else mean[..., feature.column]))
        yield value, f"training's mean, {value:.4g}"


def _copies(group: Group) -> Iterator[Hypothesis]:
    for source, at in itertools.permutations(range(len(group.features)), 2):
        copy, original = group.features[at], group.features[source]
        yield Hypothesis(
            "duplicated",
            f"{copy.name} gets {original.name} as well",
            ", ".join(dict.fromkeys((original.input, copy.input))),
            (original.name, copy.name),
            lambda rows, at=at, source=source: group.moved(rows, {at: source}),
            can_undo=False,
        )


def layouts(alias: str, values: Array) -> Iterator[Hypothesis]:
    """Axes in another order, read in another order, reversed, or with their channels in another order."""
    shape = values.shape[1:]
    size = prod(shape) if shape else 1
    views = [shape] if len(shape) > 1 else list(pictures_of(size))
    for view in views:
        places = np.arange(size).reshape(view)
        for order, what in _orders(places):
            if not np.array_equal(order, places.ravel()):
                yield _layout(alias, order, what if view == shape else f"as a picture of {_by(view)}, {what}")


def _layout(alias: str, order: Array, what: str) -> Hypothesis:
    def apply(rows: Arrays) -> Batch:
        own = rows[alias]
        return dict(rows) | {alias: own.reshape(len(own), -1)[:, order].reshape(own.shape)}

    return Hypothesis("layout", f"{alias} arrives {what}", alias, (), apply, order=tuple(order.tolist()))


def pictures_of(size: int) -> Iterator[tuple[int, ...]]:
    """The shapes of square pictures that have ``size`` elements."""
    for channels in (1, 3, 4):
        side = isqrt(size // channels)
        if side >= MIN_SIDE and side * side * channels == size and (channels > 1 or size >= 64):
            yield from [(side, side)] if channels == 1 else [(side, side, channels), (channels, side, side)]


def _by(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))


def _orders(places: Array) -> Iterator[tuple[Array, str]]:
    rank = places.ndim
    for axes in itertools.permutations(range(rank)):
        if axes == tuple(range(rank)):
            continue
        turned = places.transpose(axes)
        same = turned.shape == places.shape
        what = f"with its axes in the order {list(axes)}"
        yield turned.ravel(), what if same else f"{what}, read as {_by(places.shape)}"
        sizes = [places.shape[axis] for axis in axes]
        if not same:
            yield places.reshape(sizes).transpose(np.argsort(axes)).ravel(), f"read as {_by(sizes)} and turned back"
    for axis in range(rank):
        name = "last axis (channels)" if axis == rank - 1 else f"axis {axis}"
        yield np.flip(places, axis).ravel(), f"with its {name} reversed"
    for axis in {0, rank - 1}:
        if places.shape[axis] <= MAX_CHANNELS:
            for order in itertools.permutations(range(places.shape[axis])):
                yield places.take(order, axis).ravel(), f"with the places of axis {axis} in the order {list(order)}"
    for turns in (1, 2, 3) if rank > 1 and places.shape[0] == places.shape[1] else ():
        yield np.rot90(places, turns).ravel(), f"turned by {90 * turns} degrees"


def changed(kind: Kind, what: str, alias: str, change: Callable[[Array], Array]) -> Hypothesis:
    """The values of one input changed, each row by itself."""
    return Hypothesis(
        kind,
        f"{alias} arrives {what}",
        alias,
        (),
        lambda rows: dict(rows) | {alias: change(rows[alias])},
        can_undo=False,
    )


def _casts(batch: Arrays) -> Iterator[Hypothesis]:
    """Texts that are written otherwise on the way."""
    for alias, values in batch.items():
        if values.dtype == object:
            yield changed("cast", "as base64", alias, each_text(base64.b64encode))
            yield changed("cast", "as UTF-8 read as Latin-1", alias, each_text(lambda x: x.decode("latin-1").encode()))


def _cuts(batch: Arrays) -> Iterator[Hypothesis]:
    """Texts and sequences of which only the beginning, or the end, arrives."""
    for alias, values in batch.items():
        if values.dtype == object and values.size == len(values):
            longest = max(len(each) for each in values.ravel())
            for length in (each for each in LENGTHS if each < longest):
                yield changed("cut", f"cut after {length} bytes", alias, each_text(lambda x, n=length: x[:n]))
            words = max(len(each.split()) for each in values.ravel())
            for count in range(1, min(words, MAX_CUT)):
                yield changed(
                    "cut", f"cut after {count} words", alias, each_text(lambda x, n=count: b" ".join(x.split()[:n]))
                )
        elif values.ndim == 2 and values.dtype.kind in "iuO" and values.shape[1] > MIN_SIDE:
            nothing = b"" if values.dtype == object else 0
            for count in range(1, min(values.shape[1], MAX_CUT)):
                yield changed("cut", f"with its first {count} places alone", alias, _kept(slice(count, None), nothing))
                yield changed("cut", f"with its last {count} places alone", alias, _kept(slice(None, -count), nothing))


def each_text(change: Callable[[bytes], bytes]) -> Callable[[Array], Array]:
    """``change`` done to every text of an array."""

    def done(values: Array) -> Array:
        found = np.empty(values.shape, object)
        found.ravel()[:] = [change(each) for each in values.ravel()]
        return found

    return done


def _kept(lost: slice, nothing: "bytes | int") -> Callable[[Array], Array]:
    def changed(values: Array) -> Array:
        found = values.copy()
        found[:, lost] = nothing
        return found

    return changed
