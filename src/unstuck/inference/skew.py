"""Requests unlike the training data: compared with the training profile, counted, and said or refused.

Far outside is what lies ``SPANS`` times training's whole range beyond it: what other units, another order of features
or other scaling give, not what is merely rare.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from unstuck.core.signatures import Signature, Tensor, Tensors, TensorSpec
from unstuck.errors import InvalidRequest
from unstuck.pipeline.profile import FeatureProfile, KnownTokens, ProfileError, TrainingProfile, read_profile
from unstuck.pipeline.words import words

log = logging.getLogger(__name__)

SPANS = 3.0
FEW = 16  # numbers that Python compares faster than NumPy
KNOWN_SHARE = 0.9  # of training that a vocabulary covers, at least, if text outside of it is to be unlike training

Policy = Literal["count", "warn", "reject"]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Unlike:
    """What of an input is unlike training: how many of its rows, and the first of its values in words."""

    input: str
    rows: int
    said: str


Rule = Callable[[Tensor], Unlike | None]


class SkewWatch:
    """Compares the calls of one signature with its training profile. Thread-safe."""

    def __init__(self, signature_name: str, rules: Mapping[str, Rule], policy: Policy) -> None:
        self.signature_name = signature_name
        self._rules = rules
        self._policy: Policy = policy
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()  # by input, the rows that were unlike training

    def warnings(self, signature: Signature, inputs: Tensors, *, tentative: bool) -> list[str]:
        """What the caller must be told; empty where there is nothing to say.

        Raises:
            InvalidRequest: under ``reject``.
        """
        if signature.name != self.signature_name:
            return []
        found = [unlike for alias, rule in self._rules.items() if (unlike := rule(inputs[alias])) is not None]
        if not found:
            return []
        if tentative and self._policy != "count":
            return [unlike.said for unlike in found]
        for unlike in found:
            self._count(unlike)
        if self._policy == "reject":
            raise InvalidRequest(
                "; ".join(unlike.said for unlike in found) + ".",
                hint="Send values as in training; --on_skew=warn answers with a warning instead.",
            )
        return [unlike.said for unlike in found] if self._policy == "warn" else []

    def _count(self, unlike: Unlike) -> None:
        with self._lock:
            before = self.counts[unlike.input]
            self.counts[unlike.input] = after = before + unlike.rows
        if len(str(after)) > len(str(before)) or not before:  # the 1st, 10th, 100th …
            log.warning(
                "signature %r: %s; %d such rows so far (--on_skew=%s)",
                self.signature_name,
                unlike.said,
                after,
                self._policy,
            )


def watch_requests(path: Path, signatures: Mapping[str, Signature], policy: Policy) -> SkewWatch | None:
    """Watches the signature that the profile in ``path`` is of; None where the model does not have it.

    Raises:
        ProfileError: the profile, or a vocabulary that it names, cannot be read.
    """
    profile = read_profile(path)
    signature = signatures.get(profile.signature)
    if signature is None:
        log.warning("%s is of signature %r, which the model does not have: not used", path, profile.signature)
        return None
    return SkewWatch(signature.name, _rules(path, profile, signature), policy)


def _rules(path: Path, profile: TrainingProfile, signature: Signature) -> dict[str, Rule]:
    rules: dict[str, Rule] = {}
    for alias, feature in profile.features.items():
        spec = signature.inputs.get(alias)
        is_text = feature.dtype == "string"
        if spec is None or spec.dtype.is_string != is_text or spec.dtype.numpy is None:
            taken = "has no such input" if spec is None else f"takes {spec}"
            log.warning("%s has %r (%s), but signature %r %s", path, alias, feature.dtype, signature.name, taken)
        elif is_text:
            rules[alias] = TextRule(alias, feature, _known(path, feature.vocabulary))
        elif spec.dtype.numpy.kind in "iufV" and feature.min is not None and feature.max is not None:
            rules[alias] = NumberRule(spec, feature)
    return rules


def _known(path: Path, vocabulary: KnownTokens | None) -> frozenset[bytes]:
    if vocabulary is None or vocabulary.coverage < KNOWN_SHARE:
        return frozenset()
    try:
        return frozenset((path.parent / vocabulary.file).read_bytes().removesuffix(b"\n").split(b"\n"))
    except OSError as error:
        raise ProfileError(f"{path} names a vocabulary that cannot be read: {error}.") from None


class NumberRule:
    """Numbers within training's range, widened; NaN only where training had some."""

    def __init__(self, spec: TensorSpec, feature: FeatureProfile) -> None:
        self._spec = spec
        self._least = np.atleast_1d(np.asarray(feature.min, np.float64))
        self._most = np.atleast_1d(np.asarray(feature.max, np.float64))
        self._may_be_missing = feature.missing > 0
        span = self._most - self._least
        span = np.where(span > 0, span, np.maximum(np.abs(self._most), 1.0))
        self._lowest, self._highest = self._least - SPANS * span, self._most + SPANS * span
        self._low, self._high = self._in_dtype(self._lowest), self._in_dtype(self._highest)
        self._widest = self._low.min().item(), self._high.max().item()

    def __call__(self, array: Tensor) -> Unlike | None:
        by_place = self._has_places(array)
        if array.size == 0 or (self._all_inside_by_place(array) if by_place else self._all_inside(array)):
            return None
        low, high = (self._low, self._high) if by_place else self._widest
        numbers = cast("Any", array)
        outside: Mask = ~((numbers >= low) & (numbers <= high))
        if self._may_be_missing:
            outside &= ~np.isnan(numbers)
        places = np.argwhere(outside)
        if not len(places):
            return None
        first: list[int] = places[0].tolist()
        rows = len(np.unique(places[:, 0])) if array.ndim else 1
        return Unlike(self._spec.alias, rows, self._said(array, first, rows))

    def _has_places(self, array: Tensor) -> bool:
        """Whether each place has its range; not in a last dimension of any size."""
        return self._low.size > 1 and array.shape[-1:] == self._low.shape

    def _all_inside(self, array: Any) -> bool:
        low, high = self._widest
        if array.size > FEW:
            return bool(low <= array.min() and array.max() <= high)  # NaN is both the least and the largest
        for value in array.ravel().tolist():  # noqa: SIM110 - a generator costs as much again, on every request
            if not low <= value <= high:
                return False
        return True

    def _all_inside_by_place(self, array: Any) -> bool:
        rows = array.reshape(-1, self._low.size)
        return bool((rows.min(0) >= self._low).all() and (rows.max(0) <= self._high).all())

    def _said(self, array: Tensor, first: list[int], rows: int) -> str:
        place = slice(first[-1], first[-1] + 1) if self._has_places(array) else slice(None)
        least, most = self._least[place].min(), self._most[place].max()
        lowest, highest = self._lowest[place].min(), self._highest[place].max()
        value = float(array[tuple(first)])
        why = f"in training it was from {least:.6g} to {most:.6g}, and {lowest:.6g} to {highest:.6g} passes"
        if np.isnan(value):
            why = "in training no value was missing"
        return f"input {self._spec.alias!r}{_place(first)} is {value:.6g}; {why}{_of(rows, array)}"

    def _in_dtype(self, bounds: NDArray[np.float64]) -> Any:
        """``bounds`` in the input's own dtype, so that no request has to be converted to be compared."""
        dtype: np.dtype[Any] = np.dtype(self._spec.dtype.numpy)
        if dtype.kind in "iu":
            limits = np.iinfo(dtype)
            return np.array([min(max(int(bound), limits.min), limits.max) for bound in bounds], dtype)
        with np.errstate(over="ignore"):  # beyond the dtype: anything passes
            return bounds.astype(dtype)


