"""The kinds of steps: each changes one value, for all rows of a batch alike.

In a pipeline file a step is its name (``lowercase``) or its name with settings (``clip: {min: 0, max: 1}``). The
docstring of a kind says what it takes and gives.
"""

from typing import Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

from unstuck.pipeline.date_format import PARTS, check_parts
from unstuck.pipeline.files import File


def _number_or_text(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("expected a number or text")
    return value


def _number_or_numbers(value: object) -> object:
    values: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value]
    if not values or any(isinstance(each, bool) or not isinstance(each, int | float) for each in values):
        raise ValueError("expected a number or a list of numbers")
    return cast("object", value)


def _id_or_error(value: object) -> object:
    if value != "error" and (isinstance(value, bool) or not isinstance(value, int)):
        raise ValueError("expected an integer, or error")
    return value


def _date_parts(value: object) -> object:
    parts: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [value]
    if not parts or not all(isinstance(part, str) and part in PARTS for part in parts):
        raise ValueError(f"expected one, or a list, of {', '.join(PARTS)}")
    return cast("object", value)


Positive = Annotated[int, Field(gt=0)]
Element = Annotated[float | int | str, BeforeValidator(_number_or_text)]
Numbers = Annotated[float | list[float], BeforeValidator(_number_or_numbers)]
NumbersIfStated = Annotated[float | list[float] | None, BeforeValidator(_number_or_numbers)]


