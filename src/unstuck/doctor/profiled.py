"""Rows like training's, drawn from its profile: each feature within its range, of its vocabulary, by itself."""

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from unstuck.core.signatures import Signature, Tensor, TensorSpec
from unstuck.data.drawing import sizes
from unstuck.pipeline.profile import PERCENTS, FeatureProfile, ProfileError, TrainingProfile

WHOLE = 0.75  # of a feature's quantiles, from which all its values are taken for whole numbers
MOSTLY = 0.9  # of the different texts: what the frequent values must cover, where there is no vocabulary
MAX_WORDS = 64  # of a text
MAX_PLACES = 64  # of a vector whose places are drawn each by itself
AS_IF = 10  # rank added to a word's own: words that come first in the file are the frequent ones

Columns = dict[str, Tensor]


class ProfiledRows:
    """Draws from a profile; the same seed, the same rows."""

    def __init__(self, profile: TrainingProfile, folder: Path, signature: Signature, rows: int, seed: int = 7) -> None:
        """Raises ProfileError where a vocabulary that the profile names cannot be read."""
        self._folder, self._rows = folder, rows
        self._random = np.random.default_rng(seed)
        self.columns: Columns = {}
        for alias, spec in signature.inputs.items():
            feature = profile.features.get(alias)
            column = self._drawn(spec, feature) if feature is not None else None
            if column is not None:
                self.columns[alias] = column
        self.is_complete = set(self.columns) == set(signature.inputs)

    @property
    def is_plausible(self) -> bool:
        """Whether whole rows are like training's: all inputs are there, and none is a picture or a sequence.

        Pixels that are drawn each by itself are noise.
        """
        flat = (prod(each.shape[1:]) <= MAX_PLACES and each.ndim <= 2 for each in self.columns.values())
        return self.is_complete and all(flat)

    def rows(self) -> list[dict[str, Tensor]]:
        return [{alias: each[at : at + 1] for alias, each in self.columns.items()} for at in range(self._rows)]

    def _drawn(self, spec: TensorSpec, feature: FeatureProfile) -> Tensor | None:
        """[rows, …]; None where the profile says too little."""
        if spec.dtype.is_string != (feature.dtype == "string") or spec.dtype.numpy is None:
            return None
        own = sizes(spec.shape)[1:]
        shape = own if prod(own) == prod(feature.shape) else tuple(feature.shape)
        if spec.shape is not None and len(shape) != len(spec.shape) - 1:
            return None
        count = self._rows * prod(shape)
        values = self._texts(feature, count) if spec.dtype.is_string else self._numbers(feature, count, spec)
        return None if values is None else values.reshape(self._rows, *shape)

    def _numbers(self, feature: FeatureProfile, count: int, spec: TensorSpec) -> Tensor | None:
        dtype: np.dtype[Any] = np.dtype(spec.dtype.numpy)
        if feature.min is None or feature.max is None or dtype.kind not in "iufb":
            return None
        if dtype.kind == "b":
            return self._random.random(count) < np.resize(np.asarray(feature.mean or 0.5), count)
        known = {0.0: feature.min, 100.0: feature.max}
        known |= {float(percent): feature.quantiles[percent] for percent in PERCENTS if percent in feature.quantiles}
        percents = sorted(known)
        curves = np.stack([np.atleast_1d(np.asarray(known[each], np.float64)) for each in percents], axis=1)
        if count % len(curves):
            return None
        values = np.empty((count // len(curves), len(curves)))
        for place in range(values.shape[1]):
            curve = curves[place]
            values[:, place] = np.interp(self._random.uniform(0, 100, len(values)), percents, curve)
            if dtype.kind in "iu" or _whole(curve) >= WHOLE:
                values[:, place] = np.round(values[:, place])
        return values.ravel().astype(dtype)

    def _texts(self, feature: FeatureProfile, count: int) -> Tensor | None:
        frequent = {each.value.encode(): each.count for each in feature.frequent}
        known = self._vocabulary(feature)
        if known and feature.vocabulary is not None and feature.vocabulary.of == "words":
            return self._sentences(known, feature, count)
        if known:
            return self._chosen({word: 1 / (at + AS_IF) for at, word in enumerate(known)}, count)
        if not frequent or feature.distinct is None or len(frequent) < MOSTLY * feature.distinct:
            return None
        return self._chosen(frequent, count)

    def _vocabulary(self, feature: FeatureProfile) -> list[bytes]:
        if feature.vocabulary is None:
            return []
        path = self._folder / feature.vocabulary.file
        try:
            return [word for word in path.read_bytes().split(b"\n") if word]
        except OSError as error:
            raise ProfileError(f"The profile's vocabulary {path} cannot be read: {error.strerror or error}.") from None

    def _sentences(self, words: list[bytes], feature: FeatureProfile, count: int) -> Tensor:
        """Texts of as many characters as training's."""
        lengths = feature.lengths
        longest = float(np.max(lengths.max)) if lengths is not None and lengths.max is not None else 0.0
        usual = float(np.mean(lengths.mean)) if lengths is not None and lengths.mean is not None else 30.0
        drawn = self._chosen({word: 1 / (at + AS_IF) for at, word in enumerate(words)}, count * MAX_WORDS)
        texts = np.empty(count, object)
        for at in range(count):
            wanted = min(self._random.uniform(0.5, 1.5) * usual, longest or usual)
            taken: list[bytes] = []
            for word in drawn[at * MAX_WORDS : (at + 1) * MAX_WORDS].tolist():
                if taken and sum(map(len, taken)) + len(taken) + len(word) > wanted:
                    break
                taken.append(word)
            texts[at] = b" ".join(taken)
        return texts

    def _chosen(self, weights: Mapping[bytes, float], count: int) -> Any:
        values = np.empty(len(weights), object)
        values[:] = list(weights)
        shares = np.array(list(weights.values()), np.float64)
        return values[self._random.choice(len(values), count, p=shares / shares.sum())]


def _whole(values: Tensor) -> float:
    """The share of whole numbers."""
    numbers: list[float] = values.tolist()
    return sum(each.is_integer() for each in numbers) / len(numbers)
