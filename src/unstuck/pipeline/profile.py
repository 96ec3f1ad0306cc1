"""The training profile: what the raw inputs of a model were in training, as ``unstuck fit-pipeline`` writes it.

{"schema": 1, "rows": 4000, "signature": "serving_default",
 "features": {"age": {"dtype": "float", "missing": 0.01, "distinct": 73, "mean": 38.5, "std": 13.2, "min": 17.0, …}}}

Means and the like are a number, or a list with one for each place of the last dimension.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError

from unstuck.core.signatures import DEFAULT_SIGNATURE
from unstuck.errors import LoadFailed

PERCENTS = ("1", "5", "25", "50", "75", "95", "99")

Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]
Statistic = FiniteFloat | Annotated[list[FiniteFloat], Field(min_length=1)]


class ProfileError(LoadFailed):
    """A training profile that cannot be read."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FrequentValue(_Part):
    """A text, and how many rows have it."""

    value: str
    count: Count


class KnownTokens(_Part):
    """The vocabulary that training's texts gave.

    Attributes:
        file: beside the profile, UTF-8, one a line.
        of: ``words`` as Keras's TextVectorization finds them, or whole ``values``.
        size: how many there are in it.
        coverage: the share of all words (values) of training that are in it.
    """

    file: str
    of: Literal["words", "values"]
    size: Count
    coverage: Share


class FeatureProfile(_Part):
    """One raw input in training.

    Attributes:
        dtype: as clients send it, by TensorFlow's name.
        shape: of a row.
        missing: the share of values that are missing: NaN, infinite, or empty text.
        distinct: how many different values there are; estimated, to some percent, where ``distinct_is_exact`` is false.
        mean, std, min, max: of numbers. ``std`` is the population's, as Keras and scikit-learn compute it.
        quantiles: of numbers, by percent; from a sample, if there are more than some thousand rows.
        lengths: of texts in characters: mean, std, min, max and quantiles.
        frequent: the texts that most rows have.
        vocabulary: of texts that become token ids.
    """

    dtype: str
    shape: list[int] = []
    missing: Share = 0.0
    distinct: Count | None = None
    distinct_is_exact: bool = True
    mean: Statistic | None = None
    std: Statistic | None = None
    min: Statistic | None = None
    max: Statistic | None = None
    quantiles: dict[str, Statistic] = {}
    lengths: "FeatureProfile | None" = None
    frequent: list[FrequentValue] = []
    vocabulary: KnownTokens | None = None


class TrainingProfile(_Part):
    """What ``signature`` was trained on, by raw input."""

    schema_: Literal[1] = Field(alias="schema")
    rows: Count
    signature: str = DEFAULT_SIGNATURE
    features: Annotated[dict[str, FeatureProfile], Field(min_length=1)]

    def to_json(self) -> str:
        """The file's text; what is not known of a feature is left out."""
        return self.model_dump_json(by_alias=True, exclude_none=True, exclude_defaults=False, indent=1) + "\n"


def read_profile(path: Path) -> TrainingProfile:
    """The profile in the JSON file ``path``.

    Raises:
        ProfileError: it cannot be read, or is no profile; every fault with its place.
    """
    try:
        return TrainingProfile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ProfileError(f"{path} cannot be read: {error}.") from None
    except ValidationError as error:
        faults = "; ".join(dict.fromkeys(map(_said, error.errors())))
        raise ProfileError(
            f"{path} is not a training profile: {faults}.",
            hint="Write it anew with unstuck fit-pipeline, or remove it.",
        ) from None


def _said(fault: Any) -> str:
    place = ".".join(map(str, fault["loc"]))
    message = str(fault["msg"])
    return f"{place or 'the document'}: {message[:1].lower()}{message[1:]}"
