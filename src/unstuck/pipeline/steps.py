"""The kinds of steps: each changes one value, for all rows of a batch alike.

In a pipeline file a step is its name (``lowercase``) or its name with settings (``clip: {min: 0, max: 1}``). The
docstring of a kind says what it takes and gives.
"""

from typing import Annotated, Any, Literal, Self, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator


def _number_or_text(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("expected a number or text")
    return value


def _number_or_numbers(value: object) -> object:
    values: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value]
    if not values or any(isinstance(each, bool) or not isinstance(each, int | float) for each in values):
        raise ValueError("expected a number or a list of numbers")
    return cast("object", value)


Positive = Annotated[int, Field(gt=0)]
Numbers = Annotated[float | list[float], BeforeValidator(_number_or_numbers)]


class Step(BaseModel):
    """One step; its settings are its fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Lowercase(Step):
    """Text to lower case; with ``ascii_only`` as Keras's TextVectorization does it, which leaves ``É`` as it is."""

    ascii_only: bool = False


class Uppercase(Step):
    """Text to upper case (UTF-8)."""


class Strip(Step):
    """Text without white space at its ends."""


class RemovePunctuation(Step):
    """Text without ASCII punctuation, as Keras's TextVectorization strips it."""


class Replace(Step):
    """Every match of the regular expression ``pattern`` (RE2) replaced by ``by``."""

    pattern: str
    by: str


class Split(Step):
    """Text to its parts, a list of any length: between white space, characters, or ``separator``."""

    into: Literal["words", "characters"] = "words"
    separator: str = ""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.into == "characters" and self.separator:
            raise ValueError("expected no separator between characters")
        return self


class Vocabulary(Step):
    """Text to its place in a vocabulary, int64: ``first_id`` for the first entry, ``unknown`` for any other text.

    The entries are given as ``tokens``, or as ``file`` (UTF-8, one a line, its path beside the pipeline file).
    """

    unknown: int
    tokens: list[str] | None = None
    file: str = ""
    first_id: int = 0

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.tokens is None) == (not self.file):
            raise ValueError("expected either tokens or file")
        return self


class Hash(Step):
    """Text to a number below ``buckets``, int64 (fingerprint 64, as TensorFlow's Hashing layer without a salt)."""

    buckets: Positive


class Pad(Step):
    """A list of any length to one of ``length``: cut at its end, or filled up with ``value``."""

    length: Positive
    value: Annotated[float | int | str, BeforeValidator(_number_or_text)]


class Cast(Step):
    """Numbers to ``dtype``; to an integer, towards zero."""

    dtype: str


class ZScore(Step):
    """(x - mean) / std, float; one number, or one for each place of the last dimension."""

    mean: Numbers
    std: Numbers


class MinMax(Step):
    """(x - min) / (max - min), float."""

    min: Numbers
    max: Numbers


class Scale(Step):
    """x * factor + offset, float."""

    factor: Numbers = 1.0
    offset: Numbers = 0.0


class Log(Step):
    """The natural logarithm of x + ``offset``, float."""

    offset: float = 0.0


class Clip(Step):
    """x, but at least ``min`` and at most ``max``."""

    min: float
    max: float


class Bucketize(Step):
    """How many of the ascending ``boundaries`` are at most x, int64."""

    boundaries: Annotated[list[float], Field(min_length=1)]

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if sorted(self.boundaries) != self.boundaries:
            raise ValueError("expected boundaries in ascending order")
        return self


class FillMissing(Step):
    """NaN, or empty text, replaced by ``value``."""

    value: Annotated[float | str, BeforeValidator(_number_or_text)]


class OneHot(Step):
    """An integer to ``depth`` floats, 1 at its place; all 0 for an integer outside."""

    depth: Positive


class Reshape(Step):
    """The values of a row in another shape; one size may be -1."""

    shape: list[Annotated[int, Field(ge=-1)]]

    @field_validator("shape")
    @classmethod
    def _one_open(cls, value: list[int]) -> list[int]:
        if value.count(-1) > 1:
            raise ValueError("expected -1 for one size at most")
        return value


class DecodeImage(Step):
    """A JPEG, PNG, GIF or BMP file's bytes to pixels from 0 to 255, float [height, width, channels]."""

    height: Positive
    width: Positive
    channels: Literal[1, 3, 4] = 3
    method: Literal["bilinear", "nearest", "bicubic", "area", "lanczos3"] = "bilinear"


class ReverseChannels(Step):
    """The last dimension reversed: RGB to BGR."""


class ChannelsFirst(Step):
    """[height, width, channels] to [channels, height, width]."""


class Softmax(Step):
    """Scores to probabilities over the last dimension."""


class Sigmoid(Step):
    """Scores to probabilities, each by itself."""


class Argmax(Step):
    """The place of the largest value in the last dimension, int64."""


class Threshold(Step):
    """1 where x is at least ``at``, else 0, int64."""

    at: float


class Labels(Step):
    """A class id to its name: ``names[id]``, or ``unknown`` for an id outside."""

    names: Annotated[list[str], Field(min_length=1)]
    unknown: str


STEPS: dict[str, type[Step]] = {
    "lowercase": Lowercase,
    "uppercase": Uppercase,
    "strip": Strip,
    "remove_punctuation": RemovePunctuation,
    "replace": Replace,
    "split": Split,
    "vocabulary": Vocabulary,
    "hash": Hash,
    "pad": Pad,
    "cast": Cast,
    "z_score": ZScore,
    "min_max": MinMax,
    "scale": Scale,
    "log": Log,
    "clip": Clip,
    "bucketize": Bucketize,
    "fill_missing": FillMissing,
    "one_hot": OneHot,
    "reshape": Reshape,
    "decode_image": DecodeImage,
    "reverse_channels": ReverseChannels,
    "channels_first": ChannelsFirst,
    "softmax": Softmax,
    "sigmoid": Sigmoid,
    "argmax": Argmax,
    "threshold": Threshold,
    "labels": Labels,
}