class Step(BaseModel):
    """One step; its settings are its fields."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class FromFile(BaseModel):
    """Where a step's file is: ``file``, its path beside the pipeline file, or ``asset``, one of the model's own."""

    sources: ClassVar[tuple[str, ...]] = ("file", "asset")

    file: File = ""
    asset: File = ""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if len(self.model_fields_set.intersection(self.sources)) != 1:
            raise ValueError(f"expected either {' or '.join(self.sources)}")
        return self


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


class Vocabulary(FromFile, Step):
    """Text to its place in a vocabulary, int64: ``first_id`` for the first entry, ``unknown`` for any other text.

    The entries are given as ``tokens``, or in a file (UTF-8, one a line): ``file``, its path beside the pipeline file,
    or ``asset``, one of the model's own. For integers, they are ``integers``, or a file of them. Any other text fails
    the call with ``unknown: error``, and gets an id from ``unknown`` on with ``hash_buckets``, by its hash (an integer:
    by its remainder), as Keras's lookups do.
    """

    sources: ClassVar[tuple[str, ...]] = ("tokens", "integers", "file", "asset")

    unknown: Annotated[int | Literal["error"], BeforeValidator(_id_or_error)]
    tokens: list[str] = []
    integers: list[int] = []
    hash_buckets: Positive = 1
    first_id: Annotated[int, Field(ge=-(2**62), le=2**62)] = 0

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.unknown == "error" and self.hash_buckets > 1:
            raise ValueError("expected unknown: error or hash_buckets, not both")
        return self


class BertSplit(Step):
    """Text to a list of words, as BERT's tokenizers split it: punctuation and Chinese characters by themselves.

    Control characters are dropped, and accents if it is in lower case, unless ``strip_accents`` says otherwise.
    """

    lowercase: bool = True
    strip_accents: bool | None = None


class WordPiece(FromFile, Step):
    """A list of words to a list of the ids of their pieces, int64, as BERT's tokenizers do it.

    The vocabulary is ``file`` or ``asset`` as of ``vocabulary``; the first entry has the id 0, and a piece that
    continues a word begins with ``prefix``. A word without pieces, or beyond ``max_characters``, is ``unknown``.
    """

    unknown: str = "[UNK]"
    prefix: str = "##"
    max_characters: Positive = 100


class SentencePiece(FromFile, Step):
    """Text to a list of the ids of its pieces, int64, by the SentencePiece model ``file`` or ``asset``."""


class Ngrams(Step):
    """A list of texts to its n-grams: ``width`` neighbours joined by ``separator``; of several widths in their order.

    ``[1, 2]`` is what Keras's TextVectorization calls ``ngrams=2``.
    """

    width: Positive | Annotated[list[Positive], Field(min_length=1)]
    separator: str = " "


class Hash(Step):
    """Text to a number below ``buckets``, int64 (fingerprint 64, as TensorFlow's Hashing layer without a salt)."""

    buckets: Positive


class Pad(Step):
    """A list of any length to one of ``length``: cut at its end, or filled up with ``value``.

    ``first`` and ``last``, if given, are put at its ends, within ``length``: a list too long is cut before ``last``.
    """

    length: Positive
    value: Element
    first: Element | None = None
    last: Element | None = None

    @model_validator(mode="after")
    def _room_for_ends(self) -> Self:
        if self.length < (self.first is not None) + (self.last is not None):
            raise ValueError("expected length to be 2 at least, for first and last")
        return self


class Cast(Step):
    """Numbers to ``dtype``; to an integer, towards zero."""

    dtype: str


class _ByStatistics(BaseModel):
    """Numbers that are stated, or those of ``feature`` in the JSON file ``file``, its path beside the pipeline file."""

    file: File = ""
    feature: str = ""

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        names = [name for name in type(self).model_fields if name not in ("file", "feature")]
        stated = [getattr(self, name) is not None for name in names]
        if bool(self.file) != bool(self.feature) or any(stated) == bool(self.file) or any(stated) != all(stated):
            raise ValueError(f"expected either {' and '.join(names)}, or file and feature")
        return self


class ZScore(_ByStatistics, Step):
    """(x - mean) / std, float; one number, or one for each place of the last dimension.

    They are stated, or those of ``feature`` in the JSON file ``file``.
    """

    mean: NumbersIfStated = None
    std: NumbersIfStated = None


class MinMax(_ByStatistics, Step):
    """(x - min) / (max - min), float; numbers as for ``z_score``."""

    min: NumbersIfStated = None
    max: NumbersIfStated = None


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


class Date(Step):
    """A date to the parts ``give``, int64: one number, or in order.

    It is text in a ``format`` of strptime, or an integer with ``unix`` (seconds since 1970 in UTC) or ``unix_ms``. What
    is no date gives ``invalid`` for each part, and without that setting fails the call.
    """

    format: str
    give: Annotated[str | list[str], BeforeValidator(_date_parts)]
    invalid: int | None = None

    @model_validator(mode="after")
    def _supported(self) -> Self:
        check_parts(self.format, self.give if isinstance(self.give, list) else [self.give])
        return self


class Cyclic(Step):
    """x on a circle of ``period``, as its sine and cosine, float, in a new last dimension of 2."""

    period: Annotated[float, Field(gt=0, allow_inf_nan=False)]


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
    """A JPEG, PNG, GIF or BMP file's bytes to pixels from 0 to 255, float [height, width, channels].

    Of an animation the first picture. What bicubic and lanczos3 give outside of 0 to 255 is clipped. A file without
    alpha is opaque.
    """

    height: Positive
    width: Positive
    channels: Literal[1, 3, 4] = 3
    method: Literal["bilinear", "nearest", "bicubic", "area", "lanczos3"] = "bilinear"


class ReverseChannels(Step):
    """The last dimension reversed: RGB to BGR."""


class Grayscale(Step):
    """[height, width, 3] to [height, width, 1], its brightness: 0.2989 red + 0.587 green + 0.114 blue."""


class ChannelsFirst(Step):
    """[height, width, channels] to [channels, height, width]."""


class Softmax(Step):
    """Scores to probabilities over the last dimension."""


class Sigmoid(Step):
    """Scores to probabilities, each by itself."""


class Argmax(Step):
    """The place of the largest value in the last dimension, int64."""


class TopK(Step):
    """The ``k`` largest in the last dimension, largest first: the values, or their places, int64. Ties by place."""

    k: Positive
    give: Literal["values", "places"]


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
    "ngrams": Ngrams,
    "bert_split": BertSplit,
    "vocabulary": Vocabulary,
    "word_piece": WordPiece,
    "sentence_piece": SentencePiece,
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
    "date": Date,
    "cyclic": Cyclic,
    "one_hot": OneHot,
    "reshape": Reshape,
    "decode_image": DecodeImage,
    "reverse_channels": ReverseChannels,
    "grayscale": Grayscale,
    "channels_first": ChannelsFirst,
    "softmax": Softmax,
    "sigmoid": Sigmoid,
    "argmax": Argmax,
    "top_k": TopK,
    "threshold": Threshold,
    "labels": Labels,
}
