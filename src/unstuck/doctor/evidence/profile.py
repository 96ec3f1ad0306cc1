"""The requests' numbers against those that the model was trained on."""

from unstuck.doctor.evidence.base import Evidence
from unstuck.doctor.evidence.preparation import Preparation


class Numbers(Evidence):
    """Values of one place, over all rows.

    Attributes:
        whole: the share of whole numbers.
        distinct: how many different values.
        count: how many values; 0 where they were not counted.
    """

    mean: float
    std: float
    minimum: float
    maximum: float
    whole: float = 0.0
    distinct: int = 0
    count: int = 0

    @property
    def repeated(self) -> float:
        """The share of values that came before."""
        return 1 - self.distinct / self.count if self.count else 0.0

    @property
    def is_standardised(self) -> bool:
        """Whether they were made to have mean 0 and deviation 1, or to fill 0 to 1 or -1 to 1."""
        ends = (-0.01 <= self.minimum <= 0.05 or -1.01 <= self.minimum <= -0.95) and 0.95 <= self.maximum <= 1.01
        return ends or (abs(self.mean) <= 0.25 and 0.75 <= self.std <= 1.3)

    @property
    def is_normalised(self) -> bool:
        """Whether they look as if they had been normalised: around 0 with deviation near 1, or within -1..1."""
        centred = abs(self.mean) <= 1.0 and 0.2 <= self.std <= 3.0 and max(-self.minimum, self.maximum) <= 12.0
        return centred or (max(-self.minimum, self.maximum) <= 1.001 and self.std >= 0.02)


class PlaceComparison(Evidence):
    """One place of an input's last dimension, or all of it.

    Attributes:
        name: of the feature, or its number; empty for all places together.
        requests, reference: their numbers.
        apart: the Kolmogorov-Smirnov distance between the two; of a reference known by mean and deviation only, 1 where
            the requests are nowhere near it, else 0.
        outside: the share of the requests' values more than half the reference's span outside of it.
        cast, cast_apart: of whole numbers where the reference has none, the cast of the reference that is nearest to
            them, and how near it is.
    """

    name: str
    requests: Numbers
    reference: Numbers
    apart: float
    outside: float
    cast: str = ""
    cast_apart: float = 1.0

    @property
    def is_off(self) -> bool:
        """Whether the requests are on another scale than the reference."""
        elsewhere = self.outside >= 0.3 or self.ratio >= 4.0 or self.ratio <= 0.25
        return self.requests.std > 0 and (
            (self.apart >= 0.5 and elsewhere) or (self.apart >= 0.35 and self.is_unsigned)
        )

    @property
    def is_unsigned(self) -> bool:
        """Whether the requests fill 0 to 1 where the reference fills -1 to 1."""
        fills = -1.001 <= self.reference.minimum <= -0.7 and 0.7 <= self.reference.maximum <= 1.001
        within = -0.001 <= self.requests.minimum <= 0.2 and 0.7 <= self.requests.maximum <= 1.001
        return fills and within and 0.35 <= self.ratio <= 0.7

    @property
    def ratio(self) -> float:
        """The requests' deviation over the reference's."""
        return self.requests.std / self.reference.std if self.reference.std > 0 else 1.0


class Fit(Evidence):
    """A change that brings the requests onto the reference, or the reference onto the requests.

    Attributes:
        preparation: the change.
        of: ``requests`` or ``reference``: which of the two is changed.
        apart: the mean distance of the places that are off, after the change.
        undone: where the reference was changed, the change that undoes it; None where none does.
    """

    preparation: Preparation
    of: str
    apart: float
    undone: Preparation | None = None

    @property
    def repair(self) -> Preparation | None:
        """What is to be done to the requests."""
        return self.preparation if self.of == "requests" else self.undone


class InputComparison(Evidence):
    """One input's numbers.

    Attributes:
        input, dtype, shape: as the signature says, the batch left out (-1 for any size).
        reference: ``training``, ``golden``, ``profile`` (drawn from the model's training profile) or ``graph`` (what
            the graph takes off and divides by).
        rows, reference_rows: how many.
        places: bounded to 256.
        apart: the mean distance over the places that are off, as they are; over all places where none is.
        fits: the changes that were tried, the best first.
        exchanged: the places that are off fit in each other's place: another cause.
        grows: of a ``graph`` reference, whether the requests are above its scale; else None.
        is_index: its numbers say which row of the model's table is looked up: they have no scale.
    """

    input: str
    dtype: str
    shape: list[int]
    reference: str
    rows: int
    reference_rows: int
    places: list[PlaceComparison]
    apart: float
    fits: list[Fit] = []
    exchanged: bool = False
    grows: bool | None = None
    is_index: bool = False

    @property
    def known_from(self) -> str:
        """The reference in words."""
        return "training data (by the model's profile)" if self.reference == "profile" else f"{self.reference} data"

    @property
    def off(self) -> list[PlaceComparison]:
        return [each for each in self.places if each.is_off]


class ProfileComparison(Evidence):
    """All inputs that hold numbers."""

    signature: str
    inputs: list[InputComparison]
