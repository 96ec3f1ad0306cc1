"""Builds the profile of a raw input from the batches of its column."""

from typing import Any, Literal, Protocol, cast

import numpy as np

from unstuck.core.signatures import Tensor
from unstuck.data.columns import Column
from unstuck.data.statistics import Distinct, Floats, Frequencies, Moments, Quantiles, by_place, some_positions
from unstuck.pipeline.profile import FeatureProfile, FrequentValue, KnownTokens
from unstuck.pipeline.words import words

FREQUENT = 20
FREQUENT_LENGTH = 100  # characters; a longer text is no value that rows share
COUNTED_VALUES = 100_000
COUNTED_TOKENS = 2_000_000

TokensOf = Literal["words", "values"]


class FeatureStatistics(Protocol):
    """What is learnt of one column."""

    def add(self, array: Tensor) -> None: ...

    def profile(self, dtype: str) -> FeatureProfile:
        """Its profile, as a raw input of ``dtype``."""
        ...


class NumberStatistics:
    """Of a column of numbers or bools."""

    def __init__(self, shape: tuple[int, ...], seed: int = 0) -> None:
        self._shape = shape
        self._single = not shape
        self._random = np.random.default_rng(seed)
        self._moments = Moments()
        self._quantiles: Quantiles | None = None
        self._distinct = Distinct()
        self._values = 0

    def add(self, array: Tensor) -> None:
        values = by_place(array)
        self._values += values.size
        self._moments.add(values)
        if self._single:
            self._distinct.add_numbers(values)
        sampled = by_place(some_positions(array, self._random))
        self._quantiles = self._quantiles or Quantiles(sampled.shape[1], seed=0)
        self._quantiles.add(sampled)

    def profile(self, dtype: str) -> FeatureProfile:
        quantiles = self._quantiles.statistics() if self._quantiles else {}
        found = {name: self._plain(values) for name, values in self._moments.statistics().items()}
        return FeatureProfile(
            dtype=dtype,
            shape=list(self._shape),
            missing=1 - float(self._moments.count.sum()) / max(self._values, 1),
            distinct=self._distinct.count() if self._single else None,
            distinct_is_exact=self._distinct.is_exact,
            quantiles={percent: self._plain(values) for percent, values in quantiles.items()},
            **found,
        )

    def _plain(self, values: Floats) -> Any:
        return float(values[0]) if values.size == 1 else values.tolist()


class TextStatistics:
    """Of a column of texts, and of their tokens."""

    def __init__(self, shape: tuple[int, ...], tokens_of: TokensOf | None = None) -> None:
        self._shape = shape
        self._tokens_of: TokensOf | None = tokens_of
        self._lengths = NumberStatistics(())
        self._token_counts = Quantiles(1, seed=0)
        self._values = Frequencies(COUNTED_TOKENS if tokens_of == "values" else COUNTED_VALUES)
        self._words = Frequencies(COUNTED_TOKENS)
        self._distinct = Distinct()
        self._count = 0

    @property
    def tokens(self) -> Frequencies:
        """How often each word, or each value, comes."""
        return self._words if self._tokens_of == "words" else self._values

    def tokens_of_most(self) -> int:
        """As many words as 95 % of the texts have at most."""
        return max(1, int(np.ceil(self._token_counts.statistics()["95"][0])))

    def add(self, array: Tensor) -> None:
        texts = cast("list[bytes]", array.ravel().tolist())
        present = [text for text in texts if text]
        self._count += len(texts)
        self._values.add(present)
        self._distinct.add_texts(present)
        self._lengths.add(np.array([len(text.decode(errors="replace")) for text in texts], np.int64))
        if self._tokens_of == "words":
            split = [words(text) for text in texts]
            self._words.add([word for each in split for word in each])
            self._token_counts.add(np.array([[len(each)] for each in split], np.float64))

    def profile(self, dtype: str, vocabulary: KnownTokens | None = None) -> FeatureProfile:
        return FeatureProfile(
            dtype=dtype,
            shape=list(self._shape),
            missing=1 - self._values.total / max(self._count, 1),
            distinct=self._distinct.count(),
            distinct_is_exact=self._distinct.is_exact,
            lengths=self._lengths.profile("int64"),
            frequent=[
                FrequentValue(value=value.decode(errors="replace"), count=count)
                for value, count in self._values.ranked(FREQUENT)
                if count > 1 and len(value) <= FREQUENT_LENGTH
            ],
            vocabulary=vocabulary,
        )


def statistics_of(column: Column, tokens_of: TokensOf | None = None) -> NumberStatistics | TextStatistics:
    """What gathers the statistics of ``column``."""
    return TextStatistics(column.shape, tokens_of) if column.is_text else NumberStatistics(column.shape)