class TextRule:
    """Text of which something is known; empty only where training had empty text."""

    def __init__(self, alias: str, feature: FeatureProfile, known: frozenset[bytes]) -> None:
        self._alias = alias
        self._known = known
        self._may_be_empty = feature.missing > 0
        self._of_words = feature.vocabulary is not None and feature.vocabulary.of == "words"

    def __call__(self, array: Tensor) -> Unlike | None:
        texts = cast("list[bytes]", array.ravel().tolist())
        unlike = [at for at, text in enumerate(texts) if self._is_unlike(text)]
        if not unlike:
            return None
        first = [int(at) for at in np.unravel_index(unlike[0], array.shape)]
        text = texts[unlike[0]]
        per_row = max(1, len(texts) // max(1, len(array))) if array.ndim else 1
        rows = len({at // per_row for at in unlike})
        kind = "of its words is" if self._of_words else "such value is"
        why = f"and no {kind} in training's vocabulary" if text else "and in training no text was"
        shown = repr(text.decode(errors="backslashreplace")[:60]) if text else "empty"
        return Unlike(self._alias, rows, f"input {self._alias!r}{_place(first)} is {shown}, {why}{_of(rows, array)}")

    def _is_unlike(self, text: bytes) -> bool:
        if not text:
            return not self._may_be_empty
        if not self._known:
            return False
        if not self._of_words:
            return text not in self._known
        found = words(text)
        return bool(found) and self._known.isdisjoint(found)


def _place(index: list[int]) -> str:
    row, rest = (f", row {index[0]}" if index else ""), index[1:]
    return row + (f", place {rest}" if any(rest) or len(rest) > 1 else "")


def _of(rows: int, array: Tensor) -> str:
    return f" ({rows} of {len(array)} rows are unlike training)" if array.ndim and len(array) > 1 else ""
